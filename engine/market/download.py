"""Prices and funding from the venue into the store; stopped at any instant, the next run goes on where it ended."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import HOUR_MS, hour_start, wait_s
from engine.errors import DataError, Problem
from engine.market.store import writing
from engine.market.venue import connected
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.clock import Clock
    from engine.market.series import FundingRates, Kind
    from engine.market.store import Store
    from engine.market.venue import PublicData
    from strategies.bars import IntArray

KINDS: tuple[Kind, ...] = ("last", "mark", "funding")


@dataclass(frozen=True)
class DownloadStep:
    """How far one series has come: up to `at_ms` on the way from `start_ms` to `end_ms`; `rows` are new so far."""

    symbol: str
    kind: Kind
    start_ms: int
    at_ms: int
    end_ms: int
    rows: int


@dataclass(frozen=True)
class SeriesDownload:
    """What a run brought of one series; counts are rows."""

    symbol: str
    kind: Kind
    inserted: int
    updated: int


@dataclass(frozen=True)
class DownloadSummary:
    """What a run of `download` brought; bars up to `closed_until_ms` (exclusive) were closed."""

    closed_until_ms: int
    series: tuple[SeriesDownload, ...]


def download(
    store: Path,
    symbols: Sequence[str],
    *,
    start_ms: int,
    clock: Clock,
    end_ms: int | None = None,
    wait: Callable[[float], None] = wait_s,
    url: str | None = None,
    progress: Callable[[DownloadStep], None] | None = None,
) -> DownloadSummary:
    """Bring bars, mark prices and funding of some symbols up to date in the store (R038, R039).

    Only what is missing is asked for; each page is committed when it arrives. A bar is stored once it is closed, by
    the earlier of this machine's clock and the venue's.

    Args:
        store: the SQLite file, created where there is none.
        symbols: the venue's names.
        start_ms: the first bar wanted.
        clock: what time it is.
        end_ms: the first bar not wanted; None: all that are closed.
        wait: stands still for so many seconds.
        url: instead of the venue's own.
        progress: called after each page.

    Raises:
        VenueError: the venue refuses (unknown symbol), answers nonsense, or cannot be reached.
        DataError: `start_ms` lies in the future, or the store cannot be written.
    """
    done: list[SeriesDownload] = []
    with connected(clock, wait, url) as venue, writing(store) as opened:
        now_ms = min(clock.now_ms(), venue.server_ms())
        closed_until_ms = hour_start(now_ms)
        until_ms = closed_until_ms if end_ms is None else min(closed_until_ms, hour_start(end_ms))
        start_ms -= start_ms % HOUR_MS
        if start_ms >= until_ms:
            raise DataError(Problem("no-range", str(store), "the first bar wanted is not closed yet", "start earlier"))
        for symbol in symbols:
            for kind in KINDS:
                step = _Progress(symbol, kind, start_ms, until_ms, progress)
                done.append(_bring_up_to_date(venue, opened, step))
    return DownloadSummary(until_ms, tuple(done))


def missing_ranges(times: IntArray, start_ms: int, end_ms: int, *, inner: bool = True) -> list[tuple[int, int]]:
    """Return what is missing of [start_ms, end_ms) as half-open ranges, oldest first.

    Args:
        times: int64 (n,), strictly increasing, at whole hours: what there is.
        start_ms: at an hour.
        end_ms: at an hour.
        inner: whether hours between the first and the last time are missing too (bars), or not (settlements).

    >>> hour = 3_600_000
    >>> missing_ranges(np.array([2, 3, 5]) * hour, hour, 7 * hour) == [
    ...     (1 * hour, 2 * hour), (4 * hour, 5 * hour), (6 * hour, 7 * hour)]
    True
    """
    known = times[(times >= start_ms) & (times < end_ms)]
    if not inner:
        known = known[[0, -1]] if len(known) else known
    edges = np.concatenate([[start_ms - HOUR_MS], known, [end_ms]])
    ranges = [(int(before) + HOUR_MS, int(after)) for before, after in pairwise(edges)]
    if not inner and len(known):
        ranges = [ranges[0], ranges[-1]]
    return [(begin, end) for begin, end in ranges if begin < end]


@dataclass(frozen=True)
class _Progress:
    symbol: str
    kind: Kind
    start_ms: int
    end_ms: int
    report: Callable[[DownloadStep], None] | None

    def __call__(self, at_ms: int, rows: int) -> None:
        if self.report:
            self.report(DownloadStep(self.symbol, self.kind, self.start_ms, at_ms, self.end_ms, rows))


def _bring_up_to_date(venue: PublicData, store: Store, step: _Progress) -> SeriesDownload:
    inserted = updated = 0
    times = store.times(step.kind, step.symbol)
    for begin_ms, end_ms in missing_ranges(times, step.start_ms, step.end_ms, inner=step.kind != "funding"):
        step(begin_ms, inserted)
        for page in _pages(venue, step, begin_ms, end_ms):
            changes = store.upsert(step.kind, page)
            inserted, updated = inserted + changes.inserted, updated + changes.updated
            step(_last_ms(page), inserted)
    step(step.end_ms, inserted)
    return SeriesDownload(step.symbol, step.kind, inserted, updated)


def _pages(venue: PublicData, step: _Progress, begin_ms: int, end_ms: int) -> Iterator[Bars | FundingRates]:
    if step.kind == "funding":
        return venue.funding(step.symbol, begin_ms, end_ms)
    return venue.bars(step.kind, step.symbol, begin_ms, end_ms)


def _last_ms(page: Bars | FundingRates) -> int:
    return int((page.open_time_ms if isinstance(page, Bars) else page.time_ms)[-1])
