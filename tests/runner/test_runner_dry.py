"""What a dry run, a check and a status say, and that none of them leaves a trace at the venue or in the ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.clock import HOUR_MS, MINUTE_MS
from engine.errors import StagegateError
from engine.execution.binance.client import Keys
from engine.execution.permit import Permit
from engine.ledger import Ledger
from engine.live.connection import Mode
from engine.market.series import Market
from engine.rehearsal.approvals import ApproveNone
from engine.reports.plain import plain
from engine.runner.check import check, check_text
from engine.runner.dry import dry_run
from engine.runner.text import dry_text
from engine.simulator.accounts import Permissions
from engine.simulator.exchange import Exchange
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import ClockSkew, Outage
from engine.simulator.recorded import RecordedPrices
from engine.simulator.specs import usual_spec
from engine.timeline import sleep_until
from strategies.bars import Bars
from strategies.indicators import wilder_atr
from tests.runner.running import (
    ACCOUNT,
    KEY,
    SECRET,
    START_MS,
    SYMBOLS,
    Scene,
    at_venue,
    hours,
    market,
    new_exchange,
    worker,
)

if TYPE_CHECKING:
    from pathlib import Path

    from engine.governor import Approvals
    from engine.runner.check import Checked
    from engine.runner.dry import DryRun

BTC, ETH, SOL = SYMBOLS


def nobody(_: Ledger) -> Approvals:
    return ApproveNone()


def traces(scene: Scene) -> str:
    """Return everything of the account that a request may change, by the venue's own books."""
    book = scene.book
    kept = (book.orders, book.algo_orders, book.fills, book.income, book.countdowns, book.listen_key)
    settings = [scene.told("symbolConfig", symbol=symbol) for symbol in SYMBOLS]
    return repr((kept, settings))


async def dry(scene: Scene) -> DryRun:
    before = traces(scene)
    done = await dry_run(scene.place, scene.path, worker(), nobody, scene.clock)
    assert traces(scene) == before
    return done


def test_R047_R048_R050_R053_a_dry_run_before_any_launch_says_everything_and_sends_nothing(tmp_path: Path) -> None:
    async def act(scene: Scene) -> DryRun:
        for symbol in SYMBOLS:
            for path, change in (("marginType", {"marginType": "ISOLATED"}), ("leverage", {"leverage": "3"})):
                scene.exchange.call("POST", f"/fapi/v1/{path}", {"symbol": symbol, **change}, ACCOUNT)
        await sleep_until(scene.clock, START_MS + 23 * MINUTE_MS)
        return await dry(scene)

    done = at_venue(tmp_path, act, exchange=new_exchange(balance_usd=5_000), mode=Mode.REAL)
    assert list(tmp_path.iterdir()) == []
    assert (done.wrong, done.late, done.age_ms) == ((), True, 23 * MINUTE_MS)
    bar = done.bar
    assert (bar.close_ms, bar.cap_usd, bar.without_signal) == (START_MS, 5_000.0, ())
    by_symbol = {one.symbol: one for one in bar.sleeves}
    assert by_symbol[BTC].not_sent == ("nothing is wanted and nothing is held",)
    for symbol in (ETH, SOL):
        sleeve = by_symbol[symbol]
        assert sleeve.target_usd == pytest.approx(5_000 * 0.33 * (sleeve.position or 0.0))
        assert (sleeve.order[:10], sleeve.status) == ("entry: buy", "dry run: not sent")
        assert str(sleeve.stop) == "none by config"
    bars = market().bars[BTC]
    last = int(np.searchsorted(bars.open_time_ms, START_MS))
    atr = wilder_atr(bars.part(last - 2161, last), 14)[-1]
    assert by_symbol[BTC].stop.distance_usd == pytest.approx(3.5 * atr, rel=1e-9)
    text = dry_text(done)
    assert f"fill ∓ 3.5·ATR = fill ∓ {3.5 * atr:,.2f}" in text
    assert "a run now would only reduce" in text
    assert "nothing was sent, nothing was recorded" in text
    json.dumps(plain(done))


def test_R053_a_dry_run_beside_a_running_desk_shows_the_stop_that_is_live(tmp_path: Path) -> None:
    async def act(scene: Scene) -> tuple[DryRun, Any]:
        await scene.run_until(hours(1.2))
        path = scene.path
        before = path.read_bytes()
        permit = Permit.beside(path).path.read_bytes()
        done = await dry(scene)
        assert path.read_bytes() == before
        assert Permit.beside(path).path.read_bytes() == permit
        return done, scene.book.open_algos()

    done, (stop,) = at_venue(tmp_path, act)
    btc = done.bar.sleeves[0]
    assert btc.position
    assert btc.held_qty
    assert btc.stop.price_usd == pytest.approx(float(stop.trigger_price), abs=0.1)
    assert done.differences == ()


