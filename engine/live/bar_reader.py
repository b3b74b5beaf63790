"""Bars for a desk: those that have closed, and the open of the one that runs now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.backtest import WARMUP_BARS
from engine.clock import HOUR_MS, SECOND_MS
from engine.errors import VenueError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from engine.clock import Clock
    from engine.execution.planned import Plan
    from engine.execution.venue import Venue
    from engine.live.signals import Reading, Tape

PUBLICATION_S = 30.0
"""How long a bar that has closed is waited for; without it the sleeve has no signal at this close."""

OPEN_PATIENCE_MS = 2 * SECOND_MS
WARMUP_MS = (WARMUP_BARS + 1) * HOUR_MS

_LOOK_AGAIN_S = 0.25
_LONGEST_PAUSE_S = 2.0
_GROWTH = 1.5  # asking four times a second for half a minute would use up the allowance of the minute


class BarReader:
    """Reads the bars of some symbols from the venue onto a tape.

    Args:
        venue: where they come from.
        tape: where they go.
        clock: the time.
        symbols: of the configuration.
    """

    def __init__(self, venue: Venue, tape: Tape, clock: Clock, symbols: Sequence[str]) -> None:
        self._venue = venue
        self._tape = tape
        self._clock = clock
        self._symbols = symbols
        self._marks_heard_ms: dict[str, int] = {}

    async def read(self, close_ms: int) -> tuple[str, ...]:
        """Bring the tape up to the close; return what the venue did not answer."""
        deadline_ms = self._clock.now_ms() + round(PUBLICATION_S * SECOND_MS)
        pause_s = _LOOK_AGAIN_S
        while True:
            unheard = [each for each in await asyncio.gather(*self._questions(close_ms)) if each]
            complete = len(self._tape.complete(close_ms)) == len(self._symbols)
            if complete or self._clock.now_ms() >= deadline_ms:
                return tuple(dict.fromkeys(unheard))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * _GROWTH, _LONGEST_PAUSE_S)

    def _questions(self, close_ms: int) -> list[Awaitable[str]]:
        return [
            self._read_bars(symbol, next_ms, mark=mark)
            for symbol in self._symbols
            for mark in (False, True)
            if (next_ms := self._next_ms(symbol, close_ms, mark=mark)) < close_ms
        ]

    def _next_ms(self, symbol: str, close_ms: int, *, mark: bool) -> int:
        """Return the open of the first bar to ask for.

        A mark price that was asked for in vain is asked for once more, an hour later: a venue that lacks them is not
        asked for the whole warm-up at every close, and last prices stand in for them.
        """
        next_ms = self._tape.next_ms(symbol, mark=mark) or close_ms - WARMUP_MS
        return max(next_ms, self._marks_heard_ms.get(symbol, next_ms) - HOUR_MS) if mark else next_ms

    async def _read_bars(self, symbol: str, from_ms: int, *, mark: bool) -> str:
        try:
            read = await self._venue.bars_until_now(symbol, from_ms, mark=mark)
        except VenueError as error:
            return error.problems[0].problem
        self._tape.add(read.closed, mark=mark)
        if mark:
            self._marks_heard_ms[symbol] = read.running_ms
        if read.running_open is not None and not mark:
            self._tape.note_open(symbol, read.running_ms, float(read.running_open))
        return ""

    async def opens(self, made: Plan, readings: Mapping[str, Reading], close_ms: int) -> dict[str, float]:
        """Return the opens of the bars that run now, for those symbols that need them."""
        wanted = {order.symbol for order in made.orders if order.ref_price is None}
        wanted |= {symbol for symbol, reading in readings.items() if reading.remembers and reading.position}
        found = await asyncio.gather(*(self._open(symbol, close_ms) for symbol in sorted(wanted)))
        return {symbol: price for symbol, price in zip(sorted(wanted), found, strict=True) if price is not None}

    async def _open(self, symbol: str, open_ms: int) -> float | None:
        """Return a running bar's open; None where the venue does not tell: the last close stands in for it."""
        if self._tape.next_ms(symbol) == open_ms and (known := self._tape.running_open(symbol)) is not None:
            return known
        deadline_ms = self._clock.now_ms() + OPEN_PATIENCE_MS
        while True:
            try:
                price = await self._venue.running_open(symbol, open_ms)
            except VenueError:
                price = None
            if price is not None:
                return float(price)
            if self._clock.now_ms() >= deadline_ms:
                return None
            await asyncio.sleep(_LOOK_AGAIN_S)
