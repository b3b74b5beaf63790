"""Rules, bands and effects in words: the sentences themselves, and that no two decisions read the same."""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.effects import KEYS, Effects, parse_effects
from engine.policy.load import parse_policy, parse_vocabulary
from engine.policy.model import All, AnyOf, BandIs, Colour, Compare, Condition, Not, Operator, Policy, Unknown
from engine.policy.words import (
    band_words,
    condition_words,
    effects_words,
    gap_words,
    rule_notes,
    rule_words,
    threshold_words,
    when_words,
)

FACT_LINES = """
drawdown | current drawdown | percent | [0, 100] | 0.1
lowest | lowest drawdown | percent | [0, 100] | 0.1
funding | funding paid, annualised | percent | [-100, 100] | 0.1
slippage | realised slippage | multiple | [0, 9] | 0.1
costs | costs of a year | usd | [0, 9000] | 1
flattens | flattens in 30 days | count | [0, 99] | 1
stage | stage of the rollout | count | [0, 3] | 1
live | full days at risk | days | [0, 99] | 1
age | age of the equity | minutes | [0, 9999] | 1
killed | kill switch pulled | flag
mode | position mode | "one of [ONE_WAY, HEDGE]"
fills | when orders fill | "one of [open, close]"
"""
WORSE = {"drawdown": "higher", "slippage": "higher", "flattens": "higher", "funding": "higher"}


def fact_line(line: str) -> str:
    name, title, unit, *numbers = line.split(" | ")
    size = f", range: {numbers[0]}, resolution: {numbers[1]}" if numbers else ""
    worse = WORSE.get(name, "neither")
    return f'  {name}: {{title: "{title}", unit: {unit}, worse: {worse}{size}, max_age: 1 hour, from: a test}}'


VOCABULARY = parse_vocabulary(
    f"""
vocabulary: words
parameters:
  stop: {{value: "12%", range: ["1%", "50%"], about: "hard stop"}}
facts:
{chr(10).join(map(fact_line, FACT_LINES.strip().splitlines()))}
""".encode(),
    "facts.yaml",
)
FRAME = """
policy: words
title: words
outcomes: [STOP, RISE, KEEP]
otherwise: KEEP
promotes: [RISE]
parameters:
  red: {value: "10%", range: ["1%", "50%"], about: "where red begins"}
bands:
  drawdown: {green: "< 8%", red: "> $red"}
  slippage: {green: "<= 1.2", red: "> 1.5"}
  flattens: {green: "= 0", red: ">= 2"}
  funding:  {green: "< 1%", red: ">= 1%"}
effects: {STOP: {exposure: 0}, RISE: {cap: "x1.5"}, KEEP: {}}
episodes: {data: {recovery: 15 minutes, approvals: 0}}
exit: {KEEP: 0, RISE: 10, STOP: 30}
rules:
  risen: {outcome: RISE, when: {flattens: "> 98"}, because: it may}
  stopped: {outcome: STOP, when: {flattens: "> 97"}, because: it must}
"""


def policy(rules: str = "") -> Policy:
    return parse_policy(f"{FRAME}{rules}".encode(), "words.yaml", VOCABULARY)


