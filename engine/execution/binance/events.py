"""Messages of the venue's streams → events."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.execution.binance.payloads import flag, order_status, positive, side_of, stop_status
from engine.execution.venue import (
    BalanceEvent,
    BarEvent,
    MarkEvent,
    MarkPrice,
    NoticeEvent,
    OrderEvent,
    OrderState,
    StopEvent,
    StopState,
    Trade,
)
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.execution.venue import VenueEvent

    Row = Mapping[str, Any]

_CASH = "USDT"
_BAR_COLUMNS = ("o", "h", "l", "c", "v")


class StreamEndedError(Exception):
    """The message says that this connection tells nothing more: it must be built anew."""


def event_of(message: Row) -> VenueEvent | None:
    """Return what a message of any stream says; None: nothing that concerns us.

    Raises:
        StreamEndedError: the listen key ran out, or the client library reports a fault of the connection.
        KeyError: it cannot be read, as do TypeError, ValueError and ArithmeticError.
    """
    said = message.get("data", message)
    kind = said.get("e")
    if kind == "error":
        raise StreamEndedError(str(said["type"]))
    if kind == "listenKeyExpired":
        raise StreamEndedError("the listen key ran out")
    read = _READERS.get(kind)
    return read(said) if read is not None else None


def _order(said: Row) -> OrderEvent:
    row = said["o"]
    state = OrderState(
        client_id=row["c"],
        venue_id=str(row["i"]),
        symbol=row["s"],
        side=side_of(row["S"]),
        status=order_status(row["X"]),
        qty=Decimal(row["q"]),
        filled_qty=Decimal(row["z"]),
        avg_price=positive(row.get("ap")),
        reduce_only=flag(row["R"]),
        updated_ms=int(row["T"]),
        kind=row["o"],
        price=positive(row["p"]),
    )
    return OrderEvent(state, _trade(row, state), int(said["E"]))


def _trade(row: Row, state: OrderState) -> Trade | None:
    """Return the fill of an order update; a liquidation's comes as CALCULATED, not TRADE."""
    qty = Decimal(row["l"])
    if row["x"] not in {"TRADE", "CALCULATED"} or qty == 0:
        return None
    return Trade(
        trade_id=int(row["t"]),
        symbol=state.symbol,
        order_id=state.venue_id,
        client_id=state.client_id,
        side=state.side,
        qty=qty,
        price=Decimal(row["L"]),
        fee=Decimal(row.get("n") or 0),
        fee_asset=row.get("N") or _CASH,
        realized_usd=Decimal(row["rp"]),
        maker=flag(row["m"]),
        at_ms=int(row["T"]),
    )


def _stop(said: Row) -> StopEvent:
    row = said["o"]
    closing = flag(row["cp"])
    state = StopState(
        client_id=row["caid"],
        venue_id=str(row["aid"]),
        symbol=row["s"],
        side=side_of(row["S"]),
        status=stop_status(row["X"]),
        trigger_price=Decimal(row["tp"]),
        qty=None if closing else Decimal(row["q"]),
        close_position=closing,
        order_id=str(row.get("ai") or "") or None,
        updated_ms=int(said["T"]),
    )
    return StopEvent(state, str(row.get("rm") or ""), int(said["E"]))


def _balance(said: Row) -> BalanceEvent:
    change = said["a"]
    cash = [Decimal(row["wb"]) for row in change["B"] if row["a"] == _CASH]
    return BalanceEvent(
        reason=change["m"],
        wallet_usd=cash[0] if cash else None,
        positions={row["s"]: Decimal(row["pa"]) for row in change["P"] if row["ps"] == "BOTH"},
        at_ms=int(said["E"]),
    )


def _bar(said: Row) -> BarEvent | None:
    row = said["k"]
    if not flag(row["x"]):
        return None
    columns = [np.array([float(row[name])], dtype=np.float64) for name in _BAR_COLUMNS]
    return BarEvent(Bars(said["s"], np.array([int(row["t"])], dtype=np.int64), *columns), int(said["E"]))


def _mark(said: Row) -> MarkEvent:
    mark = MarkPrice(Decimal(said["p"]), Decimal(said["r"]), int(said["T"]), int(said["E"]))
    return MarkEvent(said["s"], mark)


def _margin_call(said: Row) -> NoticeEvent:
    symbols = ", ".join(row["s"] for row in said["p"])
    return NoticeEvent(said["e"], None, f"margin call for {symbols}", int(said["E"]))


def _settings(said: Row) -> NoticeEvent:
    if "ac" in said:
        symbol = said["ac"]["s"]
        return NoticeEvent(said["e"], symbol, f"leverage of {symbol} is now {said['ac']['l']}", int(said["E"]))
    return NoticeEvent(said["e"], None, f"multi-assets mode is now {said['ai']['j']}", int(said["E"]))


def _trigger_refused(said: Row) -> NoticeEvent:
    row = said["or"]
    return NoticeEvent(said["e"], row["s"], str(row["r"]), int(said["E"]))


_READERS: dict[str, Callable[[Row], VenueEvent | None]] = {
    "ORDER_TRADE_UPDATE": _order,
    "ALGO_UPDATE": _stop,
    "ACCOUNT_UPDATE": _balance,
    "ACCOUNT_CONFIG_UPDATE": _settings,
    "MARGIN_CALL": _margin_call,
    "CONDITIONAL_ORDER_TRIGGER_REJECT": _trigger_refused,
    "kline": _bar,
    "markPriceUpdate": _mark,
}
