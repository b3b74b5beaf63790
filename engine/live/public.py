"""Where `data download` finds prices: the venue's public market; in a drill the simulator's, into its own store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import SimulatedClock, SystemClock
from engine.drill import DRILL, VARIABLE, drill_venue
from engine.errors import DataError, Problem, UsageError
from engine.live.connection import read_announcement
from engine.live.drill import mark_beside

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.clock import Clock


@dataclass(frozen=True)
class PublicMarket:
    """A public market.

    Attributes:
        clock: its time.
        url: instead of the venue's own.
        said: in a drill, what whoever downloads must know; else empty.
    """

    clock: Clock
    url: str | None = None
    said: str = ""


def public_market(store: Path, environ: Mapping[str, str] | None = None) -> PublicMarket:
    """Return the market that a store is filled from; simulated prices and real ones never share one.

    Args:
        store: the market store; a new one is marked in a drill.
        environ: None: the process's environment.

    Raises:
        UsageError: drill: the store is the other's; no-exchange, exchange: no simulator is announced.
        DataError: the mark cannot be written.
    """
    announced = drill_venue(os.environ if environ is None else environ)
    beside = mark_beside(store)
    if announced is None:
        if beside.exists():
            problem = f"it holds simulated prices of a drill, and {VARIABLE} is not set"
            raise UsageError(Problem("drill", str(store), problem, "name another store with `--db`"))
        return PublicMarket(SystemClock())
    if store.exists() and not beside.exists():
        problem = f"it holds real prices, and {VARIABLE} is set: simulated ones would be mixed in"
        help_ = f"`unset {VARIABLE}`; for a drill name another store with `--db`"
        raise UsageError(Problem("drill", str(store), problem, help_))
    said = read_announcement(announced)
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(f"{store.name} holds simulated prices of a drill\n", encoding="utf-8")
    except OSError as error:
        problem = f"a drill cannot be marked: {(error.strerror or str(error)).lower()}"
        raise DataError(Problem("unreadable", str(beside), problem, "name a store where you may write")) from None
    clock = SimulatedClock(said.simulated_ms(SystemClock().now_ms()))
    return PublicMarket(clock, f"{said.rest_url}/fapi", f"{DRILL}: prices of the simulator at {said.rest_url}")
