"""A desk that was paused by a real verdict, as its ledger tells it; keys of people; a launch that was allowed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from engine.bounds import Posture, initial_posture, paused
from engine.clock import DAY_MS, HOUR_MS, SECOND_MS, parse_time
from engine.execution.reconcile import venue_opening
from engine.launch_word import GUARD_RAN
from engine.ledger import CashFlow, Event, Ledger, Mark, VerdictRecord
from engine.operations.incidents.book import Incident, find
from engine.operations.incidents.opening import open_demanded
from engine.operations.incidents.post_mortem import HumanPart, record
from engine.operations.incidents.releases import Release, SuiteRun, record_tested
from engine.policy.bundle import Bundle, load_bundle
from engine.policy.facts import OK, Fact
from engine.policy.worker import Worker
from engine.reports.incident_papers import IncidentPapers
from engine.verdict import Judge, Situation, bundle_documents, bundle_hashes, canonical

if TYPE_CHECKING:
    from engine.policy.facts import Value

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config/prod_scale_rules_R1.yaml"
T0_MS = parse_time("2024-05-10T14:00:00Z")
LAUNCH_MS = T0_MS - 40 * DAY_MS - 14 * HOUR_MS
VERSION = "test"
WALLET = Decimal(16_000)


@cache
def bundle() -> Bundle:
    return load_bundle(RULES)


@cache
def action_engine() -> Worker:
    return Worker(bundle().policies["action"])


@cache
def restart_engine() -> Worker:
    return Worker(bundle().policies["restart"])


@dataclass(frozen=True)
class Desk:
    """A ledger and its papers."""

    ledger: Ledger
    papers: IncidentPapers

    def event(self, kind: str, at_ms: int, subject: str = "", /, **detail: Any) -> None:
        """Append an event as the desk, the guard or a flatten would."""
        name = f"test-{kind}-{subject}-{at_ms}"
        self.ledger.append(Event(name, at_ms, kind, subject, canonical(detail)))

    def difference(self, at_ms: int, subject: str = "BTCUSDT") -> None:
        """Append what `reconcile` records."""
        said = json.dumps([{"kind": "position", "venue": "0.1", "ledger": "0"}])
        self.ledger.append(Event(f"difference-{subject}-{at_ms}", at_ms, "difference", subject, said))

    def flattened(self, begun_ms: int, took_ms: int = 800, reason: str = "PAUSE") -> None:
        """Append what a flatten records."""
        steps = {"latched": begun_ms, "sent": begun_ms + 100, "flat": begun_ms + took_ms - 100}
        steps["verified"] = begun_ms + took_ms
        self.event("flatten_begun", begun_ms, reason, symbols=[])
        self.event("flatten_ended", begun_ms + took_ms, reason, flat=True, steps=steps)

    def opened(self, now_ms: int = T0_MS + SECOND_MS) -> tuple[Incident, ...]:
        return open_demanded(self.ledger, self.papers, now_ms)

    def found(self) -> Incident:
        return find(self.ledger, "INC-20240510-01")


def new_desk(folder: Path, *, stage: int = 3) -> Desk:
    """Return a desk that has run for forty days and stands 12.5 % below its peak at T0; nothing has happened yet."""
    return opened_desk(folder, _launched(stage))


def paused_desk(folder: Path, *, stage: int = 3) -> Desk:
    """Return the same, paused by its hard stop, flat, its incident open."""
    return opened_desk(folder, _paused(stage))


def opened_desk(folder: Path, file: bytes) -> Desk:
    """Return the desk whose ledger these bytes are."""
    path = folder / "trading.db"
    path.write_bytes(file)
    return Desk(Ledger.open(path), IncidentPapers(folder / "reports"))


@cache
def _launched(stage: int) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trading.db"
        with Ledger.open(path, create=True) as ledger:
            _launch(Desk(ledger, IncidentPapers(path)), stage)
        return path.read_bytes()


@cache
def _paused(stage: int) -> bytes:
    with TemporaryDirectory() as folder:
        desk = new_desk(Path(folder), stage=stage)
        pause(desk)
        desk.ledger.close()
        return desk.ledger.path.read_bytes()


def _launch(desk: Desk, stage: int) -> None:
    cap_usd = float(bundle().policies["stages"].stages[stage].cap_usd)
    desk.ledger.set_meta(kind="paper", created_at_ms=LAUNCH_MS, from_ms=LAUNCH_MS, stage=stage)
    desk.ledger.append([*bundle_documents(bundle()), venue_opening("risk", LAUNCH_MS, WALLET)])
    hours = (T0_MS - LAUNCH_MS) // HOUR_MS
    rows = []
    for hour in range(hours + 1):
        at_ms = LAUNCH_MS + hour * HOUR_MS
        day = hour / 24
        # up by 10 % in thirty days, then down by 12.5 % from there, with a little of both each day
        nav = 1 + 0.1 * min(day, 30) / 30 + 0.001 * (hour // 24 % 2)
        if day > 30:
            nav = 1.1 * (1 - 0.125 * (hour - 720) / (hours - 720))
        rows.append(Mark("risk", at_ms, cap_usd * nav, nav, cap_usd, 1.0, cap_usd, 0.9 * cap_usd * nav))
        good = 1 + 0.002 * day + 0.0005 * (hour // 24 % 2)
        rows.append(Mark("shadow", at_ms, cap_usd * good, good, cap_usd, 1.0, cap_usd, 0.0))
    desk.ledger.append(rows)
    posture(desk, initial_posture(stage, cap_usd, LAUNCH_MS), LAUNCH_MS)


def posture(desk: Desk, now: Posture, at_ms: int) -> None:
    desk.ledger.append(Event(f"posture-{at_ms}", at_ms, "posture", str(now.stage), canonical(now.to_json())))


def pause(desk: Desk, *, flat_after_ms: int = 1_800) -> Incident:
    """Let the action policy pause the desk at T0 by its hard stop, flatten it, and open the incident."""
    facts: dict[str, Value] = {"drawdown": 12.5, "return_window": -4.0, "sharpe_20d": -1.12, "risk_guard": "CLEAR"}
    facts |= {"stage": 3, "exposure": 1.0, "equity_age": 0.0}
    posted = {name: Fact(name, value, OK, T0_MS) for name, value in facts.items()}
    judge = Judge(bundle().policies["action"], action_engine(), bundle_hashes(bundle()), VERSION)
    before = judge.verdict(
        {**posted, "drawdown": Fact("drawdown", 10.9, OK, T0_MS - HOUR_MS)}, T0_MS - HOUR_MS, SITUATION
    )
    verdict = judge.verdict(posted, T0_MS, SITUATION)
    assert (before.outcome, verdict.outcome) == ("REDUCE", "PAUSE")
    desk.ledger.append([*before.rows(), *verdict.rows()])
    effects = bundle().policies["action"].effects["PAUSE"]
    last = Posture.from_json(json.loads(desk.ledger.events("posture")[-1].document))
    step = paused(last, "PAUSE", effects, T0_MS)
    for change in step.changes:
        desk.event(change.kind, T0_MS, change.subject, **{**change.detail, "verdict_id": verdict.verdict_id})
    desk.event("incident", T0_MS, "PAUSE", severity="CRITICAL", verdict_id=verdict.verdict_id)
    posture(desk, step.posture, T0_MS)
    desk.flattened(T0_MS + 1_000, flat_after_ms - 1_000)
    desk.opened(T0_MS + 2 * SECOND_MS)
    return desk.found()


SITUATION = Situation(3, 1.0, 15_000.0, 14_437.5)

WRITTEN = HumanPart(
    root_cause="a stop order was sized on the wrong balance",
    cause="bug",
    went_well=("the book was flat in two seconds",),
    went_wrong=("the alert reached nobody for five minutes",),
    actions=({"item": "size on equity", "owner": "bob", "due": "2024-05-20", "status": "open"},),
    root_cause_identified_ms=T0_MS + 2 * HOUR_MS,
    resolution_deployed_ms=T0_MS + 5 * HOUR_MS,
    release="v0.1.1",
    author="alice",
)

FRONT = """---
author: alice
root_cause: "a stop order was sized on the wrong balance"
cause: bug
root_cause_identified: 2024-05-10T16:00Z
resolution_deployed: 2024-05-10T19:00Z
release: v0.1.1
went_well:
  - the book was flat in two seconds
