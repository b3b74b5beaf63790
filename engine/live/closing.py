"""A closing that people hear of while it runs: a flatten may never end, and then nobody would hear of it at its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.alerts.alert import Alert, Severity
from engine.clock import SECOND_MS
from engine.execution.flatten import flatten
from engine.execution.flattened import VERIFIED, Terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.execution.flattened import FlattenReport
    from engine.execution.permit import Permit
    from engine.execution.siderecord import Record
    from engine.execution.venue import Venue

BY_HAND = "close every position and cancel every order in the venue's web interface, now"
UNSAID = "the venue does not show that everything is closed"


async def flatten_watched(
    venue: Venue,
    permit: Permit,
    clock: Clock,
    record: Record,
    terms: Terms,
    *,
    within_ms: int,
    late: Callable[[str], None],
) -> FlattenReport:
    """Flatten, and say while it runs that it is late; whoever cancels this cancels the flatten.

    Args:
        venue: the account.
        permit: deleted first.
        clock: the time.
        record: told of everything, beside the act.
        terms: how.
        within_ms: how long it may take.
        late: told the newest problem each time that so long has passed again, unless the venue showed within it that
            nothing stands: then it only looks whether that lasts.
    """
    loop = asyncio.get_running_loop()
    newest, verified_s = UNSAID, None

    def problem(text: str) -> None:
        nonlocal newest
        newest = text
        if terms.on_problem is not None:
            terms.on_problem(text)

    def step(name: str, at_ms: int) -> None:
        nonlocal verified_s
        if name == VERIFIED:
            verified_s = loop.time()
        if terms.on_step is not None:
            terms.on_step(name, at_ms)

    within_s = within_ms / SECOND_MS
    heard = replace(terms, on_problem=problem, on_step=step)
    closing = asyncio.ensure_future(flatten(venue, permit, clock, record, heard))
    try:
        while not (await asyncio.wait({closing}, timeout=within_s))[0]:
            if verified_s is None or loop.time() - verified_s >= within_s:
                with suppress(Exception):  # nobody who listens may stop the closing
                    late(newest)
        return closing.result()
    finally:
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)


@dataclass(frozen=True)
class ClosingNews:
    """Tells people of the closings of one desk: that one begins, that it is late, and then that it is flat after all.

    Attributes:
        within_ms: how long one may take.
        why: told the reason of a closing, returns it in words for people; None: somebody else tells of this one.
    """

    within_ms: int
    why: Callable[[str], str | None]

    async def flatten(self, venue: Venue, permit: Permit, clock: Clock, record: Record, terms: Terms) -> FlattenReport:
        """Flatten; what is told is written beside the act, and never delays it."""
        began_ms, was_late = clock.now_ms(), False

        def tell(subject: str, what: str, **lines: str) -> None:
            told = tuple((label, text) for label, text in lines.items() if text)
            now_ms = clock.now_ms()
            name = f"{subject} {terms.reason} {began_ms}"
            record.write([Alert(now_ms, Severity.CRITICAL, name, f"{terms.reason}: {what}", told).row()])

        def late(problem: str) -> None:
            nonlocal was_late
            if self._why(terms.reason) is not None:
                was_late = True
                tell("not-flat", "NOT FLAT", why=problem, done="the closing goes on", do=BY_HAND)

        def step(name: str, _at_ms: int) -> None:
            nonlocal was_late
            if name == VERIFIED and was_late:
                was_late = False
                took_s = (clock.now_ms() - began_ms) / SECOND_MS
                tell("flat", f"flat after {took_s:.0f} s", done="every position closed, verified")

        why = self._why(terms.reason)
        if why is not None:
            tell("closing", "everything is being closed", why=why)
        terms = replace(terms, on_step=step)
        return await flatten_watched(venue, permit, clock, record, terms, within_ms=self.within_ms, late=late)

    def _why(self, reason: str) -> str | None:
        try:
            return self.why(reason)
        except Exception as error:  # noqa: BLE001 - an alert that fails must not stop the closing
            return f"not known: {error}"
