"""A small ledger, written through the real ledger: a seeded random walk under a small policy's verdicts.

The verdicts are put together here by hand, in the recorded form; the engines are not under test.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.clock import DAY_MS, HOUR_MS, iso, parse_time
from engine.ledger import (
    Event,
    FactsSnapshot,
    Fill,
    FundingPayment,
    Ledger,
    Marks,
    SleeveMarks,
    StoredDocument,
    VerdictRecord,
)
from engine.reports.page import render
from engine.reports.rehearsal_report import rehearsal_content
from engine.reports.view import LedgerView, read_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.reports.content import Report

DATA = Path(__file__).parent / "data"
GOLDEN = Path(__file__).parent / "golden"
START_MS = parse_time("2022-07-01")
CONFIG = """
ensemble:
  fixed_weights: {BTCUSDT: 0.34, ETHUSDT: 0.33, SOLUSDT: 0.33}
backtest: {fee_bps: 5, slippage_bps: 3}
"""
BUNDLE = "bundle: R1\n"
WEIGHTS = {"BTCUSDT": 0.34, "ETHUSDT": 0.33, "SOLUSDT": 0.33}
PRICES = {"BTCUSDT": 20_000.0, "ETHUSDT": 1_200.0, "SOLUSDT": 35.0}


def condition(fact: str, value: str | None, unit: str, test: str, truth: str, margin: str | None) -> dict[str, Any]:
    return {"fact": fact, "value": value, "unit": unit, "test": test, "truth": truth, "margin": margin}


def rule(
    rule_id: str,
    outcome: str,
    because: str,
    refs: str,
    conditions: list[dict[str, Any]],
    streak: tuple[int, int] | None = None,
) -> dict[str, Any]:
    truths = {each["truth"] for each in conditions}
    truth = "FALSE" if "FALSE" in truths else "UNKNOWN" if "UNKNOWN" in truths else "TRUE"
    if truth == "TRUE" and streak and streak[0] < streak[1]:
        truth = "FALSE"
    return {
        "id": rule_id,
        "outcome": outcome,
        "truth": truth,
        "refs": refs.split(),
        "because": because,
        "conditions": conditions,
        "streak": {"days": streak[0], "needed": streak[1], "of": None} if streak else None,
    }


def above(fact: str, value: float | None, unit: str, limit: float, test: str) -> dict[str, Any]:
    return edge(fact, value, unit, test, limit, holds=value is not None and value > limit)


def edge(fact: str, value: float | None, unit: str, test: str, limit: float, *, holds: bool) -> dict[str, Any]:
    if value is None:
        return condition(fact, None, unit, test, "UNKNOWN", None)
    return condition(fact, f"{value:.4f}", unit, test, str(holds).upper(), f"{abs(value - limit):.4f}")


@dataclass
class Walk:
    """What the fixture needs of its own ledger to check a report against."""

    path: Path
    at_ms: np.ndarray[Any, np.dtype[np.int64]]
    nav: np.ndarray[Any, np.dtype[np.float64]]
    shadow_nav: np.ndarray[Any, np.dtype[np.float64]]
    outcomes: list[str]


def documents() -> dict[str, StoredDocument]:
    texts = {
        "policy": ("action.yaml", (DATA / "action.yaml").read_text()),
        "vocabulary": ("facts.yaml", (DATA / "facts.yaml").read_text()),
        "config": ("config.yaml", CONFIG),
        "bundle": ("bundle.yaml", BUNDLE),
    }
    return {kind: StoredDocument.of(kind, name, text) for kind, (name, text) in texts.items()}


def verdict_document(
    at_ms: int, facts: dict[str, float | None], stored: dict[str, StoredDocument], facts_sha256: str, **more: Any
) -> dict[str, Any]:
    drawdown, sharpe, month = facts["drawdown"], facts["sharpe_20d"], facts["return_30d"]
    yellow = drawdown is not None and 8 <= drawdown <= 10
    rules = [
        rule(
            "hard_stop_drawdown",
            "PAUSE",
            "the drawdown is beyond the hard stop",
            "R155 A01",
            [above("drawdown", drawdown, "percent", 12, "> 12%")],
        ),
        rule(
            "hard_stop_risk_guard",
            "PAUSE",
            "the risk guard demands a flat book",
            "R157",
            [condition("risk_guard", None, "one of", "= FLATTEN_ALL", "UNKNOWN", None)],
        ),
        rule(
            "drawdown_red",
            "REDUCE",
            "the drawdown is red",
            "R151 A01",
            [above("drawdown", drawdown, "percent", 10, "> 10%")],
        ),
        rule(
            "scale_up",
            "SCALE_UP",
            "ten complete days all green with a strong Sharpe ratio",
            "R133 A51",
            [
                above("sharpe_20d", sharpe, "ratio", 0.8, "> 0.8"),
                above("return_30d", month, "percent", 0, "> 0%"),
            ],
            (3, 10),
        ),
        rule(
            "yellow_review[drawdown]",
            "KEEP",
            "a metric is yellow",
            "R114 A24",
            [
                edge("drawdown", drawdown, "percent", ">= 8%", 8, holds=drawdown is not None and drawdown >= 8),
                edge("drawdown", drawdown, "percent", "<= 10%", 10, holds=drawdown is not None and drawdown <= 10),
            ],
        ),
    ]
    fired = [each["id"] for each in rules if each["truth"] == "TRUE"]
    asked = {each["outcome"] for each in rules if each["truth"] == "TRUE"}
    outcome = next(each for each in ("PAUSE", "REDUCE", "SCALE_UP", "KEEP") if each in {*asked, "KEEP"})
    effects = {
        "PAUSE": {"exposure": 0.0, "entries_blocked": True, "until": "restart"},
        "REDUCE": {"exposure": 0.5, "once_per_episode": True, "recovery_ms": 5 * DAY_MS, "approvals": 1},
    }
    band = "unknown" if drawdown is None else "green" if drawdown < 8 else "yellow" if drawdown <= 10 else "red"
    return {
        "verdict_id": f"V{iso(at_ms)[:10].replace('-', '')}-{iso(at_ms)[11:13]}00-action",
        "at_ms": at_ms,
        "policy": "action",
        "outcome": outcome,
        "fired": fired,
        "agree": True,
        "fault": None,
        "rules": rules,
        "bands": {
            "drawdown": band,
            "sharpe_20d": "unknown"
            if sharpe is None
            else "green"
            if sharpe > 0.5
            else "yellow"
            if sharpe >= 0
            else "red",
            "return_30d": "unknown" if month is None else "green" if month > 0 else "yellow" if month >= -5 else "red",
            "slippage_ratio": "green",
        },
        "unknown": [
            {"fact": name, "status": "missing" if name == "risk_guard" else "young"}
            for name, value in facts.items()
            if value is None
        ],
        "effects": effects.get(outcome, {}),
        "flags": ["REVIEW"] if yellow else [],
        "hashes": {**{kind: each.sha256 for kind, each in stored.items()}, "facts": facts_sha256},
        "engine_version": "0.1.0",
        "stage": 3,
        "exposure": 1.0,
        "cap_usd": 15_000.0,
        "equity_usd": 15_000.0,
        **more,
    }


def facts_of(nav: Any, epoch: int) -> dict[str, float | None]:
    """Return the facts at the last of `nav`, the peak counted from the row `epoch`."""
    closes = nav[::24]
    month = (nav[-1] / nav[-721] - 1) * 100 if len(nav) > 720 else None
    return {
        "drawdown": float(1 - nav[-1] / nav[epoch:].max()) * 100,
        "sharpe_20d": sharpe((np.diff(closes) / closes[:-1])[-20:]),
        "return_30d": None if month is None else float(month),
        "slippage_ratio": 1.02,
        "risk_guard": None,
    }


def snapshot_of(facts: dict[str, float | None], at_ms: int) -> FactsSnapshot:
    absent = {"risk_guard": "missing"}
    plain = {
        name: [value, "ok" if value is not None else absent.get(name, "young"), at_ms] for name, value in facts.items()
    }
    return FactsSnapshot.of(at_ms, json.dumps(plain, sort_keys=True), day_close=True)


def change_events(at_ms: int, exposure: float, outcome: str, verdict_id: str) -> list[Event]:
    events = [bounds_event(at_ms, exposure, outcome, verdict_id)]
    if outcome == "REDUCE":
        events.append(Event(f"E{at_ms}-episode", at_ms, "episode_start", "REDUCE", '{"rule":"drawdown_red"}'))
    if exposure == 1.0:
        events.append(Event(f"E{at_ms}-end", at_ms, "episode_end", "REDUCE", '{"exposure":1.0}'))
    return events


def sharpe(returns: Any) -> float | None:
    flat = len(returns) < 20 or returns.std(ddof=1) < 1e-12
    return None if flat else float(returns.mean() / returns.std(ddof=1) * 365**0.5)


def portable(values: Any) -> Any:
    """Return values that are the same on every processor: the last bit of NumPy's exp and sin is the vector unit's."""
    return np.round(values, 10)


def write_walk(path: Path, *, days: int, seed: int = 11, drift: float = -0.00004, noise: float = 0.0034) -> Walk:
    """Write a ledger of `days` days of hourly marks with a verdict at each day's end."""
    stored = documents()
    rng = np.random.default_rng(seed)
    hours = days * 24
    at_ms = START_MS + np.arange(hours + 1) * HOUR_MS
    steps = np.concatenate([[0.0], rng.normal(drift, noise, hours)])
    shadow_nav = portable(np.exp(np.cumsum(steps)))
    nav, exposure = np.ones(hours + 1), np.ones(hours + 1)
    rows: list[Any] = list(stored.values())
    outcomes: list[str] = []
    in_force, epoch, paused = 1.0, 0, 0
    for hour in range(24, hours + 1, 24):
        today = slice(hour - 23, hour + 1)
        exposure[today] = in_force
        nav[today] = portable(nav[hour - 24] * np.exp(np.cumsum(steps[today]) * in_force))
        now = int(at_ms[hour])
        facts = facts_of(nav[: hour + 1], epoch)
        snapshot = snapshot_of(facts, now)
        equity_usd = 15_000 * float(nav[hour])
        document = verdict_document(now, facts, stored, snapshot.sha256, exposure=in_force, equity_usd=equity_usd)
        outcome = document["outcome"]
        rows += [snapshot, record(document)]
        calm = outcomes[-5:] == ["KEEP"] * 5
        wanted = {"PAUSE": 0.0, "REDUCE": 0.5}.get(outcome, 1.0 if calm else in_force)
        paused = hour if outcome == "PAUSE" and not paused else paused
        wanted = 0.0 if paused else wanted
        if paused and hour - paused == 7 * 24:  # the restart is signed a week later, and the peak begins anew
            epoch, paused, wanted = hour, 0, 1.0
            rows.append(Event(f"E{now}-restart", now, "restart", "2", '{"stage":2,"cap_usd":15000.0}'))
        if wanted != in_force:
            rows += change_events(now, wanted, outcome, document["verdict_id"])
        in_force = wanted
        outcomes.append(outcome)
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(
            kind="rehearsal",
            seed=seed,
            source="synthetic",
            from_ms=int(at_ms[0]),
            to_ms=int(at_ms[-1]),
            stage=3,
            command=f"stagegate rehearse --seed {seed}",
            engine_version="0.1.0",
        )
        ledger.append(rows)
        ledger.append(trades(at_ms, exposure))
        for account, values, multiplier in (("risk", nav, exposure), ("shadow", shadow_nav, np.ones(hours + 1))):
            ledger.append_marks(account, marks(at_ms, values, multiplier))
            for index, symbol in enumerate(WEIGHTS):
                ledger.append_sleeve_marks(account, symbol, sleeve(at_ms, values, multiplier, symbol, index))
    return Walk(path, at_ms, nav, shadow_nav, outcomes)


