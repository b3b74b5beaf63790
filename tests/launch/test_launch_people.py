"""What is not ours, what people sign, what they acknowledge, and whether a message reaches them."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from engine.alerts.outbox import send_by_apprise
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS
from engine.errors import UsageError
from engine.execution.journal import Journal
from engine.execution.reconcile import Kind
from engine.launch import account, signed
from engine.launch.account import Capital
from engine.launch.alerts import delivered
from engine.launch.probe import Findings, find_out
from engine.launch_word import acknowledge, acknowledged, last_word
from engine.ledger import Ledger
from engine.live.foreign import unknown_to_us
from engine.live.lock import InstanceLock
from engine.operations.approvals import approve
from tests.execution.dealing import BTC, ETH, at_hours, dealing, parent, stop_by_hand, trade
from tests.execution.simulated import SYMBOLS as TRADED
from tests.launch.launching import (
    CAPITAL,
    CHAT,
    ENVIRON,
    KEY,
    NOW_MS,
    TOKEN,
    Messenger,
    Stage,
    fill_store,
    frozen,
    rules_of,
    verdict_on,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.execution.dealing import Dealing


DIGEST = rules_of().digest


def test_A64_orders_stops_and_positions_of_others_and_our_own(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> tuple[list[tuple[Kind, str]], list[tuple[Kind, str]], int]:
        scene, ledger = deal.scene, deal.ledger
        await deal.execute(parent(qty="0.3"))
        await deal.keeper.keep(BTC, 19_850.0, deal.filters[BTC].tick_size)
        ledger.set_meta(from_ms=scene.clock.now_ms())

        async def found() -> list[tuple[Kind, str]]:
            told = await unknown_to_us(scene.venue, TRADED, ledger, scene.clock)
            return [(one.kind, one.subject) for one in told]

        assert await found() == []
        await at_hours(deal, 1)  # the low of the hour hits the stop, and nobody looks
        assert deal.held == {}
        booked = len(ledger.fills("risk"))
        ours = await found()
        assert (len(ledger.fills("risk")), Journal(ledger).held()[BTC] > 0) == (booked, True)  # it stays as it is
        trade(scene.exchange, ETH, 1, "1")
        stop_by_hand(scene.exchange, ETH, "SELL", "1", "1000")
        trade(scene.exchange, BTC, 1, "0.1", "15000")
        return ours, sorted(await found()), booked

    ours, others, booked = dealing(tmp_path, act)
    assert (ours, booked) == ([], 1)
    assert others == sorted([(Kind.POSITION, ETH), (Kind.STOP, ETH), (Kind.ORDER, BTC)])


def test_A64_A90_the_runner_of_this_rollout_is_no_other_when_stage_or_bundle_change(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with InstanceLock(path, "stream --real", NOW_MS):
        other = asyncio.run(find_out([account.instance_probe(path, CAPITAL)]))["other_instances"]
        same = asyncio.run(find_out([account.instance_probe(path, Capital(2, 10_000.0, running=True))]))
    assert (other.value, "`stream --real`, process" in other.said) == (1, True)
    assert same["other_instances"].value == 0
    with InstanceLock(path, "ledger restore", NOW_MS):
        busy = asyncio.run(find_out([account.instance_probe(path, Capital(2, 10_000.0, running=True))]))
    assert busy["other_instances"].value == 1
    assert asyncio.run(find_out([account.instance_probe(path, CAPITAL)]))["other_instances"].value == 0


def test_R023_A80_A91_a_waiver_needs_two_people_warns_and_runs_out(stage: Stage) -> None:
    stage.messenger = Messenger(takes=False)
    report = stage.run().report
    assert (report.outcome, list(report.requests)) == ("BLOCK_LAUNCH", ["telegram"])
    request = report.requests["telegram"]
    with Ledger.open(stage.ledger_path) as ledger:
        approve(ledger, request, stage.signers.parent / "alice", stage.signers, NOW_MS + MINUTE_MS)
        paper = signed.papers(rules_of(), KEY)[0]
        assert signed.signed(ledger, stage.signers, paper, NOW_MS + MINUTE_MS).value is False
        assert signed.ask_for(ledger, stage.signers, paper, 1, NOW_MS + MINUTE_MS) == request  # not a second one
        approve(ledger, request, stage.signers.parent / "bob", stage.signers, NOW_MS + MINUTE_MS)
    stage.now_ms = NOW_MS + 2 * MINUTE_MS
    waived = stage.run().report
    assert waived.outcome == "ALLOW_LAUNCH"
    assert [(check.name, check.said) for check in waived.unacknowledged] == [
        ("telegram_waived", "signed by alice, bob")
    ]
    with Ledger.open(stage.ledger_path) as ledger:
        found = asyncio.run(
            find_out(signed.probes(ledger, stage.signers, rules_of(), KEY, lambda: NOW_MS + 31 * DAY_MS))
        )
    assert (found["telegram_waived"].value, found["telegram_waived"].said) == (False, "the waiver is over")


def test_A90_A96_signatures_are_of_this_bundle_and_of_this_key(stage: Stage) -> None:
    rules = rules_of()
    with Ledger.open(stage.ledger_path) as ledger:

        def found(api_key: str, of: Any = rules) -> Findings:
            return asyncio.run(find_out(signed.probes(ledger, stage.signers, of, api_key, lambda: NOW_MS)))

        mine = found(KEY)
        assert (mine["bundle_signers"].value, mine["ip_list_confirmed"].value) == (2, True)
        assert mine["bundle_signers"].said == f"{DIGEST[:4]}… signed by alice, bob"
        assert mine["ip_list_confirmed"].as_of_ms == NOW_MS - MINUTE_MS
        assert found("another key")["ip_list_confirmed"].value is False
        assert found("")["ip_list_confirmed"].value is None
        assert found(KEY, dataclasses.replace(rules, digest="d" * 64))["bundle_signers"].value == 0
        assert found(KEY, dataclasses.replace(rules, digest=""))["bundle_signers"].value is None


def test_R028_a_confirmation_of_the_address_list_is_out_of_date_after_a_year(stage: Stage, good: Findings) -> None:
    old = dataclasses.replace(good["ip_list_confirmed"], as_of_ms=NOW_MS - 367 * DAY_MS)
    assert verdict_on(stage, {**good, "ip_list_confirmed": old}).decision.fired == ("ip_list_confirmed",)


def test_R045_A91_a_warning_is_acknowledged_by_name_and_another_gap_is_another_warning(stage: Stage) -> None:
    hour_ms = NOW_MS - NOW_MS % HOUR_MS
    stage.store = fill_store(stage.folder / "two.db", without={"ETHUSDT": [hour_ms - 10 * HOUR_MS]})
    first = stage.run().report
    assert (first.outcome, [check.name for check in first.unacknowledged]) == ("ALLOW_LAUNCH", ["data_gap_small"])
    with Ledger.open(stage.ledger_path) as ledger:
        word = last_word(ledger)
        assert word is not None
        assert word.unacknowledged == ("data_gap_small",)
        with pytest.raises(UsageError, match="its warnings are: `data_gap_small`"):
            acknowledge(ledger, "config_hash", "alice", "", NOW_MS)
        acknowledge(ledger, "data_gap_small", "alice", "maintenance", NOW_MS + 5)
        word = last_word(ledger)
        assert word is not None
        assert word.unacknowledged == ()
        assert (word.acknowledged["data_gap_small"].by, word.acknowledged["data_gap_small"].reason) == (
            "alice",
            "maintenance",
        )
    seen = stage.run().report
    assert [check.result for check in seen.checks if check.name == "data_gap_small"] == ["seen"]
    assert (seen.outcome, seen.unacknowledged) == ("ALLOW_LAUNCH", ())
    with Ledger.open(stage.ledger_path) as ledger:
        assert acknowledged(ledger, {"data_gap_small": {"largest_gap_30d": 120.0}}).keys() == {"data_gap_small"}
        assert acknowledged(ledger, {"data_gap_small": {"largest_gap_30d": 180.0}}) == {}


def test_R045_nothing_is_acknowledged_where_nothing_was_raised(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger, pytest.raises(UsageError, match="has not run"):
        acknowledge(ledger, "data_gap_small", "alice", "", NOW_MS)


class Telegram:
    """Telegram's own protocol on loopback: keeps what it is sent, refuses what it is told to."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        self.status = 200
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.received.append((self.path, body))
                self.send_response(service.status)
                self.end_headers()
                self.wfile.write(json.dumps({"ok": service.status == 200, "result": {}}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_R054_a_real_message_reaches_telegram_and_a_refusal_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.telegram import NotifyTelegram  # noqa: PLC0415 - 0.2 s that only this test needs

    service = Telegram()
    monkeypatch.setattr(NotifyTelegram, "notify_url", f"http://127.0.0.1:{service.server.server_port}/bot")
    try:
        taken = asyncio.run(delivered(frozen().notification, ENVIRON, NOW_MS, send_by_apprise))
        service.status = 401
        refused = asyncio.run(delivered(frozen().notification, ENVIRON, NOW_MS, send_by_apprise))
    finally:
        service.server.shutdown()
        service.server.server_close()
    assert (taken.value, refused.value) == (True, False)
    path, body = service.received[0]
    assert (path, str(body["chat_id"])) == (f"/bot{TOKEN}/sendMessage", CHAT)
    assert body["text"].startswith("[PROD-R1] INFO  test message of the launch guard")
    assert TOKEN not in taken.said + refused.said


def test_R022_a_token_that_apprise_does_not_like_is_not_logged_by_it() -> None:
    broken = "123456789:not!a!token"
    environ = {**ENVIRON, "FUTURES_TELEGRAM_BOT_TOKEN": broken}
    log, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(log)  # as a service has one
    root.addHandler(handler)
    try:
        found = asyncio.run(delivered(frozen().notification, environ, NOW_MS, send_by_apprise))
    finally:
        root.removeHandler(handler)
    assert found.value is False
    assert broken not in log.getvalue()
