"""The parts of a report: what the policy did, verdicts, bands, bounds, days of unknown data, and the foot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.reports import breakdown, figures
from engine.reports.days import changes
from engine.reports.events import timeline
from engine.reports.numbers import count, day_text, minute_text, number, percent, usd
from engine.reports.performance import performance
from engine.reports.section import Section
from engine.reports.tables import Table, table
from engine.reports.tiles import band_table

if TYPE_CHECKING:
    from engine.reports.lines import Frame
    from engine.reports.performance import Performance
    from engine.reports.view import LedgerView


def bands_section(view: LedgerView) -> Section:
    """Return every metric against the policy's bands."""
    bands = band_table(view)
    note = "" if bands.rows else "The ledger holds no policy, so there are no bands to show."
    return Section("bands", "Metrics against their bands", (note,) if note else (), (bands,) if bands.rows else ())


def effect_section(view: LedgerView, frame: Frame) -> Section:
    """Return what the policy in the loop did to the equity."""
    with_policy, without = performance(view.risk), performance(view.shadow)
    tables = (effect_table(with_policy, without),) if with_policy else ()
    pictures = (figures.equity_figure(view, frame), figures.drawdown_figure(view, frame)) if with_policy else ()
    return Section("effect", "What the policy did", (), tables, pictures)


def effect_table(with_policy: Performance, without: Performance | None) -> Table:
    """Return both accounts side by side with their difference."""
    rows = []
    for title, name, is_percent in (
        ("return", "return_percent", True),
        ("return a year", "cagr_percent", True),
        ("largest drawdown", "max_drawdown_percent", True),
        ("volatility a year", "volatility_percent", True),
        ("Sharpe ratio", "sharpe", False),
        ("worst day", "worst_day_percent", True),
    ):
        ours, theirs = getattr(with_policy, name), None if without is None else getattr(without, name)
        texts = [percent(each) if is_percent else number(each, 2) for each in (ours, theirs)]
        if name == "sharpe":
            texts = [_with_interval(text, each) for text, each in zip(texts, (with_policy, without), strict=True)]
        apart = "" if ours is None or theirs is None else _apart(ours - theirs, is_percent=is_percent)
        rows.append((title, *texts, apart))
    ours, theirs = with_policy.grown_usd, None if without is None else without.grown_usd
    apart = "" if ours is None or theirs is None else usd(ours - theirs, 0, signed=True)
    rows.insert(0, (f"{usd(with_policy.start_usd, 0)} became", usd(ours, 0), usd(theirs, 0), apart))
    return table("measure | #with the policy | #without it | #difference", rows)


def effect_sentence(view: LedgerView) -> str:
    """Return in words what became of the money with and without the policy; empty without marks."""
    ours, theirs = performance(view.risk), performance(view.shadow)
    if ours is None:
        return ""
    grown = percent(ours.return_percent, signed=True)
    text = (
        f"With the policy in the loop {usd(ours.start_usd, 0)} became {usd(ours.grown_usd, 0)}, a return of {grown}, "
        f"and the largest drawdown was {percent(ours.max_drawdown_percent)}."
    )
    if theirs is None:
        return text
    return (
        f"{text} Without it the same strategies returned {percent(theirs.return_percent, signed=True)} with a drawdown "
        f"of {percent(theirs.max_drawdown_percent)}."
    )


def sharpe_section(view: LedgerView, frame: Frame) -> Section:
    """Return the rolling Sharpe ratio."""
    return Section("quality", "Risk and reward", figures=(figures.sharpe_figure(view, frame),))


def bounds_section(view: LedgerView, frame: Frame) -> Section:
    """Return exposure and cap over time, and the account of everything that happened."""
    rows = timeline(view.events)
    hidden = ((f"All {count(len(rows), 'event')} on a line", table("time | what | details", rows)),) if rows else ()
    return Section("bounds", "What was allowed", figures=(figures.bounds_figure(view, frame),), hidden=hidden)