def record(document: dict[str, Any]) -> VerdictRecord:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    hashes = document["hashes"]
    return VerdictRecord(
        document["verdict_id"],
        document["at_ms"],
        document["policy"],
        document["outcome"],
        hashes["policy"],
        hashes["config"],
        hashes["facts"],
        text,
    )


def bounds_event(at_ms: int, exposure: float, reason: str, verdict_id: str) -> Event:
    detail = {
        "exposure": exposure,
        "cap_usd": 15_000.0,
        "entries": "blocked" if exposure == 0 else "allowed",
        "reason": reason,
        "verdict_id": verdict_id,
    }
    return Event(f"E{at_ms}-bounds", at_ms, "bounds", "action", json.dumps(detail))


def marks(at_ms: Any, nav: Any, exposure: Any) -> Marks:
    return Marks(
        at_ms=at_ms,
        equity_usd=15_000 * nav,
        nav=nav,
        units=np.full(len(nav), 15_000.0),
        exposure=exposure,
        cap_usd=np.full(len(nav), 15_000.0),
        gross_usd=9_000 * exposure * (0.8 + 0.2 * portable(np.sin(np.arange(len(nav)) / 60))),
        estimated_marks=np.zeros(len(nav), dtype=np.int64),
    )


def sleeve(at_ms: Any, nav: Any, exposure: Any, symbol: str, index: int) -> SleeveMarks:
    share = (0.6, 0.9, -0.5)[index]
    position = np.where(np.arange(len(nav)) < 24, np.nan, portable(np.sin(np.arange(len(nav)) / (40 + index * 25))))
    return SleeveMarks(
        at_ms=at_ms,
        qty=np.nan_to_num(position) * exposure * 15_000 * WEIGHTS[symbol] / PRICES[symbol],
        mark_price=np.full(len(nav), PRICES[symbol]),
        pnl_usd=(nav - 1) * 15_000 * share,
        position=position,
    )


