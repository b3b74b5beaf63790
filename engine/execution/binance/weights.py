"""What each request costs of the allowance per minute, before the venue tells what it counted (its API reference)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALL_SYMBOLS = {"openOrders": 40, "openAlgoOrders": 40, "premiumIndex": 10, "ticker/bookTicker": 5}
_FIXED = {
    ("POST", "order"): 0,
    ("POST", "algoOrder"): 0,
    ("GET", "account"): 5,
    ("GET", "allAlgoOrders"): 5,
    ("GET", "allOrders"): 5,
    ("GET", "balance"): 5,
    ("GET", "income"): 30,
    ("GET", "positionRisk"): 5,
    ("GET", "positionSide/dual"): 30,
    ("GET", "symbolConfig"): 5,
    ("GET", "ticker/bookTicker"): 2,
    ("GET", "userTrades"): 5,
    ("POST", "countdownCancelAll"): 10,
}
_BY_LIMIT = ((99, 1), (499, 2), (1_000, 5))
_LONG_PAGE = 10
_DEFAULT_LIMIT = 500


def weight(method: str, path: str, params: Mapping[str, object]) -> int:
    """Return the weight of one request.

    Args:
        method: such as ``GET``.
        path: what follows the version, such as ``openOrders``.
        params: of the request; asking for all symbols costs more.
    """
    if path in {"klines", "markPriceKlines"}:
        limit = int(str(params.get("limit", _DEFAULT_LIMIT)))
        return next((cost for most, cost in _BY_LIMIT if limit <= most), _LONG_PAGE)
    if method == "GET" and "symbol" not in params and path in _ALL_SYMBOLS:
        return _ALL_SYMBOLS[path]
    return _FIXED.get((method, path), 1)
