"""SOP §1.6: the signals of all symbols from the venue's own bars, as a running desk reads them; no order (R048).

The bars, the tape and the strategies are those of the desk; only the orders are left out.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS, hour_start, iso
from engine.launch.probe import Finding, Findings, Probe, unknown
from engine.launch.stop_levels import has_stop, last_stop
from engine.live.bar_reader import WARMUP_MS
from engine.live.signals import Signals, Tape
from engine.live.trader import RESTART
from engine.portfolio.sizing import target_notional
from engine.reports.numbers import number, usd
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.execution.venue import Venue
    from engine.launch.stop_levels import Stop
    from engine.ledger import Ledger
    from engine.live.signals import Reading
    from strategies.bars import Bars

FACTS = ("dry_run_targets", "dry_run_nonzero_targets", "stop_levels_correct")


@dataclass(frozen=True)
class DryRun:
    """What a desk would decide now.

    Attributes:
        close_ms: the close of the last bar.
        readings: symbol -> what its strategy says.
        stops: symbol -> the stop of its last entry, as far as it sets stops; None: no entry within the bars.
        unasked: symbols whose strategy sets no stop, and shows one all the same.
    """

    close_ms: int
    readings: Mapping[str, Reading]
    stops: Mapping[str, Stop | None]
    unasked: tuple[str, ...]


def probes(venue: Venue, config: FrozenConfig, ledger: Ledger, clock: Clock, capital_usd: float) -> tuple[Probe, ...]:
    """Return the probe of the signals."""

    async def find() -> Findings:
        run = await dry_run(venue, config, restarts_of(ledger), clock)
        return findings(run, config, capital_usd)

    return (Probe(FACTS, find),)


def restarts_of(ledger: Ledger) -> dict[str, list[int]]:
    """Return the entries that were missed or closed by force, which a strategy remembers."""
    found: dict[str, list[int]] = {}
    for event in ledger.events(RESTART):
        found.setdefault(event.subject, []).append(json.loads(event.document)["bar_ms"])
    return found


async def dry_run(venue: Venue, config: FrozenConfig, restarts: Mapping[str, list[int]], clock: Clock) -> DryRun:
    """Return what a desk would decide on the bars that the venue has now.

    Raises:
        VenueError: the venue does not tell.
    """
    symbols = config.market.symbols
    close_ms = hour_start(clock.now_ms())
    read, opens = await asyncio.gather(
        asyncio.gather(*(venue.closed_bars(symbol, close_ms - WARMUP_MS) for symbol in symbols)),
        asyncio.gather(*(venue.running_open(symbol, close_ms) for symbol in symbols)),
    )
    tape = Tape(symbols, WARMUP_MS // HOUR_MS)
    for bars in read:
        tape.add(bars)
    running = {symbol: float(price) for symbol, price in zip(symbols, opens, strict=True) if price is not None}
    readings = Signals(config, restarts).read(tape, running)
    whole = {bars.symbol: bars for bars in read if len(bars)}
    return DryRun(close_ms, readings, *_stops(config, whole, running))


def _stops(
    config: FrozenConfig, bars: Mapping[str, Bars], running: Mapping[str, float]
) -> tuple[dict[str, Stop | None], tuple[str, ...]]:
    choices, slippage_bps = config.ensemble.strategies, config.backtest.slippage_bps
    stops: dict[str, Stop | None] = {}
    unasked = []
    for symbol, closed in bars.items():
        now = closed if symbol not in running else closed.joined(_opened(closed, running[symbol]))
        signals = make_sleeves(choices, {symbol: now}, [symbol], slippage_bps)[symbol].signals
        if has_stop(choices[symbol].params):
            stops[symbol] = last_stop(now, signals, choices[symbol].params, slippage_bps)
        elif not all(math.isnan(price) for price in signals.stop_price.tolist()):
            unasked.append(symbol)
    return stops, tuple(unasked)


def findings(run: DryRun, config: FrozenConfig, capital_usd: float) -> Findings:
    """Return what the dry run shows: targets, how many are not zero, and the stops."""
    symbols, weights = config.market.symbols, config.ensemble.fixed_weights
    targets = {symbol: target(run, symbol) for symbol in symbols}
    known = {symbol: one for symbol, one in targets.items() if isinstance(one, float)}
    told = [
        f"{symbol} {number(one, 3, signed=True)}, {usd(target_notional(weights[symbol], one, 1.0, capital_usd), 0)}"
        if isinstance(one, float)
        else f"{symbol}: {one}"
        for symbol, one in targets.items()
    ]
    return {
        "dry_run_targets": Finding(len(known), "; ".join(told)),
        "dry_run_nonzero_targets": Finding(sum(one != 0.0 for one in known.values()), f"at {iso(run.close_ms)}"),
        "stop_levels_correct": stop_levels(run, symbols),
    }


def target(run: DryRun, symbol: str) -> float | str:
    """Return what a symbol's position should be, in [-1, 1]; why there is none, where there is none (R051)."""
    reading = run.readings.get(symbol)
    if reading is None:
        return "the venue has no bars"
    if reading.bar_ms + HOUR_MS != run.close_ms:
        return f"the last bar closed at {iso(reading.bar_ms + HOUR_MS)}, not at {iso(run.close_ms)}"
    if reading.position is None or not math.isfinite(reading.position):
        return "no signal, or still warming up"
    return reading.position


def stop_levels(run: DryRun, symbols: Sequence[str]) -> Finding:
    """Return whether every stop is where the configuration wants it (R053, A93)."""
    absent = [symbol for symbol in symbols if symbol not in run.readings]
    if absent:
        return unknown(f"the venue has no bars of {', '.join(absent)}")
    never = [symbol for symbol, stop in run.stops.items() if stop is None]
    if never:
        return unknown(f"{', '.join(never)}: no entry within the warm-up, so no stop to compare with")
    told = [_stop_in_words(stop) for stop in run.stops.values() if stop is not None]
    told += [f"{symbol}: a stop, and none by config" for symbol in run.unasked]
    without = [symbol for symbol in symbols if symbol not in run.stops and symbol not in run.unasked]
    told += [f"{', '.join(without)}: none by config"] if without else []
    correct = not run.unasked and all(stop.correct for stop in run.stops.values() if stop is not None)
    return Finding(correct, "; ".join(told))


def _stop_in_words(stop: Stop) -> str:
    sign = "\N{MINUS SIGN}" if stop.level < stop.fill else "+"
    sum_ = f"{number(stop.fill)} {sign} {stop.distance:g} × {number(stop.atr)}"
    when = "" if stop.live else f", of the entry at {iso(stop.entry_ms)}; flat now"
    if stop.correct:
        return f"{stop.symbol}: {number(stop.found)} = {sum_}{when}"
    return f"{stop.symbol}: {number(stop.found)}, but {sum_} is {number(stop.level)}{when}"


def _opened(closed: Bars, price: float) -> Bars:
    """Return the bar that runs now, of which only the open is known."""
    import numpy as np  # noqa: PLC0415 - beside the strategies it is loaded already

    last = closed.part(len(closed) - 1, len(closed))
    at = np.array([price])
    return type(closed)(closed.symbol, last.open_time_ms + HOUR_MS, at, at, at, at, np.zeros(1))
