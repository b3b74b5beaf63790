"""Mutants: one for every decision of the model, each a single change, said in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import pytest

from engine.policy.effects import Effects
from engine.policy.model import Abort, Band, Compare, FactSpec, Parameter, Policy, Promotion, Rule, Span, Stage
from engine.policy.mutation.mutants import mutants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.policy.bundle import Bundle

# What decides nothing, and why; every other field of the model must be changed by some mutant.
LEFT_ALONE = {
    "Policy": {
        "name": "identity",
        "title": "wording",
        "vocabulary": "the facts, which have tests of their own",
        "parameters": "their values stand in the comparisons, where they are changed",
        "instances": "follow from the rules, but for those that `each` loses",
        "sha256": "record",
        "source": "record",
        "text": "record",
    },
    "Rule": {
        "name": "identity",
        "because": "wording",
        "cure": "wording",
        "refs": "record",
        "where": "record",
        "enabled": "an off rule is switched on; a rule that is on is removed, which is the same",
    },
    "Compare": {"fact": "identity", "text": "wording", "parameter": "identity"},
    "Band": {"fact": "identity"},
    "Stage": {"number": "identity", "title": "wording"},
    "Promotion": {"rule": "identity"},
    "Abort": {"rules": "each is a rule of the policy, and is removed there"},
    "Effects": {"flag": "changed where a rule has one"},
}


def differences(before: Any, after: Any) -> Iterator[str]:
    """Yield ``Class.field`` for every field in which two values of the model differ."""
    if type(before) is not type(after):
        return
    if is_dataclass(before):
        for field in fields(before):
            one, other = getattr(before, field.name), getattr(after, field.name)
            if one != other:
                yield f"{type(before).__name__}.{field.name}"
                yield from differences(one, other)
    elif isinstance(before, dict):
        for key in before.keys() & after.keys():
            yield from differences(before[key], after[key])
    elif isinstance(before, tuple) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from differences(one, other)


def test_every_decision_of_the_model_is_changed_by_some_mutant(bundle: Bundle, tiny: Policy) -> None:
    changed = {
        name
        for policy in (tiny, *bundle.policies.values())
        for mutant in mutants(policy)
        for name in differences(policy, mutant.policy)
    }
    classes = (Policy, Rule, Compare, Band, Span, Stage, Promotion, Abort, Effects)
    missing = {
        f"{kind.__name__}.{field.name}"
        for kind in classes
        for field in fields(kind)
        if field.name not in LEFT_ALONE.get(kind.__name__, {})
    } - changed
    assert missing == set()


def test_parameters_and_facts_have_no_field_that_nobody_thought_of() -> None:
    """Their fields reach the decisions through comparisons only; a new field needs a thought about mutants."""
    assert {field.name for field in fields(Parameter)} == {"name", "value", "low", "high", "about"}
    assert {field.name for field in fields(FactSpec)} == {
        *(
            "name",
            "title",
            "unit",
            "worse",
            "low",
            "high",
            "resolution",
            "max_age_ms",
            "source",
            "choices",
            "difference",
        )
    }


def test_each_mutant_differs_from_its_policy_and_from_all_others(tiny: Policy) -> None:
    found = list(mutants(tiny))
    assert all(mutant.policy != tiny for mutant in found)
    assert [name for name, count in Counter(map(str, found)).items() if count > 1] == []


def of(policy: Policy, where: str) -> list[str]:
    return [f"{one.kind}: {one.change}" for one in mutants(policy) if one.where == where and not one.declared]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (
            "rules.stop_mode",
            [
                "rule removed: `stop_mode` removed",
                "outcome: `STOP` → `CUT`",
                "outcome: `STOP` → `RISE`",
                "outcome: `STOP` → `KEEP`",
                "threshold: `mode = FLATTEN` → `mode = CLEAR`",
                "threshold: `mode = FLATTEN` → `mode = REDUCE_ONLY`",
                "operator: `mode = FLATTEN` → `mode != FLATTEN`",
            ],
        ),
        (
            "rules.cut_fact",
            [
                "rule removed: `cut_fact` removed",
                "outcome: `CUT` → `STOP`",
                "outcome: `CUT` → `RISE`",
                "outcome: `CUT` → `KEEP`",
                "threshold: `y < z` → `y - z < -0.1%`",
                "threshold: `y < z` → `y - z < 0.1%`",
                "operator: `y < z` → `y - z <= 0%`",
                "operator: `y < z` → `y - z > 0%`",
            ],
        ),
        (
            "bands.x.red",
            [
                "band: threshold: `x > 2` → `x > 1.9`",
                "band: threshold: `x > 2` → `x > 2.1`",
                "band: operator: `x > 2` → `x >= 2`",
                "band: operator: `x > 2` → `x < 2`",
            ],
        ),
        (
            "parameters.floor",
            ["parameter: `y < -5%` → `y < -5.5%`", "parameter: `y < -5%` → `y < -4.5%`"],
        ),
        ("otherwise", ["otherwise: `KEEP` → `STOP`", "otherwise: `KEEP` → `CUT`", "otherwise: `KEEP` → `RISE`"]),
    ],
)
def test_all_changes_of_one_place(tiny: Policy, where: str, expected: list[str]) -> None:
    assert of(tiny, where) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("rules.stop_both", "connective: `all of x > 3, not up = yes` → `any of x > 3, not up = yes`"),
        ("rules.stop_both", "condition dropped: `not up = yes` dropped"),
        ("rules.stop_both", "not dropped: `not` before `up = yes` dropped"),
        ("rules.cut_unless", "unless: `unless` → `when`"),
        ("rules.cut_unless", "unless: `unless` → `when: not`, which what is unknown does not fire"),
        ("rules.cut_unless", "operator: `n <= 2` → `n < 2`"),
        ("rules.cut_window", "duration: `for: 2 of 4 days` → `for: 3 of 4 days`"),
        ("rules.cut_window", "duration: `for: 2 of 4 days` → `for: 2 of 5 days`"),
        ("rules.cut_window", "duration: `for: 2 of 4 days` → `for: 2 days`"),
        ("rules.cut_window", "duration: `for: 2 of 4 days` → at once"),
        ("rules.cut_yellow", "duration: `for: 3 days` → `for: 2 days`"),
        ("rules.cut_yellow", "duration: `for: 3 days` → `for: 3 of 4 days`"),
        ("rules.cut_yellow", "each: without the band of `y`"),
        ("rules.cut_yellow", "each: `each: band` → any band"),
        ("rules.cut_yellow", "colour: `band yellow` → `band red`"),
        ("rules.cut_held", "gap: `gap: counts` → `gap: holds`"),
        ("rules.rise", "connective: `every band green` → `any band green`"),
        ("rules.rise", "condition dropped: `every band green` dropped"),
        ("rules.rise", "condition dropped: `x green` dropped"),
        ("rules.late", "unknown: `age unknown` → `age known`"),
        ("rules.opt_in", "enabled: `enabled: no` → `enabled: yes`"),
        ("rules.opt_in", "threshold: `x > 8` → `x > 8.1`"),
        ("outcomes", "severity: `STOP` and `RISE` exchanged"),
    ],
)
def test_each_kind_of_change_is_made(tiny: Policy, where: str, expected: str) -> None:
    assert expected in of(tiny, where)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("rules.cut_held", "episode: `data` → `CUT`"),
        ("rules.late", "effects: `entries: blocked` → `nothing`"),
        ("rules.stop_mode", "effects: `nothing` → `entries: blocked`"),
        ("rules.cut_unless", "check: `HARD` → `SOFT`"),
        (
            "effects.CUT",
            "effects: `exposure: 0.5, once_per: episode, recovery: 5 days` → `once_per: episode, recovery: 5 days`",
        ),
        (
            "effects.CUT",
            "effects: `exposure: 0.5, once_per: episode, recovery: 5 days` → `exposure: 0.5, recovery: 5 days`",
        ),
        (
            "effects.CUT",
            (
                "effects: `exposure: 0.5, once_per: episode, recovery: 5 days` → "
                "`exposure: 0.5, once_per: episode, recovery: 6 days`"
            ),
        ),
        ("effects.RISE", "effects: `cap: x1.5, at_most: once per 30 days` → `cap: x0.75, at_most: once per 30 days`"),
        ("effects.KEEP", "effects: `nothing` → `entries: blocked`"),
        ("episodes.data", "effects: `recovery: 15 minutes` → `recovery: 14 minutes`"),
        ("promotes", "promotes: `RISE` removed"),
        ("promotes", "promotes: `CUT` added"),
        ("exit.CUT", "exit: `20` → `21`"),
    ],
)
def test_each_declaration_is_changed(tiny: Policy, where: str, expected: str) -> None:
    assert expected in [f"{one.kind}: {one.change}" for one in mutants(tiny) if one.where == where and one.declared]


def test_R142_stages_caps_days_and_ways_out_are_changed(bundle: Bundle) -> None:
    found = [one.change for one in mutants(bundle.policies["stages"]) if one.where == "stages.1"]
    changes = {change.split("` → `")[1].rstrip("`") for change in found}
    written = found[0].split("` → `")[0].lstrip("`")
    assert written.replace("cap: 5000 usd", "cap: 4999 usd") in changes
    assert written.replace("min_days: 14", "min_days: 15") in changes
    assert written.replace("promote: {to: 2", "promote: {to: 0") in changes
    assert written.replace("flatten: yes", "flatten: no") in changes
