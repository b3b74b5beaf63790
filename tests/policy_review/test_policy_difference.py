"""What changed between two policies: in words, whether softer or harder, and when nothing changed at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.policy.difference.compare import difference
from engine.policy.difference.firing import Side, firing
from engine.policy.load import parse_policy, parse_vocabulary
from tests.policy_review.conftest import ACTION, DATA, STAGES, VOCABULARY, action, edited

if TYPE_CHECKING:
    from engine.policy.model import Policy

FACTS = (DATA / "facts.yaml").read_text()

# what is edited -> what a trader reads, the direction, and of which outcomes
CASES = [
    # a threshold
    ('"> $stop"', '"> 10.5%"', "`hard_stop` fires above 10.5 % instead of 12 %.", "harder", "PAUSE"),
    ('"> $stop"', '">= $stop"', "`hard_stop` fires at or above 12 % instead of above 12 %.", "harder", "PAUSE"),
    ('"> 0.8"', '"> 0.7"', "`scale_up` requires `sharpe_20d` above 0.7 instead of 0.8.", "softer", "SCALE_UP"),
    ('"> 5 minutes"', '"> 6 minutes"', "`late` fires above 6 minutes instead of 5 minutes.", "softer", "KEEP"),
    # conditions
    ('        - {stage: "= 3"}\n', "", "`scale_up` no longer requires `stage` equal to 3.", "softer", "SCALE_UP"),
    (
        "- {drawdown: green}", '- {drawdown: green}\n        - {equity_age: "< 1 minutes"}',
        "`scale_up` requires `equity_age` below 1 minutes as well.", "harder", "SCALE_UP",
    ),
    (
        '{any: [{equity_age: "> $patience"}, {equity_age: unknown}]}', '{equity_age: "> $patience"}',
        "`equity_stale` no longer fires at `equity_age` unknown.", "softer", "REDUCE",
    ),
    (
        "      all:\n", "      any:\n",
        "`scale_up` reads its 3 conditions as `any` instead of `all`: one is enough.", "softer", "SCALE_UP",
    ),
    ('when: {drawdown: "> $stop"}', 'unless: {drawdown: "<= $stop"}', "fires unless", "harder", "PAUSE"),
    # days
    ("    for: 3 days\n    because: three", "    for: 2 days\n    because: three",
     "`scale_up` fires after 2 complete days instead of after 3 complete days.", "softer", "SCALE_UP"),
    ("for: 3 days\n    because: the band", "for: 4 days\n    because: the band",
     "`yellow_too_long` fires after 4 complete days instead of after 3 complete days.", "softer", "REDUCE"),
    ("for: 2 of 4 days", "for: 2 of 5 days",
     "`sharpe_low` fires on 2 of the last 5 complete days instead of on 2 of the last 4 complete days.",
     "harder", "REDUCE"),
    ("    for: 2 of 4 days\n", "", "`sharpe_low` fires at once instead of on 2 of the last 4 complete days.", "both",
     "REDUCE"),
    ("for: 3 days\n    because: the band", "for: 3 days\n    gap: counts\n    because: the band",
     "`yellow_too_long` says that a day without data counts; before, that a day without data neither counts nor",
     "harder", "REDUCE"),
    # outcomes and effects
    ("outcome: PAUSE", "outcome: REDUCE", "`hard_stop` asks for REDUCE instead of PAUSE.", "softer", "PAUSE REDUCE"),
    ("otherwise: KEEP", "otherwise: REDUCE", "Where no rule fires the outcome is REDUCE, not KEEP.", "harder",
     "KEEP REDUCE"),
    ("[PAUSE, REDUCE, SCALE_UP, KEEP]", "[PAUSE, SCALE_UP, REDUCE, KEEP]",
     "The order of severity is PAUSE, SCALE_UP, REDUCE, KEEP instead of PAUSE, REDUCE, SCALE_UP, KEEP.", "softer",
     "REDUCE SCALE_UP"),
    ("exposure: 0.5,", "exposure: 0.6,", "REDUCE: exposure 0.6 instead of 0.5.", "softer", "REDUCE"),
    ("recovery: 5 days", "page_every: 8 hours, recovery: 5 days", "REDUCE: a page every 8 hours instead of none.",
     "harder", "REDUCE"),
    ("recovery: 5 days", "recovery: 6 days", "REDUCE: recovery 6 days instead of 5 days.", "harder", "REDUCE"),
    ("approvals: 2, at_most: once per 30 days", "approvals: 1, at_most: once per 10 days",
     "SCALE_UP: approvals 1 instead of 2; at most once per 10 days instead of once per 30 days.", "softer",
     "SCALE_UP"),
    ('cap: "x1.5"', 'cap: "x1.2"', "SCALE_UP: the cap ×1.2 instead of ×1.5.", "harder", "SCALE_UP"),
    ("alert: warn", "alert: info", "REDUCE: alert info instead of warn.", "softer", "REDUCE"),
    ("once_per: episode, ", "", "REDUCE: acts on every verdict instead of once per episode.", "undecided", "REDUCE"),
    ("    episode: data\n", "", "`equity_stale` belongs to its outcome's episode instead of episode `data`.",
     "harder", "REDUCE"),
    ("recovery: 15 minutes", "recovery: 30 minutes",
     "The episode `data`: recovery 30 minutes instead of 15 minutes.", "harder", "REDUCE"),
    ("effects: {entries: blocked}", "effects: {flag: LATE}", "`late` has other effects of its own:", "softer", "KEEP"),
    ("PAUSE: 30}", "PAUSE: 40}", "PAUSE ends the command with exit code 40 instead of 30.", "neither", "PAUSE"),
    ("promotes: [SCALE_UP]", "promotes: []", "SCALE_UP no longer counts as a promotion.", "undecided", "SCALE_UP"),
    # bands and parameters
    ('green: "< 8%"', 'green: "< 7%"', "`drawdown` is green below 7 % instead of 8 %.", "harder",
     "REDUCE SCALE_UP"),
    ('red: "> 10%"', 'red: "> 9%"', "`drawdown` is red above 9 % instead of 10 %.", "both", "REDUCE"),
    ('value: "1 hours"', 'value: "2 hours"',
     "The parameter `patience` is 2 hours instead of 1 hours; it moves `equity_stale`.", "softer", "REDUCE"),
    ('["1 hours", "24 hours"]', '["1 hours", "36 hours"]',
     "The parameter `patience` may be set from 1 hours to 36 hours instead of from 1 hours to 24 hours.",
     "neither", ""),
    # whole rules
    ("  late:\n", '  slump:\n    outcome: PAUSE\n    when: {sharpe_20d: "< -5"}\n    because: b\n  late:\n',
     "`slump` is new: PAUSE when", "harder", "PAUSE"),
    ("  drawdown_red:\n    outcome: REDUCE\n    when: {drawdown: red}\n    because: the drawdown is red\n", "",
     "`drawdown_red` is gone: REDUCE when", "softer", "REDUCE"),
    ("  hard_stop:\n", "  hard_stop:\n    enabled: no\n", "`hard_stop` is switched off.", "softer", "PAUSE"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "sentence", "direction", "outcomes"), CASES, ids=[case[2] for case in CASES])
def test_each_change_is_said_in_words_with_its_direction(
    old: str, new: str, sentence: str, direction: str, outcomes: str
) -> None:
    found = difference(action(), action(old, new))
    change = next(one for one in found.changes if sentence in one.sentence)
    assert change.section != "words"
    assert change.lean.word == direction == found.lean.word
    leaning = {outcome for (_, outcome), lean in found.by_outcome.items() if lean.word != "neither"}
    assert leaning == (set(outcomes.split()) if direction != "neither" else set())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("policy: action", "# a comment\npolicy:  action"),
        ("because: the drawdown is red", "because: it has fallen too far"),
        ("title: A small policy", "title: Another title"),
        ("  drawdown_red:\n", "  drawdown_is_red:\n"),
        ('about: "age of the equity that cuts exposure"', 'about: "patience"'),
        ('{any: [{equity_age: "> $patience"}, {equity_age: unknown}]}',
         '{any: [{equity_age: unknown}, {equity_age: "> 60 minutes"}]}'),
    ],
)  # fmt: skip
def test_a_change_of_words_or_order_is_no_change_in_meaning(old: str, new: str) -> None:
    after = edited(ACTION, old, new)
    if "60 minutes" in new:  # the parameter is no longer read: without it the file is sound
        after = edited(after, ACTION[ACTION.index("parameters:") : ACTION.index("bands:")], "")
    found = difference(action(), parse_policy(after.encode(), "action.yaml", VOCABULARY))
    assert [change.sentence for change in found.meaning if change.section != "parameters"] == []
    assert found.lean.word == "neither"


def test_the_order_of_rules_and_comments_change_no_meaning() -> None:
    start, end = ACTION.index("  drawdown_red:"), ACTION.index("  yellow_too_long:")
    moved = edited(ACTION[:start] + ACTION[end:], "effects:\n", ACTION[start:end] + "effects:   # what happens\n")
    found = difference(action(), parse_policy(moved.encode(), "action.yaml", VOCABULARY))
    assert found.changes == ()
    assert not found.same_text
    assert found.summary == "No change in meaning: only comments, layout, the order of rules, or wording."
    assert difference(action(), action()).summary == "The two are the same to the byte."


def test_an_example_says_when_it_matters_and_over_how_many_days() -> None:
    found = difference(action(), action('red: "> 10%"', 'red: "> 9%"'))
    examples = {impact.rule: impact.example for impact in found.impacts["action"]}
    assert examples["drawdown_red"] == "fires at drawdown 9.0001 %"
    assert examples["yellow_too_long[drawdown]"] == "no longer fires at drawdown 9 % for 2 days, then drawdown 9.0001 %"


def test_a_shared_parameter_moves_the_rules_that_read_it() -> None:
    vocabulary = parse_vocabulary(edited(FACTS, '"12%"', '"9%"').encode(), "facts.yaml")
    found = difference(action(), action(vocabulary=vocabulary))
    (change,) = found.changes
    assert change.sentence == "The parameter `stop` is 9 % instead of 12 %; it moves `hard_stop`."
    assert [(one.outcome, one.lean.word) for one in change.impacts] == [("PAUSE", "harder")]
    (alone,) = difference(VOCABULARY, vocabulary).changes
    assert alone.lean.word == "undecided"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("max_age: 61 minutes", "max_age: 90 minutes",
         "`drawdown` counts as known for 90 minutes instead of 61 minutes."),
        ("range: [0, 100]", "range: [0, 50]",
         "`drawdown` runs from 0 % to 50 % instead of from 0 % to 100 %; beyond it is invalid."),
        ("resolution: 0.0001", "resolution: 0.001", "`drawdown` is rounded to steps of 0.001 instead of 0.0001."),
    ],
)  # fmt: skip
def test_what_a_fact_means_cannot_be_called_softer_or_harder(old: str, new: str, sentence: str) -> None:
    vocabulary = parse_vocabulary(edited(FACTS, old, new).encode(), "facts.yaml")
    (change,) = difference(VOCABULARY, vocabulary).changes
    assert (change.sentence, change.lean.word) == (sentence, "undecided")
    assert difference(action(), action(vocabulary=vocabulary)).impacts == {}  # the rules themselves say the same


def test_a_fact_in_another_unit_is_another_fact() -> None:
    text = edited(edited(FACTS, "unit: ratio", "unit: multiple"), "20-day rolling", "20-day")
    found = difference(action(), action(vocabulary=parse_vocabulary(text.encode(), "facts.yaml")))
    assert {impact.rule: impact.lean.word for impact in found.impacts["action"]} == {
        "sharpe_low": "both",
        "scale_up": "both",
    }


@pytest.mark.parametrize(
    ("old", "new", "sentence", "direction"),
    [
        ("cap: 1000 usd", "cap: 1500 usd", "Stage 1 may risk 1500 usd instead of 1000 usd.", "softer"),
        ("min_days: 14", "min_days: 20", "Stage 1 lasts at least 20 days instead of 14.", "harder"),
        ("flatten: yes", "flatten: no", "Stage 1 aborts without flattening the book.", "softer"),
        ("approvals: 1", "approvals: 2", "Stage 0 promotes with 2 approvals instead of 1.", "harder"),
        ('"> 11%"', '"> 13%"', "`abort_1[drawdown]` requires `drawdown` above 13 % instead of 11 %.", "softer"),
        ('{sharpe_20d: "> 0"}', '{sharpe_20d: "> 1"}',
         "`promote_0` requires `sharpe_20d` above 1 instead of 0.", "harder"),
    ],
)  # fmt: skip
def test_stages(old: str, new: str, sentence: str, direction: str) -> None:
    before, after = (
        parse_policy(text.encode(), "stages.yaml", VOCABULARY) for text in (STAGES, edited(STAGES, old, new))
    )
    found = difference(before, after)
    assert [(change.sentence, change.lean.word) for change in found.changes] == [(sentence, direction)]


def test_two_kinds_of_models_cannot_be_compared() -> None:
    with pytest.raises(TypeError, match="no difference between Policy and Vocabulary"):
        difference(action(), VOCABULARY)


def test_a_window_too_long_to_go_through_is_decided_by_order_or_not_at_all() -> None:
    long = action("for: 2 of 4 days", "for: 20 of 60 days")
    longer = action("for: 2 of 4 days", "for: 19 of 61 days")
    mixed = action("for: 2 of 4 days", "for: 21 of 61 days")

    def sides(policy: Policy, other: Policy) -> tuple[Side, Side]:
        found = [one.by_id["sharpe_low"] for one in (policy, other)]
        return Side(found[0], {}, promotes=False), Side(found[1], {}, promotes=False)

    specs = VOCABULARY.facts
    easier = firing(*sides(long, longer), specs)
    assert (easier.more, easier.less) == ("yes", "no")
    undecided = firing(*sides(long, mixed), specs)
    assert (undecided.more, undecided.less) == ("undecided", "undecided")
