"""What a launch depends on, all of it as it should be: a venue, a store, a machine, people's signatures."""

from __future__ import annotations

import dataclasses
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from engine.config import load_config
from engine.execution.binance.client import Addresses, Keys
from engine.execution.binance.connection import connected
from engine.launch import account, dry_run, key
from engine.launch.account import Capital
from engine.launch.case import LaunchRequest, World, open_case
from engine.launch.guard import decide, guarded
from engine.launch.machine import Machine, Said
from engine.launch.probe import find_out
from engine.launch.release import read_rules
from engine.launch.signed import ask_for, papers
from engine.launch.timesync import CHRONYC, TIMEDATECTL
from engine.ledger import Ledger
from engine.live.connection import Announcement, Connection, Mode
from engine.market.store import writing
from engine.market.synthetic import synthetic_market
from engine.operations.approvals import approve
from engine.simulator.exchange import Exchange
from engine.simulator.faults import NONE, FaultPlan
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_virtual
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.execution.binance.adapter import BinanceVenue
    from engine.launch.case import Case
    from engine.launch.dry_run import DryRun
    from engine.launch.probe import Findings
    from engine.launch.release import Rules
    from engine.launch.report import Filed
    from engine.market.series import Market
    from engine.policy.decide import Engine
    from engine.verdict import Verdict

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config/prod_scale_rules_R1.yaml"
CONFIG = ROOT / "config/prod_candidate_R1.yaml"
NOW_MS = parse_time("2026-03-01T12:20:00Z")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
ACCOUNT, KEY, SECRET = "bot", "k" * 60 + "KEY!", "s" * 57 + "SECRET!"
TOKEN, CHAT = "123456789:abcdefghijklmnopqrstuvwxyz-TOKEN_42", "987654321"
ENVIRON = {
    "BINANCE_API_KEY": KEY,
    "BINANCE_API_SECRET": SECRET,
    "FUTURES_TELEGRAM_BOT_TOKEN": TOKEN,
    "FUTURES_TELEGRAM_CHAT_ID": CHAT,
}
SYNCED = Said(0, "NTPSynchronized=yes\n")

# `chronyc tracking`, as printed by chrony 4
TRACKING = """Reference ID    : CB00710F (203.0.113.15)
Stratum         : 3
Ref time (UTC)  : Mon Aug 03 21:25:11 2026
System time     : 0.000004709 seconds fast of NTP time
Last offset     : +0.000004989 seconds
RMS offset      : 0.000021751 seconds
Frequency       : 2.192 ppm fast
Residual freq   : +0.001 ppm
Skew            : 0.026 ppm
Root delay      : 0.000411626 seconds
Root dispersion : 0.018570010 seconds
Update interval : 256.9 seconds
Leap status     : Normal
"""


def saying(timedatectl: Said = SYNCED, chronyc: Said | None = None) -> Callable[[Sequence[str]], Awaitable[Said]]:
    """Return a machine's programs, saying what was recorded."""
    said: dict[tuple[str, ...], Said] = {TIMEDATECTL: timedatectl, CHRONYC: chronyc or Said(0, TRACKING)}

    async def run(command: Sequence[str]) -> Said:
        return said[tuple(command)]

    return run


@dataclass
class Messenger:
    """Takes messages, or refuses them."""

    takes: bool = True
    received: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, address: str, text: str) -> bool:
        self.received.append((address, text))
        return self.takes


@cache
def market() -> Market:
    """A hundred days before now, and a few hours after."""
    return synthetic_market(7, start_ms=parse_time("2026-02-28"), days=3)


@cache
def rules_of(rules: Path = RULES, config: Path | None = None) -> Rules:
    """Return the rules of a bundle, read once."""
    return read_rules(rules, config)


def exchange(prices: Market | None = None, **account: Any) -> Exchange:
    """Return the venue, its account as the configuration wants it."""
    spec = dataclasses.replace(usual_spec(), default_leverage=3, default_margin_type="ISOLATED")
    made = Exchange(spec, RecordedPrices(prices or market(), seed=3), NOW_MS, seed=3)
    made.open_account(ACCOUNT, KEY, SECRET, **{"balance_usd": 10_000, **account})
    return made


def at_venue(
    act: Callable[[BinanceVenue, Clock, Exchange], Awaitable[T]],
    made: Exchange | None = None,
    faults: FaultPlan = NONE,
    keys: Keys | None = None,
) -> T:
    """Run `act` with the adapter connected to the simulated venue, in virtual time."""

    async def main(clock: Clock) -> T:
        venue_side = made or exchange()
        async with SimulatorServer(venue_side, clock, faults, repeat_s=None) as server:
            addresses = Addresses(server.rest_url, server.stream_url)
            own = keys or Keys(KEY, SECRET)
            async with connected(own, SYMBOLS, clock, lambda: False, addresses=addresses) as venue:
                return await act(venue, clock, venue_side)

    return run_virtual(main, NOW_MS)


