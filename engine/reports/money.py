"""The parts of a report that follow the money: sleeves, execution and funding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.reports import breakdown, figures
from engine.reports.numbers import count, number, percent, usd
from engine.reports.section import Section
from engine.reports.tables import table

if TYPE_CHECKING:
    from engine.reports.breakdown import Execution
    from engine.reports.lines import Frame
    from engine.reports.view import LedgerView

_REFERENCE = {"bar_open": "bar's open", "stop": "stop's trigger", "mark": "mark at the decision"}
_NOTHING = "none"


def sleeves_section(view: LedgerView, frame: Frame) -> Section:
    """Return each sleeve's part, the contribution that the policy reads beside the sleeve's own return (A40)."""
    found = breakdown.sleeves(view)
    if not found:
        return Section("sleeves", "Sleeves", ("No sleeve has a mark.",))
    rows = [
        (
            sleeve.symbol,
            "unknown" if sleeve.weight is None else percent(sleeve.weight * 100, 0),
            "no signal" if sleeve.position is None else number(sleeve.position, 2, signed=True),
            usd(sleeve.notional_usd, 0),
            usd(sleeve.pnl_usd, signed=True),
            _or_status(sleeve.contribution_percent, sleeve.status),
            _or_status(sleeve.own_return_percent, sleeve.status),
            usd(sleeve.fees_usd),
            usd(sleeve.slippage_usd),
            usd(sleeve.funding_usd, signed=True),
        )
        for sleeve in found
    ]
    sums = [
        math.fsum(getattr(sleeve, name) for sleeve in found)
        for name in ("pnl_usd", "fees_usd", "slippage_usd", "funding_usd")
    ]
    together = [sleeve.contribution_percent for sleeve in found if sleeve.contribution_percent is not None]
    contribution = percent(sum(together), 2, signed=True) if len(together) == len(found) else ""
    total = (
        "together",
        "",
        "",
        "",
        usd(sums[0], signed=True),
        contribution,
        "",
        usd(sums[1]),
        usd(sums[2]),
        usd(sums[3], signed=True),
    )
    heads = (
        "sleeve | #weight | #signal | #held | #result | "
        "#14-day contribution | #own return | #fees | #slippage | #funding"
    )
    note = (
        "The policy reads the contribution, which is part of the risk equity; the sleeve's own return is the "
        "contribution over its weight. Results and costs are since the first mark; results are net of all costs."
    )
    return Section("sleeves", "Sleeves", (note,), (table(heads, rows, total),), (figures.sleeves_figure(view, frame),))


def execution_section(view: LedgerView, since_ms: int = 0) -> Section:
    """Return orders by reason against their reference prices; stops and marks stand beside, outside the ratio (A37)."""
    found = breakdown.executions(fill for fill in view.fills if fill.at_ms >= since_ms)
    left_out = breakdown.skipped(view.events, since_ms)
    skipped = ", ".join(f"{symbol} {many}" for symbol, many in sorted(left_out.items())) or _NOTHING
    texts = [f"Orders skipped because the venue's minimum was larger: {skipped}."]
    if not found:
        return Section("execution", "Execution", ("Nothing was traded.", *texts))
    rows = [_execution_row(each) for each in found]
    notional, slipped, fees = (
        math.fsum(getattr(each, name) for each in found) for name in ("notional_usd", "slippage_usd", "fees_usd")
    )
    total = (
        "all",
        "",
        f"{sum(each.orders for each in found):,}",
        usd(notional, 0),
        number(slipped / notional * 1e4, 2) if notional > 0 else "",
        usd(slipped),
        usd(fees),
    )
    assumed = view.config.assumed_bps
    if assumed:
        texts.insert(
            0,
            f"The configuration assumes {number(assumed.get('slippage_bps'), 1)} bps of slippage and "
            f"{number(assumed.get('fee_bps'), 1)} bps of fees a side. The policy's ratio reads the orders decided at a "
            "bar's close; stops and cuts are measured against their own reference.",
        )
    heads = "reason | reference | #orders | #notional | #slippage, bps | #slippage | #fees"
    return Section("execution", "Execution", tuple(texts), (table(heads, rows, total),))


def funding_section(view: LedgerView, frame: Frame, since_ms: int | None = None) -> Section:
    """Return what holding cost."""
    found = breakdown.funding(view, since_ms)
    if not found:
        return Section("funding", "Funding", ("No settlement has been booked.",))
    rows = [
        (
            each.symbol,
            f"{each.settlements:,}",
            f"{each.assumed:,}",
            usd(each.paid_usd),
            usd(each.received_usd),
            usd(each.net_usd, signed=True),
        )
        for each in found
    ]
    sums = [math.fsum(getattr(each, name) for each in found) for name in ("paid_usd", "received_usd", "net_usd")]
    counts = [sum(getattr(each, name) for each in found) for name in ("settlements", "assumed")]
    total = ("together", *(f"{each:,}" for each in counts), usd(sums[0]), usd(sums[1]), usd(sums[2], signed=True))
    assumed = (
        f"{count(counts[1], 'settlement was', 'settlements were')} missing and booked as a cost at the assumed rate."
    )
    return Section(
        "funding",
        "Funding",
        (assumed,) if counts[1] else (),
        (table("symbol | #settlements | #assumed | #paid | #received | #net", rows, total),),
        (figures.funding_figure(view, frame),),
    )


def _execution_row(each: Execution) -> tuple[str, ...]:
    bps = each.slippage_bps
    return (
        each.reason.replace("_", " "),
        _REFERENCE.get(each.ref_kind, each.ref_kind),
        f"{each.orders:,}",
        usd(each.notional_usd, 0),
        "unknown" if bps is None else number(bps, 2),
        usd(each.slippage_usd),
        usd(each.fees_usd),
    )


def _or_status(value: float | None, status: str) -> str:
    return status if value is None else percent(value, 2, signed=True)
