"""The exchange: a synchronous, network-free, deterministic Binance USDⓈ-M perpetual futures venue.

`call` answers a request as the venue would, `advance` lets time pass: prices move, orders match, algo orders trigger,
funding settles, positions are liquidated and countdowns run out, in exact time order. The same spec, prices, seed and
calls give the same answers and events, byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.simulator.accounts import Account, Permissions
from engine.simulator.booking import book_income
from engine.simulator.events import account_update
from engine.simulator.house import House, MarketEvent, Quote
from engine.simulator.money import amount
from engine.simulator.orders import SIDE_WORDS
from engine.simulator.params import Params
from engine.simulator.passing import current_events, happen, next_due_ms
from engine.simulator.prices import PriceSource
from engine.simulator.refusals import VenueError, refusal
from engine.simulator.routes import answer
from engine.simulator.settings import expire_listen_key
from engine.simulator.settling import deleverage
from engine.simulator.snapshot import decode, encode
from engine.simulator.specs import ExchangeSpec, Liquidity, SymbolSpec
from engine.simulator.trading import place

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Exchange", "ExchangeSpec", "MarketEvent", "Permissions", "PriceSource", "VenueError"]


class Exchange:
    """A venue in memory; see the module.

    Args:
        spec: symbols, filters, tiers, fees, how orders fill.
        prices: where prices come from.
        now_ms: the venue's time, UTC milliseconds.
        seed: for everything that is drawn.
    """

    def __init__(self, spec: ExchangeSpec, prices: PriceSource, now_ms: int, *, seed: int) -> None:
        self._start(House(spec, seed, now_ms), prices)
        for symbol in spec.symbols:
            tick = prices.latest(symbol.symbol, now_ms)
            if tick is not None:
                self._house.quotes[symbol.symbol] = Quote.first(tick)

    def _start(self, house: House, prices: PriceSource) -> None:
        self._house = house
        self._prices = prices
        self._market_events: list[MarketEvent] = []

    @property
    def now_ms(self) -> int:
        """The venue's time."""
        return self._house.now_ms

    @property
    def spec(self) -> ExchangeSpec:
        """The rules as they are now."""
        return self._house.spec

    @property
    def accounts(self) -> Mapping[str, Account]:
        """The books: wallets, positions, orders, fills and income of each account, to be read only."""
        return self._house.accounts

    # time

    def advance(self, to_ms: int) -> None:
        """Let time pass until `to_ms`, that instant included; a time not after `now_ms` changes nothing."""
        house = self._house
        while (at_ms := self.next_event_ms()) is not None and at_ms <= to_ms:
            house.now_ms = at_ms
            self._market_events += happen(house, self._prices)
        house.now_ms = max(house.now_ms, to_ms)

    def next_event_ms(self) -> int | None:
        """Return the next instant at which `advance` would do anything, None when nothing is due."""
        return next_due_ms(self._house, self._prices)

    # requests

    def call(self, method: str, path: str, params: Mapping[str, str], account: str | None) -> Any:
        """Answer a request.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``DELETE``.
            path: such as ``/fapi/v1/order``.
            params: query and body together; timestamp, recvWindow and signature are ignored here.
            account: whose key signed the request; None: no key, or an unknown one.

        Returns:
            What the venue's JSON answer holds.

        Raises:
            VenueError: the venue refuses.
        """
        return answer(self._house, self._prices, method, path, params, account)

    def account_of_key(self, api_key: str) -> tuple[str, str] | None:
        """Return the account and the secret that belong to a key, None for an unknown one."""
        found = (one for one in self._house.accounts.values() if one.api_key == api_key)
        return next(((one.name, one.api_secret) for one in found), None)

    def account_of_listen_key(self, listen_key: str) -> str | None:
        """Return whose user stream a listen key opens, None for one that is unknown or expired."""
        found = (one for one in self._house.accounts.values() if one.listen_key and one.listen_key == listen_key)
        return next((one.name for one in found), None)

    # events

    def take_user_events(self, account: str) -> list[dict[str, Any]]:
        """Return the account's user-stream messages since the last call, in order, and forget them."""
        return self._house.user_events.pop(account, [])

    def take_market_events(self) -> list[MarketEvent]:
        """Return the public messages since the last call, in order, and forget them."""
        taken, self._market_events = self._market_events, []
        return taken

    def current_market_events(self, symbol: str) -> list[MarketEvent]:
        """Return the messages that streams repeat each second: the running kline and the mark price, as of now."""
        return current_events(self._house, self._prices, symbol)

    # the operator's side: accounts, accidents

    def open_account(
        self,
        account: str,
        api_key: str,
        api_secret: str,
        balance_usd: float | str,
        *,
        permissions: Permissions | None = None,
        hedge_mode: bool = False,
    ) -> None:
        """Open an account with a balance in USDT and one key."""
        house = self._house
        may = permissions or Permissions()
        house.accounts[account] = Account(account, api_key, api_secret, may, house.now_ms, hedge_mode)
        self.deposit(account, balance_usd)
        house.user_events.pop(account, None)

    def deposit(self, account: str, amount_usd: float | str) -> None:
        """Book a transfer into (+) or out of (−) an account."""
        mine = self._house.accounts[account]
        change = amount(Decimal(str(amount_usd)))
        book_income(self._house, mine, "TRANSFER", "", change)
        account_update(self._house, mine, "DEPOSIT" if change >= 0 else "WITHDRAW", [], change)

    def change_symbol(self, changed: SymbolSpec) -> None:
        """Change a symbol's filters, tiers or status from now on."""
        self._house.spec = self._house.spec.with_symbol(changed)

    def change_liquidity(self, liquidity: Liquidity) -> None:
        """Change how orders fill from now on."""
        self._house.spec = replace(self._house.spec, liquidity=liquidity)

    def restrict(self, account: str, *, reduce_only: bool) -> None:
        """Let an account only reduce (−4400), or let it trade again."""
        self._house.accounts[account].reduce_only_rule = reduce_only

    def overload(self, *, on: bool) -> None:
        """Refuse every order that does not reduce (−1008, status 503), or take them again."""
        self._house.overloaded = on

    def place_as_other(self, account: str, symbol: str, side: int, qty: str, *, price: str | None = None) -> int:
        """Place an order on the account that the bot knows nothing of (by hand, or by a second bot); return its id."""
        params = {"symbol": symbol, "side": SIDE_WORDS[side], "quantity": qty, "type": "MARKET"}
        if price is not None:
            params |= {"type": "LIMIT", "price": price, "timeInForce": "GTC"}
        placed = place(self._house, self._house.accounts[account], Params(params))
        return int(placed["orderId"])

    def deleverage(self, account: str, symbol: str, qty: str) -> None:
        """Take away part of a position by auto-deleveraging, at the mark price.

        Raises:
            VenueError: −2022, so much is not held.
        """
        mine = self._house.accounts[account]
        held = [one for one in mine.held(symbol) if abs(one.qty) >= Decimal(qty)]
        if not held:
            raise refusal(-2022)
        deleverage(self._house, mine, held[0], Decimal(qty))

    def expire_listen_key(self, account: str) -> None:
        """End an account's listen key now, with the event that says so."""
        expire_listen_key(self._house, self._house.accounts[account])

    # state

    def to_json(self) -> dict[str, Any]:
        """Return the whole state as JSON values; prices, and public messages not taken yet, are no part of it."""
        found: dict[str, Any] = encode(self._house)
        return found

    @classmethod
    def from_json(cls, document: Mapping[str, Any], prices: PriceSource) -> Exchange:
        """Return an exchange that goes on where `to_json` was called."""
        found = cls.__new__(cls)
        found._start(decode(House, document), prices)  # noqa: SLF001 - its own class
        return found