def fill_store(
    path: Path, *, until_ms: int = NOW_MS, days: int = 33, without: Mapping[str, Sequence[int]] | None = None
) -> Path:
    """Write the market store: closed bars of so many days, leaving out some (their opens, by symbol)."""
    with writing(path) as store:
        for symbol, bars in market().bars.items():
            opens = bars.open_time_ms
            kept = (opens > until_ms - days * DAY_MS) & (opens + HOUR_MS <= until_ms)
            kept &= ~np.isin(opens, (without or {}).get(symbol, ()))
            rows = np.flatnonzero(kept)
            prices = [column[rows] for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
            store.upsert("last", Bars(symbol, opens[rows], *prices))
    return path


def make_keys(folder: Path) -> Path:
    """Make keys of three people and the file that says whose they are; return that file."""
    names = ("alice", "bob", "carol")
    for name in names:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    signers = folder / "allowed_signers"
    signers.write_text("".join(f"{name} {(folder / f'{name}.pub').read_text()}" for name in names))
    return signers


def sign_papers(
    ledger: Ledger, signers: Path, by: Mapping[str, Sequence[str]], rules: Path = RULES, at_ms: int = NOW_MS
) -> None:
    """Ask for what a launch needs signed, and have people sign it.

    Args:
        ledger: open for writing.
        signers: beside it lie the keys.
        by: action (bundle, confirm, waive) -> who signs.
        rules: the bundle.
        at_ms: when.
    """
    for paper in papers(rules_of(rules), KEY):
        if paper.action not in by:
            continue
        request = ask_for(ledger, signers, paper, 1, at_ms - MINUTE_MS)
        for name in by[paper.action]:
            approve(ledger, request, signers.parent / name, signers, at_ms - MINUTE_MS)


EVERYBODY = {"bundle": ("alice", "bob"), "confirm": ("alice",)}


@dataclass
class Stage:
    """Everything that a run of the guard looks at; a test changes a part of it before `run`."""

    folder: Path
    signers: Path
    store: Path
    engine: Engine
    messenger: Messenger = field(default_factory=Messenger)
    machine: Machine = field(default_factory=lambda: Machine(run=saying()))
    environ: Mapping[str, str] = field(default_factory=lambda: ENVIRON)
    rules: Path = RULES
    config: Path | None = None
    stage: int | None = None
    faults: FaultPlan = NONE
    now_ms: int = NOW_MS

    @property
    def ledger_path(self) -> Path:
        return self.folder / "ledger.db"

    def case(self, ledger: Ledger) -> Case:
        """Return the case as it is read; reports go to the test's own folder."""
        request = LaunchRequest(
            self.rules, self.config, self.ledger_path, self.store, self.signers, Mode.REAL, self.stage
        )
        world = World(self.machine, self.environ, self.messenger)
        case = open_case(request, world, rules_of(self.rules, self.config), ledger)
        if isinstance(case.config, Exception):
            return case
        output = dataclasses.replace(case.config.output, report_dir=str(self.folder / "reports"))
        return dataclasses.replace(case, config=dataclasses.replace(case.config, output=output))

    def run(self, made: Exchange | None = None, engine: Engine | None = None) -> Filed:
        """Run the guard at the simulated venue, in virtual time."""
        with Ledger.open(self.ledger_path, create=True) as ledger:

            async def main(clock: Clock) -> Filed:
                async with SimulatorServer(made or exchange(), clock, self.faults, repeat_s=None) as server:
                    case = self.case(ledger)
                    if isinstance(case.account, Connection):
                        now_ms = clock.now_ms()
                        said = Announcement(server.rest_url, server.stream_url, KEY, SECRET, now_ms, now_ms)
                        case = dataclasses.replace(case, account=dataclasses.replace(case.account, announcement=said))
                    return await guarded(case, engine or self.engine, clock)

            return run_virtual(main, self.now_ms)


@cache
def frozen() -> FrozenConfig:
    """Return the shipped configuration."""
    return load_config(CONFIG)


CAPITAL = Capital(1, 5_000.0)


@dataclasses.dataclass(frozen=True)
class Allowed:
    """A launch that was allowed."""

    stage: Stage
    filed: Filed
    venue: Exchange


def verdict_on(stage: Stage, findings: Findings) -> Verdict:
    """Let both engines decide on findings."""
    with Ledger.open(stage.ledger_path, create=True) as ledger:
        return decide(stage.case(ledger), stage.engine, findings, NOW_MS + 1)


def asked(made: Exchange, faults: FaultPlan | None = None, keys: Keys | None = None) -> Findings:
    """Return what the probes of key and account find at a venue."""

    async def act(venue: BinanceVenue, clock: Clock, _exchange: Exchange) -> Findings:
        near = await find_out([key.clock_probe(venue, clock)])
        with TemporaryDirectory() as folder, Ledger.open(Path(folder) / "new.db", create=True) as ledger:
            probes = [*key.probes(venue), *account.probes(venue, SYMBOLS, ledger, clock, CAPITAL)]
            return {**near, **await find_out(probes)}

    return at_venue(act, made, faults or FaultPlan(), keys)


def only(findings: Findings, *names: str) -> Findings:
    """Return some of what was found."""
    return {name: findings[name] for name in names}


@cache
def real_dry_run() -> DryRun:
    """Return the dry run on the simulated venue's bars."""

    async def act(venue: BinanceVenue, clock: Clock, _exchange: Exchange) -> DryRun:
        return await dry_run.dry_run(venue, frozen(), {}, clock)

    return at_venue(act)
