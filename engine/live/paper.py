"""The paper account: a simulated exchange, a process of its own that lives on when the runner ends, as a venue does.

It is started by the first run on a ledger and found again by its announcement beside it, by every command. Ended by
hand, or with the machine, it is started anew by the next run, on its kept state and on the same prices.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS, SystemClock, wait_s
from engine.errors import DataError, Problem, UnavailableError, UsageError, VenueError
from engine.live.connection import KEY, SECRET, Mode, announced_beside, connection, read_announcement
from engine.live.whole_file import replace_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.live.connection import Connection

FASTEST = 50.0
"""Simulated seconds a second: beyond, what takes a client a moment takes it longer than the venue waits."""

ISOLATED = "ISOLATED"
START_S = 90.0
LOOK_S = 0.05
_LAST_LINES = 3


@dataclass(frozen=True)
class PaperPrices:
    """Where the paper account's prices come from; without `data` and `seed`, from the venue's public market.

    Attributes:
        data: recorded prices: a folder or a market store.
        klines: the folder of `data` that holds them.
        seed: of synthetic prices.
        speed: simulated seconds a second; public prices come at their own.
    """

    data: str | None = None
    klines: str = "klines"
    seed: int | None = None
    speed: float = 1.0

    def __str__(self) -> str:
        if self.data is not None:
            words = f"recorded in `{self.data}`, {self.klines}"
        else:
            words = "of the venue's public market" if self.seed is None else f"synthetic, seed {self.seed}"
        return words if self.speed == 1 else f"{words}, {self.speed:g} simulated seconds a second"

    @property
    def arguments(self) -> list[str]:
        """Return what `simulate-exchange` is told."""
        if self.data is not None:
            return ["--data", self.data, "--klines", self.klines, "--speed", f"{self.speed:g}"]
        if self.seed is not None:
            return ["--seed", str(self.seed), "--speed", f"{self.speed:g}"]
        return ["--live"]


def prices_asked(data: Path | None, klines: str, seed: int | None, speed: float | None) -> PaperPrices | None:
    """Return what the options ask for; None: nothing, whatever the account lives on is meant.

    Raises:
        UsageError: options that contradict each other.
    """
    if data is not None and seed is not None:
        raise UsageError(Problem("prices", "--data --synthetic", "both are named", "name one"))
    if speed is not None and not 0 < speed <= FASTEST:
        help_ = f"above {FASTEST:g}, what takes a client a moment takes it longer than the venue waits"
        raise UsageError(Problem("speed", "--speed", f"`{speed:g}` is not above 0 and at most {FASTEST:g}", help_))
    if data is None and seed is None:
        if speed not in {None, 1.0}:
            help_ = "add `--synthetic 7` or `--data FOLDER`, or leave out --speed"
            raise UsageError(Problem("speed", "--speed", "public prices come at their own speed", help_))
        return None
    return PaperPrices(None if data is None else str(data.absolute()), klines, seed, speed or 1.0)


def paper_account(
    ledger: Path, asked: PaperPrices | None, config: FrozenConfig, tell: Callable[[str], None]
) -> Connection:
    """Return how to reach the paper account of a ledger; its exchange is started where none answers.

    Args:
        ledger: whose account it is.
        asked: where prices are to come from; None: from where they came before, at first from the public market.
        config: a new account has its cash, its margin type and its leverage.
        tell: a line for the terminal.

    Raises:
        UsageError: the account lives on other prices.
        DataError: what it lives on is not known any more.
        UnavailableError: the exchange does not start.
    """
    path = started_beside(ledger)
    before = _read(path)
    if before is not None and asked is not None and asked != before:
        problem = f"its paper account lives on prices {before}; asked for were {asked}"
        help_ = "leave the options out to go on, or name another --ledger for a new account"
        raise UsageError(Problem("other-prices", str(ledger), problem, help_))
    prices = before or asked or PaperPrices()
    found = _answering(ledger)
    if found is not None:
        return found
    found, pid = _start(ledger, prices, config, tell)
    problem = replace_json(path, {"prices": asdict(prices), "pid": pid})
    if problem:
        raise UsageError(Problem("exchange", str(path), problem, "name a folder you may write to"))
    return found


def started_beside(ledger: Path) -> Path:
    """Return the file that says on which prices a ledger's paper account lives, and which process was its exchange."""
    return ledger.with_name(f"{ledger.name}.exchange.start.json")


