"""Each kind of proof that a mutant says the same, and that there is none where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.policy import points
from engine.policy.load import parse_policy
from engine.policy.mutation.run import Mutated, mutate_policy
from engine.policy.testing.series import Entry

if TYPE_CHECKING:
    from engine.policy.model import Policy, Vocabulary

FRAME = """
policy: tiny
title: a policy made by a test
outcomes: [STOP, CUT, RISE, KEEP]
otherwise: KEEP
promotes: [RISE]
effects: {STOP: {}, CUT: {}, RISE: {}, KEEP: {}}
exit: {KEEP: 0, RISE: 10, CUT: 20, STOP: 30}
"""
USUAL = {"x": Entry(0), "y": Entry(2), "z": Entry(0), "n": Entry(1), "up": Entry(1), "mode": Entry(0), "age": Entry(0)}
RISES = "  rise: {outcome: RISE, when: {mode: '= REDUCE_ONLY'}, because: a test}\n"


def judged(vocabulary: Vocabulary, rules: str) -> dict[str, Mutated]:
    policy: Policy = parse_policy((FRAME + rules).encode(), "tiny.yaml", vocabulary)
    return {f"{one.mutant.where} {one.mutant.change}": one for one in mutate_policy(policy, [], USUAL)}


def test_an_outcome_that_is_always_outweighed(tiny_vocabulary: Vocabulary) -> None:
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {x: '> 3'}, because: a test}\n"
        "  cut: {outcome: CUT, when: {x: '> 5'}, because: a test}\n" + RISES,
    )
    assert found["rules.cut `CUT` → `KEEP`"].reason == "whenever the rule fires, another one asks for at least as much"
    assert found["rules.cut `CUT` → `STOP`"].fate == "equivalent"
    assert found["rules.stop `STOP` → `CUT`"].fate == "survived"


@pytest.mark.parametrize(("cut", "fate"), [("x: '< 0'", "equivalent"), ("n: '> 1'", "survived")])
def test_an_order_that_never_decides(tiny_vocabulary: Vocabulary, cut: str, fate: str) -> None:
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {x: '> 3'}, because: a test}\n"
        f"  cut: {{outcome: CUT, when: {{{cut}}}, because: a test}}\n" + RISES,
    )
    one = found["outcomes `STOP` and `CUT` exchanged"]
    assert one.fate == fate
    if fate == "equivalent":
        assert one.reason == "no two rules whose order was exchanged can fire together"


@pytest.mark.parametrize(
    ("span", "fate"),
    [
        ("3 days", "equivalent"),
        ("3 of 5 days", "equivalent"),
        ("3 days, gap: holds", "survived"),
        ("3 of 5 days, gap: holds", "survived"),
    ],
)
def test_a_streak_that_the_unknown_breaks_never_meets_a_rule_on_the_unknown(
    tiny_vocabulary: Vocabulary, span: str, fate: str
) -> None:
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {mode: '= FLATTEN'}, because: a test}\n"
        "  cut: {outcome: CUT, when: {mode: '= REDUCE_ONLY'}, because: a test}\n"
        f"  rise: {{outcome: RISE, when: {{x: '< 3'}}, for: {span}, because: a test}}\n"
        "  keep: {outcome: KEEP, when: {x: unknown}, because: a test}\n",
    )
    assert found["outcomes `RISE` and `KEEP` exchanged"].fate == fate


@pytest.mark.parametrize(("last", "fate"), [("{x: unknown}", "equivalent"), ("{n: unknown}", "survived")])
def test_an_otherwise_that_never_decides(tiny_vocabulary: Vocabulary, last: str, fate: str) -> None:
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {x: '> 3'}, because: a test}\n"
        "  cut: {outcome: CUT, when: {x: '<= 3'}, because: a test}\n"
        f"  lost: {{outcome: STOP, when: {last}, because: a test}}\n" + RISES,
    )
    one = found["otherwise `KEEP` → `STOP`"]
    assert one.fate == fate
    if fate == "equivalent":
        assert one.reason == "some rule always fires"


def test_a_streak_of_something_that_never_is(tiny_vocabulary: Vocabulary) -> None:
    never = "{all: [{any: [{x: '> 5'}, {n: '> 3'}]}, {x: '<= 5'}, {n: '<= 3'}]}"
    found = judged(
        tiny_vocabulary,
        f"rules:\n  stop: {{outcome: STOP, when: {never}, for: 3 days, because: a test}}\n"
        "  cut: {outcome: CUT, when: {x: '> 3'}, for: 3 days, because: a test}\n" + RISES,
    )
    assert found["rules.stop `for: 3 days` → `for: 2 days`"].fate == "equivalent"
    assert found["rules.stop `stop` removed"].fate == "equivalent"
    assert found["rules.stop `gap: holds` → `gap: counts`"].fate == "survived"
    assert found["rules.cut `for: 3 days` → `for: 2 days`"].fate == "survived"


def test_a_gap_in_a_streak_that_is_never_unknown(tiny_vocabulary: Vocabulary) -> None:
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {x: unknown}, for: 3 days, because: a test}\n"
        "  cut: {outcome: CUT, when: {x: '> 3'}, for: 3 days, because: a test}\n" + RISES,
    )
    assert found["rules.stop `gap: holds` → `gap: breaks`"].fate == "equivalent"
    assert found["rules.cut `gap: holds` → `gap: breaks`"].fate == "survived"


def test_a_gap_in_a_window_counts_or_does_not(tiny_vocabulary: Vocabulary) -> None:
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {x: '> 3'}, for: 2 of 4 days, because: a test}\n"
        "  rise: {outcome: RISE, when: {n: '= 0'}, for: 2 of 4 days, because: a test}\n"
        "  cut: {outcome: CUT, when: {n: '= 3'}, because: a test}\n",
    )
    assert found["rules.stop `gap: holds` → `gap: breaks`"].fate == "equivalent"
    assert found["rules.stop `gap: holds` → `gap: counts`"].fate == "survived"
    assert found["rules.rise `gap: breaks` → `gap: holds`"].fate == "survived"


def test_a_band_that_no_rule_reads(tiny_vocabulary: Vocabulary) -> None:
    found = judged(
        tiny_vocabulary,
        "bands:\n  x: {green: '< 1', red: '> 2'}\n"
        "rules:\n  stop: {outcome: STOP, when: {n: '> 3'}, because: a test}\n"
        "  cut: {outcome: CUT, when: {n: '> 2'}, because: a test}\n" + RISES,
    )
    assert found["bands.x.red threshold: `x > 2` → `x > 2.1`"].reason == "no rule reads it"


@pytest.mark.parametrize(
    "when",
    [
        "{y: '< z'}",
        "{all: [{y: '< z'}, {y: '> 50%'}]}",
        "{all: [{y: '< z'}, {z: '< -50%'}]}",
        "{all: [{not: {y: '>= z'}}, {z: '> 1%'}]}",
        "{any: [{all: [{y: '< z'}, {n: '> 3'}]}, {all: [{y: unknown}, {z: '> 1%'}]}]}",
        "{any: [{y: '< z'}, {all: [{y: '> 99%'}, {z: unknown}]}]}",
    ],
)
def test_witnesses_where_two_facts_are_compared(tiny_vocabulary: Vocabulary, when: str) -> None:
    """A difference of two facts is made to come about by moving the one that nothing else asks about."""
    found = judged(
        tiny_vocabulary,
        f"rules:\n  stop: {{outcome: STOP, when: {when}, for: 2 days, because: a test}}\n"
        "  cut: {outcome: CUT, when: {n: '> 2'}, because: a test}\n" + RISES,
    )
    shown = [one for one in found.values() if one.mutant.rule == "stop" and one.mutant.kind in {"rule removed", "gap"}]
    assert len(shown) == 3
    assert all(one.witness or one.fate == "equivalent" for one in shown)


def test_what_only_two_compared_facts_together_rule_out_is_left_undecided(tiny_vocabulary: Vocabulary) -> None:
    """The search takes the difference of two facts for a fact of its own; what it cannot say, it says."""
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {all: [{y: '< z'}, {z: '> 50%'}, {y: '> 50%'}]}, because: a test}\n"
        "  cut: {outcome: CUT, when: {n: '> 2'}, because: a test}\n" + RISES,
    )
    assert found["rules.stop `y > 50%` dropped"].witness is not None
    one = found["rules.stop `z > 50%` dropped"]
    assert (one.fate, one.witness) == ("survived", None)
    assert one.reason == "no facts were found that tell it apart, and no proof that none do"


def test_a_streak_of_a_promotion_in_a_window(tiny_vocabulary: Vocabulary) -> None:
    """What it asks for says what breaks it: no proof that leaves that out."""
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {x: '> 3'}, because: a test}\n"
        "  rise: {outcome: RISE, when: {x: '> 5'}, for: 2 of 3 days, because: a test}\n"
        "  cut: {outcome: CUT, when: {n: '> 2'}, because: a test}\n",
    )
    assert found["rules.rise `RISE` → `CUT`"].fate == "survived"


def test_each_band_and_any_band_in_a_longer_condition(tiny_vocabulary: Vocabulary) -> None:
    bands = "bands:\n  x: {green: '< 1', red: '> 2'}\n  y: {green: '> 0%', red: '< -5%'}\n"
    rest = "  cut: {outcome: CUT, when: {n: '> 2'}, because: a test}\n" + RISES
    for when, fate in (
        ("{all: [{band: red}, {n: '> 3'}]}", "equivalent"),
        ("{all: [{not: {band: green}}, {n: '> 3'}]}", "survived"),
    ):
        rule = f"rules:\n  stop: {{outcome: STOP, each: band, when: {when}, because: a test}}\n"
        assert judged(tiny_vocabulary, bands + rule + rest)["rules.stop `each: band` → any band"].fate == fate


def test_a_search_given_up_proves_nothing(tiny_vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "MAX_NODES", 0)
    found = judged(
        tiny_vocabulary,
        "rules:\n  stop: {outcome: STOP, when: {n: '<= 0'}, because: a test}\n"
        "  cut: {outcome: CUT, when: {n: '> 2'}, because: a test}\n" + RISES,
    )
    logic = [one for one in found.values() if one.mutant.rule and not one.mutant.declared]
    assert {one.fate for one in logic} == {"survived"}
    assert {one.reason for one in logic} == {"no facts were found that tell it apart, and no proof that none do"}
