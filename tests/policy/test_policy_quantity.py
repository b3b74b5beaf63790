"""Numbers with units: exact at every threshold, whatever binary floats make of it."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.model import FactSpec
from engine.policy.quantity import (
    MistakeError,
    digits,
    duration_ms,
    nearest,
    parse_quantity,
    plain,
    quoted,
    shown,
    threshold,
    to_steps,
)


def spec(resolution: str, unit: str = "percent", low: int = -(10**9), high: int = 10**9) -> FactSpec:
    return FactSpec("f", "f", unit, "higher", low, high, Decimal(resolution), 1000, "a test")


RESOLUTIONS = st.sampled_from(["0.0001", "0.01", "1", "0.5", "0.25", "3", "0.003", "10"])


@given(RESOLUTIONS, st.floats(-1e12, 1e12))
def test_posting_rounds_the_shortest_decimal_half_to_even(resolution: str, value: float) -> None:
    exact = (Decimal(repr(value)) / Decimal(resolution)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    assert to_steps(value, spec(resolution)) == exact


@pytest.mark.parametrize("places", [0, 1, 2, 3, 4])
def test_halves_go_to_the_even_step(places: int) -> None:
    fact = spec(str(Decimal(1).scaleb(-places)))
    for steps in range(-400, 400):
        half = (Decimal(steps) + Decimal("0.5")).scaleb(-places)
        assert to_steps(float(half), fact) == (steps if steps % 2 == 0 else steps + 1), half


@pytest.mark.parametrize(
    ("value", "steps"), [(0.285, 28), (0.295, 30), (1.005, 100), (2.675, 268), (-0.285, -28), (0.575, 58), (12.0, 1200)]
)
def test_the_decimal_was_meant_not_its_binary_neighbour(value: float, steps: int) -> None:
    assert to_steps(value, spec("0.01")) == steps


@given(st.integers(-(10**9), 10**9), RESOLUTIONS)
def test_a_value_on_a_step_is_that_step(steps: int, resolution: str) -> None:
    assert to_steps(float(steps * Decimal(resolution)), spec(resolution)) == steps


@given(st.integers(-(10**9), 10**9), RESOLUTIONS)
def test_digits_are_exact_and_plain(steps: int, resolution: str) -> None:
    text = digits(spec(resolution), steps)
    assert Decimal(text) == steps * Decimal(resolution)
    assert "e" not in text.lower()
    assert text == plain(steps * Decimal(resolution))


@given(st.integers(-(10**9), 10**9))
def test_a_threshold_as_shown_reads_back(steps: int) -> None:
    for resolution, unit in (
        ("0.0001", "percent"),
        ("0.01", "multiple"),
        ("1", "usd"),
        ("0.5", "bps"),
        ("0.01", "ratio"),
    ):
        fact = spec(resolution, unit)
        assert threshold(fact, shown(fact, steps)) == steps


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("5 minutes", 300_000),
        ("1 hour", 3_600_000),
        ("2 days", 172_800_000),
        ("0 days", None),
        ("1h", None),
        (5, None),
        ("-1 hour", None),
    ],
)
def test_durations(text: object, milliseconds: int | None) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "1e5", "0x10", "1_000", "nan", "inf", ".5", "5.", "1,5", "१२", "1 2", "%", "--3", "9" * 19]
)
def test_what_is_not_a_number(text: str) -> None:
    assert parse_quantity(text) is None


def test_a_mistake_carries_its_parts() -> None:
    with pytest.raises(MistakeError) as caught:
        threshold(spec("0.01"), "0.12", ">")
    assert (caught.value.code, caught.value.help) == ("unit", 'write `"> 12%"`')


def test_user_text_is_quoted_on_one_line_and_cut() -> None:
    assert quoted("a\nb") == "`a b`"
    assert len(quoted("x" * 500)) <= 62


def test_the_nearest_name() -> None:
    assert nearest("draw_down", ["drawdown", "stage"]) == "did you mean `drawdown`?"
    assert nearest("zzz", ["a", "b"]) == "known: a, b"
    assert nearest("zzz", []) == "none is declared"
