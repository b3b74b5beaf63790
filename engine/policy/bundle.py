"""The bundle: which policy files make up a release, the frozen configuration they were signed with, and assumptions."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.documents import read_document
from engine.errors import PolicyError
from engine.policy.load import load_policy, load_vocabulary
from engine.policy.quantity import parse_quantity, quoted
from engine.policy.schema import BUNDLE, SHA256, Findings, check_shape

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from engine.policy.model import Policy, Vocabulary


@dataclass(frozen=True)
class Bundle:
    """A release of the policies.

    Attributes:
        name: such as ``R1``.
        path: of the bundle file.
        sha256: of the bundle file.
        text: of the bundle file, for the record.
        vocabulary: the facts.
        policies: by name.
        config_path: the frozen configuration.
        config_sha256: as pinned, and as found.
        config_text: its text, for the record; it holds no secrets, only the names of variables.
        rebalance_dead_band_ratio: a target within this share of the position is not traded (0.05 = 5 %).
        periods_per_year: for annualised figures.
        risk_free_rate_ratio: a year, for Sharpe ratios.
    """

    name: str
    path: Path
    sha256: str
    text: str = field(repr=False)
    vocabulary: Vocabulary = field(repr=False)
    policies: Mapping[str, Policy] = field(repr=False)
    config_path: Path
    config_sha256: str
    config_text: str = field(repr=False)
    rebalance_dead_band_ratio: float
    periods_per_year: int
    risk_free_rate_ratio: float


def load_bundle(path: Path, *, only: Collection[str] = ()) -> Bundle:
    """Return a bundle with everything it names; paths in it are relative to its folder.

    Args:
        path: of the bundle file.
        only: the policies to read, where a question is about few of them; all where empty.

    Raises:
        PolicyError: the bundle, the vocabulary or a policy is wrong, with every mistake of all of them; or the
            configuration is not the one whose SHA-256 is pinned, or none is (A90).
    """
    document = read_document(path, error=PolicyError)
    findings = Findings(document)
    check_shape(findings, BUNDLE)
    dead_band = _dead_band(findings)
    config_path, config_raw = _config(findings, path.parent)
    others: list[PolicyError] = []
    vocabulary = _vocabulary(findings, path.parent, others)
    policies = _policies(findings, path.parent, vocabulary, others, only) if vocabulary else {}
    problems = [*findings.in_order(), *(problem for error in others for problem in error.problems)]
    if problems or vocabulary is None:
        raise PolicyError(problems)
    data: dict[str, Any] = document.data
    return Bundle(
        name=data["bundle"],
        path=path,
        sha256=document.sha256,
        text=document.text,
        vocabulary=vocabulary,
        policies=policies,
        config_path=config_path,
        config_sha256=data["config"]["sha256"],
        config_text=config_raw.decode(),
        rebalance_dead_band_ratio=dead_band,
        periods_per_year=data["reporting"]["periods_per_year"],
        risk_free_rate_ratio=float(data["reporting"]["risk_free_rate"]),
    )


def _vocabulary(findings: Findings, folder: Path, others: list[PolicyError]) -> Vocabulary | None:
    name = findings.value("vocabulary")
    if not _is_file(findings, ("vocabulary",), folder, name):
        return None
    try:
        return load_vocabulary(folder / name)
    except PolicyError as error:
        others.append(error)
        return None


def _policies(
    findings: Findings, folder: Path, vocabulary: Vocabulary, others: list[PolicyError], only: Collection[str]
) -> dict[str, Policy]:
    policies = {}
    for key in findings.value("policies") or {}:
        if only and key not in only:
            continue
        at = ("policies", key)
        name = findings.value(*at)
        if not _is_file(findings, at, folder, name):
            continue
        try:
            policies[key] = load_policy(folder / name, vocabulary)
        except PolicyError as error:
            others.append(error)
            continue
        if policies[key].name != key:
            findings.add(at, "policy-name", f"{quoted(name)} is the policy `{policies[key].name}`, not `{key}`")
    return policies


def _is_file(findings: Findings, at: tuple[str, ...], folder: Path, name: str | None) -> bool:
    """Report a path in the bundle that leads to no file; None was reported already."""
    if name is None:
        return False
    if not (folder / name).is_file():
        findings.add(at, "no-file", f"there is no file {quoted(name)}", "paths are relative to the bundle's folder")
        return False
    return True


def _config(findings: Findings, folder: Path) -> tuple[Path, bytes]:
    name, pinned = findings.value("config", "path"), findings.value("config", "sha256")
    at = ("config", "sha256")
    if name is None or not _is_file(findings, ("config", "path"), folder, name):
        return folder, b""
    try:
        raw = (folder / name).read_bytes()
    except OSError as failure:
        findings.add(("config", "path"), "unreadable", f"{quoted(name)} cannot be read: {failure.strerror}")
        return folder, b""
    found = hashlib.sha256(raw).hexdigest()
    if not pinned:
        help_ = f"if this configuration was reviewed, write `sha256: {found}`"
        if ("config", "sha256") not in findings.broken:
            findings.add(at, "config-hash", "no SHA-256 is pinned, so launch stays blocked", help_)
    elif not re.fullmatch(SHA256, pinned):
        findings.add(at, "config-hash", f"{quoted(pinned)} is no SHA-256", "write 64 digits of 0-9 and a-f")
    elif found != pinned:
        problem = f"the SHA-256 of {quoted(name)} is {found[:8]}…, the bundle pins {pinned[:8]}…"
        findings.add(at, "config-hash", problem, "restore the file or sign a new bundle; launch stays blocked")
    return folder / name, raw


def _dead_band(findings: Findings) -> float:
    text = findings.value("execution", "rebalance_dead_band")
    quantity = parse_quantity(text) if text is not None else None
    if text is not None and (quantity is None or quantity.suffix != "%" or not 0 <= quantity.number < 100):  # noqa: PLR2004
        at = ("execution", "rebalance_dead_band")
        findings.add(at, "unit", f"{quoted(text)} is no share below 100%", 'write `"5%"`')
    return float(quantity.number / Decimal(100)) if quantity else 0.0
