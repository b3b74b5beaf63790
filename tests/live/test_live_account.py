"""The risk account of a running desk, held against the simulation's own books, event by event."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.backtest import Bounds, Simulation
from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.config import load_config
from engine.ledger import Ledger
from engine.ledger.rows import Fill, FundingPayment
from engine.live.account import MarkPrice, RiskAccount
from engine.market.synthetic import synthetic_market
from engine.portfolio import Costs
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG = load_config(Path(__file__).parents[2] / "config/prod_candidate_R1.yaml")
START_MS = parse_time("2024-01-01")
DAYS = 12
SYMBOLS = CONFIG.market.symbols


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    market = synthetic_market(5, start_ms=START_MS, days=DAYS)
    sleeves = make_sleeves(CONFIG.ensemble.strategies, market.bars, SYMBOLS, 3.0)
    return Simulation(
        market,
        sleeves,
        weights=CONFIG.ensemble.fixed_weights,
        costs=Costs(5.0, 3.0),
        initial_equity_usd=15_000.0,
        start_ms=START_MS,
        end_ms=START_MS + DAYS * DAY_MS,
        dead_band=0.05,
        default_rate_8h=1e-4,
    )


def events(simulation: Simulation, fills: int, payments: int) -> Iterable[Fill | FundingPayment]:
    for number, fill in enumerate(simulation.fills[fills:], fills):
        yield Fill(
            f"T{number}", "risk", fill.at_ms, fill.symbol, fill.side, fill.qty, fill.price, fill.ref_price,
            "bar_open", fill.fee_usd, f"P{number}", "entry",
        )  # fmt: skip
    for number, paid in enumerate(simulation.funding[payments:], payments):
        yield FundingPayment(
            f"F{number}", "risk", paid.at_ms, paid.symbol, paid.qty, paid.mark_price, paid.rate, paid.hours,
            paid.amount_usd,
        )  # fmt: skip


def test_R091_equity_nav_and_profits_equal_the_simulation_at_every_hour_also_after_a_restart(
    simulation: Simulation, tmp_path: Path
) -> None:
    account = RiskAccount.opened(SYMBOLS, START_MS, 15_000.0)
    ledger = Ledger.open(tmp_path / "l.db", create=True)
    ledger.set_meta(kind="paper")
    seen_fills = seen_payments = 0
    for hour in range(DAYS * 24):
        close_ms = START_MS + (hour + 1) * HOUR_MS
        simulation.run(hour + 1, Bounds(cap_usd=15_000.0))
        news = list(events(simulation, seen_fills, seen_payments))
        seen_fills, seen_payments = len(simulation.fills), len(simulation.funding)
        ledger.append(news)
        account.take([*news, *news])  # the venue says everything twice
        prices = {symbol: MarkPrice(price) for symbol, price in simulation.marks.items()}
        account.mark(close_ms, prices, {}, exposure=1.0, cap_usd=15_000.0)
        assert account.equity_usd == pytest.approx(simulation.equity_usd, abs=1e-3)
        assert account.qty == pytest.approx(simulation.qty, abs=1e-8)
        assert {symbol: account.book.pnl_usd(symbol)[-1] for symbol in SYMBOLS} == pytest.approx(
            simulation.pnl_usd, abs=1e-3
        )
        if hour == 100:
            simulation.add_flow(5_000.0)
            account.flow(close_ms, 5_000.0, "scale_up")
        assert account.nav == pytest.approx(simulation.nav, rel=1e-8)
        ledger.append(account.unwritten())
        if hour in {50, 100, 200}:
            account = RiskAccount.read(ledger, SYMBOLS)  # the process was killed
            assert account.equity_usd == pytest.approx(simulation.equity_usd, abs=1e-3)
    assert seen_fills > 20
    assert seen_payments > 60
    assert len(account.book.fills) == seen_fills
    assert account.book.fills_since(START_MS) == sorted(account.book.fills, key=lambda fill: fill.at_ms)
    ledger.close()


def test_what_happens_at_an_instant_comes_after_the_mark_of_that_instant() -> None:
    account = RiskAccount.opened(("BTCUSDT",), 0, 1_000.0)
    fill = Fill("T1", "risk", HOUR_MS, "BTCUSDT", 1, 0.01, 50_000.0, 50_000.0, "bar_open", 1.0, "P1", "entry")
    account.take([fill])
    account.mark(HOUR_MS, {"BTCUSDT": MarkPrice(51_000.0)}, {}, exposure=1.0, cap_usd=1_000.0)
    assert account.equity_usd == 1_000.0
    assert account.qty == {"BTCUSDT": 0.01}
    assert account.qty_before("BTCUSDT", HOUR_MS) == 0.0
    assert account.equity_at({"BTCUSDT": 51_000.0}) == 1_009.0
    account.mark(2 * HOUR_MS, {"BTCUSDT": MarkPrice(51_000.0, estimated=True)}, {}, exposure=1.0, cap_usd=1_000.0)
    assert account.equity_usd == 1_009.0
    assert account.qty_before("BTCUSDT", 2 * HOUR_MS) == 0.01


def test_A53_a_mark_that_is_made_late_leaves_out_what_flowed_from_its_instant_on_and_prices_it(tmp_path: Path) -> None:
    """The venue was away at 01:00, where a restart moved capital; what a stop had lost before is heard of later."""
    start, one, two = (START_MS + hour * HOUR_MS for hour in range(3))
    bought = Fill("B-1", "risk", start + 60_000, "BTCUSDT", 1, 1.0, 1_000.0, 1_000.0, "bar_open", 0.0, "p1", "entry")
    sold = Fill("B-2", "risk", start + 120_000, "BTCUSDT", -1, 1.0, 900.0, 900.0, "bar_open", 0.0, "p2", "flatten")
    live = RiskAccount.opened(("BTCUSDT",), start, 15_000.0)
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        live.flow(one, -5_000.0, "restart")
        ledger.append(live.unwritten())
        for account in (live, RiskAccount.read(ledger, ("BTCUSDT",))):
            account.take((bought, sold))
            account.mark(one, {}, {}, exposure=1.0, cap_usd=10_000.0)
            assert account.book.equity_usd[-1] == pytest.approx(14_900.0)
            assert account.book.nav[-1] == pytest.approx(14_900.0 / 15_000.0)
            assert account.equity_usd == pytest.approx(9_900.0)
            account.mark(two, {}, {}, exposure=1.0, cap_usd=10_000.0)
            assert account.book.equity_usd[-1] == pytest.approx(9_900.0)
            assert account.book.nav[-1] == pytest.approx(14_900.0 / 15_000.0)
