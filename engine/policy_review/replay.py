"""`policy replay`: policies over all that a ledger recorded; with ``--in-loop`` what they would have done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, UsageError
from engine.history import replay_policy
from engine.policy_review.diff import policies_of
from engine.policy_review.history import ACTION, history_difference
from engine.policy_review.rehearsals import course_of, period_of, recorded_under, rehearsed
from engine.revisions import revisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.history import PolicyReplay
    from engine.policy_review.history import HistoryDifference
    from engine.policy_review.rehearsals import Course, Period
    from engine.rehearsal.loop import Progress


@dataclass(frozen=True)
class ReplayReport:
    """A policy over a history.

    Attributes:
        title: whose policies.
        replay: the action policy over the recorded facts, by the interpreter.
        against: what the other policy would have decided, where one was named; else None.
        period: what was rehearsed; None without ``--in-loop``.
        recorded: the history as it was recorded.
        in_loop: the same period under these policies.
    """

    title: str
    replay: PolicyReplay
    against: HistoryDifference | None
    period: Period | None = None
    recorded: Course | None = None
    in_loop: Course | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "title": self.title,
            **self.replay.to_json(),
            "against": None if self.against is None else self.against.to_json(),
            "in_loop": None
            if self.recorded is None or self.in_loop is None or self.period is None
            else {
                "period": self.period.title,
                "recorded": self.recorded.to_json(),
                "rehearsed": self.in_loop.to_json(),
            },
        }


def replay_report(
    ledger: Path,
    new: str,
    *,
    rules: Path,
    against: str | None = None,
    in_loop: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> ReplayReport:
    """Return what policies would have decided over a ledger.

    Args:
        ledger: recorded or rehearsed.
        new: whose policies: a bundle, a policy file, or a git revision.
        rules: the bundle that a revision alone stands for.
        against: the policies to compare with; None: none.
        in_loop: rehearse the ledger's period with `new` in the loop; a bundle and the ledger of a rehearsal are needed.
        progress: called with every hour of the rehearsal.

    Raises:
        UsageError: a name leads nowhere, there is no action policy, or the ledger is no rehearsal.
        PolicyError, LedgerError: policies or ledger are wrong.
    """
    with revisions(rules) as source:
        loaded = source.load(new)
        policies = policies_of(loaded.model)
        if ACTION not in policies:
            problem = f"`{loaded.title}` holds no action policy"
            raise UsageError(Problem("replay", "policy replay", problem, "name a bundle, or the action policy"))
        period = period_of(ledger) if in_loop else None
        replay = replay_policy(policies[ACTION], ledger)
        other = history_difference(policies_of(source.load(against).model), policies, ledger) if against else None
        if period is None:
            return ReplayReport(loaded.title, replay, other)
        title = "as recorded" + (", under the same policies" if recorded_under(ledger, loaded.bundle) else "")
        before = course_of(ledger, title, policies[ACTION].outcomes, recorded=True)
        after = rehearsed(period, loaded.bundle, loaded.title, progress)
        return ReplayReport(loaded.title, replay, other, period, before, after)