def _read(path: Path) -> PaperPrices | None:
    try:
        return PaperPrices(**json.loads(path.read_text(encoding="utf-8"))["prices"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        problem, help_ = "it does not say any more which prices the paper account lives on", "name another --ledger"
        raise DataError(Problem("exchange", str(path), problem, help_)) from None


def _answering(ledger: Path) -> Connection | None:
    """Return how to reach the exchange that is announced beside the ledger; None where it does not answer."""
    try:
        found = connection(Mode.PAPER, ledger)
    except UsageError:
        return None

    async def main(clock: Clock) -> None:
        async with found.venue((), clock, lambda: False) as venue:
            await venue.balance()  # signed: something else may listen at its old address

    try:
        found.run(main)
    except VenueError:
        return None
    return found


def _start(
    ledger: Path, prices: PaperPrices, config: FrozenConfig, tell: Callable[[str], None]
) -> tuple[Connection, int]:
    """Start the exchange where it was before, so that whoever knows its address finds it again; else anywhere."""
    options = ["--state", f"{ledger}.exchange.state.json", "--announce", str(ledger)]
    options += ["--balance", f"{config.backtest.initial_cash_usd:.2f}"]
    if config.futures.margin_type == ISOLATED:
        options += ["--isolated", str(config.futures.leverage)]
    log = ledger.with_name(f"{ledger.name}.exchange.log")
    ledger.parent.mkdir(parents=True, exist_ok=True)
    pid = None
    for port in dict.fromkeys((_port_before(ledger), 0)):
        pid = pid or _started([*options, "--port", str(port), *prices.arguments], ledger, log)
    if pid is None:
        raise UnavailableError(_why(log, prices))
    found = connection(Mode.PAPER, ledger)
    assert found.announcement is not None, "a paper account is announced"
    tell(
        f"paper account: simulated exchange at {found.announcement.rest_url}, prices {prices}, process {pid}: "
        f"it lives on when the runner ends, `kill {pid}` ends it"
    )
    return found, pid


def _started(options: list[str], ledger: Path, log: Path) -> int | None:
    """Return the process that announced itself; None where it ended instead."""
    before_ms = _announced_ms(ledger)
    command = [sys.executable, "-c", "import cli; cli.main()", "simulate-exchange", *options]
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - this very program
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={name: value for name, value in os.environ.items() if name not in {KEY, SECRET}},
            start_new_session=True,  # Ctrl-C ends the runner, not the venue
        )
    deadline_ms = SystemClock().now_ms() + round(START_S * SECOND_MS)
    while _announced_ms(ledger) == before_ms:
        if process.poll() is not None or SystemClock().now_ms() > deadline_ms:
            process.kill()
            process.wait()
            return None
        wait_s(LOOK_S)
    process.returncode = 0  # that it runs on is meant, and nobody's business here any more
    return process.pid


def _port_before(ledger: Path) -> int:
    try:
        return int(read_announcement(announced_beside(ledger)).rest_url.rpartition(":")[2])
    except (UsageError, ValueError):
        return 0


def _announced_ms(ledger: Path) -> int | None:
    """Return when the file of the announcement was written; None: there is none."""
    try:
        return announced_beside(ledger).stat().st_mtime_ns
    except OSError:
        return None


def _why(log: Path, prices: PaperPrices) -> Problem:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LAST_LINES:]
    except OSError:
        lines = []
    said = "; ".join(line.strip() for line in lines) or "it did not say why"
    help_ = "without the venue's public prices, add `--synthetic 7` or `--data FOLDER`"
    return Problem(
        "no-exchange", "paper account", f"the simulated exchange does not start on prices {prices}: {said}", help_
    )
