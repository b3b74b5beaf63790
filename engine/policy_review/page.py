"""The review as Markdown, for a pull request: plain, complete without its picture, and the same bytes every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.policy.testing.coverage import LeafSeen, RuleSeen
from engine.policy_review.care import survivor_text
from engine.policy_review.plot import START_USD, sparkline
from engine.policy_review.rehearsals import REFERENCE
from engine.policy_review.text import days_text
from engine.reports.numbers import count, day_text, number, percent, short_hash, usd
from engine.reports.page import render
from engine.reports.tables import Table, markdown, table
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.policy.difference.compare import Difference, Lean
    from engine.policy.testing.coverage import Coverage
    from engine.policy_review.care import Care
    from engine.policy_review.history import HistoryDifference, Stretch
    from engine.policy_review.review import InLoop, Review

_MOST_STRETCHES = 40
_MOST_NAMES = 12
_MARKS = {"softer": "softer", "harder": "harder", "both": "softer and harder", "neither": "neither"}
_NOT_DECIDED = "not decided"


@dataclass(frozen=True)
class Words:
    """What changed, ready to be shown.

    Attributes:
        meaning: direction and sentence of each change of meaning, in Markdown.
        wording: sentences of what changed in wording only.
        outcomes: the direction by outcome, as a table; None where nothing leans anywhere.
    """

    meaning: tuple[tuple[str, str], ...]
    wording: tuple[str, ...]
    outcomes: Table | None


def page_text(review: Review) -> str:
    """Return the page; the same review gives the same bytes."""
    history, loop = review.diff.history, review.in_loop
    return render(
        "policy_review.md.j2",
        review=review,
        verdict=_verdict(review),
        summary=review.difference.summary,
        words=words_of(review.difference),
        history=history,
        history_title=history and _history_title(history),
        history_counts=history
        and ", ".join(f"{count(days, 'day')} {change}" for change, days in history.counts.items()),
        history_table=history and _history_table(history.stretches),
        history_more=history and max(0, len(history.stretches) - _MOST_STRETCHES),
        loop=loop,
        loop_table=loop and _loop_table(loop),
        curves=loop and sparkline(loop.old, loop.new),
        loop_same=loop is not None and loop.same,
        plot_name=review.plot.name,
        care=tuple(_care(review.care)),
        unseen=tuple(_unseen(history)) if history else (),
        signatures=count(review.needs.signatures, "signature"),
        reasons=" and because ".join(md(reason) for reason in review.needs.reasons),
        launch=md(review.needs.launch),
        manifest_name=review.manifest_path.name,
        command=_command(review),
        version=version(),
    )


def md(text: str) -> str:
    r"""Return a sentence in Markdown: code in backticks stays code, all else is shown as it is.

    >>> print(md("`drawdown` is *red* | above 10 %"))
    `drawdown` is \*red\* \| above 10 %
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return markdown(text)
    escaped = [markdown(part) if place % 2 == 0 else part for place, part in enumerate(parts)]
    return "`".join(escaped)


def words_of(found: Difference) -> Words:
    """Return what changed, ready to be shown."""
    meaning = tuple(
        (_mark(one.lean), f"{f'{one.policy}: ' if one.policy else ''}{md(one.sentence)}") for one in found.meaning
    )
    wording = tuple(
        f"{f'{one.policy}: ' if one.policy else ''}{md(one.sentence)}"
        for one in found.changes
        if one not in found.meaning
    )
    return Words(meaning, wording, _outcomes(found))


def _outcomes(found: Difference) -> Table | None:
    rows = []
    for (policy, outcome), lean in found.by_outcome.items():
        impacts = [one for one in found.impacts.get(policy, ()) if one.outcome == outcome]
        ways: dict[str, dict[str, None]] = {}
        for one in impacts:
            ways.setdefault(_mark(one.lean), {})[one.rule.partition("[")[0]] = None
        through = "; ".join(f"{_some(rules)}{f': {way}' if len(ways) > 1 else ''}" for way, rules in ways.items())
        example = next((one.example for one in impacts if one.example), "")
        rows.append((policy, outcome, _mark(lean), through or outcome, example))
    return table("policy | outcome | direction | through | for example", rows) if rows else None


def _mark(lean: Lean) -> str:
    return _MARKS.get(lean.word, _NOT_DECIDED)


def _verdict(review: Review) -> str:
    if not review.difference.meaning:
        return "No change in meaning."
    if review.difference.lean.softer or (review.diff.history and review.diff.history.softer_days):
        return "Something becomes softer."
    if review.difference.lean.softened:
        return "Nobody can tell from the policies alone whether something becomes softer."
    return "Nothing becomes softer."


