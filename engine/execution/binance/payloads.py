"""The venue's JSON → values. Field names of the venue stop here and in `events`.

Every function raises one of `UNREADABLE` on an answer that it cannot read, an empty object instead of a list included;
the caller turns that into "no answer": a row that is not understood is never left out.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.execution.venue import (
    Balance,
    BestPrice,
    Income,
    MarkPrice,
    OrderState,
    OrderStatus,
    Permissions,
    Position,
    StopState,
    StopStatus,
    SymbolSettings,
    Trade,
    VenueFilters,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    Row = Mapping[str, Any]

UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, ArithmeticError)

_CASH = "USDT"
_SIDES = {"BUY": 1, "SELL": -1}
_ORDER_STATUSES = {
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "NEW_ADL": OrderStatus.NEW,
    "NEW_INSURANCE": OrderStatus.NEW,
    "PENDING_CANCEL": OrderStatus.NEW,
}
_STOP_STATUSES = {"TRIGGERING": StopStatus.TRIGGERED, "WORKING": StopStatus.NEW}


class HedgeModeError(ValueError):
    """A position is held long and short apart; this project does not trade such an account."""


def rows_of(answer: Any) -> list[Any]:
    """Return the rows of an answer that must be a list: an empty object is not "none"."""
    if not isinstance(answer, list):
        raise TypeError("not a list")
    return answer


def side_of(text: str) -> int:
    """Return +1 for ``BUY``, −1 for ``SELL``."""
    return _SIDES[text]


def side_text(side: int) -> str:
    """Return ``BUY`` for +1, ``SELL`` for −1."""
    return "BUY" if side > 0 else "SELL"


def order_status(text: str) -> OrderStatus:
    """Return the status; an unknown one raises ValueError."""
    return _ORDER_STATUSES.get(text) or OrderStatus(text)


def stop_status(text: str) -> StopStatus:
    """Return the status of an algo order; an unknown one raises ValueError."""
    return _STOP_STATUSES.get(text) or StopStatus(text)


def flag(value: Any) -> bool:
    """Return a truth value, which the venue writes as JSON or as text.

    >>> flag(True), flag("false")
    (True, False)
    """
    return {"True": True, "true": True, "False": False, "false": False}[str(value)]


def positive(text: Any) -> Decimal | None:
    """Return a number, None where it is absent, empty or 0: how the venue writes that there is none.

    >>> positive("0.00000") is None, positive(""), positive("1.50")
    (True, None, Decimal('1.50'))
    """
    number = Decimal(str(text)) if text not in {None, ""} else Decimal(0)
    return number or None


def order_state(row: Row) -> OrderState:
    """Read an order; the average price may be missing from an answer to a new order (since 2026-07-15)."""
    return OrderState(
        client_id=row["clientOrderId"],
        venue_id=str(row["orderId"]),
        symbol=row["symbol"],
        side=side_of(row["side"]),
        status=order_status(row["status"]),
        qty=Decimal(row["origQty"]),
        filled_qty=Decimal(row["executedQty"]),
        avg_price=positive(row.get("avgPrice")),
        reduce_only=flag(row["reduceOnly"]),
        updated_ms=int(row["updateTime"]),
        kind=row["type"],
        price=positive(row.get("price")),
    )


def stop_state(row: Row) -> StopState:
    """Read an algo order."""
    closing = flag(row["closePosition"])
    return StopState(
        client_id=row["clientAlgoId"],
        venue_id=str(row["algoId"]),
        symbol=row["symbol"],
        side=side_of(row["side"]),
        status=stop_status(row["algoStatus"]),
        trigger_price=Decimal(row["triggerPrice"]),
        qty=None if closing else Decimal(row["quantity"]),
        close_position=closing,
        order_id=str(row.get("actualOrderId") or "") or None,
        updated_ms=int(row["updateTime"]),
    )


def trade(row: Row) -> Trade:
    """Read a fill of the history; the client id is not in it."""
    return Trade(
        trade_id=int(row["id"]),
        symbol=row["symbol"],
        order_id=str(row["orderId"]),
        client_id=None,
        side=side_of(row["side"]),
        qty=Decimal(row["qty"]),
        price=Decimal(row["price"]),
        fee=Decimal(row["commission"]),
        fee_asset=row["commissionAsset"],
        realized_usd=Decimal(row["realizedPnl"]),
        maker=flag(row["maker"]),
        at_ms=int(row["time"]),
    )


def income(row: Row) -> Income:
    """Read a movement of cash."""
    return Income(
        income_id=str(row["tranId"]),
        kind=row["incomeType"],
        symbol=row.get("symbol") or None,
        amount=Decimal(row["income"]),
        asset=row["asset"],
        at_ms=int(row["time"]),
    )


def orders(answer: Any) -> tuple[OrderState, ...]:
    """Read a list of orders."""
    return tuple(order_state(row) for row in rows_of(answer))


def stops(answer: Any) -> tuple[StopState, ...]:
    """Read a list of algo orders."""
    return tuple(stop_state(row) for row in rows_of(answer))


def trades(answer: Any) -> tuple[Trade, ...]:
    """Read a list of fills."""
    return tuple(trade(row) for row in rows_of(answer))


def incomes(answer: Any) -> tuple[Income, ...]:
    """Read a list of movements of cash."""
    return tuple(income(row) for row in rows_of(answer))


def positions(answer: Any) -> dict[str, Position]:
    """Read the positions; those that are 0 are left out.

    Raises:
        HedgeModeError: one is held long and short apart.
    """
    held = [row for row in rows_of(answer) if Decimal(row["positionAmt"])]
    if any(row["positionSide"] != "BOTH" for row in held):
        raise HedgeModeError
    return {row["symbol"]: _position(row) for row in held}


def _position(row: Row) -> Position:
    return Position(
        symbol=row["symbol"],
        qty=Decimal(row["positionAmt"]),
        entry_price=Decimal(row["entryPrice"]),
        mark_price=Decimal(row["markPrice"]),
        unrealized_usd=Decimal(row["unRealizedProfit"]),
        liquidation_price=positive(row["liquidationPrice"]),
    )


def balance(account: Row) -> Balance:
    """Read the cash of the account, which lists every asset, held or not."""
    row = {row["asset"]: row for row in account["assets"]}[_CASH]
    return Balance(Decimal(row["walletBalance"]), Decimal(row["marginBalance"]), Decimal(row["availableBalance"]))


def filters(info: Row, symbols: Collection[str]) -> dict[str, VenueFilters]:
    """Read the limits of `symbols`; one that the venue does not list is left out."""
    return {row["symbol"]: _filters(row) for row in info["symbols"] if row["symbol"] in symbols}


def _filters(row: Row) -> VenueFilters:
    by_kind = {limit["filterType"]: limit for limit in row["filters"]}
    lot = by_kind["LOT_SIZE"]
    return VenueFilters(
        tick_size=Decimal(by_kind["PRICE_FILTER"]["tickSize"]),
        step_size=Decimal(lot["stepSize"]),
        min_qty=Decimal(lot["minQty"]),
        max_qty=Decimal(lot["maxQty"]),
        market_max_qty=Decimal(by_kind["MARKET_LOT_SIZE"]["maxQty"]),
        min_notional_usd=Decimal(by_kind["MIN_NOTIONAL"]["notional"]),
        status=row["status"],
    )


def weight_limit(info: Row) -> int | None:
    """Read the allowance of request weight per minute; None: the venue does not say."""
    limits = (row for row in info.get("rateLimits", ()) if row["rateLimitType"] == "REQUEST_WEIGHT")
    return next((int(row["limit"]) for row in limits if (row["interval"], row["intervalNum"]) == ("MINUTE", 1)), None)


def mark_prices(answer: Any, symbols: Collection[str]) -> dict[str, MarkPrice]:
    """Read the mark prices of `symbols`; one that the venue does not list is left out."""
    return {
        row["symbol"]: MarkPrice(
            price=Decimal(row["markPrice"]),
            funding_rate=Decimal(row["lastFundingRate"]),
            next_funding_ms=int(row["nextFundingTime"]),
            at_ms=int(row["time"]),
        )
        for row in rows_of(answer)
        if row["symbol"] in symbols
    }


def best_price(row: Row) -> BestPrice:
    """Read the top of the book."""
    return BestPrice(Decimal(row["bidPrice"]), Decimal(row["askPrice"]), int(row["time"]))


def settings(answer: Any, symbol: str) -> SymbolSettings:
    """Read one symbol's leverage and margin type."""
    row = {row["symbol"]: row for row in rows_of(answer)}[symbol]
    return SymbolSettings(int(row["leverage"]), str(row["marginType"]).upper())


def permissions(row: Row) -> Permissions:
    """Read what the key may do; a permission that is not named is unreadable, never absent."""
    return Permissions(flag(row["enableFutures"]), flag(row["enableWithdrawals"]), flag(row["ipRestrict"]))
