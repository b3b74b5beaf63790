"""The real path and the fast loop are one: the same orders, the same fills, the same equity, on recorded prices."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS, parse_time
from engine.config import load_config
from engine.ledger import Ledger
from engine.live.opening import Release, open_desk
from engine.market.imports import open_market
from engine.policy.bundle import load_bundle
from engine.policy.worker import Worker
from engine.real_path.loop import Course, on_real_path, run_bars, shadow_of, staged
from engine.rehearsal.approvals import ApproveAll
from engine.rehearsal.run import RehearsalRequest, on_fast_loop, rehearse
from engine.simulator.specs import Liquidity, usual_spec
from engine.timeline import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.ledger.rows import Fill
    from engine.policy.decide import Engine
    from engine.rehearsal.loop import Plan, Progress

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config/prod_scale_rules_R1.yaml"
AT_THE_OPEN = dataclasses.replace(usual_spec(), liquidity=Liquidity(on_tick=False))
"""Market orders fill at O·(1 ± 3 bps), not rounded to the tick, as the fast loop assumes."""


def market_orders(
    plan: Plan, ledger: Ledger, engine: Engine, progress: Callable[[Progress], None], carry_out: Callable[..., None]
) -> None:
    live = dataclasses.replace(plan.config.live, prefer_limit_order=False)
    carry_out(dataclasses.replace(plan, config=dataclasses.replace(plan.config, live=live)), ledger, engine, progress)


def rehearsed(out: Path, data: Path, span: tuple[str, str], carry_out: Callable[..., None]) -> Ledger:
    request = RehearsalRequest(
        config=ROOT / "config/prod_candidate_R1.yaml", rules=RULES, out=out, seed=7, days=1, data=data,
        klines="klines_composite", from_ms=parse_time(span[0]), to_ms=parse_time(span[1]), stage=3, approve="all",
        command="test",
    )  # fmt: skip
    done = rehearse(request, lambda _: None, report=False, carry_out=partial(market_orders, carry_out=carry_out))
    return Ledger.open(done.ledger, read_only=True)


def traded(fills: tuple[Fill, ...]) -> dict[tuple[int, str, str], float]:
    """Sum each hour's fills of a symbol: a flip is one trade in the fast loop and two orders on the real path."""
    sums: dict[tuple[int, str, str], float] = defaultdict(float)
    for fill in fills:
        sums[fill.at_ms // HOUR_MS, fill.symbol, "qty"] += fill.side * fill.qty
        sums[fill.at_ms // HOUR_MS, fill.symbol, "usd"] += fill.side * fill.qty * fill.price
    return dict(sums)


@pytest.mark.parametrize(
    "span",
    [
        pytest.param(("2024-02-02", "2024-02-04"), id="with-minimums"),
        pytest.param(("2024-02-26", "2024-02-28"), id="with-flips"),
    ],
)
def test_the_real_path_trades_and_earns_as_the_fast_loop_does(
    tmp_path: Path, real_data: Path, span: tuple[str, str]
) -> None:
    on_simulator = partial(on_real_path, seed=7, spec=AT_THE_OPEN)
    with (
        rehearsed(tmp_path / "real", real_data, span, on_simulator) as real,
        rehearsed(tmp_path / "fast", real_data, span, on_fast_loop) as fast,
    ):
        end_ms = parse_time(span[1])  # the real path also does the work of the bar that closes there
        assert traded(real.fills("risk", to_ms=end_ms)) == pytest.approx(traded(fast.fills("risk")), rel=1e-8, abs=1e-6)
        assert len(fast.fills("risk")) > 7
        ours, theirs = real.marks("risk"), fast.marks("risk")
        assert ours.at_ms.tolist() == theirs.at_ms.tolist()
        assert ours.equity_usd == pytest.approx(theirs.equity_usd, rel=1e-8)  # 1 bp is 1e-4
        assert ours.gross_usd == pytest.approx(theirs.gross_usd, rel=1e-8)
        assert real.marks("shadow").equity_usd == pytest.approx(fast.marks("shadow").equity_usd, rel=1e-12)
        paid = [payment.amount_usd for payment in real.funding("risk", to_ms=end_ms) if payment.qty]
        assert paid == pytest.approx([payment.amount_usd for payment in fast.funding("risk")], abs=1e-5)
        skipped = [(event.at_ms, event.subject) for event in fast.events("order_skipped")]
        assert [(event.at_ms, event.subject) for event in real.events("order_skipped", to_ms=end_ms - 1)] == skipped
        real.verify()


def test_a_desk_that_is_killed_after_any_bar_goes_on_as_if_nothing_had_been(tmp_path: Path, real_data: Path) -> None:
    bundle = load_bundle(RULES)
    config = load_config(bundle.config_path)
    start_ms, end_ms = parse_time("2024-02-27"), parse_time("2024-02-28T12:00:00Z")
    market = open_market(real_data, config.market.symbols, klines="klines_composite")
    course = Course(market, Release(config, bundle, "test"), start_ms, end_ms, 3, 7)

    def run(name: str, reopen_every: int) -> Ledger:
        ledger = Ledger.open(tmp_path / name, create=True)
        approvals = ApproveAll()
        with Worker(bundle.policies["action"]) as engine:

            async def main(clock: Clock) -> None:
                async with staged(course, ledger, engine, approvals, clock) as scene:
                    hour_ms, step_ms = start_ms, reopen_every * HOUR_MS
                    while hour_ms <= end_ms:
                        await run_bars(scene, hour_ms, min(hour_ms + step_ms - HOUR_MS, end_ms))
                        hour_ms += step_ms
                        again = (course.release, scene.hands, engine, shadow_of(course), approvals, clock)
                        scene = dataclasses.replace(scene, desk=open_desk(ledger, *again))  # noqa: PLW2901 - reopened

            run_virtual(main, start_ms)
        return ledger

    with run("steady.db", 1_000) as steady, run("killed.db", 7) as killed:
        assert killed.fills("risk") == steady.fills("risk")
        assert len(steady.fills("risk")) > 5
        assert killed.marks("risk").equity_usd.tolist() == pytest.approx(steady.marks("risk").equity_usd, rel=1e-12)
        assert killed.marks("shadow").equity_usd.tolist() == steady.marks("shadow").equity_usd.tolist()
        assert killed.verdicts() == steady.verdicts()
        assert killed.parents("risk") == steady.parents("risk")
        killed.verify()
