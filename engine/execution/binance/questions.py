"""What can be asked of Binance USDⓈ-M futures; the reading half of the `Venue`, whose docstrings say what is meant."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS, hour_start
from engine.errors import Problem
from engine.execution.binance import history, payloads
from engine.execution.venue import BarsUntilNow, VenueUnavailable
from engine.market.answers import bars_of, rates_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection

    from engine.execution.binance.asking import Asker
    from engine.execution.binance.limiter import Limiter
    from engine.execution.venue import (
        Balance,
        BestPrice,
        Income,
        MarkPrice,
        OrderState,
        Permissions,
        Position,
        StopState,
        SymbolSettings,
        Trade,
        VenueFilters,
    )
    from engine.market.series import FundingRates
    from strategies.bars import Bars

INTERVAL = "1h"
BARS_WINDOW_MS = (history.PAGE - 1) * HOUR_MS
CLOCK_DOUBT_MS = 4 * SECOND_MS  # a clock set by one slow answer is wrong by half the time it took
AHEAD_MS = MINUTE_MS  # histories are asked for until a little later than now: the venue's clock may be ahead of ours

T = TypeVar("T")


@dataclass(frozen=True)
class Questions:
    """Asks for one account.

    Attributes:
        asker: sends the requests.
        limiter: of the same client.
        symbols: that are traded here.
    """

    asker: Asker
    limiter: Limiter
    symbols: Collection[str]

    async def server_time_ms(self) -> int:
        """Ask for the venue's clock, and keep to it from now on."""
        await self.asker.sync_clock()
        return self.asker.clock.now_ms()

    async def filters(self) -> dict[str, VenueFilters]:
        """Ask for the limits; the venue's rate limit comes with them."""

        def read(info: Any) -> dict[str, VenueFilters]:
            self.limiter.limit = payloads.weight_limit(info) or self.limiter.limit
            return payloads.filters(info, self.symbols)

        return await self.asker.ask("the venue's filters", self.asker.client.futures_exchange_info, read)

    async def closed_bars(self, symbol: str, from_ms: int, *, mark: bool = False) -> Bars:
        """Ask for bars."""
        return (await self.bars_until_now(symbol, from_ms, mark=mark)).closed

    async def bars_until_now(self, symbol: str, from_ms: int, *, mark: bool = False) -> BarsUntilNow:
        """Ask for bars; the last one is closed once the next has opened, or beyond what our clock may be ahead."""
        client = self.asker.client
        method = client.futures_mark_price_klines if mark else client.futures_klines
        now_ms = self.asker.clock.now_ms()
        end_ms = hour_start(now_ms)
        what = f"the bars of `{symbol}`"

        async def page(start_ms: int, until_ms: int) -> list[Any]:
            span = {"startTime": start_ms, "endTime": until_ms, "limit": history.PAGE}
            return await self.asker.ask(what, method, payloads.rows_of, symbol=symbol, interval=INTERVAL, **span)

        async def walk() -> BarsUntilNow:
            until_ms = end_ms if from_ms < end_ms else from_ms - 1
            rows = await history.walk_times(page, _open_ms, _open_ms, from_ms, until_ms, window_ms=BARS_WINDOW_MS)
            running = next((row for row in rows if _open_ms(row) == end_ms), None)
            surely = now_ms - end_ms >= CLOCK_DOUBT_MS or running is not None
            until_ms = end_ms if surely else end_ms - HOUR_MS
            closed = [row for row in rows if not until_ms <= _open_ms(row) <= end_ms]
            bars = bars_of("mark" if mark else "last", symbol, closed, from_ms, max(until_ms, from_ms))
            return BarsUntilNow(bars, end_ms, _first_price(running))

        return await _readable(what, walk())

    async def funding_rates(self, symbol: str, from_ms: int) -> FundingRates:
        """Ask for the settlements, in windows that no page can overflow: they are an hour apart at least."""
        method = self.asker.client.futures_funding_rate
        what = f"the funding of `{symbol}`"
        end_ms = self.asker.clock.now_ms() + AHEAD_MS

        async def page(start_ms: int, until_ms: int) -> list[Any]:
            span = {"startTime": start_ms, "endTime": until_ms, "limit": history.PAGE}
            return await self.asker.ask(what, method, payloads.rows_of, symbol=symbol, **span)

        async def walk() -> FundingRates:
            rows = await history.walk_times(page, _settled_ms, _settled_ms, from_ms, end_ms, window_ms=BARS_WINDOW_MS)
            return rates_of(symbol, rows, from_ms, end_ms + 1)

        return await _readable(what, walk())

    async def running_open(self, symbol: str, open_ms: int) -> Decimal | None:
        """Ask for the running bar's open: what the fills of this bar's orders are measured against."""

        def read(rows: Any) -> Decimal | None:
            return _first_price(next((row for row in payloads.rows_of(rows) if _open_ms(row) == open_ms), None))

        span = {"interval": INTERVAL, "startTime": open_ms, "limit": 1}
        return await self.asker.ask(
            f"the running bar of `{symbol}`", self.asker.client.futures_klines, read, symbol=symbol, **span
        )

    async def mark_prices(self) -> dict[str, MarkPrice]:
        """Ask for all symbols at once: their marks are of the same instant."""
        method = self.asker.client.futures_mark_price
        return await self.asker.ask("the mark prices", method, lambda rows: payloads.mark_prices(rows, self.symbols))

    async def best_price(self, symbol: str) -> BestPrice:
        """Ask for the top of the book."""
        method = self.asker.client.futures_orderbook_ticker
        return await self.asker.ask(f"the best price of `{symbol}`", method, payloads.best_price, symbol=symbol)

    async def positions(self) -> dict[str, Position]:
        """Ask for the positions; a failure is never an empty answer."""
        return await self.asker.ask("the positions", self.asker.client.futures_position_information, payloads.positions)

    async def balance(self) -> Balance:
        """Ask for the money; the older account endpoint is the one that has cash and isolated margin in one sum."""
        return await self.asker.ask("the balance", self.asker.client.futures_account, payloads.balance)

    async def open_orders(self, symbol: str | None = None) -> tuple[OrderState, ...]:
        """Ask for the ordinary orders."""
        return await self.asker.ask(
            "the open orders",
            self.asker.client.futures_get_open_orders,
            payloads.orders,
            **_of(symbol),
        )

    async def open_stops(self, symbol: str | None = None) -> tuple[StopState, ...]:
        """Ask for the algo orders, which live at an endpoint of their own (since 2025-12-09)."""
        return await self.asker.ask(
            "the open stops",
            self.asker.client.futures_get_open_algo_orders,
            payloads.stops,
            **_of(symbol),
        )

    async def trades(self, symbol: str, *, from_id: int | None = None, from_ms: int | None = None) -> tuple[Trade, ...]:
        """Ask for fills; from a time in windows of seven days (the venue's limit), from an id by ids."""
        if (from_id is None) == (from_ms is None):
            raise ValueError("either an id or a time")
        what = f"the trades of `{symbol}`"

        async def page(**span: int) -> tuple[Trade, ...]:
            return await self.asker.ask(
                what,
                self.asker.client.futures_account_trades,
                payloads.trades,
                symbol=symbol,
                limit=history.PAGE,
                **span,
            )

        if from_id is not None:
            walk = history.walk_ids(lambda first: page(fromId=first), lambda row: row.trade_id, from_id)
        else:
            walk = history.walk_times(
                lambda start_ms, end_ms: page(startTime=start_ms, endTime=end_ms),
                lambda row: row.trade_id,
                lambda row: row.at_ms,
                max(from_ms or 0, self.asker.clock.now_ms() - history.TRADES_KEPT_MS),
                self.asker.clock.now_ms() + AHEAD_MS,
            )
        return await _readable(what, walk)

    async def income(self, from_ms: int) -> tuple[Income, ...]:
        """Ask for cash movements; an id is unique within its kind only."""
        what = "the income"

        async def page(start_ms: int, end_ms: int) -> tuple[Income, ...]:
            return await self.asker.ask(
                what,
                self.asker.client.futures_income_history,
                payloads.incomes,
                startTime=start_ms,
                endTime=end_ms,
                limit=history.PAGE,
            )

        walk = history.walk_times(
            page,
            lambda row: (row.kind, row.income_id),
            lambda row: row.at_ms,
            max(from_ms, self.asker.clock.now_ms() - history.INCOME_KEPT_MS),
            self.asker.clock.now_ms() + AHEAD_MS,
        )
        return await _readable(what, walk)

    async def settings(self, symbol: str) -> SymbolSettings:
        """Ask for leverage and margin type, which the positions (v3) do not have in them."""
        method = self.asker.client.futures_symbol_config
        what = f"the settings of `{symbol}`"
        return await self.asker.ask(what, method, lambda rows: payloads.settings(rows, symbol), symbol=symbol)

    async def hedge_mode(self) -> bool:
        """Ask for the position mode."""
        method = self.asker.client.futures_get_position_mode
        what = "the position mode"
        return await self.asker.ask(what, method, lambda answer: payloads.flag(answer["dualSidePosition"]))

    async def permissions(self) -> Permissions:
        """Ask for the key's permissions; the question goes to sapi, where the key belongs."""
        method = self.asker.client.get_account_api_permissions
        return await self.asker.ask("the key's permissions", method, payloads.permissions)


def _of(symbol: str | None) -> dict[str, str]:
    return {} if symbol is None else {"symbol": symbol}


def _open_ms(row: Any) -> int:
    return int(row[0])


def _first_price(row: Any) -> Decimal | None:
    """Return the open of a bar; None where there is no bar, or no price in it that could be traded at."""
    price = None if row is None else Decimal(row[1])
    return price if price is not None and price.is_finite() and price > 0 else None


def _settled_ms(row: Any) -> int:
    return int(row["fundingTime"])


async def _readable(what: str, walk: Awaitable[T]) -> T:
    """Return what a walk through a history found.

    Raises:
        VenueUnavailable: rows of it make no sense; or what the walk itself raises.
    """
    try:
        return await walk
    except payloads.UNREADABLE as fault:
        problem = f"the answer cannot be read: {fault}"
        raise VenueUnavailable(Problem("nonsense", what, problem, "nothing of it was taken")) from None
