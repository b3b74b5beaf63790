"""The bundle: which policy files make up a release, the frozen configuration they were signed with, and assumptions."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.documents import read_document
from engine.errors import PolicyError
from engine.policy.guard_times import read_guard_times
from engine.policy.load import load_vocabulary
from engine.policy.quantity import duration_ms, parse_quantity, quoted
from engine.policy.roles import role_problems
from engine.policy.rulebook import read_policy
from engine.policy.schema import BUNDLE, SHA256, VALIDITIES, Findings, check_shape

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.policy.guard_times import GuardTimes
    from engine.policy.model import Policy, Vocabulary

FILTERS = ("execution", "filters")


@dataclass(frozen=True)
class PinnedFile:
    """A file that the bundle names with its SHA-256; where it lies is no part of what it is."""

    path: Path = field(compare=False)
    sha256: str
    text: str = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.path.name} ({self.sha256[:8]}…)"


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
        decision_valid_ms: an older decision may only reduce (A74); 0, so that every decision is too old, where the
            bundle does not say.
        request_valid_ms: how long what people are asked to sign waits for them; 0, so that nothing is ever granted,
            where the bundle does not say.
        promotion_valid_ms: the same of a promotion, which must not outlive the stage that it was asked in.
        adoption_valid_ms: the same of an adoption, whose positions must stay as they are meanwhile.
        balance_tolerance_usd: what the venue's rounding may come to before the cash is called different; 0 where the
            bundle does not say.
        guard_times: how long the risk guard waits for whom; None where the bundle does not say: it then does not run.
        filters: the venue's limits of an order, for backtest and rehearsal; None: quantities are not rounded.
        periods_per_year: for annualised figures.
        risk_free_rate_ratio: a year, for Sharpe ratios.
        files: the SHA-256 of every file that it decides with, also of policies that were not read.
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
    decision_valid_ms: int
    request_valid_ms: int
    promotion_valid_ms: int
    adoption_valid_ms: int
    balance_tolerance_usd: float
    guard_times: GuardTimes | None
    filters: PinnedFile | None
    periods_per_year: int
    risk_free_rate_ratio: float
    files: Mapping[Path, str] = field(repr=False, compare=False, default_factory=dict)

    @cached_property
    def folder(self) -> Path:
        """The folder that holds all of its files."""
        return Path(os.path.commonpath([_whole(path).parent for path in self.files]))

    @cached_property
    def manifest(self) -> str:
        """Its files as ``sha256sum --check`` reads them in `folder`, sorted by name."""
        named = {_whole(path).relative_to(self.folder).as_posix(): sha256 for path, sha256 in self.files.items()}
        return "".join(f"{named[name]}  {name}\n" for name in sorted(named))

    @cached_property
    def digest(self) -> str:
        """The one hash of everything it decides with, which people sign: the SHA-256 of `manifest` (A90).

        The bundle's own SHA-256 covers the names of the policies, not what is in them. Where the files lie is no part
        of it, but how they lie to each other is.
        """
        return hashlib.sha256(self.manifest.encode()).hexdigest()


def load_bundle(path: Path, *, only: Collection[str] = (), past: bool = False) -> Bundle:
    """Return a bundle with everything it names; paths in it are relative to its folder.

    Args:
        path: of the bundle file.
        only: the policies to read, where a question is about few of them; all where empty.
        past: a revision to compare with, by which nobody acts: effects that nobody carries out may stand in it.

    Raises:
        PolicyError: the bundle, the vocabulary or a policy is wrong, with every mistake of all of them; or the
            configuration, or the file of the venue's limits, is not the one whose SHA-256 is pinned, or none is (A90).
    """
    document = read_document(path, error=PolicyError)
    findings = Findings(document)
    check_shape(findings, BUNDLE)
    dead_band, guard_times = _dead_band(findings), read_guard_times(findings)
    valid_ms, *waiting_ms = (bundle_duration_ms(findings, key) for key in VALIDITIES)
    config = _pinned(findings, path.parent, ("config",), "configuration")
    filters = _pinned(findings, path.parent, FILTERS, "file") if FILTERS in document.positions else None
    others: list[PolicyError] = []
    vocabulary = _vocabulary(findings, path.parent, others)
    policies = _policies(findings, path.parent, vocabulary, others, only, past=past) if vocabulary else {}
    problems = [*findings.in_order(), *(problem for error in others for problem in error.problems)]
    if problems or vocabulary is None:
        raise PolicyError(problems)
    data: dict[str, Any] = document.data
    read = {Path(policy.source): policy.sha256 for policy in policies.values()}
    pinned = {one.path: one.sha256 for one in (config, filters) if one is not None}
    own = {path: document.sha256, Path(vocabulary.source): vocabulary.sha256}
    files = {**own, **pinned, **read, **_unread(data, path.parent, policies)}
    return Bundle(
        name=data["bundle"],
        path=path,
        sha256=document.sha256,
        text=document.text,
        vocabulary=vocabulary,
        policies=policies,
        config_path=config.path,
        config_sha256=data["config"]["sha256"],
        config_text=config.text,
        rebalance_dead_band_ratio=dead_band,
        decision_valid_ms=valid_ms,
        request_valid_ms=waiting_ms[0],
        promotion_valid_ms=waiting_ms[1],
        adoption_valid_ms=waiting_ms[2],
        balance_tolerance_usd=float(data["execution"].get("balance_tolerance_usd", 0)),
        guard_times=guard_times,
        filters=filters,
        periods_per_year=data["reporting"]["periods_per_year"],
        risk_free_rate_ratio=float(data["reporting"]["risk_free_rate"]),
        files=files,
    )


def _whole(path: Path) -> Path:
    """Return a path from the root, without following links: a link is named, and read, as what it is."""
    return Path(os.path.normpath(Path.cwd() / path))


def _unread(data: Mapping[str, Any], folder: Path, read: Mapping[str, Policy]) -> dict[Path, str]:
    """Return the SHA-256 of the policies that were not asked for; one that cannot be read has none."""
    found = {}
    for key, name in data["policies"].items():
        path = folder / name
        with suppress(OSError):
            if key not in read and path.is_file():
                found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


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
    findings: Findings,
    folder: Path,
    vocabulary: Vocabulary,
    others: list[PolicyError],
    only: Collection[str],
    *,
    past: bool,
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
            document = read_document(folder / name, error=PolicyError)
            policies[key] = read_policy(document, vocabulary)
        except PolicyError as error:
            others.append(error)
            continue
        if not past and (problems := role_problems(document, key)):
            others.append(PolicyError(problems))
        if policies[key].name != key:
            findings.add(at, "policy-name", f"{quoted(name)} is the policy `{policies[key].name}`, not `{key}`")
    return policies


def _is_file(findings: Findings, at: tuple[str, ...], folder: Path, name: str | None) -> bool:
    """Report a path in the bundle that leads to no file; None was reported already."""
    if name is None:
        return False
    try:
        is_file = (folder / name).is_file()
    except OSError:  # such as a name that is too long for any file
        is_file = False
    if not is_file:
        findings.add(at, "no-file", f"there is no file {quoted(name)}", "paths are relative to the bundle's folder")
    return is_file


def _pinned(findings: Findings, folder: Path, block: tuple[str, ...], what: str) -> PinnedFile:
    """Return the file that a block names, with the SHA-256 it pins; whatever is wrong is reported."""
    name, pinned = findings.value(*block, "path"), findings.value(*block, "sha256")
    at, nothing = (*block, "sha256"), PinnedFile(folder, "", "")
    if name is None or not _is_file(findings, (*block, "path"), folder, name):
        return nothing
    try:
        raw = (folder / name).read_bytes()
    except OSError as failure:
        findings.add((*block, "path"), "unreadable", f"{quoted(name)} cannot be read: {failure.strerror}")
        return nothing
    found, code = hashlib.sha256(raw).hexdigest(), f"{block[-1]}-hash"
    if not pinned:
        help_ = f"if this {what} was reviewed, write `sha256: {found}`"
        if at not in findings.broken:
            findings.add(at, code, "no SHA-256 is pinned, so launch stays blocked", help_)
    elif not re.fullmatch(SHA256, pinned):
        findings.add(at, code, f"{quoted(pinned)} is no SHA-256", "write 64 digits of 0-9 and a-f")
    elif found != pinned:
        problem = f"the SHA-256 of {quoted(name)} is {found[:8]}…, the bundle pins {pinned[:8]}…"
        findings.add(at, code, problem, "restore the file or sign a new bundle; launch stays blocked")
    return PinnedFile(folder / name, found, raw.decode(errors="replace"))


def bundle_duration_ms(findings: Findings, key: str) -> int:
    """Return a length of time of a bundle's ``execution``; 0 where there is none, and where it is noted as wrong."""
    at = ("execution", key)
    text = findings.value(*at)
    valid_ms = 0 if text is None else duration_ms(text)
    if valid_ms is None:
        findings.add(at, "duration", f"{quoted(text)} is no duration", "write `5 minutes`")
    return valid_ms or 0


def _dead_band(findings: Findings) -> float:
    text = findings.value("execution", "rebalance_dead_band")
    quantity = parse_quantity(text) if text is not None else None
    if text is not None and (quantity is None or quantity.suffix != "%" or not 0 <= quantity.number < 100):  # noqa: PLR2004
        at = ("execution", "rebalance_dead_band")
        findings.add(at, "unit", f"{quoted(text)} is no share below 100%", 'write `"5%"`')
    return float(quantity.number / Decimal(100)) if quantity else 0.0
