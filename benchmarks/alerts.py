"""Alerts: from the row in the ledger to the service that has it, through the real Apprise, on a ledger of years."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from benchmarks.harness import NotMeasured, Target, Times
from engine.alerts.alert import SENT, Alert, Severity
from engine.alerts.outbox import LOOK_EVERY_S, deliver_alerts
from engine.alerts.routes import Route
from engine.alerts.settings import AlertSettings
from engine.clock import HOUR_MS, SystemClock, elapsed_s, wait_s
from engine.config.secret import Secret
from engine.ledger import Event, Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness import Figure
    from benchmarks.inputs import Inputs

DELIVERED = 20_000
ALERTS, FEW = 60, 3
ROUTE = Route("desk", Secret("json://127.0.0.1:${PORT}/"), every_ms=0)
_PATIENCE_S = 30.0
_STEP_S = 0.01
_STEPS = round(LOOK_EVERY_S / _STEP_S)


class _Service:
    """A webhook on loopback that notes when each message came."""

    def __init__(self) -> None:
        self.came_s: dict[str, float] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"]
                service.came_s[message] = elapsed_s()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


def figures(inputs: Inputs) -> list[Figure]:
    """Measure one alert after another, the first of a process included."""
    whole = inputs.scale.full_length
    path = inputs.folder / "alerts.db"
    _ledger_of_years(path, DELIVERED if whole else 100)
    service, told = _Service(), threading.Event()
    sender = threading.Thread(target=_deliver, args=(path, service.server.server_port, told), daemon=True)
    sender.start()
    try:
        taken = _told(path, service, ALERTS if whole else FEW)
    finally:
        told.set()
        sender.join(_PATIENCE_S)
        service.server.shutdown()
    note = f"real Apprise, a webhook on loopback, {DELIVERED:,} alerts before; looked for every {LOOK_EVERY_S} s"
    found = Times(tuple(taken), cpu_s=0.0).figure(
        "alert queued → its service has it", Target("p99", 1.0, "#5"), note=note
    )
    return [replace(found, cpu_s=None)]


def _ledger_of_years(path: Path, count: int) -> None:
    now_ms = SystemClock().now_ms()
    rows: list[Event] = []
    for number in range(count):
        at_ms = now_ms - (count - number) * HOUR_MS
        alert = Alert(at_ms, Severity.INFO, f"s{number}", f"number {number}")
        document = json.dumps({"alert_id": alert.alert_id, "late_ms": 200})
        rows += [alert.row(), Event(f"{alert.alert_id}-{ROUTE.name}", at_ms + 200, SENT, ROUTE.name, document)]
    with Ledger.open(path, create=True) as ledger:
        ledger.append(rows)


def _deliver(path: Path, port: int, told: threading.Event) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        settings = AlertSettings((ROUTE,))
        sending = asyncio.create_task(deliver_alerts(path, settings, {"PORT": str(port)}, SystemClock(), stop))
        await asyncio.to_thread(told.wait)
        stop.set()
        await sending

    asyncio.run(main())


def _told(path: Path, service: _Service, count: int) -> list[float]:
    """Queue alerts as a desk does, each after the one before has come; return how long each took, seconds."""
    taken: list[float] = []
    with Ledger.open(path) as ledger:
        _send(ledger, service, "the sender is there")  # its imports are part of the start of a process, not of an alert
        for number in range(count):
            wait_s(0.05 + _STEP_S * (number % _STEPS))  # at every phase of the sender's looks
            taken.append(_send(ledger, service, f"alert {number}"))
    return taken


def _send(ledger: Ledger, service: _Service, what: str) -> float:
    alert = Alert(SystemClock().now_ms(), Severity.HIGH, what, what)
    began_s = elapsed_s()
    ledger.append(alert.row())
    text = alert.text("")
    while text not in service.came_s:
        if elapsed_s() - began_s > _PATIENCE_S:
            raise NotMeasured(f"no alert within {_PATIENCE_S:.0f} s")
        wait_s(0.002)
    return service.came_s[text] - began_s
