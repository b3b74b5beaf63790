"""The weekly and the monthly report (SOP §7, §8): what they show, in Markdown, HTML and JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, iso
from engine.reports import sections
from engine.reports.breakdown import funding
from engine.reports.content import Report, last_standing
from engine.reports.figures import bounds_figure, drawdown_figure, frame_of, sharpe_figure
from engine.reports.numbers import comparison, count, day_text, number, percent, usd
from engine.reports.page import render
from engine.reports.review_sections import (
    matching_sentence,
    regimes_section,
    replay_section,
    sleeves_section,
    trades_section,
)
from engine.reports.review_standing import (
    decision_section,
    eligibility_section,
    execution_quality,
    funding_part,
    incidents_section,
)
from engine.reports.section import Section
from engine.reports.tiles import Tile
from engine.reports.why import why_text

if TYPE_CHECKING:
    from engine.comparison.compare import Window
    from engine.reports.fill_rates import FillRates
    from engine.reports.review_view import ReviewView

FORMAT = 1
CONTEXT_DAYS = 60  # of the pictures that show where the period comes from


def review_documents(found: ReviewView) -> dict[str, str]:
    """Return suffix -> text; the same findings give the same bytes."""
    report = review_content(found)
    return {
        ".md": render("daily.md.j2", report=report),
        ".html": render("report.html.j2", report=report),
        ".json": review_json(found),
    }


def review_content(found: ReviewView) -> Report:
    """Return everything that the report shows."""
    view, period = found.view, found.period
    frame = frame_of(view, period.from_ms)
    context = frame_of(view, min(period.from_ms, view.now_ms - CONTEXT_DAYS * DAY_MS))
    drawn = (drawdown_figure, sharpe_figure, bounds_figure) if len(view.risk) else ()
    parts = (
        decision_section(found),
        replay_section(found, frame),
        trades_section(found),
        sleeves_section(found, frame),
        execution_quality(found),
        funding_part(found, frame),
        eligibility_section(found),
        sections.bands_section(view),
        regimes_section(found),
        sections.verdicts_section(view, period.from_ms),
        incidents_section(found),
        sections.unknown_section(view, period.from_ms),
        Section("pictures", "Where the period comes from", figures=tuple(draw(view, context) for draw in drawn)),
    )
    verdict = found.verdict
    around = last_standing(view)
    stretch = f"{day_text(period.from_ms)} to {period.name}"
    recorded = view.meta.get("kind", "")
    about = (view.marking, view.release, f"{period.kind} report", recorded, stretch, _days(found))
    return Report(
        title=" ".join(part for part in (view.marking, view.release, period.kind, "report", period.name) if part),
        kicker=tuple(part for part in about if part),
        outcome=verdict.outcome,
        sentence=f"{found.because[:1].upper()}{found.because[1:]}.",
        standing=f"review policy · {verdict.engines} · {verdict.verdict_id}",
        lead=_lead(found),
        tiles=_tiles(found),
        why=why_text(view.verdict, around) if view.verdict else "",
        sections=parts,
        legend=(),
        foot=_foot(found),
    )


def _days(found: ReviewView) -> str:
    return count(found.period.days, "complete day")


def _lead(found: ReviewView) -> str:
    window = found.window
    if window is None:
        return f"The period could not be held against its replay: {found.no_comparison}."
    live, replay = window.live, window.replay
    ours, theirs = (
        f"{percent(side.return_percent, 2, signed=True)} ({usd(side.pnl_usd, signed=True)})" for side in (live, replay)
    )
    sentence = matching_sentence(window.trades)
    return f"The desk returned {ours}, its replay on the same bars {theirs}. {sentence}"


def _tiles(found: ReviewView) -> tuple[Tile, ...]:
    window, allowed = found.window, found.tolerances
    if window is None:
        return (Tile("Comparison", "none", "unknown", "see below"),)
    live, replay = window.live, window.replay
    trades = len(window.trades.unmatched)
    unknown = "unknown"
    return (
        Tile("Return, live", percent(live.return_percent, 2, signed=True), "", usd(live.pnl_usd, signed=True)),
        Tile("Return, replay", percent(replay.return_percent, 2, signed=True), "", usd(replay.pnl_usd, signed=True)),
        Tile(
            "Sharpe ratio apart",
            unknown if window.sharpe_deviation is None else number(window.sharpe_deviation, 2),
            "",
            f"allowed {comparison(allowed.get('sharpe_deviation', ''))}, {count(live.returns, 'return')}",
        ),
        Tile(
            "Drawdown apart",
            unknown if window.drawdown_deviation is None else f"{number(window.drawdown_deviation, 2)} points",
            "",
            f"allowed {comparison(allowed.get('drawdown_deviation', ''))}",
        ),
        Tile("Trades unmatched", f"{trades:,}", "", f"of {trades + len(window.trades.matched):,}"),
        Tile("Funding, net", usd(live.funding_usd, signed=True), "", f"replay {usd(replay.funding_usd, signed=True)}"),
    )


def _foot(found: ReviewView) -> tuple[tuple[str, str], ...]:
    known = dict(sections.foot(found.view))
    known["review verdict"] = found.verdict.verdict_id
    known |= {f"replayed {kind} (SHA-256)": sha256 for kind, sha256 in found.hashes.items()}
    return tuple(known.items())


def review_json(found: ReviewView) -> str:
    """Return the report for programs; percentages are points, money US dollars, instants ISO 8601 UTC."""
    period, verdict = found.period, found.verdict
    document = {
        "report": period.kind,
        "format": FORMAT,
        "period": period.name,
        "from": iso(period.from_ms),
        "to": iso(period.to_ms),
        "days": period.days,
        "release": found.view.release or None,
        "ledger": dict(found.view.meta),
        "verdict": {
            "verdict_id": verdict.verdict_id,
            "outcome": verdict.outcome,
            "because": found.because,
            "fired": list(verdict.fired),
            "engines_agree": verdict.agree,
        },
        "tolerances": found.tolerances,
        "no_comparison": found.no_comparison or None,
        "period_compared": None if found.window is None else _window(found.window),
        "since_launch_compared": None if found.whole is None else _window(found.whole),
        "funding": [
            {**dataclasses.asdict(each), "net_usd": each.net_usd} for each in funding(found.view, period.from_ms)
        ],
        "fill_rates": _rates(found.rates),
        "regimes": [{**dataclasses.asdict(each), "regime": each.word} for each in found.regimes],
        "eligibility": None if found.view.verdict is None else _eligibility(found),
        "incidents": [each.incident_id for each in found.incidents],
        "hashes": found.hashes,
    }
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _window(window: Window) -> dict[str, Any]:
    return {
        "from": iso(window.from_ms),
        "to": iso(window.to_ms),
        "live": dataclasses.asdict(window.live),
        "replay": dataclasses.asdict(window.replay),
        "sharpe_deviation": window.sharpe_deviation,
        "drawdown_deviation": window.drawdown_deviation,
        "trades_matched": len(window.trades.matched),
        "trades_unmatched": [
            {
                "hour": iso(each.told.hour_ms),
                "symbol": each.told.symbol,
                "live": None if each.live is None else {"side": each.live.side, "qty": each.live.qty},
                "replay": None if each.replay is None else {"side": each.replay.side, "qty": each.replay.qty},
                "why": each.why,
            }
            for each in window.trades.unmatched
        ],
        "price_bps": [round(each.price_bps, 6) for each in window.trades.matched],
    }


def _rates(rates: FillRates) -> dict[str, Any]:
    kinds = sorted({fate.kind for fate in rates.fates})
    ends = ("filled", "part", "nothing", "refused", "unsent")
    return {
        "intended": rates.intended,
        "missed": rates.missed,
        "limit_share_percent": rates.limit_share_percent,
        "orders": {kind: {end: rates.count(kind, end) for end in ends} for kind in kinds},
    }


def _eligibility(found: ReviewView) -> dict[str, Any]:
    verdict = found.view.verdict
    assert verdict is not None, "asked for with a verdict"
    promotes = found.view.policy.promotes
    return {
        "verdict_id": verdict.verdict_id,
        "outcome": verdict.outcome,
        "up": {rule.id: rule.truth for rule in verdict.rules if rule.outcome in promotes},
        "down": {rule.id: rule.truth for rule in verdict.rules if rule.outcome not in promotes},
    }
