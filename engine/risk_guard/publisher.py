"""The decision's file, kept fresh beside the looks: one writing at a time, always of the latest decision."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.live.decision_file import DecisionFiles, GuardDecision

REWRITTEN = 4
"""The file is renewed so many times while a decision holds."""


class Publisher:
    """Writes decisions.

    Args:
        files: where to.
        valid_ms: how long a decision holds that is not renewed.

    Attributes:
        problem: why the last one could not be written; empty where it could.
    """

    def __init__(self, files: DecisionFiles, valid_ms: int) -> None:
        self.problem = ""
        self._files = files
        self._due_ms = valid_ms // REWRITTEN
        self._latest: GuardDecision | None = None
        self._written: GuardDecision | None = None
        self._writing: asyncio.Task[None] | None = None

    def publish(self, decision: GuardDecision) -> None:
        """Write a decision where something changed, or what stands there would soon say nothing; never waits."""
        if self._written is not None and not self._outdated(self._written, decision):
            return
        self._latest = decision
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write())

    async def finish(self) -> None:
        """Wait until the latest decision stands there, or could not be written."""
        if self._writing is not None:
            await self._writing

    def _outdated(self, written: GuardDecision, decision: GuardDecision) -> bool:
        same = (written.decision_id, written.doing, written.problems) == (
            decision.decision_id,
            decision.doing,
            decision.problems,
        )
        # a clock that was set back makes it look young
        return not same or not 0 <= decision.at_ms - written.at_ms < self._due_ms

    async def _write(self) -> None:
        while self._latest is not None and self._latest is not self._written:
            latest = self._latest
            self.problem = await asyncio.to_thread(self._files.write, latest)
            if self.problem:
                return  # tried again with the next look
            self._written = latest
