"""Alerts reach a real HTTP service through the real Apprise: in order, once noted, later and later where it refuses."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import MOST_CHARACTERS, SENT, Alert, Severity
from engine.alerts.outbox import FIRST_PAUSE_MS, LONGEST_PAUSE_MS, Outbox
from engine.alerts.routes import Route, load_routes, routes_of
from engine.clock import SimulatedClock, parse_time
from engine.config import load_config
from engine.config.secret import Secret
from engine.errors import ConfigError
from engine.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
NOW_MS = parse_time("2026-03-01T14:02:11Z")
PAUSED = Alert(
    NOW_MS,
    Severity.CRITICAL,
    "V1 flatten",
    "PAUSE: flattened in 0.8 s",
    (("why", "drawdown 12.1 % > 12 % (hard stop, SOP §4)"), ("do", "`stagegate incident show <INC>`")),
)


class Service:
    """A service on loopback: keeps what it was sent, refuses as often as it is told to."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.refusals = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if service.refusals:
                    service.refusals -= 1
                    self.send_response(429)
                else:
                    service.received.append(json.loads(body)["message"])
                    self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def environ(self) -> dict[str, str]:
        return {"PORT": str(self.server.server_port)}


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        yield opened


ROUTE = Route("desk", Secret("json://127.0.0.1:${PORT}/"))


def numbered(count: int, severity: Severity = Severity.INFO) -> list[Alert]:
    return [Alert(NOW_MS + number, severity, f"s{number}", f"number {number}") for number in range(count)]


def test_R161_an_alert_arrives_as_plain_text_with_what_why_and_what_to_do(ledger: Ledger, service: Service) -> None:
    ledger.append(PAUSED.row())
    ledger.append(PAUSED.row())  # queued twice is queued once
    clock = SimulatedClock(NOW_MS + 400)
    outbox = Outbox(ledger, [ROUTE], "[PROD-R1]", service.environ, clock)
    assert asyncio.run(outbox.deliver()) == 1
    assert service.received == [PAUSED.text("[PROD-R1]")]
    assert service.received[0].splitlines() == [
        "[PROD-R1] CRITICAL  PAUSE: flattened in 0.8 s",
        "why     drawdown 12.1 % > 12 % (hard stop, SOP §4)",
        "do      `stagegate incident show <INC>`",
    ]
    (noted,) = ledger.events(SENT)
    assert json.loads(noted.document) == {"alert_id": PAUSED.alert_id, "late_ms": 400}
    assert asyncio.run(outbox.deliver()) == 0
    again = Outbox(ledger, [ROUTE], "[PROD-R1]", service.environ, clock)  # after a restart
    assert asyncio.run(again.deliver()) == 0
    assert len(service.received) == 1


def test_alerts_keep_their_order_and_their_pace(ledger: Ledger, service: Service) -> None:
    ledger.append([alert.row() for alert in numbered(3)])
    clock = SimulatedClock(NOW_MS + 1_000)
    outbox = Outbox(ledger, [ROUTE], "", service.environ, clock)
    for already in range(3):
        assert asyncio.run(outbox.deliver()) == 1
        assert len(service.received) == already + 1
        clock.advance_to(clock.now_ms() + 999)
        assert asyncio.run(outbox.deliver()) == 0
        clock.advance_to(clock.now_ms() + 1)
    assert [text.split("  ")[1] for text in service.received] == ["number 0", "number 1", "number 2"]


def test_what_is_refused_is_tried_again_later_and_later_and_never_lost(ledger: Ledger, service: Service) -> None:
    ledger.append([alert.row() for alert in numbered(2)])
    clock = SimulatedClock(NOW_MS + 10)
    outbox = Outbox(ledger, [ROUTE], "", service.environ, clock)
    service.refusals = 12
    pauses, last_ms = [], clock.now_ms()
    while service.refusals:
        before = service.refusals
        assert asyncio.run(outbox.deliver()) == 0
        if service.refusals < before:
            pauses.append(clock.now_ms() - last_ms)
            last_ms = clock.now_ms()
        clock.advance_to(clock.now_ms() + 1_000)
    assert pauses[1] == FIRST_PAUSE_MS
    assert pauses == sorted(pauses)
    assert max(pauses) == LONGEST_PAUSE_MS
    clock.advance_to(clock.now_ms() + LONGEST_PAUSE_MS)
    assert asyncio.run(outbox.deliver()) == 1
    clock.advance_to(clock.now_ms() + 1_000)
    assert asyncio.run(outbox.deliver()) == 1
    assert len(service.received) == len(ledger.events(SENT)) == 2


def test_routes_take_their_severities_and_one_that_is_down_does_not_hold_the_others(
    ledger: Ledger, service: Service
) -> None:
    ledger.append([Alert(NOW_MS, Severity.INFO, "a", "mild").row(), Alert(NOW_MS, Severity.CRITICAL, "b", "bad").row()])
    on_call = Route("on_call", ROUTE.url, Severity.CRITICAL, 0)
    down = Route("down", Secret("json://127.0.0.1:1/"), every_ms=0)
    unset = Route("unset", Secret("tgram://${NO_TOKEN}/${NO_CHAT}/"))
    outbox = Outbox(ledger, [down, on_call, unset], "", service.environ, SimulatedClock(NOW_MS))
    assert asyncio.run(outbox.deliver()) == 1
    assert service.received == ["CRITICAL  bad"]
    assert outbox.unreachable == ("unset",)
    assert [alert.what for alert in outbox.waiting(down)] == ["mild", "bad"]


def test_a_message_has_at_most_a_thousand_characters_and_keeps_its_first_line() -> None:
    long = Alert(NOW_MS, Severity.HIGH, "x", "what", (("why", "y" * 2_000),)).text("[R1]")
    assert len(long) == MOST_CHARACTERS
    assert long.startswith("[R1] HIGH  what\nwhy")


def test_R023_R024_without_routes_alerts_go_where_the_frozen_configuration_says() -> None:
    (route,) = routes_of(load_config(ROOT / "config/prod_candidate_R1.yaml").notification)
    assert route.url.names == ("FUTURES_TELEGRAM_BOT_TOKEN", "FUTURES_TELEGRAM_CHAT_ID")


def test_the_shipped_example_loads_and_mistakes_are_shown_where_they_are(tmp_path: Path) -> None:
    routes = load_routes(ROOT / "config/alerts.example.yaml")
    assert [(route.name, route.least) for route in routes] == [("telegram", "INFO"), ("on_call", "CRITICAL")]
    path = tmp_path / "alerts.yaml"
    path.write_text("routes:\n  desk:\n    url: tgram://123:secret/42/\n    leest: HIGH\n")
    with pytest.raises(ConfigError) as caught:
        load_routes(path)
    text = str(caught.value)
    assert f"{path}:3:10: error[env]" in text
    assert f"{path}:4:5: error[unknown-key]" in text
    assert "did you mean `least`?" in text
    assert "123:secret" not in text
