"""The launch guard's report: every check of the policy, how it stands, what was seen, and the cure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.policy.facts import OK
from engine.policy.model import HARD, SOFT, facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.launch.probe import Finding
    from engine.launch_word import Acknowledgement
    from engine.policy.model import Instance
    from engine.verdict import Verdict

UNCHECKED = "could not be checked"
OKAY, FAIL, WARN, SEEN, OFF, NOTHING = "ok", "FAIL", "warn", "seen", "off", "n/a"
"""A check holds; fails; warns; warns, and a person has acknowledged it; is switched off in the policy; had nothing to
look at, and the policy lets that pass."""


@dataclass(frozen=True)
class Check:
    """One rule of the launch policy, as it stands.

    Attributes:
        name: of the rule.
        severity: HARD or SOFT.
        result: ok, FAIL, warn, seen, off or n/a.
        said: what was seen, in words.
        because: why it fails; empty where it holds.
        cure: what a person does about it; empty where it holds.
        facts: name -> value, or the status of one that has none.
    """

    name: str
    severity: str
    result: str
    said: str
    because: str
    cure: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class LaunchReport:
    """What a run of the launch guard came to.

    Attributes:
        verdict_id: of the recorded verdict.
        outcome: ALLOW_LAUNCH or BLOCK_LAUNCH.
        exit_code: as the policy declares it.
        at_ms: when.
        mode: whose money.
        where: the account, in words.
        stage: to be entered.
        capital_usd: to be at risk there.
        checks: in the policy's order.
        acknowledged: name -> who acknowledged the warning.
        requests: check -> the request that people sign to mend it.
        hashes: of bundle, configuration, policy, vocabulary and facts.
        took_s: how long it took.
    """

    verdict_id: str
    outcome: str
    exit_code: int
    at_ms: int
    mode: str
    where: str
    stage: int
    capital_usd: float
    checks: tuple[Check, ...]
    acknowledged: Mapping[str, Acknowledgement]
    requests: Mapping[str, str]
    hashes: Mapping[str, str]
    took_s: float

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that block."""
        return tuple(check for check in self.checks if check.result == FAIL)

    @property
    def unacknowledged(self) -> tuple[Check, ...]:
        """The warnings that nobody has acknowledged."""
        return tuple(check for check in self.checks if check.result == WARN)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            **asdict(self),
            "at": iso(self.at_ms),
            "failed": [check.name for check in self.failed],
            "warnings": [check.name for check in self.checks if check.result in {WARN, SEEN}],
            "unacknowledged": [check.name for check in self.unacknowledged],
        }


@dataclass(frozen=True)
class Filed:
    """A report, and where it is archived."""

    report: LaunchReport
    path: Path

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self.report.to_json(), "report": str(self.path)}


def checks_of(
    verdict: Verdict, findings: Mapping[str, Finding], seen: Mapping[str, Acknowledgement]
) -> tuple[Check, ...]:
    """Return every rule of the launch policy as a verdict has it.

    Args:
        verdict: of the launch policy.
        findings: what the probes found.
        seen: the warnings that were acknowledged as they are.
    """
    fired = set(verdict.decision.fired)
    found = [
        _check(one, verdict, findings, fired=one.id in fired, seen=one.id in seen) for one in verdict.policy.instances
    ]
    if not verdict.decision.trusted:
        found.append(_distrust(verdict))
    return tuple(found)


def warnings_of(verdict: Verdict) -> dict[str, dict[str, Any]]:
    """Return the SOFT rules that fired, each with the facts it fired on."""
    instances = (verdict.policy.by_id[name] for name in verdict.decision.fired)
    return {one.id: _facts(one, verdict) for one in instances if one.rule.severity == SOFT}


def _check(one: Instance, verdict: Verdict, findings: Mapping[str, Finding], *, fired: bool, seen: bool) -> Check:
    rule, severity = one.rule, one.rule.severity or HARD
    told = dict.fromkeys(findings[name].said for name in facts_of(one.when) if name in findings)
    unseen = all(verdict.facts[name].status != OK for name in facts_of(one.when))
    result = OFF if not rule.enabled else NOTHING if unseen else OKAY
    if fired:
        result = FAIL if severity == HARD else SEEN if seen else WARN
    because, cure = (rule.because, rule.cure) if fired else ("", "")
    if fired and unseen:  # by a reason that may be another one than the cure is for, such as a missing key
        because, cure = UNCHECKED, f"{rule.cure}; where something else kept it from being checked, mend that first"
    return Check(one.id, severity, result, "; ".join(filter(None, told)), because, cure, _facts(one, verdict))


def _facts(one: Instance, verdict: Verdict) -> dict[str, Any]:
    read = ((name, verdict.facts[name]) for name in facts_of(one.when) if name in verdict.facts)
    return {name: fact.value if fact.status == OK else fact.status for name, fact in read}


def _distrust(verdict: Verdict) -> Check:
    said = verdict.decision.fault or "the two engines fired different rules"
    because = "a launch needs both engines to say the same"
    return Check("engines", HARD, FAIL, said, because, "run it again; if it stays, report it with the verdict's id", {})
