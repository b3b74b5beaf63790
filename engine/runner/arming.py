"""Whether the dead-man timer may be armed: the canary, sent until it was clear what the venue's countdown takes.

The risk guard renews the countdown, and only where the last canary in the ledger was spared (execution.md, invariant
8). The runner sends it, because a canary is an order: recorded before it leaves, and cancelled by whoever comes after a
crash.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.clock import HOUR_MS, SECOND_MS
from engine.errors import VenueError
from engine.execution.deadman import CANARY, CANARY_COUNTDOWN_MS, CANARY_MARGIN_MS, Canary, send_canary
from engine.execution.ids import Purpose, purpose_of

if TYPE_CHECKING:
    from engine.execution.venue import Position
    from engine.runner.open import Post
    from engine.runner.voice import Voice

NEEDED_MS = CANARY_COUNTDOWN_MS + CANARY_MARGIN_MS + 10 * SECOND_MS
"""With less than this left of the hour a canary waits for the next one: a bar's orders must not."""

_SUBJECT = "dead-man timer"
_SAID = {
    Canary.TAKEN: (Severity.HIGH, "the venue's countdown takes stops away, so the dead-man timer stays off"),
    Canary.UNCLEAR: (Severity.WARN, "whether the venue's countdown spares stops is not clear, so it stays off"),
}


class Arming:
    """Looks after the canary of one desk.

    Args:
        post: the desk.
        voice: tells people.
    """

    def __init__(self, post: Post, voice: Voice) -> None:
        self._post = post
        self._voice = voice
        self._known = False

    async def look(self) -> None:
        """Send a canary unless one was spared already, or took its turn since the start; nothing else may be sent now.

        It costs the venue one stop of the smallest quantity, far from the price, and takes eight seconds. A halted desk
        sends none: nothing of it rests.

        Raises:
            LedgerError: it could not be recorded; then it was not sent.
        """
        post = self._post
        await self._clear_away()  # the venue may have been away when the last one was to be cancelled
        if self._known or not post.permit.present() or HOUR_MS - post.clock.now_ms() % HOUR_MS < NEEDED_MS:
            return
        told = post.ledger.events(CANARY)
        if told and told[-1].subject == Canary.SPARED:
            self._known = True
            return
        try:
            shown = await self._send()
        except VenueError as error:
            self._say(Canary.UNCLEAR, error.problems[0].problem)
        else:
            self._known = shown is not Canary.UNCLEAR
            self._say(shown)

    async def _send(self) -> Canary:
        post, venue = self._post, self._post.venue
        symbol = self._symbol(await venue.positions())
        price = (await venue.mark_prices())[symbol].price
        return await send_canary(post.hands.sender, symbol, price, (await venue.filters())[symbol])

    def _symbol(self, held: dict[str, Position]) -> str:
        """Return where a stop more is in nobody's way: best where nothing is held."""
        return next((one for one in reversed(self._post.symbols) if one not in held), self._post.symbols[-1])

    async def _clear_away(self) -> None:
        """Cancel what a canary left that did not come to its end."""
        ledger, sender = self._post.ledger, self._post.hands.sender
        for intent in ledger.open_intents(self._post.journal.account):
            if purpose_of(intent.client_id) is Purpose.CANARY:
                with suppress(VenueError):
                    await sender.venue.cancel_stop(intent.client_id)
                    await sender.resolve_stop(intent.client_id)

    def _say(self, shown: Canary, why: str = "") -> None:
        if shown is Canary.SPARED:
            self._voice.show("the venue's countdown spares stops: the risk guard arms the dead-man timer")
            self._voice.well(_SUBJECT)
            return
        severity, what = _SAID[shown]
        self._voice.alert_once(severity, _SUBJECT, what, why=why, done="what rests when nobody is there stays")
