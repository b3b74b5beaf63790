"""A launch with everything as it should be; made once a worker."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import shutil
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from engine.alerts.outbox import send_by_apprise
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.config import load_config
from engine.errors import Problem, UsageError
from engine.execution.binance.client import Keys
from engine.execution.journal import Journal
from engine.execution.reconcile import Kind
from engine.execution.venue import SymbolSettings
from engine.inquiry import replay
from engine.ledger import Ledger
from engine.ledger.rows import FactsSnapshot
from engine.live.opening import Release, launch
from engine.live.runner_launch import check_real
from engine.live.runner_lock import InstanceLock
from engine.market.series import Market
from engine.operations.approvals import approve
from engine.operations.launch import account, data, dry_run, environment, key, signed, timesync, variables
from engine.operations.launch.account import Capital, unknown_to_us
from engine.operations.launch.alerts import delivered
from engine.operations.launch.configuration import frozen_values, hash_matches
from engine.operations.launch.dry_run import DryRun
from engine.operations.launch.guard import decide
from engine.operations.launch.look import look
from engine.operations.launch.machine import Machine, Said
from engine.operations.launch.probe import Findings, find_out, no, unknown
from engine.operations.launch.release import read_rules
from engine.operations.launch.word import acknowledge, acknowledged, last_word
from engine.policy.bundle import load_bundle
from engine.policy.decide import decide as decided_by
from engine.policy.facts import Fact
from engine.policy.fault import EngineFault
from engine.policy.worker import Worker
from engine.posted import facts_document, facts_from
from engine.reports.terminal_launch import launch_text
from engine.simulator.accounts import Permissions
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import ClockSkew, Outage
from tests.execution.dealing import BTC, ETH, at_hours, dealing, parent, stop_by_hand, trade
from tests.execution.simulated import SYMBOLS as TRADED
from tests.operations.launch.launching import (
    ACCOUNT,
    CHAT,
    CONFIG,
    ENVIRON,
    EVERYBODY,
    KEY,
    NOW_MS,
    RULES,
    SECRET,
    SYMBOLS,
    TOKEN,
    Messenger,
    Stage,
    at_venue,
    exchange,
    fill_store,
    frozen,
    make_keys,
    market,
    rules_of,
    saying,
    sign_papers,
)

from tests.operations.launch.launching import CAPITAL, Allowed, asked, only, real_dry_run, verdict_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.operations.launch.report import Filed
    from engine.policy.decide import Decision
    from engine.policy.model import Snapshot
    from engine.simulator.exchange import Exchange
    from engine.verdict import Verdict
    from tests.execution.dealing import Dealing


@pytest.fixture(scope="session")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_keys(tmp_path_factory.mktemp("launch-keys"))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_store(tmp_path_factory.mktemp("launch-store") / "market.db")


@pytest.fixture(scope="session")
def engine() -> Iterator[Worker]:
    with Worker(rules_of().policy) as worker:
        yield worker


@pytest.fixture(scope="session")
def papers_signed(signers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new ledger in which everybody has signed what a launch needs signed."""
    path = tmp_path_factory.mktemp("launch-signed") / "ledger.db"
    with Ledger.open(path, create=True) as ledger:
        sign_papers(ledger, signers, EVERYBODY)
    return path


@pytest.fixture
def stage(tmp_path: Path, signers: Path, store: Path, engine: Worker, papers_signed: Path) -> Stage:
    """Everything as it should be, on a ledger of the test's own."""
    shutil.copy(papers_signed, tmp_path / "ledger.db")
    return Stage(tmp_path, signers, store, engine)


@pytest.fixture(scope="session")
def allowed(
    tmp_path_factory: pytest.TempPathFactory, signers: Path, store: Path, engine: Worker, papers_signed: Path
) -> Allowed:
    folder = tmp_path_factory.mktemp("launch-allowed")
    shutil.copy(papers_signed, folder / "ledger.db")
    stage, made = Stage(folder, signers, store, engine), exchange()
    return Allowed(stage, stage.run(made), made)


@pytest.fixture(scope="session")
def good(allowed: Allowed) -> Findings:
    """What all probes find where everything is as it should be."""
    with Ledger.open(allowed.stage.ledger_path) as ledger:
        case = allowed.stage.case(ledger)

        async def act(venue: BinanceVenue, clock: Clock, _exchange: Exchange) -> Findings:
            return await look(case, venue, clock)

        return at_venue(act)
