"""The endpoints that place, cancel and show algo orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.simulator.algo import cancel_open_algos, new_algo
from engine.simulator.answers import algo_answer
from engine.simulator.booking import end_algo
from engine.simulator.refusals import refusal
from engine.simulator.trading import CANCELLED_ALL, DEFAULT_ROWS, MOST_ROWS, rows_wanted, week

if TYPE_CHECKING:
    from engine.simulator.accounts import Account
    from engine.simulator.house import House
    from engine.simulator.orders import AlgoOrder
    from engine.simulator.params import Params


def place_algo(house: House, account: Account, params: Params) -> Any:
    """POST algoOrder."""
    return algo_answer(house, new_algo(house, account, params), "placed")


def query_algo(house: House, account: Account, params: Params) -> Any:
    """GET algoOrder."""
    algo = _find_algo(account, params)
    if algo is None:
        raise refusal(-2013)
    return algo_answer(house, algo, "queried")


def cancel_algo(house: House, account: Account, params: Params) -> Any:
    """DELETE algoOrder."""
    algo = _find_algo(account, params)
    if algo is None or not algo.is_open:
        raise refusal(-2011)
    end_algo(house, account, algo, "CANCELED")
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


def _find_algo(account: Account, params: Params) -> AlgoOrder | None:
    if params.sent("algoId"):
        return account.algo_orders.get(params.number("algoId", 0))
    client_id = params.need("clientAlgoId")
    return next((one for one in reversed(account.algo_orders.values()) if one.client_id == client_id), None)


def open_algos(house: House, account: Account, params: Params) -> Any:
    """GET openAlgoOrders."""
    return [algo_answer(house, one, "open") for one in account.open_algos(params.text("symbol") or None)]


def all_algos(house: House, account: Account, params: Params) -> Any:
    """GET allAlgoOrders: of a week at most, oldest first."""
    symbol = house.symbol(params.need("symbol")).symbol
    start_ms, end_ms = week(house, params)
    mine = [one for one in account.algo_orders.values() if one.symbol == symbol]
    mine = [one for one in mine if start_ms <= one.created_ms <= end_ms]
    limit = rows_wanted(params, DEFAULT_ROWS, MOST_ROWS)
    return [algo_answer(house, one, "queried") for one in mine[-limit:]]


def cancel_all_algos(house: House, account: Account, params: Params) -> Any:
    """DELETE algoOpenOrders."""
    cancel_open_algos(house, account, house.symbol(params.need("symbol")).symbol)
    return dict(CANCELLED_ALL)
