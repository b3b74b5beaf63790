"""What the simulated exchange is like: symbols with filters and margin tiers, fees, how orders fill."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache, cached_property
from importlib import resources

import yaml

_DATA = "symbols.yaml"


@dataclass(frozen=True)
class Bracket:
    """One maintenance-margin tier: notionals in USDT above `floor_usd` up to `cap_usd`.

    Attributes:
        floor_usd: excluded.
        cap_usd: included; the largest position allowed at `leverage`.
        leverage: the highest initial leverage within the tier.
        maint_ratio: maintenance margin = notional × maint_ratio − cum_usd.
        cum_usd: what makes the margin continuous from tier to tier.
    """

    floor_usd: Decimal
    cap_usd: Decimal
    leverage: int
    maint_ratio: Decimal
    cum_usd: Decimal


@dataclass(frozen=True)
class SymbolSpec:
    """One perpetual: the filters of exchangeInfo and the margin tiers. Quantities in base asset, prices in USDT.

    Attributes:
        price_decimals: the venue's pricePrecision, which may be finer than the tick.
        status: ``TRADING``, or what the venue says of a symbol that is not traded (``SETTLING``, ``CLOSE``, …).
        price_up_ratio: a limit price lies at most at mark × this, and at least at mark × `price_down_ratio`.
        liquidation_fee_ratio: of the notional, to the insurance fund.
        funding_hours: the usual interval of settlements.
    """

    symbol: str
    base_asset: str
    tick_size: Decimal
    step_size: Decimal
    min_qty: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional_usd: Decimal
    min_price: Decimal
    max_price: Decimal
    price_decimals: int
    qty_decimals: int
    brackets: tuple[Bracket, ...]
    status: str = "TRADING"
    price_up_ratio: Decimal = Decimal("1.05")
    price_down_ratio: Decimal = Decimal("0.95")
    liquidation_fee_ratio: Decimal = Decimal("0.0125")
    max_orders: int = 200
    max_algo_orders: int = 10
    funding_hours: int = 8
    onboard_ms: int = 1_569_398_400_000


@dataclass(frozen=True)
class Liquidity:
    """How orders fill. The defaults fill a market order whole, at once and in one trade.

    Attributes:
        slippage_bps: a taker's price is worse than the last price by so much.
        parts: an order fills in so many trades at most (the number is seeded, the sizes too).
        part_delay_ms: between two trades of one taker order; 0: all within the same millisecond.
        market_ratio: of a market order that the book can fill; the rest expires, as on the venue.
        touch_ratio: of a resting order that fills when the price only touches it; the rest waits for the next touch.
        queue_s: mean seconds after which somebody hits an order resting at the best price; None: only the path fills.
        on_tick: fill prices are rounded to the tick (to the nearest), as every trade of the venue is.
    """

    slippage_bps: Decimal = Decimal(3)
    parts: int = 1
    part_delay_ms: int = 0
    market_ratio: Decimal = Decimal(1)
    touch_ratio: Decimal = Decimal(1)
    queue_s: float | None = None
    on_tick: bool = True


@dataclass(frozen=True)
class ExchangeSpec:
    """The rules of the house.

    Attributes:
        symbols: what is traded.
        taker_fee_bps: basis points of the notional, as is `maker_fee_bps`.
        default_leverage: of an account that never set one, as is `default_margin_type` (``CROSSED``, ``ISOLATED``).
        averages_in_answers: order answers carry avgPrice and cumQuote (the venue may leave them out since 2026-07-15).
        countdown_spares_algo: countdownCancelAll leaves algo orders alone.
        listen_key_minutes: validity of a listen key after the last keep-alive.
        funding_jitter_ms: settlements are stamped up to so many milliseconds after their hour, as the venue does.
        history_days: unfilled cancelled orders are forgotten after 3 days, all others after so many.
    """

    symbols: tuple[SymbolSpec, ...]
    taker_fee_bps: Decimal = Decimal(5)
    maker_fee_bps: Decimal = Decimal(2)
    liquidity: Liquidity = field(default_factory=Liquidity)
    default_leverage: int = 20
    default_margin_type: str = "CROSSED"
    averages_in_answers: bool = True
    countdown_spares_algo: bool = True
    listen_key_minutes: int = 60
    funding_jitter_ms: int = 9
    history_days: int = 90

    def symbol(self, name: str) -> SymbolSpec | None:
        """Return the symbol called `name`, None where it is not traded here."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, SymbolSpec]:
        return {one.symbol: one for one in self.symbols}

    def with_symbol(self, changed: SymbolSpec) -> ExchangeSpec:
        """Return these rules with one symbol's replaced: filters change over time, symbols are delisted."""
        return replace(self, symbols=tuple(changed if one.symbol == changed.symbol else one for one in self.symbols))


@cache
def known_symbols() -> tuple[SymbolSpec, ...]:
    """Return BTCUSDT, ETHUSDT and SOLUSDT as the venue listed them in 2025; filters change over time."""
    text = resources.files("engine.simulator").joinpath(_DATA).read_text(encoding="utf-8")
    return tuple(_symbol(name, row) for name, row in yaml.load(text, Loader=yaml.CSafeLoader).items())


def usual_spec() -> ExchangeSpec:
    """Return the house rules with the three symbols: taker 5 bps, maker 2 bps, slippage 3 bps."""
    return ExchangeSpec(known_symbols())


def _symbol(name: str, row: dict[str, object]) -> SymbolSpec:
    """Return one symbol of the data file; every number stands there as text, so that none is rounded."""
    tiers = row.pop("brackets")
    assert isinstance(tiers, list)
    brackets = tuple(
        Bracket(Decimal(floor), Decimal(cap), int(leverage), Decimal(ratio), Decimal(cum))
        for floor, cap, leverage, ratio, cum in (str(tier).split() for tier in tiers)
    )
    whole = {"price_decimals", "qty_decimals"}
    plain = {key: int(str(value)) if key in whole else Decimal(str(value)) for key, value in row.items()}
    return SymbolSpec(symbol=name, base_asset=name.removesuffix("USDT"), brackets=brackets, **plain)  # type: ignore[arg-type]
