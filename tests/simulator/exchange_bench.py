"""A venue with a small market, an account on it, and short ways to ask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.clock import HOUR_MS, parse_time
from engine.market.series import FundingRates, Market
from engine.simulator.exchange import Exchange, VenueError
from engine.simulator.recorded import RecordedPrices
from engine.simulator.specs import ExchangeSpec, Liquidity, usual_spec
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.simulator.path import PathSettings
    from engine.simulator.prices import PriceSource

START_MS = parse_time("2024-01-01T01:00:00Z")
BTC, ETH, SOL = "BTCUSDT", "ETHUSDT", "SOLUSDT"
ME = "me"

Row = tuple[float, float, float, float]


def bars(symbol: str, rows: Sequence[Row], start_ms: int = START_MS, volume: float = 100.0) -> Bars:
    """Hours one after the other, each (open, high, low, close)."""
    table = np.array(rows, dtype=float)
    times = start_ms + np.arange(len(rows), dtype=np.int64) * HOUR_MS
    open_, high, low, close = (table[:, at].copy() for at in range(4))
    return Bars(symbol, times, open_, high, low, close, np.full(len(rows), volume))


def flat(price: float, hours: int) -> list[Row]:
    return [(price, price, price, price)] * hours


def market(
    rows: Mapping[str, Sequence[Row]],
    *,
    mark: Mapping[str, Sequence[Row]] | None = None,
    funding: Mapping[str, Mapping[int, float]] | None = None,
    start_ms: int = START_MS,
) -> Market:
    """`funding` is rate by hour after the start; a symbol without any settles nothing within the market's range."""
    last = {symbol: bars(symbol, some, start_ms) for symbol, some in rows.items()}
    marks = {symbol: bars(symbol, some, start_ms, volume=0.0) for symbol, some in (mark or {}).items()}
    settled = {}
    for symbol in rows:
        by_hour = (funding or {}).get(symbol) or {-1: 0.0, 1_000: 0.0}
        times = start_ms + np.array(list(by_hour), dtype=np.int64) * HOUR_MS
        settled[symbol] = FundingRates(symbol, times, np.array(list(by_hour.values()), dtype=float))
    return Market(last, marks, settled)


@dataclass
class Bench:
    """An exchange seen by one account."""

    exchange: Exchange
    name: str = ME

    def ask(self, method: str, path: str, **params: object) -> Any:
        texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in params.items()}
        return self.exchange.call(method, path if path.startswith("/") else f"/fapi/v1/{path}", texts, self.name)

    def get(self, path: str, **params: object) -> Any:
        return self.ask("GET", path, **params)

    def post(self, path: str, **params: object) -> Any:
        return self.ask("POST", path, **params)

    def delete(self, path: str, **params: object) -> Any:
        return self.ask("DELETE", path, **params)

    def order(self, side: str, quantity: str, symbol: str = BTC, **more: object) -> Any:
        """A market order, or with a price a limit order."""
        kind: dict[str, object] = {"type": "MARKET"}
        if "price" in more:
            kind = {"type": "LIMIT", "timeInForce": "GTC"}
        what = {"symbol": symbol, "side": side, "quantity": quantity, "newOrderRespType": "RESULT"}
        return self.post("order", **{**what, **kind, **more})

    def stop(self, side: str, trigger: str, symbol: str = BTC, **more: object) -> Any:
        what: dict[str, object] = {"symbol": symbol, "side": side, "triggerPrice": trigger, "type": "STOP_MARKET"}
        return self.post("algoOrder", **{**what, "algoType": "CONDITIONAL", **more})

    def refused(self, method: str, path: str, **params: object) -> int:
        """The code with which the venue refuses."""
        with pytest.raises(VenueError) as caught:
            self.ask(method, path, **params)
        return caught.value.code

    def position(self, symbol: str = BTC) -> Decimal:
        rows = self.get("/fapi/v2/positionRisk", symbol=symbol)
        return sum((Decimal(row["positionAmt"]) for row in rows), Decimal(0))

    def wallet(self) -> Decimal:
        return Decimal(self.get("/fapi/v3/balance")[0]["balance"])

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        taken = self.exchange.take_user_events(self.name)
        return [one for one in taken if kind in ("", one["e"])]

    def wait(self, *, s: float = 0, hours: float = 0) -> None:
        self.exchange.advance(self.exchange.now_ms + round(s * 1000) + round(hours * HOUR_MS))


def spec(**liquidity: Any) -> ExchangeSpec:
    """The usual rules without slippage, unless told."""
    return replace(usual_spec(), liquidity=Liquidity(**{"slippage_bps": Decimal(0), **liquidity}))


def bench(
    prices: Market | PriceSource,
    *,
    rules: ExchangeSpec | None = None,
    path: PathSettings | None = None,
    balance: float = 100_000.0,
    isolated: bool = True,
    leverage: int = 3,
    hedge_mode: bool = False,
    now_ms: int = START_MS,
    seed: int = 1,
) -> Bench:
    """An exchange at its first open with one account: isolated margin, leverage 3, no slippage."""
    source = RecordedPrices(prices, path, seed=seed) if isinstance(prices, Market) else prices
    exchange = Exchange(rules or spec(), source, now_ms, seed=seed)
    exchange.open_account(ME, "key", "secret", balance, hedge_mode=hedge_mode)
    made = Bench(exchange)
    for symbol in source.symbols:
        if isolated:
            made.post("marginType", symbol=symbol, marginType="ISOLATED")
        made.post("leverage", symbol=symbol, leverage=leverage)
    made.events()
    exchange.take_market_events()
    return made


def quiet(price: float = 40_000.0, hours: int = 30, **settings: Any) -> Bench:
    """A bench on a price of BTC that does not move."""
    return bench(market({BTC: flat(price, hours)}), **settings)