went_wrong:
  - the alert reached nobody for five minutes
actions:
  - {item: size on equity, owner: bob, due: 2024-05-20, status: open}
---
"""


def write_up(desk: Desk, human: HumanPart = WRITTEN, at_ms: int = T0_MS + 6 * HOUR_MS) -> Incident:
    """Record the human part."""
    record(desk.ledger, desk.found(), human, at_ms)
    return desk.found()


def suite_ran(desk: Desk, at_ms: int = T0_MS + 6 * HOUR_MS, **more: Any) -> None:
    """Record a green run of the whole suite on v0.1.1."""
    said = {"commit": "c" * 40, "tags": ("v0.1.1",), "changed": (), "config_sha256": "a", "pinned_sha256": "a", **more}
    green = said.pop("green", True)
    record_tested(desk.ledger, Release(**said), SuiteRun(bool(green), "1 passed"), "alice", at_ms)


def launch_allowed(desk: Desk, at_ms: int, outcome: str = "ALLOW_LAUNCH", *, stage: int = 3, **hashes: str) -> None:
    """Record what the launch guard said of a stage; the desk stands at 3 and restarts at 2."""
    found = {"digest": bundle().digest, **hashes}
    document = canonical({"hashes": found, "outcome": outcome})
    name = f"V-launch-{at_ms}-{outcome}"
    said = canonical({"verdict_id": name, "stage": stage})
    decided = VerdictRecord(name, at_ms, "launch", outcome, "p" * 64, "c" * 64, "f" * 64, document)
    desk.ledger.append([decided, Event(f"{GUARD_RAN}-{name}", at_ms, GUARD_RAN, outcome, said)])


def marked(desk: Desk, until_ms: int, shadow_daily: float = 0.002) -> None:
    """Mark both accounts each hour after T0 until a time: the book is flat, the shadow earns so much a day."""
    last, shadow = desk.ledger.last_mark("risk"), desk.ledger.last_mark("shadow")
    assert last is not None
    assert shadow is not None
    rows = []
    for number, at_ms in enumerate(range(last.at_ms + HOUR_MS, until_ms + 1, HOUR_MS), 1):
        rows.append(Mark("risk", at_ms, last.equity_usd, last.nav, last.units, 0.0, last.cap_usd, 0.0))
        nav = shadow.nav + shadow_daily * number / 24 + 0.0005 * (at_ms // DAY_MS % 2)
        rows.append(Mark("shadow", at_ms, nav * shadow.units, nav, shadow.units, 1.0, shadow.cap_usd, 0.0))
    desk.ledger.append(rows)


def flow(desk: Desk, at_ms: int, amount_usd: float) -> None:
    desk.ledger.append(CashFlow(f"flow-{at_ms}", "risk", at_ms, amount_usd, "virtual", "test"))


def people(folder: Path, *names: str) -> Path:
    """Make a key for each name, and return the file that says whose they are."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in names:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
        lines.append(f"{name} {(folder / f'{name}.pub').read_text()}")
    signers = folder / "allowed_signers"
    signers.write_text("".join(lines))
    return signers