def rule(text: str) -> tuple[str, Policy]:
    loaded = policy(f"  it: {{outcome: STOP, because: it must, {text}}}")
    return rule_words(loaded.rules["it"], loaded), loaded


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('when: {drawdown: "> 12%"}', "STOP when the current drawdown is above 12 %"),
        ('when: {drawdown: ">= 12%"}', "STOP when the current drawdown is at least 12 %"),
        ('when: {drawdown: "= 12%"}', "STOP when the current drawdown is 12 %"),
        ('when: {drawdown: "!= 12%"}', "STOP when the current drawdown is not 12 %"),
        ('when: {drawdown: "> $stop"}', "STOP when the current drawdown is above 12 % ($stop)"),
        ('when: {drawdown: "> lowest"}', "STOP when the current drawdown is above the lowest drawdown"),
        ('when: {drawdown: "= funding"}', "STOP when the current drawdown is equal to the funding paid, annualised"),
        ('when: {funding: "< -5%"}', "STOP when the funding paid, annualised, is below −5 %"),
        ('when: {costs: "> 5000 usd"}', "STOP when the costs of a year are above 5000 usd"),
        ('when: {age: "> 24 hours"}', "STOP when the age of the equity is more than 24 hours"),
        ('when: {age: "<= 5 minutes"}', "STOP when the age of the equity is at most 5 minutes"),
        ('when: {flattens: "= 0"}', "STOP when there are no flattens in 30 days"),
        ('when: {flattens: "> 0"}', "STOP when there are any flattens in 30 days"),
        ('when: {flattens: "< 3"}', "STOP when there are fewer than 3 flattens in 30 days"),
        ('when: {flattens: "= 2"}', "STOP when there are exactly 2 flattens in 30 days"),
        ('when: {flattens: "= 1"}', "STOP when the number of flattens in 30 days is 1"),
        ('when: {flattens: "!= 0"}', "STOP when the number of flattens in 30 days is not 0"),
        ('when: {live: ">= 28 days"}', "STOP when there are at least 28 full days at risk"),
        ('when: {stage: "= 3"}', "STOP when the stage of the rollout is 3"),
        ('when: {killed: "= yes"}', "STOP when “kill switch pulled” is yes"),
        ('when: {mode: "!= ONE_WAY"}', "STOP when the position mode is not ONE_WAY"),
        ('when: {fills: "= open"}', "STOP when “when orders fill” is open"),
        ("when: {drawdown: unknown}", "STOP when the current drawdown is unknown"),
        ("when: {not: {drawdown: unknown}}", "STOP when the current drawdown is known"),
        ("when: {drawdown: red}", "STOP when the current drawdown is red (above 10 % ($red))"),
        ("when: {drawdown: yellow}", "STOP when the current drawdown is yellow (8 % to 10 %)"),
        ("when: {not: {flattens: green}}", "STOP when the flattens in 30 days are not green (0)"),
        ("when: {every_band: green}", "STOP when every band is green"),
        ("when: {band: red}, each: band", "STOP when any band is red"),
        ("when: {band: yellow}, each: band, for: 4 days", "STOP when the same band is yellow for 4 complete days"),
        ('when: {drawdown: "> 9%"}, for: 1 day', "STOP when the current drawdown is above 9 % for 1 complete day"),
        (
            'when: {drawdown: "> 9%"}, for: 3 of 5 days',
            "STOP when the current drawdown is above 9 % on 3 of the last 5 complete days",
        ),
        (
            'unless: {any: [{killed: "= no"}, {mode: "= HEDGE"}]}',
            "STOP unless “kill switch pulled” is no or the position mode is HEDGE",
        ),
        (
            'when: {all: [{stage: "= 3"}, {drawdown: "< 8%"}, {every_band: green}]}, for: 10 days',
            (
                "STOP when, for 10 complete days, all of these hold: the stage of the rollout is 3; "
                "the current drawdown is below 8 %; every band is green"
            ),
        ),
        (
            'when: {any: [{all: [{stage: "= 3"}, {killed: "= yes"}]}, {flattens: "> 3"}]}',
            (
                "STOP when (the stage of the rollout is 3 and “kill switch pulled” is yes) or "
                "there are more than 3 flattens in 30 days"
            ),
        ),
        (
            'when: {not: {all: [{stage: "= 3"}, {killed: "= yes"}]}}',
            "STOP when not all of these hold: the stage of the rollout is 3; “kill switch pulled” is yes",
        ),
        (
            'when: {not: {any: [{stage: "= 3"}, {killed: "= yes"}]}}',
            "STOP when none of these holds: the stage of the rollout is 3; “kill switch pulled” is yes",
        ),
        ('when: {not: {not: {stage: "= 3"}}}', "STOP when the stage of the rollout is 3"),
        ('when: {all: [{stage: "= 3"}]}', "STOP when the stage of the rollout is 3"),
        ('when: {not: {stage: "= 3"}}', "STOP when the stage of the rollout is not 3"),
        ('when: {not: {stage: "!= 3"}}', "STOP when the stage of the rollout is 3"),
        ('when: {not: {flattens: "> 3"}}', "STOP when the flattens in 30 days are not above 3"),
        ('when: {drawdown: "!= lowest"}', "STOP when the current drawdown is not equal to the lowest drawdown"),
        ('when: {not: {drawdown: "= lowest"}}', "STOP when the current drawdown is not equal to the lowest drawdown"),
        ('when: {not: {drawdown: "> lowest"}}', "STOP when the current drawdown is not above the lowest drawdown"),
    ],
)
def test_a_rule_in_words(written: str, said: str) -> None:
    assert rule(written)[0] == said


def test_a_condition_alone_and_what_else_a_rule_says() -> None:
    text = 'unless: {drawdown: "< 9%"}, for: 3 days, episode: data, effects: {entries: blocked}, enabled: no'
    said, loaded = rule(text)
    it = loaded.rules["it"]
    assert said == "STOP unless the current drawdown is below 9 % for 3 complete days"
    assert when_words(it, loaded) == "unless the current drawdown is below 9 %"
    assert rule_notes(it) == ("switched off", "episode “data”", "no new or larger positions")
    assert gap_words(it) == "a day without data neither counts nor breaks the count"


