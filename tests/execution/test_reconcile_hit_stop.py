"""A stop that was hit is an order for as long as it fills: neither a stranger's, nor a stop that is lost."""

from __future__ import annotations

from decimal import Decimal

from engine.execution.reconcile import Kind, LedgerSide, VenueSide, differences
from engine.execution.venue import OrderKind, OrderState, OrderStatus

NAME, BTC = "sgs-BTCUSDT-lt42uxwy-0-0", "BTCUSDT"
QTY = Decimal("0.079")


def order(name: str) -> OrderState:
    part = Decimal("0.057")
    return OrderState(name, "1", BTC, 1, OrderStatus.PARTIALLY_FILLED, QTY, part, None, True, 0, OrderKind.MARKET)


def test_the_order_of_a_stop_that_was_hit_is_no_difference() -> None:
    ledger = LedgerSide(held={}, orders=frozenset(), stops={NAME: BTC}, strangers=frozenset(), cash_usd=None)
    filling = VenueSide(positions={}, orders=[order(NAME)], stops=[], wallet_usd=Decimal(0))
    assert differences(filling, ledger) == ()
    other = VenueSide(positions={}, orders=[order("web_1")], stops=[], wallet_usd=Decimal(0))
    assert {one.kind for one in differences(other, ledger)} == {Kind.ORDER, Kind.LOST_STOP}