def trades(at_ms: Any, exposure: Any) -> list[Any]:
    rows: list[Any] = []
    for hour in range(24, len(at_ms), 31):
        now = int(at_ms[hour])
        index = hour % 3
        symbol = list(PRICES)[index]
        ref = PRICES[symbol]
        side = 1 if hour % 2 else -1
        kind, reason = ("stop", "stop") if hour % 7 == 0 else ("bar_open", "rebalance")
        qty = 700 / ref
        price = ref * (1 + side * 0.00031)
        rows.append(
            Fill(f"F{now}", "risk", now, symbol, side, qty, price, ref, kind, qty * price * 5e-4, f"P{now}", reason)
        )
    for hour in range(8, len(at_ms), 8):
        now = int(at_ms[hour])
        for index, symbol in enumerate(PRICES):
            qty = math.sin(hour / (40 + index * 25)) * exposure[hour] * 15_000 * WEIGHTS[symbol] / PRICES[symbol]
            rows.append(
                FundingPayment(
                    f"N{now}{symbol}",
                    "risk",
                    now,
                    symbol,
                    float(qty),
                    PRICES[symbol],
                    1e-4,
                    8.0,
                    float(-qty * PRICES[symbol] * 1e-4),
                    assumed=hour == 80,
                )
            )
    skipped = json.dumps({"notional_usd": 3.2, "reason": "minimum"})
    rows.append(Event(f"E{int(at_ms[-1])}-skip", int(at_ms[-1]) - DAY_MS, "order_skipped", "SOLUSDT", skipped))
    return rows


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """A ledger of 100 days in which the drawdown goes through every band."""
    return write_walk(tmp_path_factory.mktemp("ledger") / "rehearsal.db", days=100)


