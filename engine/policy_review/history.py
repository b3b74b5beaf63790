"""On which days of a recorded or rehearsed history another policy would have decided otherwise, and why.

The facts are those that were recorded. What the other policy would have changed in them (exposure, stage, equity) is
not in them; `engine.policy_review.rehearsals` puts it in the loop instead.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, iso
from engine.errors import LedgerError, Problem
from engine.history import differences, recorded_days, replayed, shadow_verdicts
from engine.ledger import Ledger
from engine.ledger.rows import sha256_of
from engine.policy.difference.lean import NEITHER, hardness, moved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from engine.history import DayOutcome, RecordedDay, ShadowVerdict
    from engine.history import Difference as DayDifference
    from engine.policy.model import Policy

ACTION = "action"


@dataclass(frozen=True)
class Stretch:
    """Days in a row that differ in the same way for the same reasons.

    Attributes:
        policy: the policy that decides.
        first_ms: the start of the first day.
        last_ms: the start of the last day.
        days: how many.
        before: the outcome under the old policy.
        after: the outcome under the new one.
        reasons: the rules that make the difference, in words.
        softer: whether the new outcome is less severe, or a promotion.
    """

    policy: str
    first_ms: int
    last_ms: int
    days: int
    before: str
    after: str
    reasons: tuple[str, ...]
    softer: bool

    @property
    def change(self) -> str:
        """Both outcomes: ``REDUCE → PAUSE``."""
        return f"{self.before} → {self.after}"


@dataclass(frozen=True)
class HistoryDifference:
    """Two versions of policies over one history.

    Attributes:
        source: the ledger, as it was named.
        kind: live, paper or rehearsal.
        from_ms: the start of the first recorded day.
        to_ms: the end of the last.
        days: how many complete days are recorded.
        sha256: of all recorded facts: the same hash is the same history.
        policies: those that were replayed.
        stretches: the days that differ, oldest first.
        never_fired: rules of the new policies that fired on no day.
        never_known: facts that they read and that had no value on any day.
        shadow: what the new policies decided beside production while it ran (`serve --shadow`), oldest first.
    """

    source: str
    kind: str
    from_ms: int
    to_ms: int
    days: int
    sha256: str
    policies: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    never_fired: tuple[str, ...]
    never_known: tuple[str, ...]
    shadow: tuple[ShadowVerdict, ...] = ()

    @property
    def shadow_counts(self) -> Mapping[str, int]:
        """Verdicts that came out otherwise beside production, by transition, most frequent first."""
        found = Counter(f"{one.production} → {one.outcome}" for one in self.shadow if one.production != one.outcome)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    @property
    def changed_days(self) -> int:
        """How many days differ; a day on which two policies differ counts twice."""
        return sum(stretch.days for stretch in self.stretches)

    @property
    def softer_days(self) -> int:
        """How many of them became softer."""
        return sum(stretch.days for stretch in self.stretches if stretch.softer)

    @property
    def counts(self) -> Mapping[str, int]:
        """Days by transition, most frequent first."""
        found: Counter[str] = Counter()
        for stretch in self.stretches:
            found[stretch.change] += stretch.days
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "source": self.source,
            "kind": self.kind,
            "from": iso(self.from_ms),
            "to": iso(self.to_ms),
            "days": self.days,
            "sha256": self.sha256,
            "policies": list(self.policies),
            "changed_days": self.changed_days,
            "softer_days": self.softer_days,
            "counts": dict(self.counts),
            "stretches": [
                {
                    "policy": one.policy,
                    "from": iso(one.first_ms),
                    "to": iso(one.last_ms),
                    "days": one.days,
                    "before": one.before,
                    "after": one.after,
                    "reasons": list(one.reasons),
                    "softer": one.softer,
                }
                for one in self.stretches
            ],
            "never_fired": list(self.never_fired),
            "never_known": list(self.never_known),
            "shadow": [
                {"at": iso(one.at_ms), "policy": one.policy, "before": one.production, "after": one.outcome}
                for one in self.shadow
            ],
        }


def history_difference(
    old: Mapping[str, Policy], new: Mapping[str, Policy], path: Path, *, called: str = ""
) -> HistoryDifference:
    """Return where two versions of policies decide differently over what a ledger recorded.

    Args:
        old: the policies before, by name.
        new: the policies after.
        path: the ledger.
        called: what to call it; its path if empty.

    Raises:
        LedgerError: it cannot be read, or holds no complete day.
    """
    with Ledger.open(path, read_only=True) as ledger:
        meta = ledger.meta()
        snapshots = ledger.day_closes(-1)
        decided = {record.policy for record in ledger.verdicts()}
        shadow = [one for policy in new.values() for one in shadow_verdicts(ledger, policy.sha256)]
    if not snapshots:
        problem = "the ledger holds no complete day"
        raise LedgerError(Problem("empty-ledger", str(path), problem, "give a ledger that ran for a day or more"))
    names = [name for name in new if name in old and new[name].instances and (name in decided or name == ACTION)]
    stretches: list[Stretch] = []
    silent: list[str] = []
    unknown: list[str] = []
    for name in names:
        days = recorded_days(path, name)
        before, after = replayed(old[name], days), replayed(new[name], days)
        stretches += _stretches(old[name], new[name], differences(before, after))
        fired = {rule for day in after for rule in day.fired}
        silent += [one.id for one in new[name].instances if one.id not in fired]
        unknown += [fact for fact in new[name].facts if not _ever_known(fact, days)]
    return HistoryDifference(
        source=called or str(path),
        kind=meta.get("kind", "ledger"),
        from_ms=snapshots[0].at_ms - DAY_MS,
        to_ms=snapshots[-1].at_ms,
        days=len(snapshots),
        sha256=sha256_of("".join(f"{one.at_ms} {one.sha256}\n" for one in snapshots)),
        policies=tuple(names),
        stretches=tuple(sorted(stretches, key=lambda one: one.first_ms)),
        never_fired=tuple(dict.fromkeys(silent)),
        never_known=tuple(dict.fromkeys(unknown)),
        shadow=tuple(sorted(shadow, key=lambda one: one.at_ms)),
    )


def _ever_known(fact: str, days: Iterable[RecordedDay]) -> bool:
    return any(fact in day.facts and day.facts[fact].value is not None for day in days)


def _stretches(old: Policy, new: Policy, found: Iterable[DayDifference]) -> Iterator[Stretch]:
    """Yield the days that differ, those in a row with the same reasons joined."""
    running: Stretch | None = None
    for one in found:
        start_ms, outcomes = one.at_ms - DAY_MS, (one.before.outcome, one.after.outcome)
        reasons = tuple(_reasons(old, new, one.before, one.after))
        stretch = Stretch(new.name, start_ms, start_ms, 1, *outcomes, reasons, is_softer(old, new, *outcomes))
        if running is not None and _continues(running, stretch):
            running = replace(running, last_ms=start_ms, days=running.days + 1)
            continue
        if running is not None:
            yield running
        running = stretch
    if running is not None:
        yield running


def _continues(running: Stretch, day: Stretch) -> bool:
    same = (running.change, running.reasons) == (day.change, day.reasons)
    return same and day.first_ms == running.last_ms + DAY_MS


def _reasons(old: Policy, new: Policy, before: DayOutcome, after: DayOutcome) -> Iterator[str]:
    """Yield the rules that decided on one side and did not fire on the other."""
    for rule in after.fired:
        if rule not in before.fired and new.by_id[rule].outcome == after.outcome:
            yield f"`{rule}` fires: {new.by_id[rule].rule.because or 'no reason is given'}"
    for rule in before.fired:
        if rule not in after.fired and old.by_id[rule].outcome == before.outcome:
            yield f"`{rule}` no longer fires: {old.by_id[rule].rule.because or 'no reason is given'}"
    for rule in before.fired:
        asks = [policy.by_id[rule].outcome for policy in (old, new) if rule in policy.by_id]
        if rule in after.fired and len(set(asks)) > 1:
            yield f"`{rule}` asks for {asks[1]} instead of {asks[0]}"


def is_softer(old: Policy, new: Policy, before: str, after: str) -> bool:
    """Return whether an outcome is less severe than another, or a promotion, by the old policy's order."""
    both = old if after in old.outcomes else new
    lean = moved(hardness(both, before), hardness(both, after)) if before != after else NEITHER
    return lean.softer
