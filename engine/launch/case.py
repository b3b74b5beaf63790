"""What a run of the launch guard is about: which release, which account, which ledger, how much money."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.config import load_config
from engine.errors import ConfigError, Problem, UsageError
from engine.inquiry import posture_at
from engine.launch.account import Capital
from engine.launch.machine import Machine
from engine.launch.probe import LIMIT_S
from engine.live.account import RISK
from engine.live.connection import Connection, Mode, connection
from engine.live.opening import FOR_EVER_MS, launched_ms
from engine.runner.launch import FIRST_STAGE, PAPER_STAGE
from engine.verdict import Situation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.execution.venue import Venue
    from engine.launch.alerts import Send
    from engine.launch.release import Rules
    from engine.ledger import Ledger


@dataclass(frozen=True)
class LaunchRequest:
    """What the guard was asked.

    Attributes:
        rules: the bundle.
        config: the frozen configuration; None: the one that the bundle names.
        ledger: on which the verdict is recorded, and beside which a simulator is announced.
        market: the market store.
        signers: the allowed-signers file.
        mode: whose money.
        stage: to be entered; None: the one that the ledger is in, or the first.
    """

    rules: Path
    config: Path | None
    ledger: Path
    market: Path
    signers: Path
    mode: Mode
    stage: int | None = None


@dataclass(frozen=True)
class World:
    """What the guard looks at beside venue and ledger.

    Attributes:
        machine: interpreter, packages, programs.
        environ: the environment; its secrets are used, never shown.
        send: sends a text to an address; None: Apprise.
        limit_s: how long a probe may take.
    """

    machine: Machine = field(default_factory=Machine)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    send: Send | None = None
    limit_s: float = LIMIT_S


@dataclass(frozen=True)
class Case:
    """A run of the guard, with all that was read before anything was asked.

    Attributes:
        request: what it was asked.
        world: what it looks at.
        rules: what decides.
        config: the frozen configuration, or why there is none.
        account: how it is reached, or why it cannot be.
        ledger: open for writing.
        capital: what is to be at risk.
    """

    request: LaunchRequest
    world: World
    rules: Rules
    config: FrozenConfig | ConfigError
    account: Connection | UsageError
    ledger: Ledger
    capital: Capital

    @property
    def api_key(self) -> str:
        """The account's key; empty where there is none."""
        return self.account.keys.api_key if isinstance(self.account, Connection) else ""

    @property
    def where(self) -> str:
        """The account in words."""
        return self.account.where if isinstance(self.account, Connection) else f"no {self.request.mode} account"

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded; nothing where the configuration cannot be read."""
        return () if isinstance(self.config, ConfigError) else self.config.market.symbols

    @asynccontextmanager
    async def venue(self, clock: Clock) -> AsyncIterator[Venue | None]:
        """Open the account, which can do nothing that adds risk, and close it at the end; None where there is none."""
        if isinstance(self.account, UsageError):
            yield None
            return
        async with self.account.venue(self.symbols, clock, lambda: False) as venue:
            yield venue


def open_case(request: LaunchRequest, world: World, rules: Rules, ledger: Ledger) -> Case:
    """Read what there is to read before anything is asked.

    Raises:
        UsageError: the stage is none.
        LedgerError: the ledger cannot be read.
    """
    config = _config(rules)
    return Case(
        request, world, rules, config, _account(request, world), ledger, _capital(request, rules, config, ledger)
    )


def check_stage(rules: Rules, stage: int | None) -> None:
    """Refuse a stage that the rules do not have.

    Raises:
        UsageError: stage.
    """
    known = rules.stages.stages
    if stage is not None and stage not in known:
        help_ = f"one of {', '.join(map(str, known))}"
        raise UsageError(Problem("stage", "--stage", f"there is no stage {stage}", help_))


def situation(case: Case) -> Situation:
    """Return what the verdict's record says of the desk.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    if launched_ms(case.ledger) is None:
        return Situation(case.capital.stage, 1.0, case.capital.usd, None)
    posture = posture_at(case.ledger, FOR_EVER_MS)
    mark = case.ledger.last_mark(RISK)
    return Situation(posture.stage, posture.exposure, posture.cap_usd, None if mark is None else mark.equity_usd)


def _config(rules: Rules) -> FrozenConfig | ConfigError:
    try:
        return load_config(rules.config)
    except ConfigError as error:
        return error


def _account(request: LaunchRequest, world: World) -> Connection | UsageError:
    try:
        return connection(request.mode, request.ledger, world.environ)
    except UsageError as error:
        return error


def _capital(request: LaunchRequest, rules: Rules, config: FrozenConfig | ConfigError, ledger: Ledger) -> Capital:
    """Return what is to be at risk: of a running rollout its equity, at the beginning of a stage that stage's cap."""
    paper = request.mode is Mode.PAPER
    if launched_ms(ledger) is None:
        stage = request.stage if request.stage is not None else PAPER_STAGE if paper else FIRST_STAGE
        running = False
    else:
        posture = posture_at(ledger, FOR_EVER_MS)
        stage = posture.stage if request.stage is None else request.stage
        running = True
        mark = ledger.last_mark(RISK)
        if stage == posture.stage and mark is not None:
            return Capital(stage, mark.equity_usd, running)
    check_stage(rules, stage)
    if paper and stage == PAPER_STAGE and not isinstance(config, ConfigError):
        return Capital(stage, config.backtest.initial_cash_usd, running)
    return Capital(stage, float(rules.stages.stages[stage].cap_usd), running)