def short_of_history(symbol: str) -> Exchange:
    whole = market()
    bars = {**whole.bars, symbol: _since(whole.bars[symbol], START_MS - 500 * HOUR_MS)}
    return _exchange(Market(bars, whole.mark, whole.funding))


def without_moves() -> Exchange:
    whole = market()
    bars = {}
    for symbol, each in whole.bars.items():
        price = np.full(len(each), each.close[0])
        bars[symbol] = Bars(symbol, each.open_time_ms, price, price, price, price, each.volume)
    return _exchange(Market(bars, {}, whole.funding))


def _since(bars: Bars, from_ms: int) -> Bars:
    return bars.part(int(np.searchsorted(bars.open_time_ms, from_ms)), len(bars))


def _exchange(prices: Market) -> Exchange:
    spec = replace(usual_spec(), default_leverage=3, default_margin_type="ISOLATED")
    exchange = Exchange(spec, RecordedPrices(prices, seed=3), START_MS, seed=3)
    exchange.open_account(ACCOUNT, KEY, SECRET, 10_000)
    return exchange


@pytest.mark.parametrize(
    ("exchange", "wrong"),
    [
        pytest.param(lambda: short_of_history(ETH), "1 symbol without a target: ETHUSDT", id="R051"),
        pytest.param(without_moves, "all targets are zero", id="R052"),
    ],
)
def test_R051_R052_a_dry_run_without_a_target_or_with_nothing_but_zeros_fails(
    tmp_path: Path, exchange: Any, wrong: str
) -> None:
    done = at_venue(tmp_path, dry, exchange=exchange())
    assert len(done.wrong) == 1
    assert wrong in done.wrong[0]
    assert "FAIL" in dry_text(done)


def checked(tmp_path: Path, faults: FaultPlan | None = None, keys: Keys | None = None, **account: Any) -> Checked:
    async def act(scene: Scene) -> Checked:
        return await check(scene.place, 10_000.0, None, scene.clock)

    exchange = new_exchange(**account)
    return at_venue(tmp_path, act, faults or FaultPlan(), exchange=exchange, mode=Mode.REAL, keys=keys)


def test_R029_a_check_says_what_is_wrong_with_the_cure(tmp_path: Path) -> None:
    found = checked(tmp_path, permissions=Permissions(withdrawals=True, ip_restricted=False))
    assert not found.fine
    broken = {one.rule for one in found.checks if not one.fine}
    assert broken == {"withdrawal_permission", "ip_restriction", "margin_type", "leverage"}
    text = check_text(found)
    assert "turn withdrawals off for this key" in text
    assert "4 checks failed" in text
    assert found.last_bar_ms == START_MS


def test_R029_a_check_fails_for_what_stands_and_is_not_ours(tmp_path: Path) -> None:
    async def act(scene: Scene) -> tuple[Checked, Checked]:
        await scene.run_until(hours(1.2))
        with Ledger.open(scene.path, read_only=True) as ledger:
            return (
                await check(scene.place, None, ledger, scene.clock),
                await check(scene.place, None, None, scene.clock),
            )

    known, unknown = at_venue(tmp_path, act)
    assert known.positions
    assert known.fine
    broken = {one.rule: one for one in unknown.checks if not one.fine}
    assert broken.keys() == {"foreign_positions"}
    assert dict(broken["foreign_positions"].facts)["foreign_positions"] == len(known.positions) + 1  # and a stop
    assert "1 check failed" in check_text(unknown)


@pytest.mark.parametrize(
    ("faults", "keys", "said"),
    [
        pytest.param(None, Keys("X" * 64, SECRET), "the venue refuses the key", id="401"),
        pytest.param(FaultPlan.of(Outage("silent"), from_ms=START_MS), None, "no answer in time", id="timeout"),
        pytest.param(FaultPlan.of(Outage("refuse"), from_ms=START_MS), None, "no connection", id="nobody-there"),
    ],
)
def test_R029_a_check_that_reaches_nobody_fails_with_the_reason(
    tmp_path: Path, faults: FaultPlan | None, keys: Keys | None, said: str
) -> None:
    with pytest.raises(StagegateError, match=said) as caught:
        checked(tmp_path, faults, keys)
    assert caught.value.exit_code == 1


def test_R029_a_wrong_clock_fails_the_check(tmp_path: Path) -> None:
    found = checked(tmp_path, FaultPlan.of(ClockSkew(5.0), from_ms=START_MS))
    broken = {one.rule for one in found.checks if not one.fine}
    assert "venue_clock" in broken
    assert found.clock_ms == pytest.approx(5_000, abs=50)
    assert "this clock is 5,0" in check_text(found)
