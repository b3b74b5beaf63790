"""Counting days: against an oracle that walks the calendar day by day, and at the edges of the text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS
from engine.policy.derive import Day, History, derive, in_all_steps
from engine.policy.facts import Fact, validated_all
from engine.policy.load import parse_policy, parse_vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.policy.facts import Facts, Status, Value
    from engine.policy.model import Policy

FIRST_MS = 20_000 * DAY_MS
VOCABULARY = """
vocabulary: v
facts:
  x: {title: x, unit: count, worse: higher, range: [0, 9], resolution: 1, max_age: 1 hour, from: a test}
  y: {title: y, unit: count, worse: higher, range: [0, 9], resolution: 1, max_age: 1 hour, from: a test}
"""
FRAME = """
policy: p
title: p
outcomes: [STOP, RISE, KEEP]
otherwise: KEEP
promotes: [RISE]
effects: {STOP: {}, RISE: {}, KEEP: {}}
exit: {STOP: 30, RISE: 10, KEEP: 0}
rules:
"""
GAPS = ("breaks", "holds", "counts")
SPANS = ("1 day", "3 days", "2 of 4 days", "4 of 6 days")


def made() -> Policy:
    rules = "".join(
        f"  {outcome.lower()}_{gap}_{index}: "
        f"{{outcome: {outcome}, when: {{x: '> 1'}}, for: {span}, gap: {gap}, because: b{index}}}\n"
        for outcome in ("STOP", "RISE")
        for gap in GAPS
        for index, span in enumerate(SPANS)
    )
    return parse_policy((FRAME + rules).encode(), "p.yaml", parse_vocabulary(VOCABULARY.encode(), "v.yaml"))


POLICY = made()

# A day as a letter: True, False, Unknown (missing or stale), Young, or never recorded.
LETTERS = "TFUYN"


def facts(letter: str, at_ms: int) -> Facts:
    if letter in "TF":
        return {"x": Fact("x", 2 if letter == "T" else 1, "ok", at_ms)}
    return {"x": Fact("x", None, {"U": "stale", "Y": "young", "N": "missing"}[letter], at_ms)}  # type: ignore[arg-type]


def days(letters: str) -> list[Day]:
    return [
        Day(FIRST_MS + index * DAY_MS, facts(letter, FIRST_MS + index * DAY_MS))
        for index, letter in enumerate(letters)
        if letter != "N"
    ]


def counts(letters: str, now: str, *, since: int | None = None, midnight: bool = False) -> dict[str, int | None]:
    """Return the counted days by rule, after `letters` and (not at midnight) with the present `now`."""
    now_ms = FIRST_MS + (len(letters) - 1) * DAY_MS + (0 if midnight else HOUR_MS)
    since_ms = None if since is None else FIRST_MS + (since - 1) * DAY_MS
    snapshot = derive(POLICY, facts(now, now_ms), days(letters), now_ms, since_ms=since_ms)
    return {instance.id: snapshot.values[instance.days_key] for instance in POLICY.timed}


def oracle(letters: str, now: str, span: str, gap: str, *, promotes: bool, since: int) -> int:
    """The rules of the language, read aloud: walk back from the newest day."""

    def effect(letter: str) -> str:
        if letter in "TF":
            return letter
        if letter == "Y":
            return "F"
        return {"breaks": "F", "counts": "T", "holds": "-"}[gap]

    # Days before the first recorded one are not days of this history.
    first = next((index for index, letter in enumerate(letters) if letter != "N"), len(letters))
    told = [effect(letter) for letter in letters]
    if " of " in span:
        window = int(span.split(" of ")[1].split(maxsplit=1)[0])
        if promotes and effect(now) == "F":
            return 0
        return sum(
            1 for index in range(len(told)) if index >= max(first, since, len(told) - window) and told[index] == "T"
        )
    if effect(now) == "F":
        return 0
    count = 0
    for index in range(len(told) - 1, max(first, since) - 1, -1):
        if told[index] == "F":
            break
        count += told[index] == "T"
    return count


@settings(max_examples=300, deadline=None)
@given(st.text(LETTERS, min_size=1, max_size=14), st.sampled_from(LETTERS), st.none() | st.integers(0, 14))
def test_counts_equal_the_oracle(letters: str, now: str, since: int | None) -> None:
    found = counts(letters, now, since=since)
    for outcome in ("STOP", "RISE"):
        for gap in GAPS:
            for index, span in enumerate(SPANS):
                name = f"{outcome.lower()}_{gap}_{index}"
                expected = oracle(letters, now, span, gap, promotes=outcome == "RISE", since=since or 0)
                assert found[name] == expected, name


@settings(max_examples=200, deadline=None)
@given(st.text(LETTERS, min_size=1, max_size=14), st.sampled_from("TFUY"))
def test_at_midnight_the_present_is_the_day_that_ends(letters: str, last: str) -> None:
    recorded = counts(letters + last, last, midnight=True)
    assert counts(letters + "N", last, midnight=True) == recorded


@settings(max_examples=200, deadline=None)
@given(st.text(LETTERS, min_size=1, max_size=14), st.sampled_from(LETTERS))
def test_the_present_never_adds(letters: str, now: str) -> None:
    before, after = counts(letters, "T"), counts(letters, now)
    assert all((after[name] or 0) <= (before[name] or 0) for name in before)


@settings(max_examples=100, deadline=None)
@given(st.text(LETTERS, min_size=1, max_size=12), st.text(LETTERS, max_size=4), st.sampled_from(LETTERS))
def test_a_long_lived_history_equals_a_fresh_one(letters: str, more: str, now: str) -> None:
    """Asking leaves no trace: neither at midnight before the day is added, nor at noon, nor for a day gone by."""
    history = History(POLICY)
    for day in days(letters + more):
        history.at(day.facts, day.at_ms)
        history.add(day)
        history.at(facts(now, day.at_ms + HOUR_MS), day.at_ms + HOUR_MS)
        history.at(facts(now, day.at_ms + 3 * DAY_MS), day.at_ms + 3 * DAY_MS)
    now_ms = FIRST_MS + (len(letters) - 1) * DAY_MS + HOUR_MS
    fresh = derive(POLICY, facts(now, now_ms), days(letters + more), now_ms)
    assert history.at(facts(now, now_ms), now_ms) == fresh


def streak(letters: str, now: str = "T", rule: str = "stop_holds_1") -> int | None:
    return counts(letters, now)[rule]


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("TTT", 3),
        ("TTFTT", 2),
        ("TTUTT", 4),  # a gap prolongs a de-risking streak
        ("TTU", 2),  # but does not complete it
        ("TTNNT", 3),
        ("TTYTT", 2),  # youth is false (A16)
        ("U", 0),
        ("NNN", 0),
    ],
)
def test_a_de_risking_streak(letters: str, expected: int) -> None:
    assert streak(letters) == expected


@pytest.mark.parametrize(("letters", "expected"), [("TTT", 3), ("TTUTT", 2), ("TTNT", 1), ("TTYTT", 2), ("TTU", 0)])
def test_a_promotions_streak_breaks_on_an_unknown_day(letters: str, expected: int) -> None:
    assert streak(letters, rule="rise_breaks_1") == expected


@pytest.mark.parametrize(("now", "stop", "rise"), [("T", 3, 3), ("F", 0, 0), ("U", 3, 0), ("Y", 0, 0)])
def test_intraday_the_present_can_only_break(now: str, stop: int, rise: int) -> None:
    assert streak("TTT", now) == stop
    assert streak("TTT", now, "rise_breaks_1") == rise


def test_days_that_were_never_recorded_up_to_now_count_as_unknown() -> None:
    now_ms = FIRST_MS + 5 * DAY_MS + HOUR_MS
    values = derive(POLICY, facts("T", now_ms), days("TTT"), now_ms).values
    assert values["days stop_holds_1"] == 3
    assert values["days rise_breaks_1"] == 0
    assert values["days stop_counts_1"] == 6


def test_A34_a_streak_starts_after_recovery_with_a_whole_day() -> None:
    now_ms = FIRST_MS + 9 * DAY_MS

    def since(since_ms: int) -> int | None:
        return derive(POLICY, facts("T", now_ms), days("T" * 10), now_ms, since_ms=since_ms).values["days stop_holds_1"]

    assert since(FIRST_MS + 4 * DAY_MS) == 5
    assert since(FIRST_MS + 4 * DAY_MS + 1) == 4  # the day under way at the recovery is not a whole one
    assert since(now_ms) == 0
    assert since(0) == 10


@pytest.mark.parametrize("at_ms", [FIRST_MS + 1, FIRST_MS + 2 * DAY_MS, FIRST_MS])
def test_days_come_in_order_each_once_at_midnight(at_ms: int) -> None:
    history = History(POLICY, days("TTT"))
    with pytest.raises(ValueError, match="day"):
        history.add(Day(at_ms, facts("T", at_ms)))


def test_without_any_day_nothing_is_counted() -> None:
    now_ms = FIRST_MS + HOUR_MS
    assert set(counts_of(derive(POLICY, facts("T", now_ms), [], now_ms).values)) <= {0}


def test_the_first_midnight_is_a_day() -> None:
    values = derive(POLICY, facts("T", FIRST_MS), [], FIRST_MS).values
    assert values["days stop_holds_0"] == 1


def counts_of(values: dict[str, int | None]) -> Sequence[int | None]:
    return [value for name, value in values.items() if name.startswith("days ")]


def test_a_history_grows_by_a_few_numbers_a_day() -> None:
    history = History(POLICY)
    for day in days("T" * 60):
        history.add(day)
        for hour in range(24):
            history.at(facts("U", day.at_ms + hour * HOUR_MS), day.at_ms + hour * HOUR_MS)
    assert {len(tally._counted) for tally in history._tallies} == {61}


POSTED = st.builds(
    lambda value, status, age_ms: (value if status == "ok" else None, status, age_ms),
    st.integers(0, 9) | st.sampled_from([3.0, 10, -1, 1.5, math.nan, math.inf, True, "2", None]),
    st.sampled_from(["ok", "ok", "ok", "ok", "ok", "young", "stale", "missing", "invalid"]),
    st.sampled_from([0, 0, 0, HOUR_MS, HOUR_MS + 1, -1]),
)
MOMENTS = st.lists(
    st.tuples(st.integers(1, 40), st.fixed_dictionaries({"x": POSTED}, optional={"y": POSTED, "z": POSTED})),
    min_size=1,
    max_size=12,
)
DIFFERENT = """
  apart: {outcome: STOP, when: {x: '> y'}, because: b}
  long_apart: {outcome: RISE, when: {x: '< y'}, for: 2 days, because: b}
