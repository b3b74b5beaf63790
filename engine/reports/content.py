"""What every report has: its heading, the numbers at the top, its parts, and the foot that makes it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.reports import sections
from engine.reports.conditions import sentence
from engine.reports.days import outcome_counts
from engine.reports.numbers import count, day_text, percent
from engine.reports.standing import standing_of
from engine.reports.tiles import tiles
from engine.reports.why import why_text

if TYPE_CHECKING:
    from engine.reports.days import DayVerdict
    from engine.reports.section import Section
    from engine.reports.tiles import Tile
    from engine.reports.view import LedgerView
    from engine.reports.why import Standing

_PERCENT = 100


@dataclass(frozen=True)
class Report:
    """A page's content, ready for its templates.

    Attributes:
        title: of the page.
        kicker: what it is about, in a line above the heading.
        outcome: the last verdict's; empty without one.
        sentence: the reason.
        standing: the bounds in force, in a line.
        lead: what matters most, in a sentence or two.
        tiles: the numbers at the top.
        why: the last verdict as `verdict --why` tells it.
        sections: the parts.
        legend: outcome and its days, for the ribbon.
        foot: name and value of what reproduces it.
    """

    title: str
    kicker: tuple[str, ...]
    outcome: str
    sentence: str
    standing: str
    lead: str
    tiles: tuple[Tile, ...]
    why: str
    sections: tuple[Section, ...]
    legend: tuple[tuple[str, str], ...]
    foot: tuple[tuple[str, str], ...]


def report_of(
    view: LedgerView, kind: str, lead: str, parts: tuple[Section, ...], days: tuple[DayVerdict, ...] | None = None
) -> Report:
    """Return a report.

    Args:
        view: the ledger.
        kind: what the report calls itself, such as ``rehearsal``.
        lead: what matters most.
        parts: its sections.
        days: those the ribbon shows; None for all.
    """
    verdict = view.verdict
    around = last_standing(view)
    return Report(
        title=" ".join(part for part in (view.marking, view.release, kind, day_text(view.now_ms - 1)) if part),
        kicker=_kicker(view, kind),
        outcome=verdict.outcome if verdict else "",
        sentence=_capital(sentence(verdict)) + "." if verdict else "No verdict has been recorded.",
        standing=_standing_text(view, around),
        lead=lead,
        tiles=tiles(view, around),
        why=why_text(verdict, around) if verdict else "",
        sections=parts,
        legend=_legend(view, view.days if days is None else days),
        foot=sections.foot(view),
    )


def last_standing(view: LedgerView) -> Standing | None:
    """Return what stands around the last verdict; None without one."""
    if not view.verdicts:
        return None
    events = [event for event in view.events if event.at_ms <= view.verdicts[-1].at_ms]
    return standing_of(view.verdicts, events, view.policy, release=view.release, facts=view.latest_facts)


def _kicker(view: LedgerView, kind: str) -> tuple[str, ...]:
    seed = view.meta.get("seed")
    recorded = view.meta.get("kind", "")
    parts = [
        view.marking,
        view.release,
        kind,
        recorded if recorded != kind else "",
        view.meta.get("source", ""),
        f"seed {seed}" if seed else "",
        f"{day_text(view.from_ms)} to {day_text(view.now_ms)}" if len(view.risk) else "no marks",
        count(view.complete_days, "complete day"),
    ]
    return tuple(part for part in parts if part)


def _standing_text(view: LedgerView, around: Standing | None) -> str:
    """Return stage, exposure, entries and engines in a line; empty without a verdict."""
    verdict = view.verdict
    if verdict is None or around is None:
        return ""
    parts = ["" if verdict.stage is None else f"Stage {verdict.stage}"]
    exposure = verdict.exposure if around.exposure is None else around.exposure
    if exposure is not None:
        since = "" if around.exposure_since_ms is None else f" since {day_text(around.exposure_since_ms)}"
        parts.append(f"exposure {exposure:g}{since}")
    if around.entries_allowed is not None:
        parts.append("entries allowed" if around.entries_allowed else "entries blocked")
    parts.append(verdict.engines)
    parts.append(f"{count(len(verdict.unknown), 'fact')} unknown" if verdict.unknown else "every fact known")
    parts += verdict.flags
    return " · ".join(part for part in parts if part)


def _legend(view: LedgerView, days: tuple[DayVerdict, ...]) -> tuple[tuple[str, str], ...]:
    counts = outcome_counts(days, view.policy.severity)
    total = max(len(days), 1)
    return tuple(
        (outcome, f"{count(many, 'day')} ({percent(many / total * _PERCENT)})") for outcome, many in counts.items()
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
