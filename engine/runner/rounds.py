"""The look at the account each minute and after every reconnection: what is booked, what differs, what protects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.clock import HOUR_MS
from engine.errors import VenueError
from engine.execution.reconcile import Kind, reconcile
from engine.execution.stops import StopStatus
from engine.live.opening import RUNNER
from engine.live.outages import BEGUN, ENDED, Outages, outages_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.execution.reconcile import Difference
    from engine.execution.stops import StopReport
    from engine.runner.open import Post
    from engine.runner.voice import Voice

STANDING = frozenset({Kind.POSITION, Kind.ORDER, Kind.STOP})
"""Differences with which nothing may add risk."""

_DIFFERENCES = "the venue and the ledger do not agree"


class Rounds:
    """Looks at one account.

    Args:
        post: the desk.
        voice: tells people.

    Attributes:
        unheard: why the venue did not answer the last time; empty where it did.
    """

    def __init__(self, post: Post, voice: Voice) -> None:
        self._post = post
        self._voice = voice
        self._filters_ms = post.clock.now_ms()
        times = post.place.release.bundle.guard_times
        self._outages = Outages(RUNNER, times.outage_ends_after_ms if times else 0)
        self._outages.learn(outages_of([*post.ledger.events(BEGUN), *post.ledger.events(ENDED)]))
        self.unheard = ""
        self.take_differences(post.found)

    async def look(self) -> None:
        """Do one round; that the venue does not answer is noted, and changes nothing.

        Raises:
            LedgerError: something could not be recorded.
        """
        post = self._post
        try:
            tolerance_usd = post.place.release.bundle.balance_tolerance_usd
            found = await reconcile(post.venue, post.journal, post.clock, post.catch_up, tolerance_usd=tolerance_usd)
            self.take_differences(found)
            self.take_stops(await post.desk.protect_all())
            await post.history.read_funding(post.venue, post.clock.now_ms())
            await self._read_filters()
        except VenueError as error:
            self.failed(error.problems[0].problem)
        else:
            self._succeeded()

    def failed(self, why: str) -> None:
        """Take note that the venue did not answer.

        Raises:
            LedgerError: it could not be recorded.
        """
        self.unheard = why
        begun = self._outages.failed(self._post.clock.now_ms(), why)
        if begun is not None:
            self._post.ledger.append(begun)
        self._voice.alert_once(Severity.HIGH, "venue", "the venue does not answer", why=why, done="no risk is added")

    def _succeeded(self) -> None:
        self.unheard = ""
        ended = self._outages.succeeded(self._post.clock.now_ms())
        if ended is not None:
            self._post.ledger.append(ended)
        if self._voice.well("venue"):
            self._voice.alert(Severity.INFO, "venue", "the venue answers again: everything was read and booked")

    def take_differences(self, found: Sequence[Difference]) -> None:
        """Tell of differences when they come and go; while some stand, nothing adds risk.

        Raises:
            LedgerError: it cannot be told.
        """
        doubts = {f"{one.kind} {one.subject}" for one in found if one.kind in STANDING}
        self._post.permit.doubts.clear()
        self._post.permit.doubts.update(doubts)
        if found:
            # what changes with each fill and settlement is no other difference: only positions name their amounts
            words = sorted(_in_words(one) if one.kind is Kind.POSITION else _named(one) for one in found)
            why = "; ".join(_in_words(one) for one in found if one.kind is not Kind.POSITION)
            done = "recorded, nothing is put right by itself" + ("; no risk is added" if doubts else "")
            severity = Severity.CRITICAL if doubts else Severity.HIGH
            self._voice.alert_once(severity, "differences", f"{_DIFFERENCES}: {'; '.join(words)}", why=why, done=done)
        elif self._voice.well("differences"):
            self._voice.alert(Severity.INFO, "differences", "the venue and the ledger agree again")

    def take_stops(self, stops: Sequence[StopReport]) -> None:
        """Tell of positions without the stop that they should have.

        Raises:
            LedgerError: it cannot be told.
        """
        for stop in stops:
            subject = f"stop {stop.symbol}"
            if stop.status is StopStatus.UNPROTECTED:
                what = f"{stop.symbol} may stand without its stop"
                done = "looked at again each minute"
                self._voice.alert_once(Severity.CRITICAL, subject, what, why=stop.detail, done=done)
            elif self._voice.well(subject):
                self._voice.alert(Severity.INFO, subject, f"{stop.symbol} has its stop again")

    async def _read_filters(self) -> None:
        """Read the venue's limits once an hour: they change while a desk runs."""
        now_ms = self._post.clock.now_ms()
        if now_ms - self._filters_ms < HOUR_MS:
            return
        untraded = await self._post.desk.read_filters()
        self._filters_ms = now_ms
        for symbol in self._post.symbols:
            subject = f"listing {symbol}"
            if symbol in untraded:
                self._voice.alert_once(Severity.HIGH, subject, f"the venue takes no orders of {symbol}")
            else:
                self._voice.well(subject)


def _named(one: Difference) -> str:
    return f"{one.subject}: {one.kind}"


def _in_words(one: Difference) -> str:
    return f"{_named(one)}, the venue has {one.venue}, the ledger {one.ledger}"
