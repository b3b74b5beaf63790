"""A launch with everything as it should be; made once a worker."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

import pytest

from engine.launch.look import look
from engine.ledger import Ledger
from engine.policy.worker import Worker
from tests.launch.launching import (
    EVERYBODY,
    Allowed,
    Messenger,
    Stage,
    at_venue,
    exchange,
    fill_store,
    make_keys,
    rules_of,
    sign_papers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.launch.probe import Findings
    from engine.simulator.exchange import Exchange


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
    looking = dataclasses.replace(allowed.stage, messenger=Messenger())
    with Ledger.open(looking.ledger_path) as ledger:
        case = looking.case(ledger)

        async def act(venue: BinanceVenue, clock: Clock, _exchange: Exchange) -> Findings:
            return await look(case, venue, clock)

        return at_venue(act)
