"""Which account at which venue: the real one by the environment's keys, the paper one as its simulator announced it.

In a drill the real one is an account at a simulator, which the environment names; everything else of it is real.

One small value, so that every command connects alike; what differs between paper and real money is only what is here.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from engine.clock import SECOND_MS, SystemClock
from engine.drill import ANNOUNCEMENT, DRILL, drill_venue
from engine.errors import Problem, UsageError
from engine.execution.binance.client import Addresses, Keys
from engine.live import drill
from engine.live.whole_file import replace_json
from engine.timeline import run_paced

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.binance.streams import Patience
    from engine.ledger import Ledger

KEY, SECRET = "BINANCE_API_KEY", "BINANCE_API_SECRET"
"""The environment variables of the real account (R021, R022)."""

_TEXTS = ("rest_url", "stream_url", "api_key", "api_secret")

T = TypeVar("T")


class Mode(StrEnum):
    """Whose money."""

    PAPER = "paper"
    REAL = "real"


MODES = {"live": Mode.REAL, "paper": Mode.PAPER}
"""Whose money, by the kind of a ledger."""


@dataclass(frozen=True)
class Announcement:
    """Where a simulated exchange answers, whose account it holds, and what time it is there.

    Attributes:
        now_ms: on the exchange, when the machine showed `real_ms`.
        speed: simulated seconds a second.
    """

    rest_url: str
    stream_url: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    now_ms: int
    real_ms: int
    speed: float = 1.0

    @property
    def paced(self) -> bool:
        """Whether its time is another than the machine's."""
        return self.speed != 1 or abs(self.now_ms - self.real_ms) > SECOND_MS

    def simulated_ms(self, real_ms: int) -> int:
        """Return what time it is on the exchange."""
        return self.now_ms + round((real_ms - self.real_ms) * self.speed)


@dataclass(frozen=True)
class Connection:
    """How to reach one account.

    Attributes:
        mode: whose money.
        keys: of the account; never shown.
        announcement: of the simulator; None: the venue itself.
    """

    mode: Mode
    keys: Keys
    announcement: Announcement | None = None

    @property
    def where(self) -> str:
        """In words, for people."""
        if self.announcement is None:
            return "Binance USDⓈ-M futures"
        simulator = f"simulator at {self.announcement.rest_url}"
        return f"{DRILL}: {simulator}" if self.is_drill else simulator

    @property
    def is_drill(self) -> bool:
        """Whether commands for real money are being practised at a simulator."""
        return self.mode is Mode.REAL and self.announcement is not None

    def mark(self, ledger: Ledger) -> None:
        """Mark a ledger that is made in a drill, so that it is never taken for one of real money.

        Raises:
            LedgerError: it cannot be written.
        """
        if self.is_drill:
            drill.mark(ledger)

    def run(self, main: Callable[[Clock], Awaitable[T]]) -> T:
        """Run a coroutine in the time of the venue: the machine's, or a simulator's own."""
        said = self.announcement
        if said is not None and said.paced:
            return run_paced(main, said.simulated_ms(SystemClock().now_ms()), said.speed)

        async def in_machine_time() -> T:
            return await main(SystemClock())

        return asyncio.run(in_machine_time())

    @asynccontextmanager
    async def venue(
        self,
        symbols: Collection[str],
        clock: Clock,
        may_add_risk: Callable[[], bool],
        *,
        patience: Patience | None = None,
    ) -> AsyncIterator[BinanceVenue]:
        """Open the adapter and close it at the end; nothing is asked, so a venue that is away is no reason to fail.

        Args:
            symbols: that are traded.
            clock: the time, as `run` gives it.
            may_add_risk: asked just before an order that is not reduce-only is written to the connection.
            patience: of the streams.
        """
        from engine.execution.binance.connection import open_venue  # noqa: PLC0415 - keeps `resume --help` fast

        said = self.announcement
        if patience is None and said is not None and said.speed > 1:
            patience = _at_speed(said.speed)
        addresses = None if said is None else Addresses(said.rest_url, said.stream_url)
        venue = open_venue(self.keys, symbols, clock, may_add_risk, addresses=addresses, patience=patience)
        try:
            yield venue
        finally:
            await venue.close()


def connection(mode: Mode, ledger: Path, environ: Mapping[str, str] | None = None) -> Connection:
    """Return how to reach the account of a mode.

    Args:
        mode: paper or real.
        ledger: on paper, the simulator is announced beside it.
        environ: holds the real keys, and the venue of a drill; None: the process's environment.

    Raises:
        UsageError: no-key, no-exchange, exchange, drill: the keys are not set, no simulator is announced, or the ledger
            is of a drill where there is none, or the other way round.
    """
    if mode is Mode.PAPER:
        said = read_announcement(announced_beside(ledger))
        return Connection(mode, Keys(said.api_key, said.api_secret), said)
    environ = os.environ if environ is None else environ
    announced = drill_venue(environ)
    drill.check(ledger, drill=announced is not None)
    missing = [name for name in (KEY, SECRET) if not environ.get(name, "").strip()]
    if missing:
        help_ = "set it in the environment of this command; it is read from nowhere else"
        raise UsageError([Problem("no-key", name, "it is not set, or empty", help_) for name in missing])
    keys = Keys(environ[KEY].strip(), environ[SECRET].strip())
    return Connection(mode, keys, None if announced is None else read_announcement(announced))


def _at_speed(speed: float) -> Patience:
    """Return the usual patience where a simulated second is over in a moment, which a message takes all the same."""
    from engine.execution.binance.streams import Patience  # noqa: PLC0415 - keeps `resume --help` fast

    usual = Patience()
    return Patience(
        connect_s=usual.connect_s * speed,
        ping_every_s=(usual.ping_every_s or 0) * speed or None,
        ping_answer_s=usual.ping_answer_s * speed,
        market_silence_s=(usual.market_silence_s or 0) * speed or None,
    )


def announced_beside(ledger: Path) -> Path:
    """Return the file in which a simulator is announced to everyone who works on a ledger."""
    return ledger.with_name(f"{ledger.name}{ANNOUNCEMENT}")


def announce(path: Path, announcement: Announcement) -> None:
    """Write where a simulator answers, whole or not at all; only the owner may read it.

    Raises:
        UsageError: it cannot be written.
    """
    problem = replace_json(path, asdict(announcement), owner_only=True)
    if problem:
        raise UsageError(Problem("exchange", str(path), problem, "name a folder you may write to"))


def read_announcement(path: Path) -> Announcement:
    """Return where a simulator answers.

    Raises:
        UsageError: no-exchange: nothing is announced there; exchange: it cannot be understood.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        texts = {name: found[name] for name in _TEXTS}
        if not all(isinstance(text, str) and text for text in texts.values()):
            raise ValueError("a text is empty")  # noqa: TRY301 - one door for all that makes no sense
        now_ms, real_ms, speed = int(found["now_ms"]), int(found["real_ms"]), float(found["speed"])
        if not speed > 0:
            raise ValueError("no speed")  # noqa: TRY301 - the same
    except OSError:
        help_ = "start `stagegate run --paper` or `stagegate simulate-exchange --announce` with this path"
        raise UsageError(Problem("no-exchange", str(path), "no simulated exchange is announced", help_)) from None
    except (ValueError, KeyError, TypeError):  # what it holds is not shown: a key stands in it
        problem = "the announcement of the simulated exchange cannot be understood"
        raise UsageError(Problem("exchange", str(path), problem, "start the simulator again: it writes it")) from None
    return Announcement(**texts, now_ms=now_ms, real_ms=real_ms, speed=speed)