"""
COMPARING = parse_policy((FRAME + DIFFERENT).encode(), "p.yaml", parse_vocabulary(VOCABULARY.encode(), "v.yaml"))


@given(policy=st.sampled_from([POLICY, COMPARING]), moments=MOMENTS, first_the_day=st.booleans())
@settings(max_examples=80, deadline=None)
def test_what_is_posted_counts_as_if_it_had_been_validated_first(
    policy: Policy, moments: list[tuple[int, dict[str, tuple[Value, Status, int]]]], *, first_the_day: bool
) -> None:
    reading_history, history, at_ms = History(policy), History(policy), FIRST_MS - 40 * HOUR_MS
    for hours, posted in moments:
        at_ms += hours * HOUR_MS
        facts = {name: Fact(name, value, status, at_ms - age) for name, (value, status, age) in posted.items()}
        valid = validated_all(facts.values(), policy.vocabulary, at_ms, only=policy.facts)
        reading = reading_history.read(facts, at_ms)
        assert (reading.facts, reading.steps) == (valid, in_all_steps(policy, valid))
        ends = at_ms % DAY_MS == 0
        if ends and first_the_day:
            reading_history.end_day(reading)
        assert reading_history.snapshot(reading) == history.at(valid, at_ms)
        if ends and not first_the_day:
            reading_history.end_day(reading)
        if ends:
            history.add(Day(at_ms, valid))


def test_the_same_facts_may_be_asked_about_at_several_moments() -> None:
    history, posted = History(POLICY, days("TT")), facts("T", FIRST_MS)
    for at_ms in (FIRST_MS, FIRST_MS + HOUR_MS, FIRST_MS + 2 * DAY_MS):
        assert history.at(posted, at_ms) == derive(POLICY, posted, days("TT"), at_ms)
    history.add(Day(FIRST_MS + 2 * DAY_MS, posted))
    assert history.at(posted, FIRST_MS + 3 * DAY_MS).values["days stop_holds_1"] == 4
