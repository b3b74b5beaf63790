"""NAV per unit, its daily closes, and what is computed from them (A13, A14, A15, A53).

A mark at `t` is what stood at `t` before anything that happened at `t`: the close of the 23:00 bar ends the day, and
the 00:00 funding, fills and flows belong to the next. Every function cuts at `at_ms` itself; nothing later is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS, HOUR_MS, iso
from engine.metrics.returns import sharpe, sharpe_standard_error
from engine.metrics.values import MISSING, YOUNG, Metric, Status, known, require_series

if TYPE_CHECKING:
    from strategies.bars import FloatArray, IntArray

SHARPE_DAYS = (14, 20, 30)
"""domain.md: sharpe_14d, sharpe_20d, sharpe_30d."""

RETURN_DAYS = 30
"""domain.md: return_30d."""

_DUST = 1e-12  # what is left of the units after everything was withdrawn is rounding


@dataclass(frozen=True, slots=True)
class Units:
    """Bookkeeping of a unitised account: cash flows change `units` and never `nav` (A13).

    >>> account = Units.opened(10_000.0).marked(11_000.0).after_flow(5_500.0)
    >>> account.units, account.nav, account.equity_usd
    (15000.0, 1.1, 16500.0)
    """

    units: float
    nav: float

    @classmethod
    def opened(cls, equity_usd: float, nav: float = 1.0) -> Units:
        """Return an account of `equity_usd` whose unit is worth `nav`.

        Raises:
            ValueError: negative equity or a NAV that is not positive.
        """
        if not (nav > 0 and equity_usd >= 0):
            raise ValueError(f"an account opens with equity >= 0 and nav > 0, not {equity_usd} and {nav}")
        return cls(equity_usd / nav, nav)

    @property
    def equity_usd(self) -> float:
        """Return what the units are worth."""
        return self.units * self.nav

    def marked(self, equity_usd: float) -> Units:
        """Return the account at a new equity; an account without units keeps its last NAV."""
        return replace(self, nav=equity_usd / self.units) if self.units > 0 else self

    def after_flow(self, amount_usd: float) -> Units:
        """Return the account after money came in (+) or went out (-), at the NAV it has.

        Raises:
            ValueError: more goes out than there is, or the NAV is not positive.
        """
        if self.nav <= 0:
            raise ValueError(f"a cash flow has no price at a NAV of {self.nav}")
        units = self.units + amount_usd / self.nav
        if abs(units) <= _DUST * self.units:
            units = 0.0
        if units < 0:
            raise ValueError(f"{-amount_usd:.2f} USD go out of {self.equity_usd:.2f}")
        return replace(self, units=units)


def nav_series(
    mark_ms: IntArray, equity_usd: FloatArray, flow_ms: IntArray, flow_usd: FloatArray, *, start_nav: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Return NAV per unit and units at each mark, from equity and cash flows.

    Args:
        mark_ms: int64 (n,), increasing; each flow needs a mark at its own instant, taken before it.
        equity_usd: float64 (n,), before the flows of that instant.
        flow_ms: int64 (m,), not decreasing.
        flow_usd: float64 (m,), in (+) or out (-).
        start_nav: the value of a unit at the first mark.

    Returns:
        nav and units, both float64 (n,).

    Raises:
        ValueError: not a series, or a flow whose instant has no mark.
    """
    require_series(mark_ms, equity_usd)
    unmarked = np.setdiff1d(flow_ms, mark_ms)
    if len(unmarked):
        raise ValueError(f"the cash flow at {iso(int(unmarked[0]))} needs a mark at its instant, taken before it")
    nav, units = np.empty(len(mark_ms)), np.empty(len(mark_ms))
    first = np.searchsorted(flow_ms, mark_ms, side="left")
    last = np.searchsorted(flow_ms, mark_ms, side="right")
    account: Units | None = None
    for index, equity in enumerate(equity_usd.tolist()):
        account = Units.opened(equity, start_nav) if account is None else account.marked(equity)
        nav[index], units[index] = account.nav, account.units
        for amount in flow_usd[first[index] : last[index]].tolist():
            account = account.after_flow(amount)
    return nav, units


@dataclass(frozen=True)
class Daily:
    """One value for each UTC day, without holes in the days.

    Attributes:
        end_ms: int64 (n,), the ends of consecutive days; the last is the last complete day's.
        value: float64 (n,), NaN where the day has none.
    """

    end_ms: IntArray
    value: FloatArray

    def __len__(self) -> int:
        return len(self.end_ms)

    def status(self, count: int) -> Status:
        """Return whether the last `count` values are there: ok, young (never so many), missing (a hole)."""
        if len(self) < count:
            return "young"
        return "missing" if np.any(np.isnan(self.value[len(self) - count :])) else "ok"

    def until(self, count: int) -> Daily:
        """Return the first `count` days."""
        return Daily(self.end_ms[:count], self.value[:count])

    def returns(self) -> FloatArray:
        """Return value[d] / value[d - 1] - 1, float64 (n - 1,); NaN where a day is unknown or not positive.

        The first is that of the first complete day; there is no leading 0 (`pct_change().fillna(0)` adds one).
        """
        before, after = self.value[:-1], self.value[1:]
        with np.errstate(all="ignore"):
            found = after / np.where(before > 0, before, np.nan) - 1.0
        return np.where(np.isfinite(found), found, np.nan)


