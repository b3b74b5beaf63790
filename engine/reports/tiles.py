"""The numbers at the top of a report, each with its band and a scale that shows how far the edges are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.reports.conditions import sharpe_error
from engine.reports.numbers import comparison, day_text, number, percent, points, usd, with_unit
from engine.reports.scale import scale_svg
from engine.reports.tables import Table, table

if TYPE_CHECKING:
    from engine.reports.policy_view import Limit, PolicyView
    from engine.reports.view import LedgerView
    from engine.reports.why import Standing

_HEADLINES = (("drawdown", "Drawdown"), ("return_30d", "30-day return"), ("sharpe_20d", "20-day Sharpe"))
_UPWARD = (">", ">=")
_NAMES = {"green": "green", "red": "red", "stop": "hard stop"}


@dataclass(frozen=True)
class Tile:
    """One number: `band` is green, yellow, red, unknown or empty; `scale` is an SVG element or empty."""

    label: str
    value: str
    band: str
    note: str
    scale: str = ""


def tiles(view: LedgerView, standing: Standing | None) -> tuple[Tile, ...]:
    """Return equity, drawdown, 30-day return, Sharpe ratio, cap and exposure as they stand."""
    found = [_equity(view), *(_fact_tile(view, fact, label) for fact, label in _HEADLINES)]
    if len(view.risk):
        gross = f"{usd(float(view.risk.gross_usd[-1]), 0)} invested, gross"
        found.append(Tile("Cap", usd(float(view.risk.cap_usd[-1]), 0), "", gross))
        exposure = standing.exposure if standing and standing.exposure is not None else float(view.risk.exposure[-1])
        found.append(Tile("Exposure", f"{exposure:g}", "", _bounds_note(standing)))
    return tuple(found)


def band_table(view: LedgerView) -> Table:
    """Return every banded metric: value, band, the policy's edges, and the distance to the next worse edge."""
    rows = [
        _band_row(view, fact) for fact, limits in view.policy.limits.items() if any(_is_band(each) for each in limits)
    ]
    return table("metric | #value | band | #green | #red | #hard stop | to the next worse edge", rows)


def _equity(view: LedgerView) -> Tile:
    if not len(view.risk):
        return Tile("Equity", "unknown", "unknown", "no mark is recorded")
    nav, start = float(view.risk.nav[-1]), float(view.risk.nav[0])
    change = percent((nav / start - 1) * 100, signed=True) if start > 0 else "unknown"
    flows = sum(flow.amount_usd for flow in view.flows)
    moved = f", {usd(flows, 0, signed=True)} of cash flows" if flows else ""
    return Tile(
        "Equity", usd(float(view.risk.equity_usd[-1]), 0), "", f"NAV {number(nav, 4)} per unit, {change}{moved}"
    )


def _fact_tile(view: LedgerView, fact: str, label: str) -> Tile:
    value = None if view.latest_facts is None else view.latest_facts.number(fact)
    unit = view.policy.units.get(fact, "percent" if fact != "sharpe_20d" else "ratio")
    limits = view.policy.limits.get(fact, ())
    text = with_unit(value, unit)
    error = None if value is None else sharpe_error(fact, value)
    if error is not None:
        text += f" ±{number(error, 1)}"
    note = next((f"hard stop {comparison(limit.text)}" for limit in limits if limit.kind == "stop"), "")
    if value is None:
        note = _why_unknown(view, fact)
    elif error is not None:
        note = "± is one standard error"
    elif not note:
        red = view.policy.limit(fact, "red")
        note = f"red {comparison(red.text)}" if red else ""
    return Tile(label, text, band_of(view, fact), note, scale_svg(limits, value))


def band_of(view: LedgerView, fact: str) -> str:
    """Return the band that the last verdict saw; unknown where it saw none."""
    return "unknown" if view.verdict is None else view.verdict.bands.get(fact, "unknown")


def _why_unknown(view: LedgerView, fact: str) -> str:
    found = None if view.latest_facts is None else view.latest_facts.facts.get(fact)
    return found.status if found else "not recorded"


def _bounds_note(standing: Standing | None) -> str:
    if standing is None:
        return ""
    parts = []
    if standing.exposure_since_ms is not None:
        parts.append(f"since {day_text(standing.exposure_since_ms)}")
    if standing.entries_allowed is not None:
        parts.append("entries allowed" if standing.entries_allowed else "entries blocked")
    return ", ".join(parts)


def _is_band(limit: Limit) -> bool:
    return limit.kind != "stop"


def _band_row(view: LedgerView, fact: str) -> tuple[str, ...]:
    policy = view.policy
    value = None if view.latest_facts is None else view.latest_facts.number(fact)
    unit = policy.units.get(fact, "")
    text = with_unit(value, unit) if value is not None else _why_unknown(view, fact)
    error = None if value is None else sharpe_error(fact, value)
    texts = [policy.limit(fact, kind) for kind in ("green", "red", "stop")]
    return (
        policy.facts.get(fact, fact),
        text if error is None else f"{text} ±{number(error, 1)}",
        band_of(view, fact),
        *(comparison(limit.text) if limit else "" for limit in texts),
        _to_worse(policy, fact, value),
    )


def _to_worse(policy: PolicyView, fact: str, value: float | None) -> str:
    """Return the nearest edge on the bad side of the value, and how far it is."""
    if value is None:
        return ""
    green = policy.limit(fact, "green")
    if green is None:
        return ""
    bad_is_up = green.operator not in _UPWARD
    ahead = [
        limit for limit in policy.limits.get(fact, ()) if (limit.value > value if bad_is_up else limit.value < value)
    ]
    if not ahead:
        return "beyond every edge"
    nearest = min(ahead, key=lambda limit: abs(limit.value - value))
    name = "yellow" if nearest.kind == "green" else _NAMES[nearest.kind]
    return f"{points(abs(nearest.value - value), policy.units.get(fact, ''))} to {name}"