@pytest.mark.parametrize(
    ("fact", "green", "yellow", "red"),
    [
        ("drawdown", "below 8 %", "8 % to 10 %", "above 10 % ($red)"),
        ("slippage", "at most 1.2", "above 1.2, at most 1.5", "above 1.5"),
        ("flattens", "0", "1", "at least 2"),
        ("funding", "below 1 %", "", "at least 1 %"),
    ],
)
def test_a_band_in_words(fact: str, green: str, yellow: str, red: str) -> None:
    words = band_words(policy().bands[fact], VOCABULARY.facts[fact])
    assert (words.green, words.yellow, words.red) == (green, yellow, red)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"exposure": 0}, ["closes every position (exposure 0)"]),
        ({"exposure": 0.5}, ["exposure × 0.5"]),
        ({"entries": "blocked"}, ["no new or larger positions"]),
        ({"cap": "x1.5", "approvals": 2}, ["capital cap × 1.5", "2 people must agree"]),
        ({"once_per": "episode"}, ["once per episode"]),
        ({"page_every": "1 day"}, ["pages a person every day while it lasts"]),
        ({"page_every": "8 hours"}, ["pages a person every 8 hours while it lasts"]),
        ({"recovery": "5 days", "approvals": 1}, ["may end after 5 days without a reason", "1 person must agree"]),
        ({"recovery": "15 minutes"}, ["may end after 15 minutes without a reason", "nobody has to agree"]),
        ({"at_most": "once per 30 days"}, ["at most once per 30 days"]),
        ({"until": "restart"}, ["until a signed restart"]),
        ({"incident": "HIGH"}, ["opens a HIGH incident"]),
        ({"alert": "page"}, ["pages a person"]),
        ({"flag": "REVIEW"}, ["shown as REVIEW"]),
        ({}, []),
    ],
)
def test_effects_in_words(written: dict[str, object], said: list[str]) -> None:
    effects, mistakes = parse_effects(written)
    assert not mistakes
    assert list(effects_words(effects)) == said


def test_every_effect_has_words_of_its_own() -> None:
    samples = {"exposure": 0.5, "cap_factor": 2.0, "approvals": 3}
    said = set()
    for one in fields(Effects):
        default = getattr(Effects(), one.name)
        changed: dict[str, Any] = {
            one.name: samples.get(
                one.name, True if default is False else 60_000 if one.name.endswith("_ms") else "word"
            )
        }
        said |= set(effects_words(Effects(**changed)))
    assert len(said - {"nobody has to agree"}) == len(KEYS)


FACTS = VOCABULARY.facts
OPERATORS: tuple[Operator, ...] = get_args(Operator)
EQUALS: tuple[Operator, ...] = ("=", "!=")
COLOURS: tuple[Colour, ...] = get_args(Colour)
LEAVES: list[Condition] = [
    *(Compare("drawdown", operator, steps) for operator, steps in product(OPERATORS, (80, 81))),
    *(Compare("flattens", operator, steps) for operator, steps in product(OPERATORS, (0, 1, 2))),
    *(Compare("mode", operator, steps) for operator, steps in product(EQUALS, (0, 1))),
    *(BandIs(fact, colour) for fact, colour in product(("drawdown", "slippage"), COLOURS)),
    Unknown("drawdown"),
    Unknown("mode"),
]
CONDITIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(All, st.lists(inner, min_size=2, max_size=3, unique=True).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3, unique=True).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=6,
)


@given(CONDITIONS, CONDITIONS)
def test_two_conditions_that_read_the_same_are_the_same(one: Condition, other: Condition) -> None:
    bands = policy().bands
    if condition_words(one, FACTS, bands) == condition_words(other, FACTS, bands):
        assert same(one) == same(other)


def test_no_two_comparisons_read_the_same() -> None:
    bands = policy().bands
    assert len({condition_words(leaf, FACTS, bands) for leaf in LEAVES}) == len(LEAVES)
    assert len({condition_words(Not(leaf), FACTS, bands) for leaf in LEAVES}) == len(LEAVES)
    assert not [words for leaf in LEAVES if "not not" in (words := condition_words(Not(leaf), FACTS, bands))]


OPPOSITE: dict[Operator, Operator] = {"=": "!=", "!=": "="}


def same(condition: Condition) -> Condition:
    """Return a condition in the one form that its words stand for: no double negation, `not =` is `!=`."""
    if isinstance(condition, All | AnyOf):
        return type(condition)(tuple(same(part) for part in condition.parts))
    if not isinstance(condition, Not):
        return condition
    part = condition.part
    if isinstance(part, Not):
        return same(part.part)
    if isinstance(part, Compare) and part.operator in OPPOSITE:
        return Compare(part.fact, OPPOSITE[part.operator], part.steps)
    return Not(same(part))


def test_a_threshold_without_its_text_is_told_from_its_steps() -> None:
    assert threshold_words(Compare("drawdown", "<", 125), FACTS["drawdown"]) == "below 12.5 %"