def daily_closes(mark_ms: IntArray, values: FloatArray, at_ms: int) -> Daily:
    """Return the marks that end UTC days, one a day; a day without its closing mark is NaN, never the mark before.

    Args:
        mark_ms: int64 (n,), increasing, at the bars' closes. A ledger that begins at midnight marks that instant too.
        values: float64 (n,), NAV (for returns) or equity in USD (for costs and sleeves) or cumulative P&L.
        at_ms: now; days that are not complete by then are not there.

    Raises:
        ValueError: not a series.
    """
    require_series(mark_ms, values)
    closing = (mark_ms % DAY_MS == 0) & (mark_ms <= at_ms)
    if not np.any(closing):
        return Daily(np.empty(0, np.int64), np.empty(0))
    found_ms = mark_ms[closing]
    end_ms = np.arange(found_ms[0], at_ms + 1, DAY_MS, dtype=np.int64)
    daily = np.full(len(end_ms), np.nan)
    daily[(found_ms - found_ms[0]) // DAY_MS] = values[closing]
    return Daily(end_ms, daily)


def rolling_sharpe(navs: Daily, days: int) -> Metric:
    """Return the Sharpe ratio of exactly the last `days` daily returns, with its standard error (A14, A15).

    Args:
        navs: daily NAV per unit, from where the window may begin (since launch, or since stage entry, A17).
        days: 14, 20 or 30.

    Returns:
        young below `days` returns (`days` + 1 closes); missing with a hole among them or where they are flat.
    """
    status = navs.status(days + 1)
    if status != "ok":
        return Metric(None, status)
    returns = Daily(navs.end_ms[-days - 1 :], navs.value[-days - 1 :]).returns()
    value = sharpe(returns) if np.all(np.isfinite(returns)) else None
    return MISSING if value is None else known(value, sharpe_standard_error(value, days))


def sharpe_history(navs: Daily, days: int) -> tuple[Metric, ...]:
    """Return `rolling_sharpe` as it stood at the end of each day, one for each of `navs`."""
    return tuple(rolling_sharpe(navs.until(count), days) for count in range(1, len(navs) + 1))


def window_return(
    mark_ms: IntArray, nav: FloatArray, at_ms: int, *, days: int = RETURN_DAYS, shorter: bool = False
) -> Metric:
    """Return NAV now over NAV `days` days before, minus 1.

    Args:
        mark_ms: int64 (n,), increasing.
        nav: float64 (n,), per unit.
        at_ms: now; the last mark at or before it is NAV now, how old it is the data-age facts say.
        days: 30 spans 30 days (`iloc[-30]` spans 29).
        shorter: take the window there is, from the first mark (A11: the hard stop and the -5 % REDUCE).

    Returns:
        young before `days` days of history, missing where the hour before the window's start has no mark;
        with `shorter` both fall back to the nearest mark before, or the first, and only no mark at all is young.

    Raises:
        ValueError: not a series.
    """
    require_series(mark_ms, nav)
    seen = int(np.searchsorted(mark_ms, at_ms, side="right"))
    if seen == 0:
        return YOUNG
    start_ms = at_ms - days * DAY_MS
    base = int(np.searchsorted(mark_ms, start_ms, side="right")) - 1
    if not shorter:
        if base < 0:
            return YOUNG
        if start_ms - mark_ms[base] >= HOUR_MS:
            return MISSING
    before, now = float(nav[max(base, 0)]), float(nav[seen - 1])
    return known(now / before - 1.0) if before > 0 else MISSING


def lowest_window_return(mark_ms: IntArray, nav: FloatArray, at_ms: int, *, days: int = RETURN_DAYS) -> Metric:
    """Return the lowest of the day's `window_return` so far: what a promotion reads of a day is its worst mark (A27).

    Args:
        mark_ms: int64 (n,), increasing; a mark at midnight belongs to the day that it ends.
        nav: float64 (n,), per unit.
        at_ms: now; the day is that of the last mark at or before it.
        days: of the window.

    Returns:
        young where the day's first window does not have its days; missing where an hour of the day, or the one before
        the start of a window, has no mark: what was not seen never helps.

    Raises:
        ValueError: not a series.
    """
    require_series(mark_ms, nav)
    seen = int(np.searchsorted(mark_ms, at_ms, side="right"))
    if seen == 0:
        return YOUNG
    day_ms = (int(mark_ms[seen - 1]) - 1) // DAY_MS * DAY_MS
    first = int(np.searchsorted(mark_ms, day_ms, side="right"))
    today_ms = mark_ms[first:seen]
    start_ms = today_ms - days * DAY_MS
    base = np.searchsorted(mark_ms, start_ms, side="right") - 1
    if base[0] < 0:
        return YOUNG
    hours = (today_ms - 1 - day_ms) // HOUR_MS
    unseen = len(np.unique(hours)) <= hours[-1] or bool(np.any(start_ms - mark_ms[base] >= HOUR_MS))
    if unseen or np.any(nav[base] <= 0):
        return MISSING
    return known(float(np.min(nav[first:seen] / nav[base])) - 1.0)
