"""Alerts reach a real HTTP service through the real Apprise: in order, once noted, later and later where it refuses."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import FAILING, MOST_CHARACTERS, QUEUED, SENT, Alert, Severity
from engine.alerts.apart import apart
from engine.alerts.lane import FIRST_PAUSE_MS, LONGEST_PAUSE_MS
from engine.alerts.lease import Lease
from engine.alerts.outbox import LEASE, Outbox, deliver_alerts
from engine.alerts.routes import Route, routes_of
from engine.alerts.settings import AlertSettings, load_settings
from engine.clock import DAY_MS, MINUTE_MS, SimulatedClock, SystemClock, elapsed_s, parse_time, wait_s
from engine.config import load_config
from engine.config.secret import Secret
from engine.errors import ConfigError, LedgerError, Problem
from engine.ledger import Ledger, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

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
        clock.advance_to(clock.now_ms() + 2_000)
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
    routes = load_settings(ROOT / "config/alerts.example.yaml").routes
    assert [(route.name, route.least) for route in routes] == [("telegram", "INFO"), ("on_call", "CRITICAL")]
    path = tmp_path / "alerts.yaml"
    path.write_text("routes:\n  desk:\n    url: tgram://123:secret/42/\n    leest: HIGH\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    text = str(caught.value)
    assert f"{path}:3:10: error[no-env]" in text
    assert f"{path}:4:5: error[unknown-key]" in text
    assert "did you mean `least`?" in text
    assert "123:secret" not in text


def test_what_repeats_is_sent_once_and_then_counted(ledger: Ledger, service: Service) -> None:
    def again(minute: int, what: str = "the venue does not answer") -> Alert:
        return Alert(NOW_MS + minute * MINUTE_MS, Severity.HIGH, "venue", what, (("why", f"number {minute}"),))

    clock = SimulatedClock(NOW_MS)
    quick = Route("desk", ROUTE.url, every_ms=0)
    outbox = Outbox(ledger, [quick], "", service.environ, clock, repeats_ms=10 * MINUTE_MS)
    for minute in range(4):
        clock.advance_to(NOW_MS + minute * MINUTE_MS)
        ledger.append(again(minute).row())
        assert asyncio.run(outbox.deliver()) == (1 if minute == 0 else 0)
    ledger.append(again(3, "the venue answers again").row())  # another thing to say is never held back
    assert asyncio.run(outbox.deliver()) == 1
    clock.advance_to(NOW_MS + 10 * MINUTE_MS - 1)
    restarted = Outbox(ledger, [quick], "", service.environ, clock, repeats_ms=10 * MINUTE_MS)
    assert asyncio.run(restarted.deliver()) == 0
    clock.advance_to(NOW_MS + 10 * MINUTE_MS)
    assert asyncio.run(restarted.deliver()) == 3
    assert [text.splitlines()[0] for text in service.received] == [
        "HIGH  the venue does not answer",
        "HIGH  the venue answers again",
        "HIGH  the venue does not answer",
    ]
    assert service.received[-1].splitlines()[1:] == ["times   3 since 2026-03-01T14:03:11Z", "why     number 3"]
    noted = [json.loads(event.document)["alert_id"] for event in ledger.events(SENT)]
    assert sorted(noted) == sorted({event.event_id for event in ledger.events(QUEUED)}), "each noted exactly once"


def test_a_new_route_hears_the_last_day_and_an_outage_of_days_loses_nothing(ledger: Ledger, service: Service) -> None:
    old, new = Alert(NOW_MS - 2 * DAY_MS, Severity.INFO, "old", "old"), Alert(NOW_MS, Severity.INFO, "new", "new")
    ledger.append([old.row(), new.row()])
    clock = SimulatedClock(NOW_MS)
    quick = Route("desk", ROUTE.url, every_ms=0)
    assert asyncio.run(Outbox(ledger, [quick], "", service.environ, clock).deliver()) == 1
    ledger.append(Alert(NOW_MS + 1, Severity.INFO, "missed", "missed").row())
    clock.advance_to(NOW_MS + 5 * DAY_MS)  # nobody delivered for days
    assert asyncio.run(Outbox(ledger, [quick], "", service.environ, clock).deliver()) == 1
    assert [text.split("  ")[1] for text in service.received] == ["new", "missed"]


def test_a_route_that_fails_is_on_record_and_reading_goes_on_from_where_it_was(
    ledger: Ledger, service: Service
) -> None:
    clock = SimulatedClock(NOW_MS)
    outbox = Outbox(ledger, [ROUTE], "", service.environ, clock)
    service.refusals = 5
    ledger.append(PAUSED.row())
    while service.refusals or not service.received:
        asyncio.run(outbox.deliver())
        clock.advance_to(clock.now_ms() + MINUTE_MS)
    assert [json.loads(event.document)["failures"] for event in ledger.events(FAILING)] == [1, 2, 4]
    questions: list[str] = []
    ledger._connection.set_trace_callback(questions.append)
    asyncio.run(outbox.deliver())
    ledger._connection.set_trace_callback(None)
    (question,) = questions
    assert "rowid > 0" not in question, "what was read is not read again"


def test_what_cannot_be_noted_for_a_moment_goes_out_once_on_every_route_and_later_alerts_follow(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []
    append, busy = Ledger.append, [True]

    async def send(address: str, text: str) -> bool:
        await asyncio.sleep(0.05 if "slow" in address else 0.0)
        sent.append((address, text.splitlines()[0]))
        return True

    def refusing(self: Ledger, rows: Row | Iterable[Row]) -> int:
        if busy and not isinstance(rows, Row) and any(getattr(row, "kind", "") == SENT for row in rows):
            busy.clear()
            raise LedgerError(Problem("locked", "ledger.db", "the ledger is busy"))
        return append(self, rows)

    monkeypatch.setattr(Ledger, "append", refusing)
    routes = [Route(name, Secret(f"json://{name}/")) for name in ("fast", "slow")]
    clock = SimulatedClock(NOW_MS + 400)
    outbox = Outbox(ledger, routes, "", {}, clock, send)
    ledger.append(PAUSED.row())
    with pytest.raises(LedgerError, match="busy"):
        asyncio.run(outbox.deliver())
    ledger.append(numbered(1, Severity.CRITICAL)[0].row())
    clock.advance_to(NOW_MS + MINUTE_MS)
    assert asyncio.run(outbox.deliver()) == 2
    assert sorted(sent) == sorted(set(sent))
    assert len(sent) == 4
    assert len(ledger.events(SENT)) == 4


def test_a_delivery_that_is_noted_already_by_another_time_holds_nothing_up(ledger: Ledger) -> None:
    async def send(_address: str, _text: str) -> bool:
        return True

    ledger.append(PAUSED.row())
    clock = SimulatedClock(NOW_MS)
    outbox = Outbox(ledger, [ROUTE], "", {"PORT": "1"}, clock, send)
    asyncio.run(outbox.deliver())
    clock.advance_to(NOW_MS + MINUTE_MS)
    (noted,) = ledger.events(SENT)
    outbox._unwritten = [replace(noted, at_ms=noted.at_ms + 1)]
    ledger.append(numbered(1)[0].row())
    assert asyncio.run(outbox.deliver()) == 1
    assert len(ledger.events(SENT)) == 2


def delivering(path: Path, service: Service, stop: threading.Event) -> threading.Thread:
    """Return an outbox that delivers in a thread, as a process of its own would."""

    async def main() -> None:
        told = asyncio.Event()
        settings = AlertSettings((Route("desk", ROUTE.url, every_ms=0),))
        work = asyncio.ensure_future(deliver_alerts(path, settings, service.environ, SystemClock(), told))
        await asyncio.to_thread(stop.wait)
        told.set()
        await work

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    return thread


def test_one_outbox_delivers_at_a_time_and_the_next_takes_over_within_a_second_or_two(
    ledger: Ledger, service: Service
) -> None:
    stops = [threading.Event() for _ in range(2)]
    another = Lease.beside(ledger.path, LEASE)
    assert another.take()
    threads = [delivering(ledger.path, service, stop) for stop in stops]
    try:
        ledger.append(Alert(SystemClock().now_ms(), Severity.HIGH, "n", "waits").row())
        wait_s(0.7)
        assert service.received == [], "who has not the lease delivers nothing"
        another.release()
        for number in range(4):
            now_ms = SystemClock().now_ms()
            ledger.append(Alert(now_ms, Severity.HIGH, f"n{number}", f"number {number}").row())
            begun_s = elapsed_s()
            while len(service.received) <= number + 1:
                assert elapsed_s() - begun_s < 10
                wait_s(0.01)
            if number == 1:
                holder = Lease.beside(ledger.path, LEASE)
                assert not holder.take(), "one of them has it"
                stops[0].set()
                threads[0].join(10)
        assert service.received == ["HIGH  waits", *(f"HIGH  number {number}" for number in range(4))]
    finally:
        for stop, thread in zip(stops, threads, strict=True):
            stop.set()
            thread.join(10)
    late_ms = [json.loads(event.document)["late_ms"] for event in ledger.events(SENT)]
    assert len(late_ms) == 5
    assert min(late_ms[2], late_ms[4]) <= 1_000, "queued to sent within a second, also on a machine with other work"


def test_the_first_alert_of_a_process_waits_for_no_module(service: Service) -> None:
    program = """
