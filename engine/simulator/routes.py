"""Which path leads to which endpoint: the paths that python-binance's AsyncClient calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.simulator import account_answers, algo_trading, klines, public, settings, trading
from engine.simulator.params import Params
from engine.simulator.refusals import no_such_path, unauthorised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.simulator.accounts import Account
    from engine.simulator.house import House
    from engine.simulator.prices import PriceSource

PUBLIC: Mapping[tuple[str, str], Callable[[House, PriceSource, Params], Any]] = {
    ("GET", "/fapi/v1/ping"): public.ping,
    ("GET", "/fapi/v1/time"): public.server_time,
    ("GET", "/fapi/v1/exchangeInfo"): public.exchange_info,
    ("GET", "/fapi/v1/klines"): klines.klines,
    ("GET", "/fapi/v1/markPriceKlines"): klines.mark_klines,
    ("GET", "/fapi/v1/premiumIndex"): public.premium_index,
    ("GET", "/fapi/v1/fundingRate"): public.funding_rate,
    ("GET", "/fapi/v1/fundingInfo"): public.funding_info,
    ("GET", "/fapi/v1/ticker/price"): public.ticker_price,
    ("GET", "/fapi/v2/ticker/price"): public.ticker_price,
    ("GET", "/fapi/v1/ticker/bookTicker"): public.book_ticker,
}

PRIVATE: Mapping[tuple[str, str], Callable[[House, Account, Params], Any]] = {
    ("POST", "/fapi/v1/order"): trading.place,
    ("GET", "/fapi/v1/order"): trading.query,
    ("DELETE", "/fapi/v1/order"): trading.cancel,
    ("POST", "/fapi/v1/batchOrders"): trading.place_batch,
    ("DELETE", "/fapi/v1/batchOrders"): trading.cancel_batch,
    ("GET", "/fapi/v1/openOrder"): trading.open_order,
    ("GET", "/fapi/v1/openOrders"): trading.open_orders,
    ("GET", "/fapi/v1/allOrders"): trading.all_orders,
    ("DELETE", "/fapi/v1/allOpenOrders"): trading.cancel_all,
    ("POST", "/fapi/v1/countdownCancelAll"): trading.countdown,
    ("POST", "/fapi/v1/algoOrder"): algo_trading.place_algo,
    ("GET", "/fapi/v1/algoOrder"): algo_trading.query_algo,
    ("DELETE", "/fapi/v1/algoOrder"): algo_trading.cancel_algo,
    ("GET", "/fapi/v1/openAlgoOrders"): algo_trading.open_algos,
    ("GET", "/fapi/v1/allAlgoOrders"): algo_trading.all_algos,
    ("DELETE", "/fapi/v1/algoOpenOrders"): algo_trading.cancel_all_algos,
    ("GET", "/fapi/v1/forceOrders"): trading.forced_orders,
    ("GET", "/fapi/v2/account"): account_answers.account_2,
    ("GET", "/fapi/v3/account"): account_answers.account_3,
    ("GET", "/fapi/v2/balance"): account_answers.balance,
    ("GET", "/fapi/v3/balance"): account_answers.balance,
    ("GET", "/fapi/v2/positionRisk"): account_answers.risk_2,
    ("GET", "/fapi/v3/positionRisk"): account_answers.risk_3,
    ("GET", "/fapi/v1/userTrades"): account_answers.user_trades,
    ("GET", "/fapi/v1/income"): account_answers.income,
    ("GET", "/fapi/v1/symbolConfig"): settings.symbol_config,
    ("GET", "/fapi/v1/accountConfig"): settings.account_config,
    ("GET", "/fapi/v1/positionSide/dual"): settings.position_mode,
    ("POST", "/fapi/v1/positionSide/dual"): settings.set_position_mode,
    ("GET", "/fapi/v1/multiAssetsMargin"): settings.multi_assets,
    ("POST", "/fapi/v1/multiAssetsMargin"): settings.set_multi_assets,
    ("POST", "/fapi/v1/leverage"): settings.set_leverage,
    ("POST", "/fapi/v1/marginType"): settings.set_margin_type,
    ("GET", "/fapi/v1/leverageBracket"): settings.brackets,
    ("GET", "/fapi/v1/commissionRate"): settings.commission_rate,
    ("POST", "/fapi/v1/listenKey"): settings.open_listen_key,
    ("PUT", "/fapi/v1/listenKey"): settings.keep_listen_key,
    ("DELETE", "/fapi/v1/listenKey"): settings.close_listen_key,
    ("GET", "/sapi/v1/account/apiRestrictions"): settings.permissions,
}


def answer(
    house: House, prices: PriceSource, method: str, path: str, params: Mapping[str, str], account: str | None
) -> Any:
    """Answer a request.

    Raises:
        VenueError: the venue refuses it.
    """
    way = (method.upper(), path)
    if way in PUBLIC:
        return PUBLIC[way](house, prices, Params(params))
    if way not in PRIVATE:
        raise no_such_path(method, path)
    mine = house.accounts.get(account or "")
    if mine is None or not (mine.permissions.reading if path.startswith("/sapi") else mine.permissions.futures):
        raise unauthorised()
    return PRIVATE[way](house, mine, Params(params))
