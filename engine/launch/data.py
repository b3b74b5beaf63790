"""SOP §1.4: the market store holds every symbol, up to now, without a gap (R039–R041)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, iso
from engine.errors import DataError
from engine.launch.probe import Finding, Findings, Probe, reason, unknown
from engine.market.store import load_market
from engine.reports.numbers import age

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from strategies.bars import IntArray

WINDOW_DAYS = 30  # the definition of the fact largest_gap_30d
FACTS = ("symbols_with_data", "last_bar_age", "largest_gap_30d")


@dataclass(frozen=True)
class Gap:
    """A step between two bars that follow each other; `at_ms` is the open of the earlier one."""

    at_ms: int
    step_ms: int


def probes(store: Path, symbols: Sequence[str], now_ms: int) -> tuple[Probe, ...]:
    """Return the probe of the market store.

    Args:
        store: the SQLite file.
        symbols: of the configuration.
        now_ms: the present.
    """

    async def find() -> Findings:
        return await asyncio.to_thread(data_findings, store, symbols, now_ms)

    return (Probe(FACTS, find),)


def data_findings(store: Path, symbols: Sequence[str], now_ms: int) -> Findings:
    """Return what the store holds of each symbol."""
    times: dict[str, IntArray] = {}
    missing: dict[str, str] = {}
    for symbol in symbols:
        try:
            times[symbol] = load_market(store, [symbol]).bars[symbol].open_time_ms
        except DataError as error:
            missing[symbol] = reason(error)
    lacking = "; ".join(dict.fromkeys(missing.values()))
    found = Finding(len(times), lacking or f"{', '.join(times)} in {store}")
    if missing:  # how old and how whole all of them are cannot be said of some
        return {"symbols_with_data": found, "last_bar_age": unknown(lacking), "largest_gap_30d": unknown(lacking)}
    return {
        "symbols_with_data": found,
        "last_bar_age": last_bar_age(times, now_ms),
        "largest_gap_30d": largest_gap(times, now_ms),
    }


def last_bar_age(times: Mapping[str, IntArray], now_ms: int) -> Finding:
    """Return the age in minutes of the last closed bar, of the symbol where it is oldest.

    Args:
        times: symbol -> int64 (n,), opens of its bars, oldest first, n > 0.
        now_ms: the present; a bar that still runs is not closed.
    """
    closed = {symbol: _last_close_ms(opens, now_ms) for symbol, opens in times.items()}
    symbol = min(closed, key=lambda name: closed[name])
    late_ms = now_ms - closed[symbol]
    return Finding(late_ms / MINUTE_MS, f"{symbol}: closed {age(late_ms)} ago, at {iso(closed[symbol])}")


def largest_gap(times: Mapping[str, IntArray], now_ms: int) -> Finding:
    """Return the largest step in minutes between bars of the last 30 days, of all symbols.

    Bars that are missing at the window's beginning are a gap as well; at its end they are the last bar's age.
    """
    since_ms = now_ms - WINDOW_DAYS * DAY_MS
    gaps = {symbol: _largest(opens, since_ms) for symbol, opens in times.items()}
    symbol = max(gaps, key=lambda name: gaps[name].step_ms)
    gap = gaps[symbol]
    said = "none" if gap.step_ms <= HOUR_MS else f"{symbol}: {age(gap.step_ms)} from {iso(gap.at_ms)}"
    return Finding(gap.step_ms / MINUTE_MS, said)


def _last_close_ms(opens: IntArray, now_ms: int) -> int:
    closed = int(np.searchsorted(opens, now_ms - HOUR_MS, side="right"))
    return int(opens[closed - 1]) + HOUR_MS if closed else 0


def _largest(opens: IntArray, since_ms: int) -> Gap:
    """Return the largest step that ends in the window; the bar before the window begins the first one."""
    first = max(0, int(np.searchsorted(opens, since_ms, side="left")) - 1)
    within = opens[first:]
    if opens[0] > since_ms:  # nothing is known of the window's beginning
        within = np.concatenate([[since_ms], within])
    steps = np.diff(within)
    if not len(steps):
        return Gap(since_ms, HOUR_MS)
    at = int(steps.argmax())
    return Gap(int(within[at]), max(int(steps[at]), HOUR_MS))
