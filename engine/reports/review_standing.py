"""The parts of a weekly or monthly report about what may change: eligibility, funding, incidents, and who decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.operations.reviews.book import DECISIONS
from engine.reports import breakdown
from engine.reports.conditions import condition_text, margin_text, sentence, streak_text, test_of, value_text
from engine.reports.figures import funding_figure
from engine.reports.fill_rates import fill_rates_table, fill_rates_texts
from engine.reports.incident_papers import log_table
from engine.reports.money import execution_section
from engine.reports.numbers import count, day_text, minute_text, usd
from engine.reports.section import Section
from engine.reports.tables import Table, table

if TYPE_CHECKING:
    from engine.reports.lines import Frame
    from engine.reports.review_view import ReviewView
    from engine.reports.verdicts import Rule

_HOLDS = {"TRUE": "holds", "FALSE": "fails", "UNKNOWN": "unknown"}


def eligibility_section(found: ReviewView) -> Section:
    """Return whether capital may go up and what would bring it down, in the words of the last verdict (R212)."""
    verdict = found.view.verdict
    if verdict is None:
        return Section("eligibility", "May the capital change?", ("No verdict has been recorded.",))
    promotes = found.view.policy.promotes
    up = [rule for rule in verdict.rules if rule.outcome in promotes]
    down = [rule for rule in verdict.rules if rule.outcome not in promotes]
    texts = [f"{verdict.outcome} at {minute_text(verdict.at_ms)} by {verdict.verdict_id}: {sentence(verdict)}."]
    texts += [_eligible(rule) for rule in up]
    firing = [rule.id for rule in down if rule.id in verdict.fired]
    texts.append(
        f"Of {count(len(down), 'rule')} that bring the exposure down, {len(firing)} fire"
        + (f": {', '.join(firing)}." if firing else ".")
    )
    tables = tuple(_conditions_table(rule) for rule in up)
    hidden = (("Every rule that brings the exposure down", _down_table(down, verdict.fired)),) if down else ()
    return Section("eligibility", "May the capital change?", tuple(texts), tables, hidden=hidden)


def _eligible(rule: Rule) -> str:
    failing = [condition_text(condition) for condition in rule.failing]
    streak = streak_text(rule)
    lasting = f" ({streak})" if streak else ""
    if rule.truth == "TRUE":
        return f"{rule.outcome}: eligible by {rule.id}{lasting}; it waits for its approvals."
    if not failing:
        return f"{rule.outcome}: every condition of {rule.id} holds and has to last{lasting}."
    return f"{rule.outcome}: not eligible{lasting}; {len(failing)} of {count(len(rule.conditions), 'condition')} fail."


def _conditions_table(rule: Rule) -> Table:
    rows = [
        (value_text(each), test_of(each), _HOLDS.get(each.truth, each.truth), margin_text(each))
        for each in rule.conditions
    ]
    return table(f"condition of {rule.id} | #needed | it | #by", rows)


def _down_table(rules: list[Rule], fired: tuple[str, ...]) -> Table:
    rows = [
        (
            rule.id,
            rule.outcome,
            "fires" if rule.id in fired else "quiet",
            ", ".join(condition_text(condition) for condition in rule.conditions),
            streak_text(rule),
        )
        for rule in rules
    ]
    return table("rule | !asks for | now | conditions | days", rows)


def execution_quality(found: ReviewView) -> Section:
    """Return slippage against the references, and how orders fared at the venue (R209, R210)."""
    section = execution_section(found.view, found.period.from_ms)
    fates = fill_rates_table(found.rates)
    return Section(
        section.name,
        "Execution quality",
        (*section.texts, *fill_rates_texts(found.rates)),
        (*section.tables, *((fates,) if fates.rows else ())),
    )


def funding_part(found: ReviewView, frame: Frame) -> Section:
    """Return what funding came to in the period and since the launch: the sum of the settlements (R211)."""
    view, period = found.view, found.period
    now, ever = breakdown.funding(view, period.from_ms), breakdown.funding(view)
    if not ever:
        return Section("funding", "Funding", ("No settlement has been booked.",))
    since = {each.symbol: each for each in ever}
    rows = [
        (
            each.symbol,
            f"{each.settlements:,}",
            usd(each.paid_usd),
            usd(each.received_usd),
            usd(each.net_usd, signed=True),
            f"{since[each.symbol].settlements:,}",
            usd(since[each.symbol].net_usd, signed=True),
        )
        for each in now
    ]
    total = (
        "together",
        f"{sum(each.settlements for each in now):,}",
        usd(sum(each.paid_usd for each in now)),
        usd(sum(each.received_usd for each in now)),
        usd(sum(each.net_usd for each in now), signed=True),
        f"{sum(each.settlements for each in ever):,}",
        usd(sum(each.net_usd for each in ever), signed=True),
    )
    assumed = sum(each.assumed for each in now)
    texts = (
        f"The sum of all settlements: of the period, and since the launch on {day_text(view.from_ms)}.",
        *((f"{count(assumed, 'settlement was', 'settlements were')} missing and assumed.",) if assumed else ()),
    )
    heads = "symbol | #settlements | #paid | #received | #net | #since launch | #net since launch"
    return Section("funding", "Funding", texts, (table(heads, rows, total),), (funding_figure(view, frame),))


def incidents_section(found: ReviewView) -> Section:
    """Return the incidents of the period, and where the log of all of them is (R213)."""
    where = (
        f"The log of all incidents: {found.log.as_posix()}."
        if found.log.is_file()
        else "There is no incident log, so none was ever opened."
    )
    inside = [each for each in found.incidents if found.period.from_ms <= each.opened_ms < found.period.to_ms]
    still = [each for each in found.incidents if each.closed is None and each not in inside]
    texts = [f"{count(len(inside), 'incident')} in the period, {len(still)} older still open. {where}"]
    shown = [*still, *inside]
    return Section("incidents", "Incidents", tuple(texts), (log_table(shown),) if shown else ())


def decision_section(found: ReviewView) -> Section:
    """Return what a person has to decide, how it is signed, and what was decided before (R089, R104, R206, R224)."""
    kind, period = found.period.kind, found.period.name
    how = (
        "Read the report, then decide: continue, adjust the capital, or pause for re-evaluation. A person's key signs "
        "report and decision; without a signature there was no review."
    )
    command = f"stagegate review sign {kind} --period {period} --decision {{}} --key ~/.ssh/id_ed25519"
    ways = table("to | =sign with", [(each, command.format(each)) for each in DECISIONS])
    rows = [
        (review.period, review.decision, review.by, minute_text(review.at_ms), review.notes)
        for review in reversed(found.held)
    ]
    shown = (table(f"{kind} report of | decision | signed by | when | notes", rows),) if rows else ()
    return Section("decision", "The review", (_frozen(found), how), (ways, *shown))


def _frozen(found: ReviewView) -> str:
    verdict = found.verdict
    if verdict.fired:
        fired = "; ".join(
            f"{rule.because or rule.id} ({', '.join(condition_text(each) for each in rule.conditions)})"
            for rule in verdict.decisive
        )
        return f"{verdict.outcome}, so SCALE_UP stays frozen until somebody has signed (A99): {fired}."
    return f"{verdict.outcome}: everything is within what the review policy allows."
