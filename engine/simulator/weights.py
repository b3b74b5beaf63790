"""What requests cost: the weight of an address each minute, the orders of an account, and what happens beyond.

Weights and limits are those the venue publishes for USDⓈ-M futures.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, MINUTE_MS, SECOND_MS
from engine.simulator.refusals import VenueError

if TYPE_CHECKING:
    from engine.simulator.requests import Asked

_TOO_MANY = 429
_BANNED = 418

# weight of a request; a pair: with a symbol, without one
_WEIGHTS: dict[tuple[str, str], int | tuple[int, int]] = {
    ("GET", "/fapi/v1/premiumIndex"): (1, 10),
    ("GET", "/fapi/v1/fundingRate"): 0,
    ("GET", "/fapi/v1/fundingInfo"): 0,
    ("GET", "/fapi/v1/ticker/price"): (1, 2),
    ("GET", "/fapi/v2/ticker/price"): (1, 2),
    ("GET", "/fapi/v1/ticker/bookTicker"): (2, 5),
    ("POST", "/fapi/v1/order"): 0,
    ("POST", "/fapi/v1/algoOrder"): 0,
    ("POST", "/fapi/v1/batchOrders"): 5,
    ("GET", "/fapi/v1/openOrders"): (1, 40),
    ("GET", "/fapi/v1/openAlgoOrders"): (1, 40),
    ("GET", "/fapi/v1/allOrders"): 5,
    ("GET", "/fapi/v1/allAlgoOrders"): 5,
    ("POST", "/fapi/v1/countdownCancelAll"): 10,
    ("GET", "/fapi/v2/account"): 5,
    ("GET", "/fapi/v3/account"): 5,
    ("GET", "/fapi/v2/balance"): 5,
    ("GET", "/fapi/v3/balance"): 5,
    ("GET", "/fapi/v2/positionRisk"): 5,
    ("GET", "/fapi/v3/positionRisk"): 5,
    ("GET", "/fapi/v1/symbolConfig"): 5,
    ("GET", "/fapi/v1/accountConfig"): 5,
    ("GET", "/fapi/v1/positionSide/dual"): 30,
    ("GET", "/fapi/v1/multiAssetsMargin"): 30,
    ("GET", "/fapi/v1/userTrades"): 5,
    ("GET", "/fapi/v1/income"): 30,
    ("GET", "/fapi/v1/commissionRate"): 20,
}
# bars cost by how many are asked for: below the first number of rows, the weight beside it
_BAR_WEIGHTS = ((100, 1), (500, 2), (1_001, 5))
_MOST_BARS_WEIGHT = 10
_DEFAULT_BARS = 500
_BAR_PATHS = frozenset({"/fapi/v1/klines", "/fapi/v1/markPriceKlines", "/fapi/v1/continuousKlines"})
_ORDER_PATHS = frozenset({"/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v1/batchOrders"})


@dataclass(frozen=True)
class Limits:
    """What the venue allows.

    Attributes:
        weight_a_minute: of one address.
        orders_a_10_s: of one account, as is `orders_a_minute`.
        patience: requests after the first refusal of a minute until the address is banned.
        first_ban_s: each further ban lasts twice as long, up to three days.
    """

    weight_a_minute: int = 2_400
    orders_a_10_s: int = 300
    orders_a_minute: int = 1_200
    patience: int = 20
    first_ban_s: int = 120


@dataclass
class Meter:
    """Counts what is asked; one address, any number of accounts."""

    limits: Limits = field(default_factory=Limits)
    used: int = 0
    _minute: int = -1
    _refused: int = 0
    _bans: int = 0
    _banned_until_ms: int = 0
    _orders: dict[str, deque[int]] = field(default_factory=dict)

    def weigh(self, asked: Asked, at_ms: int) -> None:
        """Count a request's weight.

        Raises:
            VenueError: -1003 with HTTP 429 when the minute is used up, with 418 while the address is banned.
        """
        if at_ms < self._banned_until_ms:
            raise self._banned(at_ms)
        minute = at_ms // MINUTE_MS
        if minute != self._minute:
            self._minute, self.used, self._refused = minute, 0, 0
        self.used += weight_of(asked)
        if self.used <= self.limits.weight_a_minute:
            return
        self._refused += 1
        if self._refused > self.limits.patience:
            ban_ms = min(self.limits.first_ban_s * SECOND_MS * 2**self._bans, 3 * DAY_MS)
            self._bans, self._banned_until_ms = self._bans + 1, at_ms + ban_ms
            raise self._banned(at_ms)
        message = (
            f"Too many requests; current limit of IP is {self.limits.weight_a_minute} requests per minute. "
            "Please use the websocket for live updates to avoid polling the API."
        )
        raise _slow_down(_TOO_MANY, message, (minute + 1) * MINUTE_MS - at_ms)

    def _banned(self, at_ms: int) -> VenueError:
        until_ms = self._banned_until_ms
        message = (
            f"Way too many requests; IP banned until {until_ms}. "
            "Please use the websocket for live updates to avoid bans."
        )
        return _slow_down(_BANNED, message, until_ms - at_ms)

    def count_order(self, asked: Asked, at_ms: int) -> dict[str, str]:
        """Count an order of an account; return the headers that tell the account how many it sent.

        Raises:
            VenueError: -1015 beyond the account's limits.
        """
        if asked.method != "POST" or asked.path not in _ORDER_PATHS or asked.account is None:
            return {}
        sent = self._orders.setdefault(asked.account, deque())
        while sent and sent[0] <= at_ms - MINUTE_MS:
            sent.popleft()
        in_10_s = sum(1 for moment in reversed(sent) if moment > at_ms - 10 * SECOND_MS)
        for count, limit, span in (
            (in_10_s, self.limits.orders_a_10_s, "10 SECOND"),
            (len(sent), self.limits.orders_a_minute, "1 MINUTE"),
        ):
            if count >= limit:
                message = f"Too many new orders; current limit is {limit} orders per {span}."
                raise VenueError(-1015, message, _TOO_MANY)
        sent.append(at_ms)
        return {"X-MBX-ORDER-COUNT-10S": str(in_10_s + 1), "X-MBX-ORDER-COUNT-1M": str(len(sent))}

    def headers(self) -> dict[str, str]:
        """Return what every answer tells of the minute."""
        return {"X-MBX-USED-WEIGHT-1M": str(self.used)}


def weight_of(asked: Asked) -> int:
    """Return what a request weighs; 1 for what the table does not know."""
    if asked.path in _BAR_PATHS:
        text = asked.params.get("limit", "")
        rows = int(text) if text.isascii() and text.isdigit() else _DEFAULT_BARS
        return next((weight for below, weight in _BAR_WEIGHTS if rows < below), _MOST_BARS_WEIGHT)
    weight = _WEIGHTS.get((asked.method, asked.path), 1)
    if isinstance(weight, tuple):
        return weight[0 if "symbol" in asked.params else 1]
    return weight


def _slow_down(status: int, message: str, wait_ms: int) -> VenueError:
    return VenueError(-1003, message, status, {"Retry-After": str(max(1, -(-wait_ms // SECOND_MS)))})