@pytest.fixture(scope="session")
def ledger_path(walk: Walk) -> Path:
    return walk.path


@pytest.fixture(scope="session")
def view(walk: Walk) -> LedgerView:
    with Ledger.open(walk.path, read_only=True) as ledger:
        return read_view(ledger)


@pytest.fixture(scope="session")
def content(view: LedgerView) -> Report:
    """What the rehearsal's report shows, drawn once."""
    return rehearsal_content(view)


@pytest.fixture(scope="session")
def page(content: Report) -> str:
    return render("report.html.j2", report=content)


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with the one on file; STAGEGATE_WRITE_GOLDEN=1 puts the new one there, to be read and judged."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("STAGEGATE_WRITE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text

    return check


@pytest.fixture
def walk_copy(walk: Walk, tmp_path: Path) -> Path:
    """The ledger again, to be written to."""
    copy = tmp_path / "copy.db"
    with Ledger.open(walk.path, read_only=True) as ledger:
        ledger.backup(copy)
    return copy


@pytest.fixture
def unknown_ledger(tmp_path: Path) -> Path:
    """Two days of marks and verdicts on which no fact has a value."""
    path = tmp_path / "unknown.db"
    stored = documents()
    at_ms = START_MS + np.arange(49) * HOUR_MS
    nothing: dict[str, float | None] = dict.fromkeys(("drawdown", "sharpe_20d", "return_30d", "risk_guard"))
    rows: list[Any] = list(stored.values())
    for end_ms in (START_MS + DAY_MS, START_MS + 2 * DAY_MS):
        text = json.dumps({name: [None, "missing", end_ms] for name in nothing}, sort_keys=True)
        snapshot = FactsSnapshot.of(end_ms, text, day_close=True)
        document = verdict_document(end_ms, nothing, stored, snapshot.sha256, equity_usd=None)
        rows += [snapshot, record({**document, "bands": dict.fromkeys(("drawdown", "sharpe_20d"), "unknown")})]
    with Ledger.open(path, create=True) as ledger:
        ledger.append(rows)
        ledger.append_marks("risk", marks(at_ms, np.ones(49), np.ones(49)))
    return path