def verdicts_section(view: LedgerView, from_ms: int = 0) -> Section:
    """Return the ribbon, days per outcome, and every change with its reason, of the days from `from_ms` on."""
    shown = tuple(day for day in view.days if day.day_ms >= from_ms)
    verdicts = view.verdicts.since(from_ms)
    if not shown:
        return Section("verdicts", "Verdicts", ("No verdict has been recorded.",))
    changed = changes(shown)
    rows = [
        (
            day_text(change.day_ms),
            change.before,
            change.after,
            change.why,
            count(change.days, "day"),
            "unknown" if change.verdict.equity_usd is None else usd(change.verdict.equity_usd, 0),
        )
        for change in changed
    ]
    doubtful = verdicts.doubtful()
    disagreed = sum(verdict.agree is False for verdict in doubtful)
    faults = sum(verdict.fault is not None for verdict in doubtful)
    engines = (
        f"Both engines agreed on all of {count(len(verdicts), 'verdict')}."
        if not disagreed and not faults
        else f"The engines disagreed on {count(disagreed, 'verdict')}; an engine failed on {count(faults, 'verdict')}."
    )
    return Section(
        "verdicts",
        "Verdicts",
        (f"{count(len(changed) - 1, 'change')} of outcome in {count(len(shown), 'day')}. {engines}",),
        figures=(figures.ribbon_figure(shown),),
        later=(table("day | !from | !to | why | #lasted | #equity", rows),),
    )


def unknown_section(view: LedgerView, from_ms: int | None = None) -> Section:
    """Return the days on which a fact had no value; what is unknown never helps a promotion."""
    start_ms = view.from_ms if from_ms is None else from_ms
    days = [day for day in view.facts if day.at_ms > start_ms]
    found = breakdown.unknown_facts(days)
    absent = breakdown.missing_days(days, start_ms, view.now_ms)
    keep = view.risk.at_ms > start_ms
    estimated = int((view.risk.estimated_marks[keep] > 0).sum())
    texts = [
        f"{count(absent, 'complete day has', 'complete days have')} no facts at their end."
        if absent
        else f"Facts were recorded at the end of each of {count(len(days), 'complete day')}."
    ]
    if estimated:
        texts.append(f"{count(estimated, 'mark')} valued a position at the last price because no mark price was known.")
    rows = [
        (
            view.policy.facts.get(each.fact, each.fact),
            *(f"{each.days.get(status, 0) or ''}" for status in ("young", "missing", "stale", "invalid")),
            day_text(each.last_ms - 1),
        )
        for each in found
    ]
    heads = "fact | #young | #missing | #stale | #invalid | last unknown day"
    if not rows:
        texts.append("Every fact had a value on every day.")
    return Section("unknown", "Days of unknown data", tuple(texts), (table(heads, rows),) if rows else ())


def foot(view: LedgerView) -> tuple[tuple[str, str], ...]:
    """Return what is needed to make the report again: hashes, seed, source, command."""
    verdict = view.verdict
    hashes = verdict.hashes if verdict else {}
    known = [
        ("command", view.meta.get("command", "")),
        ("seed", view.meta.get("seed", "")),
        ("source", view.meta.get("source", "")),
        ("from", minute_text(view.from_ms) if len(view.risk) else ""),
        ("to", minute_text(view.now_ms) if view.now_ms else ""),
        ("ledger", view.path.name),
        ("last verdict", verdict.verdict_id if verdict else ""),
        *((f"{kind} (SHA-256)", sha256) for kind, sha256 in hashes.items()),
        ("engine version", (verdict.engine_version if verdict else "") or view.meta.get("engine_version", "")),
    ]
    return tuple((name, value) for name, value in known if value)


def _with_interval(text: str, account: Performance | None) -> str:
    if account is None or account.sharpe_low is None or account.sharpe_high is None:
        return text
    return f"{text} [{number(account.sharpe_low, 1)}, {number(account.sharpe_high, 1)}]"


def _apart(difference: float, *, is_percent: bool) -> str:
    return f"{number(difference, 1, signed=True)} points" if is_percent else number(difference, 2, signed=True)
