"""What the venue's streams tell a runner: bars as they close, orders as they change, and that something was missed.

A stream only wakes: whatever counts is read by REST. So a message that is dropped, late, doubled or out of order costs
time, never a fill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.execution.ids import Purpose, purpose_of
from engine.execution.venue import BarEvent, NoticeEvent, OrderEvent, Resync, StopEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.execution.venue import VenueEvent
    from engine.runner.open import Post
    from engine.runner.voice import Voice

LOST = "STREAM_LOST"


class Ears:
    """Listens to the streams of one account.

    Args:
        post: the desk.
        voice: tells people.
        look_now: asks for a look at the account, as soon as may be.
    """

    def __init__(self, post: Post, voice: Voice, look_now: Callable[[], None]) -> None:
        self._post = post
        self._voice = voice
        self._look_now = look_now

    async def listen(self) -> None:
        """Listen until cancelled.

        Raises:
            VenueRefused: the venue refuses the key.
            LedgerError: what was heard could not be recorded.
        """
        async for event in self._post.venue.events():
            self.hear(event)

    def hear(self, event: VenueEvent) -> None:
        """Take one message."""
        if isinstance(event, BarEvent):
            self._take_bar(event)
        elif isinstance(event, Resync):
            self._voice.show(f"{event.stream} stream: {event.reason}")
            self._look_now()
        elif isinstance(event, NoticeEvent):
            self._take_notice(event)
        else:
            self._post.hands.executor.hear(event)
            if _calls_for_a_look(event):
                self._look_now()

    def _take_bar(self, event: BarEvent) -> None:
        """Put a bar on the tape where it is the next one; behind a gap it waits for what is read by REST."""
        tape, bars = self._post.desk.tape, event.bars
        if len(bars) and tape.next_ms(bars.symbol) == int(bars.open_time_ms[0]):
            tape.add(bars)

    def _take_notice(self, event: NoticeEvent) -> None:
        if event.kind == LOST:
            self._voice.show(f"stream lost, {event.detail}")
            return
        self._voice.alert_once(Severity.HIGH, f"notice {event.kind}", f"the venue says: {event.detail}")
        self._look_now()


def _calls_for_a_look(event: VenueEvent) -> bool:
    """Return whether an event is of an order that nobody here waits for: a stop that was hit, or a stranger's."""
    if isinstance(event, StopEvent):
        return event.state.status.ended
    if not isinstance(event, OrderEvent):
        return False
    return purpose_of(event.state.client_id) not in {Purpose.BAR, Purpose.FLATTEN}
