"""Laws of softer and harder, held against the interpreter on many days: what is called no softening never softens."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS
from engine.policy.bundle import load_bundle
from engine.policy.derive import Day, History
from engine.policy.difference.compare import difference
from engine.policy.difference.firing import Side, compares, firing
from engine.policy.facts import MISSING, OK, YOUNG, Fact, validated_all
from engine.policy.interpreter import evaluate, outcome_of
from engine.policy.load import parse_policy
from engine.policy.mutation.mutants import mutants
from engine.policy.testing.variants import switched
from tests.policy_review.conftest import ACTION, ROOT, VOCABULARY, action, edited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.policy.facts import Facts
    from engine.policy.model import Policy

FIRST_MS = 20_000 * DAY_MS
HARD_ENOUGH = {"PAUSE": 3, "REDUCE": 2, "KEEP": 1, "SCALE_UP": 0}  # by hand: what lets more risk through is less


def day_facts(at_ms: int, **values: float | str | None) -> Facts:
    def fact(name: str, value: float | str | None) -> Fact:
        if value is None or value == YOUNG:
            return Fact(name, None, YOUNG if value else MISSING, at_ms)
        return Fact(name, value, OK, at_ms)

    return validated_all((fact(name, value) for name, value in values.items()), VOCABULARY, at_ms)


# ── rules with `for`: all histories of up to five days ──

SPANS = (
    "",
    "for: 2 days",
    "for: 3 days",
    "for: 2 days\n    gap: breaks",
    "for: 2 days\n    gap: counts",
    "for: 2 of 3 days",
    "for: 3 of 3 days",
    "for: 2 of 3 days\n    gap: counts",
)
LETTERS = (-1.0, 1.0, None, YOUNG)  # negative, positive, missing, young


@cache
def spanned(span: str) -> Policy:
    return action("    for: 2 of 4 days\n", f"    {span}\n" if span else "")


@cache
def fired_on_all_histories(span: str) -> tuple[bool, ...]:
    """Whether the rule fires at the end of every history of up to five days, and within the day after it."""
    found = []
    for length in range(6):
        for letters in product(LETTERS, repeat=length):
            history = History(spanned(span))
            at_ms = FIRST_MS
            for letter in letters:
                at_ms += DAY_MS
                facts = day_facts(at_ms, sharpe_20d=letter)
                history.add(Day(at_ms, facts))
            if letters:
                found.append("sharpe_low" in evaluate(spanned(span), history.at(facts, at_ms)))
            if length in {0, 3}:  # within the next day
                for letter in LETTERS:
                    now = day_facts(at_ms + HOUR_MS, sharpe_20d=letter)
                    found.append("sharpe_low" in evaluate(spanned(span), history.at(now, at_ms + HOUR_MS)))
    return tuple(found)


@pytest.mark.parametrize(("old", "new"), list(product(SPANS, repeat=2)))
def test_a_rule_with_days_fires_more_or_less_exactly_where_some_history_says_so(old: str, new: str) -> None:
    one, other = (Side(spanned(span).by_id["sharpe_low"], {}, promotes=False) for span in (old, new))
    found = firing(one, other, VOCABULARY.facts)
    pairs = list(zip(fired_on_all_histories(old), fired_on_all_histories(new), strict=True))
    assert found.more == ("yes" if (False, True) in pairs else "no")
    assert found.less == ("yes" if (True, False) in pairs else "no")


def fires_after(span: str, values: list[float | str | None], *, within: bool) -> bool:
    """Whether the rule fires after days of these values; `within`: the last is the present, no whole day."""
    history, at_ms = History(spanned(span)), FIRST_MS
    for value in values[: len(values) - within]:
        at_ms += DAY_MS
        history.add(Day(at_ms, day_facts(at_ms, sharpe_20d=value)))
    at_ms += HOUR_MS if within else 0
    return "sharpe_low" in evaluate(spanned(span), history.at(day_facts(at_ms, sharpe_20d=values[-1]), at_ms))


@pytest.mark.parametrize(("old", "new"), list(pairwise(SPANS)))
def test_an_example_over_days_is_one(old: str, new: str) -> None:
    one, other = (Side(spanned(span).by_id["sharpe_low"], {}, promotes=False) for span in (old, new))
    found = firing(one, other, VOCABULARY.facts)
    spec = VOCABULARY.facts["sharpe_20d"]
    for example, expected in ((found.at_more, (False, True)), (found.at_less, (True, False))):
        if not example:
            continue
        steps = [point["sharpe_20d"] for point, days in example for _ in range(max(1, days))]
        kinds = [(MISSING, YOUNG) if step is None else (float(step * spec.resolution),) for step in steps]
        within = example[-1][1] == 0
        fired = {
            tuple(
                fires_after(span, [None if value == MISSING else value for value in values], within=within)
                for span in (old, new)
            )
            for values in product(*kinds)
        }
        assert expected in fired


def test_a_fact_that_can_be_young_breaks_a_streak_that_missing_ones_only_hold() -> None:
    """The two conditions have the same truth everywhere; only one of them reads the drawdown, which may be young."""
    with_days = 'when: {sharpe_20d: "< 0"}\n    for: 3 days'
    old = action('when: {sharpe_20d: "< 0"}\n    for: 2 of 4 days', with_days)
    wider = '{any: [{sharpe_20d: "< 0"}, {all: [{sharpe_20d: "< 0"}, {drawdown: "> 1%"}]}]}'
    new = action('when: {sharpe_20d: "< 0"}\n    for: 2 of 4 days', f"when: {wider}\n    for: 3 days")
    found = difference(old, new)
    assert [(one.rule, one.lean.word) for one in found.impacts["action"]] == [("sharpe_low", "softer")]
    fired = []
    for policy in (old, new):
        history, at_ms = History(policy), FIRST_MS
        for sharpe, drawdown in ((-1.0, 1.0), (-1.0, 1.0), (None, YOUNG), (-1.0, 1.0)):
            at_ms += DAY_MS
            facts = day_facts(at_ms, sharpe_20d=sharpe, drawdown=drawdown)
            history.add(Day(at_ms, facts))
        fired.append("sharpe_low" in evaluate(policy, history.at(facts, at_ms)))
    assert fired == [True, False]


def test_an_outcome_that_wins_over_a_promotion_is_harder() -> None:
    order = ("[PAUSE, REDUCE, SCALE_UP, KEEP]", "[PAUSE, REDUCE, KEEP, SCALE_UP]")
    texts = []
    for threshold in ("> 5 minutes", "> 4 minutes"):
        text = edited(edited(ACTION, *order), '"> 5 minutes"', f'"{threshold}"')
        texts.append(edited(text, "    effects: {entries: blocked}\n", ""))
    old, new = (parse_policy(text.encode(), "action.yaml", VOCABULARY) for text in texts)
    assert difference(old, new).lean.word == "harder"  # KEEP where SCALE_UP was asked for
    assert difference(new, old).lean.word == "softer"


# ── whole policies: every single change of the small policy, and pairs of them ──


def histories(policy: Policy, rng: np.random.Generator, count: int, days: int) -> Iterator[list[tuple[int, Facts]]]:
    """Days whose facts stand at, just under and just over thresholds, or are unknown."""
    edges: dict[str, list[float | str | None]] = {}
    bands = [edge for band in policy.bands.values() for edge in (band.green, band.red)]
    for compare in (*(leaf for rule in policy.rules.values() for leaf in compares(rule.when)), *bands):
        spec = VOCABULARY.facts[compare.fact]
        for steps in (compare.steps - 1, compare.steps, compare.steps + 1):
            if spec.low <= steps <= spec.high:
                edges.setdefault(compare.fact, [None, YOUNG]).append(float(steps * spec.resolution))
    usual: dict[str, float | str | None] = {"drawdown": 1.0, "sharpe_20d": 0.9, "stage": 3.0, "equity_age": 0.0}
    for _ in range(count):
        values, result = dict(usual), []
        for day in range(1, days + 1):
            if rng.random() < 0.5:
                name = list(edges)[int(rng.integers(len(edges)))]
                values[name] = edges[name][int(rng.integers(len(edges[name])))]
            if rng.random() < 0.1:
                values = dict(usual)
            at_ms = FIRST_MS + day * DAY_MS
            result.append((at_ms, day_facts(at_ms, **values)))
        yield result


def decided(policy: Policy, days: list[tuple[int, Facts]]) -> list[str]:
    history = History(policy)
    outcomes = []
    for at_ms, facts in days:
        outcomes.append(outcome_of(policy, evaluate(policy, history.at(facts, at_ms))))
        history.add(Day(at_ms, facts))
    return outcomes


def hold(old: Policy, new: Policy, rng: np.random.Generator, count: int) -> int:
    """Check one pair; return on how many days something differed."""
    lean = difference(old, new).lean
    different = 0
    for days in histories(old, rng, count, 10):
        for before, after in zip(decided(old, days), decided(new, days), strict=True):
            moved = HARD_ENOUGH[after] - HARD_ENOUGH[before]
            different += moved != 0
            assert moved >= 0 or lean.softer or lean.undecided, "it softened, and nobody said so"
            assert moved <= 0 or lean.harder or lean.undecided, "it hardened, and nobody said so"
    return different


def test_no_single_change_softens_or_hardens_unsaid() -> None:
    rng = np.random.default_rng(3)
    seen = sum(hold(action(), mutant.policy, rng, 4) > 0 for mutant in mutants(action()) if not mutant.declared)
    assert seen > 50  # most changes do show on these days


def test_no_two_changes_together_soften_or_harden_unsaid() -> None:
    rng = np.random.default_rng(5)
    first = [mutant.policy for mutant in mutants(action()) if not mutant.declared]
    for _ in range(60):
        one = first[int(rng.integers(len(first)))]
        second = [mutant.policy for mutant in mutants(one) if not mutant.declared]
        hold(action(), second[int(rng.integers(len(second)))], rng, 4)


def test_what_has_no_change_in_meaning_decides_the_same() -> None:
    start = "  hard_stop:"
    renamed = action(start, "  stop_hard:")
    rng = np.random.default_rng(7)
    assert not difference(action(), renamed).meaning
    for days in histories(action(), rng, 10, 10):
        assert decided(action(), days) == decided(renamed, days)


@pytest.mark.parametrize("name", ["action", "stages", "risk_guard"])
def test_every_change_of_a_decision_of_R1_is_mentioned(name: str) -> None:
    policy = load_bundle(Path(ROOT / "config/prod_scale_rules_R1.yaml")).policies[name]
    unsaid = [
        f"{mutant.where}: {mutant.change}"
        for mutant in mutants(policy)
        if not difference(switched(policy, mutant.switched_on), mutant.policy).meaning
    ]
    assert unsaid == []


thresholds = st.integers(min_value=101, max_value=400)


@settings(max_examples=40, deadline=None)
@given(old=thresholds, new=thresholds)
def test_a_lower_stop_is_harder_and_the_way_back_is_softer(old: int, new: int) -> None:
    policies = [action('"> $stop"', f'"> {value / 10}%"') for value in (old, new)]
    words = {"harder": "softer", "softer": "harder", "neither": "neither"}
    there, back = difference(*policies).lean.word, difference(*reversed(policies)).lean.word
    assert there == ("harder" if new < old else "softer" if new > old else "neither")
    assert back == words[there]
