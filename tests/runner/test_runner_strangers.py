"""Somebody else on the account: trades are found however late, cash is told once, and what the guard saw is no news."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import DAY_MS
from engine.execution.journal import FOREIGN
from engine.execution.permit import Permit
from engine.execution.reconcile import DIFFERENCE, Difference, Kind
from engine.ledger import Event, Fill, FundingPayment, Ledger
from engine.live.outages import ENDED
from engine.runner.halt import Halt
from engine.runner.rounds import Rounds
from engine.runner.voice import Voice
from tests.runner.running import ACCOUNT, SYMBOLS, Scene, at_venue, days, new_exchange

if TYPE_CHECKING:
    from pathlib import Path

    from engine.runner.open import Post

BTC, ETH, SOL = SYMBOLS


def told(ledger: Ledger, subject: str) -> list[Alert]:
    """Return the alerts of one subject, oldest first."""
    return [alert for alert in map(Alert.from_row, ledger.events(QUEUED)) if alert.subject == subject]


@pytest.mark.requirement("R240")
def test_A64_who_traded_and_closed_while_nothing_ran_for_days_latches_the_halt_at_the_start(tmp_path: Path) -> None:
    exchange = new_exchange()

    async def launch(scene: Scene) -> None:
        async with scene.post() as post:
            await scene.runner(post).once()
            assert post.permit.granted
            assert BTC not in scene.held

    async def again(scene: Scene) -> None:
        async with scene.post() as post:
            assert not post.found, "positions and cash agree: only the fills tell"
            foreign = [fill for fill in post.ledger.fills("risk") if fill.reason == FOREIGN]
            assert [round((days(3) - fill.at_ms) / DAY_MS, 1) for fill in foreign] == [2.0, 1.9]
            runner = scene.runner(post)
            asyncio.get_running_loop().call_soon(runner.stop)
            await runner.run()
            assert not post.permit.granted, "before a bar adds risk, long before the first round"
            (alert,) = told(post.ledger, "stranger")
            assert (alert.severity, alert.what) == ("CRITICAL", f"somebody else traded on this account: {BTC}")
            Permit.beside(scene.path).grant(by="a person", reason="found out", at_ms=scene.clock.now_ms())
        async with scene.post() as post:
            await scene.runner(post).once()
            assert post.permit.granted, "what was before the permit is answered"
            assert len(told(post.ledger, "stranger")) == 1

    at_venue(tmp_path, launch, exchange=exchange)
    for at_ms, side in ((days(1.0), 1), (days(1.1), -1)):
        exchange.advance(at_ms)
        exchange.place_as_other(ACCOUNT, BTC, side, "0.01")
    exchange.advance(days(3))
    at_venue(tmp_path, again, exchange=exchange, start_ms=days(3))


@pytest.mark.parametrize("outage", [True, False])
def test_A64_only_a_first_look_and_those_after_an_outage_go_back_further_than_a_day(
    *, outage: bool, tmp_path: Path
) -> None:
    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            halt = Halt(post, Voice(post.ledger, post.clock, scene.said.append))
            await asyncio.sleep(2 * DAY_MS / 1000)
            halt.look_for_strangers()
            now_ms = scene.clock.now_ms()
            if outage:
                post.ledger.append(Event("o", now_ms, ENDED, "runner", "{}"))
            price = 20_000.0
            late = Fill("late", "risk", now_ms - DAY_MS - 1, BTC, 1, 0.001, price, price, "mark", 0.0, "x", FOREIGN)
            post.ledger.append(late)
            halt.look_for_strangers()
            assert post.permit.granted is not outage

    at_venue(tmp_path, act)


def test_cash_that_nobody_explains_is_told_once_however_often_both_sides_move(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            rounds = Rounds(post, Voice(post.ledger, post.clock, scene.said.append))
            scene.exchange.deposit(ACCOUNT, "1000.00")
            for number in range(20):
                await rounds.look()
                row = FundingPayment(f"n{number}", "risk", scene.clock.now_ms(), BTC, 0.1, 2e4, 1e-4, 8.0, 5.0)
                post.ledger.append(row)
                await asyncio.sleep(60)
            (alert,) = told(post.ledger, "differences")
            assert (alert.severity, alert.what) == ("HIGH", "the venue and the ledger do not agree: USDT: balance")
            wallet = scene.book.wallet
            why = f"USDT: balance, the venue has {wallet:.2f} USD, the ledger {wallet - 1000:.2f} USD"
            assert dict(alert.lines)["why"] == why
            assert len(post.ledger.events(DIFFERENCE)) == 1

    at_venue(tmp_path, act)


def test_a_difference_of_another_kind_or_of_another_position_is_told_anew(tmp_path: Path) -> None:
    async def act(scene: Scene) -> Post:
        async with scene.post() as post:
            rounds = Rounds(post, Voice(post.ledger, post.clock, scene.said.append))
            cash = [Difference(Kind.BALANCE, "USDT", f"{number} USD", "0 USD") for number in range(3)]
            order = [Difference(Kind.ORDER, ETH, f"order `x`, buy {number}", "unknown") for number in range(2)]
            held = [Difference(Kind.POSITION, BTC, f"0.{number}", "0") for number in range(2)]
            for found in ((cash[0],), (cash[1],), (cash[2], order[0]), (order[1], cash[0]), (held[0],), (held[1],)):
                rounds.take_differences(found)
            said = told(post.ledger, "differences")
            assert [alert.what.partition("agree: ")[2] for alert in said] == [
                "USDT: balance",
                f"{ETH}: order; USDT: balance",
                f"{BTC}: position, the venue has 0.0, the ledger 0",
                f"{BTC}: position, the venue has 0.1, the ledger 0",
            ]
            assert [alert.severity for alert in said] == ["HIGH", "CRITICAL", "CRITICAL", "CRITICAL"]
            return post

    at_venue(tmp_path, act)
