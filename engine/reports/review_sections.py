"""The parts of a weekly or monthly report that hold the period against its replay (SOP §7, §8)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS
from engine.reports.numbers import comparison, count, day_text, minute_text, number, percent, usd
from engine.reports.review_figures import apart_figure, replay_figure, sleeves_figure
from engine.reports.section import Section
from engine.reports.tables import Table, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.comparison.compare import Comparison, Window
    from engine.comparison.trades import Matched, Matching, Unmatched
    from engine.reports.lines import Frame
    from engine.reports.review_view import ReviewView

_STRETCHES = 8  # of the period's length that the trend goes back
_SIDES = {1: "buy", -1: "sell"}


def replay_section(found: ReviewView, frame: Frame) -> Section:
    """Return live against replay on the same dates: the numbers, what is allowed, and the curves."""
    if found.comparison is None or found.window is None:
        return Section("replay", "Live against the replay", (_not_compared(found),))
    how = (
        "The replay runs the same strategies over the same bars, under the bounds that were in force hour by hour, and "
        "sizes every decision on the risk equity that the ledger had at that close. What differs is therefore the "
        "price of a fill, a trade that only one side made, or a settlement."
    )
    tables = [numbers_table(found.window, found.tolerances, "in the period")]
    if found.whole is not None and found.whole.from_ms < found.window.from_ms:
        since = f"since the launch on {day_text(found.whole.from_ms)}"
        tables.append(numbers_table(found.whole, found.tolerances, since))
    figures = (replay_figure(found.comparison, frame), apart_figure(found.comparison, frame))
    return Section("replay", "Live against the replay", (how,), tuple(tables), figures)


def numbers_table(window: Window, tolerances: dict[str, str], when: str) -> Table:
    """Return both sides of a stretch, how far they are apart, and what the review policy allows."""
    live, replay = window.live, window.replay
    unmatched = len(window.trades.unmatched)
    rows = [
        _row("return", percent(live.return_percent, 2), percent(replay.return_percent, 2), window.return_deviation, 2),
        (
            "profit and loss",
            usd(live.pnl_usd),
            usd(replay.pnl_usd),
            usd(live.pnl_usd - replay.pnl_usd, signed=True),
            "",
        ),
        (
            f"Sharpe ratio, {count(live.returns, 'return')}",
            number(live.sharpe, 2),
            number(replay.sharpe, 2),
            number(window.sharpe_deviation, 2),
            _allowed(tolerances, "sharpe_deviation"),
        ),
        _row(
            "largest drawdown",
            percent(live.max_drawdown_percent, 2),
            percent(replay.max_drawdown_percent, 2),
            window.drawdown_deviation,
            2,
            _allowed(tolerances, "drawdown_deviation"),
        ),
        (
            "trades",
            f"{live.trades:,}",
            f"{replay.trades:,}",
            f"{live.trades - replay.trades:+,}".replace("+0", "0"),
            "",
        ),
        ("trades unmatched", "", "", f"{unmatched:,}", _allowed(tolerances, "trades_unmatched")),
        (
            "turnover",
            usd(live.turnover_usd, 0),
            usd(replay.turnover_usd, 0),
            _gap(live.turnover_usd, replay.turnover_usd),
            "",
        ),
        ("fees", usd(live.fees_usd), usd(replay.fees_usd), _gap(live.fees_usd, replay.fees_usd), ""),
        (
            "funding, net",
            usd(live.funding_usd, signed=True),
            usd(replay.funding_usd, signed=True),
            _gap(live.funding_usd, replay.funding_usd),
            "",
        ),
    ]
    return table(f"{when} | #live | #replay | #apart | #allowed", rows)


def trades_section(found: ReviewView) -> Section:
    """Return the trades that are on one side only, and those on both with what the price of each cost."""
    if found.window is None:
        return Section("trades", "Trade by trade", (_not_compared(found),))
    trades = found.window.trades
    texts = [matching_sentence(trades)]
    shown = (unmatched_table(trades.unmatched),) if trades.unmatched else ()
    hidden: tuple[tuple[str, Table], ...] = ()
    if trades.matched:
        prices = np.array([each.price_bps for each in trades.matched])
        texts.append(
            f"Against the replay's price the ledger's was {_worse(float(np.mean(prices)))} on average and "
            f"{number(float(np.max(np.abs(prices))), 2)} bps apart at most; more is worse."
        )
        line = f"All {count(len(trades.matched), 'trade')} that both sides made, with the price of each"
        hidden = ((line, matched_table(trades.matched)),)
    return Section("trades", "Trade by trade", tuple(texts), shown, hidden=hidden)


def matching_sentence(trades: Matching) -> str:
    """Return in a sentence how many trades are the same on both sides."""
    whole = len(trades.matched) + len(trades.unmatched)
    if not whole:
        return "Neither side traded."
    if not trades.unmatched:
        return f"Both sides made the same {count(whole, 'trade')}: symbol, hour, side, and quantity within a step."
    same, apart = f"{len(trades.matched):,}", f"{len(trades.unmatched):,}"
    return f"{same} of {count(whole, 'trade')} are the same on both sides; {apart} are not."


def unmatched_table(unmatched: tuple[Unmatched, ...]) -> Table:
    """Return each trade that the other side did not make alike, and why."""
    rows = [
        (
            minute_text(each.told.hour_ms),
            each.told.symbol,
            "none" if each.live is None else f"{_SIDES[each.live.side]} {number(each.live.qty, 4)}",
            "none" if each.replay is None else f"{_SIDES[each.replay.side]} {number(each.replay.qty, 4)}",
            each.told.reason.replace("_", " "),
            each.why,
        )
        for each in unmatched
    ]
    return table("hour | symbol | #live | #replay | reason | why", rows)


def matched_table(matched: tuple[Matched, ...]) -> Table:
    """Return each trade of both sides with both prices."""
    rows = [
        (
            minute_text(each.live.hour_ms),
            each.live.symbol,
            _SIDES[each.live.side],
            number(each.live.qty, 4),
            usd(each.live.price),
            usd(each.replay.price),
            number(each.price_bps, 2, signed=True),
            each.live.reason.replace("_", " "),
        )
        for each in matched
    ]
    return table("hour | symbol | side | #quantity | #live | #replay | #worse by, bps | reason", rows)


def sleeves_section(found: ReviewView, frame: Frame) -> Section:
    """Return each sleeve on both sides, and what it contributed in each stretch before (R208)."""
    compared = found.comparison
    if compared is None or found.window is None:
        return Section("contributions", "Sleeves on both sides", (_not_compared(found),))
    start_ms, end_ms = found.window.from_ms, found.window.to_ms
    ours = compared.live_curve.pnl_between(start_ms, end_ms)
    theirs = compared.replay_curve.pnl_between(start_ms, end_ms)
    rows = [
        (
            symbol,
            usd(value, signed=True),
            usd(theirs.get(symbol, 0.0), signed=True),
            _gap(value, theirs.get(symbol, 0.0)),
        )
        for symbol, value in ours.items()
    ]
    sums = [math.fsum(side.values()) for side in (ours, theirs)]
    total = ("together", usd(sums[0], signed=True), usd(sums[1], signed=True), _gap(*sums))
    tables = (table("sleeve | #live | #replay | #apart", rows, total), trend_table(compared, start_ms, end_ms))
    text = (
        "Results are net of fees, slippage and funding. The second table goes back in stretches of the same length, "
        "each in percent of the risk equity at its start."
    )
    return Section("contributions", "Sleeves on both sides", (text,), tables, (sleeves_figure(compared, frame),))


def trend_table(compared: Comparison, start_ms: int, end_ms: int) -> Table:
    """Return what each sleeve contributed in stretches of the period's length, the newest first."""
    length = end_ms - end_ms % DAY_MS - start_ms
    curve, equity = compared.live_curve, compared.record.marks
    rows = []
    for first, last in _stretches(start_ms, end_ms, max(length, DAY_MS), compared.record.from_ms):
        place = max(int(np.searchsorted(equity.at_ms, first, side="right")) - 1, 0)
        base = float(equity.equity_usd[place])
        parts = curve.pnl_between(first, last)
        cells = [percent(value / base * 100, 2, signed=True) if base > 0 else "unknown" for value in parts.values()]
        together = percent(sum(parts.values()) / base * 100, 2, signed=True) if base > 0 else "unknown"
        rows.append((f"{day_text(first)} to {day_text(last - 1)}", *cells, together))
    return table("stretch | " + " | ".join(f"#{symbol}" for symbol in curve.symbols) + " | #together", rows)


