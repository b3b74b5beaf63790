"""What a change needs before it is merged: how many signatures and why, and the rehearsal it is tried on.

The numbers stand in ``policy_review.yaml`` beside the bundle, and in the policies' own effects; none stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.documents import read_document
from engine.errors import PolicyError
from engine.policy.difference.firing import compares
from engine.policy.difference.lean import NEITHER
from engine.policy.difference.words import bound
from engine.policy.schema import Findings, check_shape
from engine.policy_review.rehearsals import Period
from engine.revisions import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.difference.compare import Difference
    from engine.revisions import Loaded

FILE = "policy_review.yaml"
SIGNERS = "bundle_signers"  # the fact by which the launch policy asks for signatures of the bundle (A90)

_COUNT = {"type": "integer", "required": True, "min": 0, "max": 20}
_SHAPE: dict[str, Any] = {
    "review": {"type": "string", "required": True, "minlength": 1},
    "signatures": {
        "type": "dict",
        "required": True,
        "schema": {"least": _COUNT, "softer": _COUNT, "config": _COUNT, "stages": _COUNT},
    },
    "reference": {
        "type": "dict",
        "required": True,
        "schema": {
            "seed": {"type": "integer", "required": True, "min": 0},
            "days": {"type": "integer", "required": True, "min": 1, "max": 3660},
            "stage": {"type": "integer", "required": True, "min": 0, "max": 99},
            "approve": {"type": "string", "required": True, "allowed": ["all", "none"]},
        },
    },
}
_OF_CONFIG = ("config", "bundle", "facts")


@dataclass(frozen=True)
class Requirements:
    """What the file asks for.

    Attributes:
        signatures: by reason: ``least``, ``softer``, ``config``, ``stages``.
        reference: the rehearsal that every change is tried on; None where no file says.
    """

    signatures: Mapping[str, int]
    reference: Period | None


@dataclass(frozen=True)
class Needs:
    """What this change needs.

    Attributes:
        signatures: how many different people must sign.
        reasons: why, each in words.
        launch: what the launch policy asks for before the bundle meets real money; empty where it asks for nothing.
    """

    signatures: int
    reasons: tuple[str, ...]
    launch: str


def requirements(old: Loaded, new: Loaded) -> Requirements:
    """Return what the base asks for; where it has no file, what the change itself brings along.

    Raises:
        PolicyError: the file is wrong.
    """
    for loaded in (old, new):
        path = loaded.bundle.path.parent / FILE
        if path.is_file():
            with named(loaded.tree):
                return _read(path)
    return Requirements({}, None)


def _read(path: Path) -> Requirements:
    document = read_document(path, error=PolicyError)
    findings = Findings(document)
    check_shape(findings, _SHAPE)
    if findings.problems:
        raise PolicyError(findings.in_order())
    asked = document.data["reference"]
    reference = Period(
        seed=asked["seed"], days=asked["days"], data=None, klines="klines", from_ms=None, to_ms=None,
        stage=asked["stage"], approve=asked["approve"],
    )  # fmt: skip
    return Requirements(document.data["signatures"], reference)


def needs(old: Bundle, new: Bundle, found: Difference, asked: Requirements) -> Needs:
    """Return the signatures that a change needs: the most that any reason asks for."""
    counted = list(_counted(old, new, found, asked.signatures)) if found.meaning else []
    most = max((count for count, _ in counted), default=0)
    reasons = tuple(reason for count, reason in counted if count == most and most)
    return Needs(most, reasons, _launch(new))


def _counted(old: Bundle, new: Bundle, found: Difference, asked: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    for (policy, outcome), lean in found.by_outcome.items():
        approvals = [
            bundle.policies[policy].effects[outcome].approvals
            for bundle in (old, new)
            if policy in bundle.policies and outcome in bundle.policies[policy].effects
        ]
        changed = any(change.policy == policy and change.section == "effects" for change in found.changes)
        if approvals and (lean != NEITHER or changed):
            yield max(approvals), f"outcome {outcome} of `{policy}` changes, which itself asks for {max(approvals)}"
    if found.lean.softened:
        word = "something becomes softer" if found.lean.softer else "nobody can tell whether something becomes softer"
        yield asked.get("softer", 0), word
    if any(change.section in _OF_CONFIG for change in found.meaning):
        yield asked.get("config", 0), "the configuration or the facts change, on which all policies rest"
    if any(change.policy == "stages" for change in found.meaning):
        yield asked.get("stages", 0), "the stages change"
    yield asked.get("least", 0), "the meaning changes"


def _launch(bundle: Bundle) -> str:
    """Return which rule asks for signatures of the bundle before it may be launched."""
    for policy in bundle.policies.values():
        for rule in policy.rules.values():
            condition = rule.when if rule.unless is None else rule.unless
            for compare in compares(condition):
                if compare.fact == SIGNERS and rule.unless is not None:
                    return f"`{rule.name}` of `{policy.name}` demands `{SIGNERS}` {bound(compare)}"
    return ""
