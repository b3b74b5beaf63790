"""The shadow account of a running desk: exposure 1, no policy, on the same bars (A16, A65).

It is the backtest of the time since the launch, run anew with every bar that closes: nothing of it needs to be stored
to go on, and what the ledger holds of it is what a backtest of the same bars says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.backtest import Bounds
from engine.book import AccountBook
from engine.clock import HOUR_MS
from engine.rehearsal.recorder import AccountRecorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.backtest import Simulation
    from engine.ledger import Ledger

SHADOW = "shadow"


class Shadow:
    """The shadow account.

    Args:
        simulate: returns a simulation from the launch to at least the close given, at its start. A rehearsal, which
            knows all bars, may return the same one every time.
        symbols: in the order of the configuration.
        start_ms: when the account was opened.
        cap_usd: the capital it began with, and is sized on.
        written_ms: until when the ledger has it already; None: not at all.

    Attributes:
        book: its history, for the facts.
    """

    def __init__(
        self,
        simulate: Callable[[int], Simulation],
        symbols: tuple[str, ...],
        start_ms: int,
        cap_usd: float,
        written_ms: int | None = None,
    ) -> None:
        self.book = AccountBook(symbols)
        self._simulate = simulate
        self._start_ms = start_ms
        self._bounds = Bounds(cap_usd=cap_usd)
        self._written_ms = start_ms if written_ms is None else written_ms
        self._simulation = simulate(start_ms + HOUR_MS)
        self._recorder = AccountRecorder(SHADOW, self._simulation, self.book, start_ms)
        if written_ms is not None:
            self._recorder.forget()

    def advance(self, close_ms: int) -> None:
        """Take in the bars up to the one that closes at `close_ms`."""
        simulation = self._simulate(close_ms)
        if simulation is not self._simulation:
            simulation.run(self._simulation.at, self._bounds)
            self._simulation = simulation
            self._recorder.follow(simulation)
        for hour in range(simulation.at, simulation.closed_by(close_ms)):
            simulation.run(hour + 1, self._bounds)
            at_ms = int(simulation.grid_ms[hour]) + HOUR_MS
            self._recorder.hour(at_ms)
            if at_ms == self._written_ms:
                self._recorder.forget()

    def write(self, ledger: Ledger) -> None:
        """Append what the ledger lacks.

        Raises:
            LedgerError: it cannot be written.
        """
        self._recorder.write(ledger)
