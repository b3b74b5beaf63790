"""The endpoints that place, cancel and show orders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS
from engine.simulator.algo import cancel_open_algos
from engine.simulator.answers import accepted, order_answer
from engine.simulator.booking import end_order
from engine.simulator.intake import new_order
from engine.simulator.matching import admit
from engine.simulator.params import Params
from engine.simulator.refusals import VenueError, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.simulator.accounts import Account
    from engine.simulator.house import House
    from engine.simulator.orders import Order

_MOST_IN_A_BATCH = 5
_MOST_CANCELS = 10
_UNFILLED_DAYS = 3
DEFAULT_ROWS, MOST_ROWS = 500, 1000
WEEK_MS = 7 * DAY_MS


def place(house: House, account: Account, params: Params) -> Any:
    """POST order."""
    order = new_order(house, account, params)
    admit(house, account, order)
    whole = params.text("newOrderRespType", "ACK").upper() == "RESULT"
    return order_answer(house, order, "placed") if whole else accepted(house, order)


def query(house: House, account: Account, params: Params) -> Any:
    """GET order."""
    house.symbol(params.need("symbol"))
    order = _find(account, params)
    if order is None or _forgotten(house, order):
        raise refusal(-2013)
    return order_answer(house, order, "queried")


def cancel(house: House, account: Account, params: Params) -> Any:
    """DELETE order."""
    house.symbol(params.need("symbol"))
    order = _find(account, params)
    if order is None or not order.is_open:
        raise refusal(-2011)
    end_order(house, account, order, "CANCELED")
    return order_answer(house, order, "canceled")


def place_batch(house: House, account: Account, params: Params) -> Any:
    """POST batchOrders: each order on its own, an error body for each that is refused."""
    rows = _json_list(params, "batchOrders")
    if not rows or len(rows) > _MOST_IN_A_BATCH:
        raise refusal(-4082)
    return [_each(place, house, account, row) for row in rows]


def cancel_batch(house: House, account: Account, params: Params) -> Any:
    """DELETE batchOrders."""
    symbol = params.need("symbol")
    rows = [{"symbol": symbol, "orderId": one} for one in _json_list(params, "orderIdList")]
    rows += [{"symbol": symbol, "origClientOrderId": one} for one in _json_list(params, "origClientOrderIdList")]
    if not rows or len(rows) > _MOST_CANCELS:
        raise refusal(-4082)
    return [_each(cancel, house, account, row) for row in rows]


def _each(act: Callable[[House, Account, Params], Any], house: House, account: Account, row: dict[str, Any]) -> Any:
    try:
        return act(house, account, Params({key: _text(value) for key, value in row.items()}))
    except VenueError as error:
        return error.body()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_list(params: Params, name: str) -> list[Any]:
    """Return a parameter that holds a JSON list; the client writes some names in lower case."""
    text = params.text(name) or params.text(name.lower())
    try:
        found = json.loads(text) if text else []
    except json.JSONDecodeError:
        raise refusal(-1130, name) from None
    if not isinstance(found, list):
        raise refusal(-1130, name)
    return found


def _find(account: Account, params: Params) -> Order | None:
    """Return the order that is meant: by the venue's id, or the newest with the sender's."""
    symbol = params.need("symbol")
    if params.sent("orderId"):
        order = account.orders.get(params.number("orderId", 0))
        return order if order is not None and order.symbol == symbol else None
    client_id = params.need("origClientOrderId")
    mine = (one for one in reversed(account.orders.values()) if one.client_id == client_id)
    return next((one for one in mine if one.symbol == symbol), None)


def _forgotten(house: House, order: Order) -> bool:
    """Return whether the venue no longer shows an order: unfilled and ended for 3 days, or very old."""
    age_ms = house.now_ms - order.created_ms
    unfilled = order.status in ("CANCELED", "EXPIRED") and not order.filled
    return age_ms > (_UNFILLED_DAYS if unfilled else house.spec.history_days) * DAY_MS and not order.is_open


def open_order(house: House, account: Account, params: Params) -> Any:
    """GET openOrder."""
    order = _find(account, params)
    if order is None or not order.is_open:
        raise refusal(-2013)
    return order_answer(house, order, "queried")


def open_orders(house: House, account: Account, params: Params) -> Any:
    """GET openOrders; algo orders are not among them."""
    symbol = params.text("symbol")
    if symbol:
        house.symbol(symbol)
    return [order_answer(house, one, "queried") for one in account.open_orders(symbol or None)]


def all_orders(house: House, account: Account, params: Params) -> Any:
    """GET allOrders: from an id on, or of a week at most, oldest first."""
    symbol = house.symbol(params.need("symbol")).symbol
    mine = [one for one in account.orders.values() if one.symbol == symbol and not _forgotten(house, one)]
    if params.sent("orderId"):
        first = params.number("orderId", 0)
        mine = [one for one in mine if one.order_id >= first]
    else:
        start_ms, end_ms = week(house, params)
        mine = [one for one in mine if start_ms <= one.created_ms <= end_ms]
    limit = rows_wanted(params, DEFAULT_ROWS, MOST_ROWS)
    newest = not params.sent("orderId") and not params.sent("startTime")
    return [order_answer(house, one, "queried") for one in (mine[-limit:] if newest else mine[:limit])]


def week(house: House, params: Params) -> tuple[int, int]:
    """Return the range a history query asks for: the last week where it names none.

    Raises:
        VenueError: −4165, it is longer than 7 days.
    """
    end_ms = params.number("endTime", house.now_ms)
    start_ms = params.number("startTime", end_ms - WEEK_MS)
    if params.sent("startTime") and not params.sent("endTime"):
        end_ms = start_ms + WEEK_MS
    if end_ms - start_ms > WEEK_MS:
        raise VenueError(-4165, "Maximum time interval is 7 days.")
    return start_ms, end_ms


def rows_wanted(params: Params, usual: int, most: int) -> int:
    """Return how many rows a query asks for.

    Raises:
        VenueError: −1130, none or less.
    """
    limit = params.number("limit", usual)
    if limit <= 0:
        raise refusal(-1130, "limit")
    return min(limit, most)


CANCELLED_ALL = {"code": 200, "msg": "The operation of cancel all open order is done."}


def cancel_all(house: House, account: Account, params: Params) -> Any:
    """DELETE allOpenOrders; algo orders stay."""
    cancel_open(house, account, house.symbol(params.need("symbol")).symbol)
    return dict(CANCELLED_ALL)


def cancel_open(house: House, account: Account, symbol: str) -> None:
    """Cancel all ordinary orders of a symbol."""
    for order in account.open_orders(symbol):
        end_order(house, account, order, "CANCELED")


def countdown(house: House, account: Account, params: Params) -> Any:
    """POST countdownCancelAll; 0 stops the timer."""
    symbol = house.symbol(params.need("symbol")).symbol
    params.need("countdownTime")
    wait_ms = params.number("countdownTime", 0)
    if wait_ms < 0:
        raise refusal(-1130, "countdownTime")
    account.countdowns.pop(symbol, None)
    if wait_ms:
        account.countdowns[symbol] = house.now_ms + wait_ms
    return {"symbol": symbol, "countdownTime": str(wait_ms)}


def run_out(house: House, account: Account, symbol: str) -> None:
    """Let a countdown end: everything open in the symbol is cancelled."""
    del account.countdowns[symbol]
    cancel_open(house, account, symbol)
    if not house.spec.countdown_spares_algo:
        cancel_open_algos(house, account, symbol)


def forced_orders(house: House, account: Account, params: Params) -> Any:
    """GET forceOrders: what the venue closed itself."""
    symbol = params.text("symbol")
    mine = [one for one in account.orders.values() if one.client_id.startswith(("autoclose-", "adl_autoclose"))]
    rows = [order_answer(house, one, "queried") for one in mine if symbol in ("", one.symbol)]
    hidden = ("priceMatch", "selfTradePreventionMode", "goodTillDate", "priceProtect")
    return [{key: value for key, value in row.items() if key not in hidden} for row in rows]