import sys
from engine.alerts import outbox
outbox._load()
before = set(sys.modules)
assert outbox._notify(sys.argv[1], "hello")
print([name for name in sys.modules if name.startswith("apprise") and name not in before])
"""
    address = f"json://127.0.0.1:{service.server.server_port}/"
    command = [sys.executable, "-c", program, address]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert (done.stdout.strip(), service.received) == ("[]", ["hello"])


def test_R022_no_address_is_in_any_log(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    root, written = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(written)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        ledger.append(PAUSED.row())
        environ = {"PORT": "1", "SECRET": "sentinel-secret"}
        routes = [
            Route("down", Secret("json://user:${SECRET}@127.0.0.1:${PORT}/")),
            Route("senseless", Secret("tgram://${SECRET}/no/")),
        ]
        assert asyncio.run(Outbox(ledger, routes, "", environ, SimulatedClock(NOW_MS)).deliver()) == 0
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert "sentinel" not in written.getvalue()
    assert "sentinel" not in "".join(capsys.readouterr())
    assert "sentinel" not in ledger.path.read_bytes().decode(errors="replace")


def test_apart_ends_with_who_started_it_and_its_faults_come_back() -> None:
    seen: list[str] = []
    begun = threading.Event()

    async def work(stop: asyncio.Event) -> None:
        seen.append(threading.current_thread().name)
        begun.set()
        await stop.wait()
        seen.append("stopped")

    async def fail(_: asyncio.Event) -> None:
        raise ConnectionError("away")

    async def main() -> None:
        task = asyncio.ensure_future(apart(work, "beside"))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionError):
            await apart(fail, "beside")

    asyncio.run(main())
    assert seen == ["beside", "stopped"]


@pytest.mark.parametrize(
    ("said", "where", "wrong"),
    [
        ("repeats: {within_minutes: -1}", ":2:27", "minutes from 0"),
        ("telegram: {users: [alice]}", ":2:20", "ids of people"),
        ("telegram: {commands: {flaten: false}}", ":2:23", "did you mean `flatten`?"),
        ("telegram: {api_url: 'ftp://x'}", ":2:21", "ending in `/bot`"),
        ("telegrams: {}", ":2:1", "did you mean `telegram`?"),
    ],
)
def test_mistakes_of_the_alerts_file_are_shown_where_they_are(
    tmp_path: Path, said: str, where: str, wrong: str
) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(f"routes: {{desk: {{url: 'json://${{HOST}}/'}}}}\n{said}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert f"{path}{where}: error[" in str(caught.value)
    assert wrong in str(caught.value)
