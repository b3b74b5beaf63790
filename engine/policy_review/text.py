"""Differences, replays and reviews in the terminal: plain text in 80 columns, through a pipe as well."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from engine.clock import iso
from engine.reports.numbers import count, day_text, percent, short_hash, usd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.policy.difference.compare import Difference
    from engine.policy_review.diff import DiffReport
    from engine.policy_review.history import HistoryDifference, Stretch
    from engine.policy_review.rehearsals import Course
    from engine.policy_review.replay import ReplayReport
    from engine.policy_review.review import Review

WIDTH = 80
_LABEL = 11
_MOST_SHADOWED = 12
_WORDS = {"both": "both", "undecided": "unclear"}


def diff_text(report: DiffReport) -> str:
    """Return what changed between two models, and on which days of a history it mattered."""
    lines = [f"{report.old}  →  {report.new}", "", *_difference(report.difference)]
    if report.history is not None:
        lines += ["", *_history(report.history)]
    return "\n".join(lines)


def policy_replay_text(report: ReplayReport) -> str:
    """Return what policies decided over a history, and what they did to it in the loop."""
    replay = report.replay
    total = sum(replay.counts.values())
    lines = [f"{report.title} over {replay.source}: {count(total, 'day')}", ""]
    for outcome, days in replay.counts.items():
        stretches = [one for one in replay.stretches if one.outcome == outcome]
        longest = max((one.days for one in stretches), default=0)
        share = percent(100 * days / total if total else None)
        times = count(len(stretches), "time")
        lines.append(
            f"  {outcome:<{_LABEL}}{count(days, 'day'):>9}  {share:>7}   {times}, the longest {count(longest, 'day')}"
        )
    if replay.transitions:
        changes = ", ".join(f"{change} {many}×" for change, many in replay.transitions.items())
        lines += ["", *_wrapped("changes", changes)]
    if report.against is not None:
        lines += ["", *_history(report.against)]
    if report.recorded is not None and report.in_loop is not None and report.period is not None:
        lines += ["", f"in the loop  {report.period.title}", *_courses(report.recorded, report.in_loop)]
    return "\n".join(lines)


def review_text(review: Review) -> str:
    """Return a review in a few lines, and where its page is."""
    history = review.diff.history
    care = review.care
    tests = "no tests" if care.run is None else count(len(care.run.results), "test")
    failed = 0 if care.run is None else len(care.run.failed)
    score = "" if care.mutation is None else f", mutation score {percent(care.mutation.score_percent)}"
    lines = [f"{review.diff.old}  →  {review.diff.new}", "", *_difference(review.difference), ""]
    if history is not None:
        lines += [*_history(history), ""]
    if review.in_loop is not None:
        lines += [f"in the loop  {review.in_loop.period.title}", *_courses(review.in_loop.old, review.in_loop.new), ""]
    lines += _wrapped(
        "tests", f"{tests}, {f'{failed} failed' if failed else 'all passed' if care.run else 'nothing proved'}{score}"
    )
    reasons = f", because {' and '.join(review.needs.reasons)}" if review.needs.reasons else ""
    lines += _wrapped("needs", f"{count(review.needs.signatures, 'signature')}{reasons}".replace("`", ""))
    lines += _wrapped("sign", f"{review.manifest_path}  {short_hash(review.digest)}")
    return "\n".join([*lines, f"{'page':<{_LABEL}}{review.page}"])


def _difference(found: Difference) -> Iterator[str]:
    yield from textwrap.wrap(found.summary, WIDTH)
    if found.changes:
        yield ""
    for change in found.changes:
        word = "wording" if change.section == "words" else _WORDS.get(change.lean.word, change.lean.word)
        policy = f"{change.policy}: " if change.policy else ""
        yield from _wrapped(word, f"{policy}{change.sentence}".replace("`", ""))


def _history(history: HistoryDifference) -> Iterator[str]:
    span = f"{day_text(history.from_ms)} to {day_text(history.to_ms - 1)}"
    yield f"history    {history.source} ({history.kind}), {span}"
    yield from _shadow(history)
    if not history.changed_days:
        yield f"           no day of {history.days} differs"
        return
    counts = ", ".join(f"{count(days, 'day')} {change}" for change, days in history.counts.items())
    softer = f"; {count(history.softer_days, 'day')} softer" if history.softer_days else ""
    yield from _wrapped("", f"{history.changed_days} of {history.days} days differ: {counts}{softer}")
    for stretch in history.stretches:
        yield f"  {days_text(stretch)}  {stretch.change}"
        for reason in stretch.reasons:
            yield from textwrap.wrap(reason.replace("`", ""), WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8)


def _shadow(history: HistoryDifference) -> Iterator[str]:
    """Yield what the new policies decided while they ran beside production, bar by bar."""
    if not history.shadow:
        return
    first, last = (day_text(one.at_ms) for one in (history.shadow[0], history.shadow[-1]))
    counts = ", ".join(f"{number} {change}" for change, number in history.shadow_counts.items()) or "none differs"
    verdicts = count(len(history.shadow), "verdict")
    yield from _wrapped("shadow", f"beside production from {first} to {last}: {verdicts}, {counts}")
    differing = [one for one in history.shadow if one.production != one.outcome]
    for one in differing[:_MOST_SHADOWED]:
        rules = ", ".join(one.fired) or "no rule"
        text = f"{iso(one.at_ms)}  {one.policy}  {one.production} → {one.outcome}: {rules}"
        yield from textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent=" " * 6)
    if differing[_MOST_SHADOWED:]:
        yield f"  and {len(differing) - _MOST_SHADOWED} more: `--json`"


def days_text(stretch: Stretch) -> str:
    """Return the days of a stretch: one date, or the first and the last."""
    first, last = day_text(stretch.first_ms), day_text(stretch.last_ms)
    return first if first == last else f"{first} to {last}"


def _courses(old: Course, new: Course) -> Iterator[str]:
    from engine.policy_review.plot import sparkline  # noqa: PLC0415 - keeps a plain diff fast

    curves = sparkline(old, new)
    for course, curve, name in zip((old, new), curves, ("old", "new"), strict=True):
        days = ", ".join(f"{outcome} {many}" for outcome, many in course.outcomes.items() if many)
        became = f"$100 → {usd(100 + course.return_percent)}, equity {usd(course.equity_usd)}"
        yield f"  {name}  {curve}"
        yield f"       {became}, drawdown {percent(course.drawdown_percent, 2)}"
        yield f"       days {days}"


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{label:<{_LABEL}}", subsequent_indent=" " * _LABEL)