def _history_title(history: HistoryDifference) -> str:
    name = f"the {REFERENCE}" if history.source == REFERENCE else f"the history `{history.source}`"
    span = f"{day_text(history.from_ms)} to {day_text(history.to_ms - 1)}"
    return f"{name} ({history.kind}, {span}, {count(history.days, 'day')}, facts {short_hash(history.sha256)})"


def _history_table(stretches: Sequence[Stretch]) -> Table:
    rows = [
        (
            days_text(one),
            str(one.days),
            one.policy,
            one.change,
            "softer" if one.softer else "harder",
            "; ".join(one.reasons).replace("`", ""),
        )
        for one in stretches[:_MOST_STRETCHES]
    ]
    return table("day | #days | policy | outcome | direction | because", rows)


def _loop_table(loop: InLoop) -> Table:
    pair = (loop.old, loop.new)
    rows = [
        ("what $100 became", *(usd(START_USD + course.return_percent) for course in pair)),
        ("equity at the end", *(usd(course.equity_usd) for course in pair)),
        ("largest drawdown", *(percent(course.drawdown_percent, 2) for course in pair)),
    ]
    outcomes = dict.fromkeys([*loop.old.outcomes, *loop.new.outcomes])
    rows += [(f"days {one}", *(str(course.outcomes.get(one, 0)) for course in pair)) for one in outcomes]
    rows.append(("facts", *(short_hash(course.sha256) for course in pair)))
    return table("| #old | #new", rows)


def _care(care: Care) -> Iterator[str]:
    if care.run is None or not care.run.results:
        yield "**There are no policy tests.** Nothing proves what these policies decide."
        return
    failed = care.run.failed
    if failed:
        yield f"**{count(len(failed), 'test fails', 'tests fail')}** of {len(care.run.results)}."
        for result in failed[:_MOST_NAMES]:
            yield f"  - {md(result.case.name)}: {md(str(result.failures[0]))}"
    else:
        yield f"{count(len(care.run.results), 'test')} passed, {_tests_by_policy(care)}."
    if care.mutation is None:
        yield "The mutation score is not measured: the tests must pass first."
    else:
        yield _mutation(care)
        for one in care.mutation.survivors[:_MOST_NAMES]:
            yield f"  - survived: {md(survivor_text(one.mutant))}"
    whole = [seen.policy for seen in care.coverage if not seen.gaps]
    if whole:
        yield f"Every rule and every condition was seen both ways: {_some(whole)}."
    for seen in care.coverage:
        if seen.gaps:
            shares = f"{percent(seen.leaves_percent)} of the conditions, {percent(seen.rules_percent)} of the rules"
            yield f"{seen.policy}: {shares} seen both ways; not these: {md(_gaps(seen))}."


def _gaps(seen: Coverage) -> str:
    """Return what was not seen both ways: a rule by its name, else its conditions."""
    rules = [one.rule for one in seen.gaps if isinstance(one, RuleSeen)]
    leaves = [
        f"`{one.rule}` at `{one.leaf}`" for one in seen.gaps if isinstance(one, LeafSeen) and one.rule not in rules
    ]
    return _some([*(f"`{rule}`" for rule in rules), *leaves])


def _command(review: Review) -> str:
    return f"stagegate policy review {review.range}{f' --history {review.history}' if review.history else ''}"


def _tests_by_policy(care: Care) -> str:
    assert care.run is not None
    return ", ".join(f"{name} {many}" for name, many in care.run.counts.items())


def _mutation(care: Care) -> str:
    assert care.mutation is not None
    killed, equal = len(care.mutation.of("killed")), len(care.mutation.of("equivalent"))
    score = care.mutation.score_percent
    return (
        f"Mutation score {'unknown' if score is None else percent(score)}: of {number(len(care.mutation.mutated), 0)} "
        f"single changes {number(killed, 0)} fail a test, {number(equal, 0)} are proved to change nothing, "
        f"{number(len(care.mutation.survivors), 0)} would pass unnoticed."
    )


def _unseen(history: HistoryDifference) -> Iterator[str]:
    if history.never_fired:
        yield f"Rules that fired on none of the {count(history.days, 'day')}: {_some(history.never_fired)}."
    if history.never_known:
        yield f"Facts without a value on any of them: {_some(history.never_known)}."


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return f"{', '.join(listed[:_MOST_NAMES])}{rest}"