def regimes_section(found: ReviewView) -> Section:
    """Return volatility, correlation and funding of the market against their own past (R221-R223)."""
    if not found.regimes:
        return Section("regimes", "The market's regime", (_not_compared(found),))
    rows = [
        (
            each.what,
            each.subject,
            _of_unit(each.now, each.unit),
            _of_unit(each.before, each.unit),
            _of_unit(each.median, each.unit),
            "unknown" if each.rank is None else number(each.rank, 0),
            each.word,
        )
        for each in found.regimes
    ]
    moved = [f"{each.what} of {each.subject} is {each.word}" for each in found.regimes if each.word in {"low", "high"}]
    first = (
        ("Out of its usual range: " + "; ".join(moved) + ". Do the strategies' assumptions still hold?")
        if moved
        else "Volatility, correlation and funding are all within their usual range."
    )
    how = (
        "The period, the stretch before it and every stretch of that length in the record, one from each midnight. The "
        "rank is the share of them that lie below the period: under 10 is called low, over 90 high. Volatility and "
        "correlation are of hourly logarithmic returns, volatility times √8,760; funding is the sum of the settled "
        "rates, scaled to a year: a long pays a positive one."
    )
    heads = "measure | of | #this period | #the one before | #median of the record | #rank | regime"
    return Section("regimes", "The market's regime", (first, how), (table(heads, rows),))


def _stretches(start_ms: int, end_ms: int, length: int, launch_ms: int) -> Iterator[tuple[int, int]]:
    first, last = start_ms, end_ms
    for _ in range(_STRETCHES):
        yield first, last
        if first <= launch_ms:
            return
        first, last = max(first - length, launch_ms), first


def _not_compared(found: ReviewView) -> str:
    return f"The comparison could not be made: {found.no_comparison}."


def _row(name: str, live: str, replay: str, apart: float | None, places: int, allowed: str = "") -> tuple[str, ...]:
    return name, live, replay, "unknown" if apart is None else f"{number(apart, places)} points", allowed


def _allowed(tolerances: dict[str, str], fact: str) -> str:
    return comparison(tolerances[fact]) if fact in tolerances else ""


def _gap(live: float, replay: float) -> str:
    return usd(live - replay, signed=True)


def _worse(bps: float) -> str:
    shown = number(abs(bps), 2)
    return "the same" if not shown.strip("0.") else f"{shown} bps {'worse' if bps > 0 else 'better'}"


def _of_unit(value: float | None, unit: str) -> str:
    return percent(value) if unit == "percent" else number(value, 2)
