"""The runner's ear for the risk guard: it acknowledges a decision to close everything, and carries it out at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.execution.flattened import FlattenReport
    from engine.governor import Governor
    from engine.live.decision_file import GuardDecision, GuardWatch
    from engine.policy.model import Policy

LOOK_EVERY_S = 0.1


class GuardFollower:
    """Obeys the guard in the runner's process.

    Args:
        watch: what the guard says.
        clock: the time.
        by: the name that stands in the acknowledgement.
        flatten: closes the book by the runner's own connection, and is told why.
        told: hears of each flatten that was carried out; see `note_flattened`.

    Attributes:
        problem: why the last acknowledgement could not be written; empty where it could.
    """

    def __init__(
        self,
        watch: GuardWatch,
        clock: Clock,
        by: str,
        flatten: Callable[[str], Awaitable[FlattenReport]],
        told: Callable[[GuardDecision, FlattenReport], None],
    ) -> None:
        self.problem = ""
        self._watch, self._clock, self._by = watch, clock, by
        self._flatten, self._told = flatten, told
        self._done: str | None = None

    async def run(self) -> None:
        """Follow until cancelled. A flatten that was begun is not cut short by it."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> FlattenReport | None:
        """Carry out what the guard wants closed, each decision once; return the report where it did."""
        decision = self._watch.decision()
        if decision is None or not decision.closes or decision.decision_id == self._done:
            return None
        self.problem = self._watch.files.acknowledge(decision.decision_id, by=self._by, at_ms=self._clock.now_ms())
        report = await asyncio.shield(
            asyncio.ensure_future(self._flatten(f"{decision.outcome} {decision.decision_id}"))
        )
        self._done = decision.decision_id
        self._told(decision, report)
        return report


def note_flattened(governor: Governor, policy: Policy, decision: GuardDecision, report: FlattenReport) -> None:
    """Have the governor pause the desk for what the guard decided; a desk that is paused stays as it is.

    Args:
        governor: of the desk.
        policy: the risk guard's.
        decision: that was carried out.
        report: of the flatten.
    """
    if governor.posture.paused_since_ms is None and decision.epoch_ms == governor.posture.epoch_ms:
        effects = policy.effects[decision.outcome]
        governor.flattened(report.started_ms, decision.outcome, effects, "; ".join(decision.because))
