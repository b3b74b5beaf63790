"""Posted facts: only what is of the right type, in range and fresh keeps its value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import HOUR_MS
from engine.policy.facts import Fact, in_steps, validated, validated_all
from engine.policy.load import parse_vocabulary

if TYPE_CHECKING:
    from engine.policy.model import Vocabulary

TEXT = """
vocabulary: v
facts:
  x: {title: x, unit: ratio, worse: higher, range: [-1, 1], resolution: 0.01, max_age: 1 hour, from: a test}
  n: {title: n, unit: count, worse: higher, range: [0, 10], resolution: 1, max_age: 1 hour, from: a test}
  up: {title: up, unit: flag, worse: neither, max_age: 1 hour, from: a test}
  mode: {title: mode, unit: "one of [A, B]", worse: neither, max_age: 1 hour, from: a test}
"""
FACTS = parse_vocabulary(TEXT.encode(), "v.yaml")
NOW_MS = 100 * HOUR_MS

VALUES: list[tuple[str, Any, int | None]] = [
    ("x", 0.5, 50),
    ("x", 1, 100),
    ("x", -1.0, -100),
    ("x", 1.004, 100),  # rounds into the range
    ("x", 1.006, None),
    ("x", -1.01, None),
    ("x", math.nan, None),
    ("x", math.inf, None),
    ("x", -math.inf, None),
    ("x", 1e300, None),
    ("x", 10**400, None),
    ("x", "0.5", None),
    ("x", True, None),
    ("x", None, None),
    ("x", [0.5], None),
    ("x", np.float64(0.5), 50),
    ("n", 3, 3),
    ("n", 3.0, 3),
    ("n", 2.5, None),
    ("n", -1, None),
    ("n", 11, None),
    ("up", True, 1),
    ("up", False, 0),
    ("up", 1, None),
    ("up", "yes", None),
    ("mode", "B", 1),
    ("mode", "C", None),
    ("mode", 1, None),
]


@pytest.mark.parametrize(("name", "value", "steps"), VALUES, ids=[f"{row[0]}-{row[1]!r:.20}" for row in VALUES])
def test_a_value_is_whole_steps_or_invalid(name: str, value: Any, steps: int | None) -> None:
    fact = Fact(name, value, "ok", NOW_MS)
    assert in_steps(fact, FACTS.facts[name]) == steps
    checked = validated(fact, FACTS.facts[name], NOW_MS)
    assert checked == (fact if steps is not None else Fact(name, None, "invalid", NOW_MS))


@pytest.mark.parametrize(
    ("age_ms", "status"), [(0, "ok"), (HOUR_MS - 1, "ok"), (HOUR_MS, "ok"), (HOUR_MS + 1, "stale"), (-1, "invalid")]
)
def test_a_fact_ages(age_ms: int, status: str) -> None:
    checked = validated(Fact("x", 0.5, "ok", NOW_MS - age_ms), FACTS.facts["x"], NOW_MS)
    assert checked.status == status
    assert (checked.value is None) == (status != "ok")


@pytest.mark.parametrize("status", ["young", "stale", "missing", "invalid"])
def test_only_ok_has_a_value(status: Any) -> None:
    assert validated(Fact("x", 0.5, status, NOW_MS), FACTS.facts["x"], NOW_MS) == Fact("x", None, status, NOW_MS)
    assert in_steps(Fact("x", 0.5, status, NOW_MS), FACTS.facts["x"]) is None


def test_what_was_not_posted_is_missing_and_what_is_not_known_is_dropped(vocabulary: Vocabulary) -> None:
    checked = validated_all(
        [Fact("drawdown", 3.0, "ok", NOW_MS), Fact("weather", 3.0, "ok", NOW_MS)], vocabulary, NOW_MS
    )
    assert list(checked) == list(vocabulary.facts)
    assert checked["drawdown"].value == 3.0
    assert checked["stage"] == Fact("stage", None, "missing", NOW_MS)
    assert "weather" not in checked


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    st.sampled_from(["x", "n", "up", "mode"]),
)
def test_any_value_gives_steps_inside_the_range_or_none(value: Any, name: str) -> None:
    spec = FACTS.facts[name]
    steps = in_steps(Fact(name, value, "ok", NOW_MS), spec)
    assert steps is None or spec.low <= steps <= spec.high
