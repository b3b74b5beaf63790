"""The recorded period in the fast loop: the strategies' own decisions on the same bars, bound and sized as recorded.

Bounds are taken hour by hour as the ledger has them, and every decision is sized on the risk equity that the ledger had
at that close (A101: the same cap and the same sizing). A fill that was better or worse than assumed therefore shows
once, in its own price, and never as another quantity in every trade after it. The NAV is per unit, so bringing the
replay's equity to the ledger's moves it by nothing (A13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.backtest import Simulation
from engine.portfolio import Costs
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backtest.records import Fill, FundingPayment, History, Restart
    from engine.comparison.recorded import Recorded
    from engine.config import FrozenConfig
    from engine.market.series import Market
    from engine.portfolio import SymbolFilters
    from strategies.sleeve import Sleeve

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Rules:
    """What both sides trade by.

    Attributes:
        config: strategies, weights and costs.
        dead_band: the bundle's, a ratio.
        filters: symbol -> the venue's limits; empty: quantities are not cut.
    """

    config: FrozenConfig
    dead_band: float
    filters: Mapping[str, SymbolFilters]


@dataclass(frozen=True)
class Replay:
    """The period as the strategies and the recorded bounds have it.

    Attributes:
        fills: oldest first, as are `funding` and `restarts`.
        history: what stood at every close, from the launch on.
        restarts: sleeves that had to wait for a fresh signal.
        first: symbol -> strategy before any of them.
    """

    fills: tuple[Fill, ...]
    funding: tuple[FundingPayment, ...]
    history: History
    restarts: tuple[Restart, ...]
    first: Mapping[str, Sleeve]


def replayed(record: Recorded, market: Market, rules: Rules) -> Replay:
    """Return the recorded period, replayed from its launch.

    Raises:
        DataError: no bars in the period, or bars off the hour.
        ConfigError: a strategy that is none.
    """
    config = rules.config
    backtest, symbols = config.backtest, config.market.symbols
    sleeves = make_sleeves(config.ensemble.strategies, market.bars, symbols, backtest.slippage_bps)
    simulation = Simulation(
        market,
        sleeves,
        weights=config.ensemble.fixed_weights,
        costs=Costs(backtest.fee_bps, backtest.slippage_bps),
        initial_equity_usd=record.capital_usd,
        start_ms=record.from_ms,
        end_ms=record.to_ms,
        dead_band=rules.dead_band,
        default_rate_8h=backtest.funding_rate.default_rate_8h if backtest.funding_rate.enabled else None,
        filters=rules.filters,
    )
    for hour, open_ms in enumerate(simulation.grid_ms.tolist()):
        _size_alike(simulation, record.sized_on_usd(open_ms))
        simulation.run(hour + 1, record.bounds_at(open_ms))
    return Replay(
        tuple(simulation.fills),
        tuple(simulation.funding),
        simulation.history(),
        tuple(simulation.restarts),
        sleeves,
    )


def _size_alike(simulation: Simulation, equity_usd: float | None) -> None:
    """Bring the equity to what the ledger's decision was sized on; an account that is worth nothing stays as it is."""
    if equity_usd is None or equity_usd <= 0.0 or simulation.equity_usd <= 0.0:
        return
    apart = equity_usd - simulation.equity_usd
    if abs(apart) > _ROUNDING * equity_usd:
        simulation.add_flow(apart)
