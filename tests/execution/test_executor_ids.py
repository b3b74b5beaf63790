"""Names of orders: short enough, in the venue's alphabet, different for different orders, the same for the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.execution.ids import Purpose, client_id, is_ours, parent_id, parent_of, parent_prefix, purpose_of

VENUES_ALPHABET = re.compile(r"[A-Za-z0-9_-]{1,36}")  # narrower than the venue's ^[\.A-Z\:/a-z0-9_-]{1,36}$

symbols = st.one_of(
    st.sampled_from(["BTCUSDT", "1000000MOGUSDT", "BTCUSDT_250926", "币安人生USDT"]),
    st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=30),
)
instants = st.integers(0, 36**8 - 1)
numbers = st.integers(0, 36**2 - 1)
orders = st.tuples(st.sampled_from(Purpose), symbols, instants, numbers, numbers)


@given(orders)
@settings(max_examples=40)
def test_every_name_is_one_the_venue_takes_and_leads_back_to_its_parent(
    order: tuple[Purpose, str, int, int, int],
) -> None:
    purpose, symbol, instant_ms, number, attempt = order
    parent = parent_id(purpose, symbol, instant_ms, number)
    name = client_id(parent, attempt)
    assert VENUES_ALPHABET.fullmatch(name)
    assert parent.startswith(parent_prefix(purpose, symbol, instant_ms))
    assert parent_of(name) == parent
    assert purpose_of(name) is purpose
    assert name == client_id(parent_id(purpose, symbol, instant_ms, number), attempt)


@given(orders, orders)
@settings(max_examples=40)
def test_two_orders_have_two_names(
    one: tuple[Purpose, str, int, int, int], other: tuple[Purpose, str, int, int, int]
) -> None:
    names = {client_id(parent_id(*order[:4]), order[4]) for order in (one, other)}
    assert len(names) == len({one, other})


@pytest.mark.parametrize("name", ["", "sg", "sgb", "sgz-BTCUSDT-1-0-0", "web_abc", "autoclose-1", "x-sgb-1"])
def test_a_strangers_order_is_not_ours(name: str) -> None:
    assert not is_ours(name)


@pytest.mark.parametrize("instant_ms", [-1, 36**8])
def test_an_instant_that_does_not_fit_is_refused_rather_than_cut(instant_ms: int) -> None:
    with pytest.raises(ValueError, match="no instant"):
        parent_prefix(Purpose.BAR, "BTCUSDT", instant_ms)


@pytest.mark.parametrize("number", [-1, 36**2])
def test_a_number_that_does_not_fit_is_refused_rather_than_cut(number: int) -> None:
    with pytest.raises(ValueError, match="parents"):
        parent_id(Purpose.BAR, "BTCUSDT", 0, number)
    with pytest.raises(ValueError, match="attempts"):
        client_id("sgb-BTCUSDT-0-0", number)
