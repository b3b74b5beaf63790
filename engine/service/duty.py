"""What the caretaker works with, and the kinds of work: done again and again, or once for each period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.alerts.alert import Alert
from engine.clock import DAY_MS
from engine.live.desk import BAR
from engine.live.opening import launched_ms
from engine.service.periods import ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from engine.alerts.alert import Severity
    from engine.clock import Clock
    from engine.execution.venue import Venue
    from engine.ledger import Ledger
    from engine.market.series import Market
    from engine.service.periods import Period

LOOK_BACK_MS = 40 * DAY_MS
"""Older bars close nothing that is still due."""


@dataclass(frozen=True)
class Duty:
    """One account that is looked after.

    Attributes:
        ledger: open for writing.
        clock: the account's time.
        config: the frozen configuration.
        rules: the bundle.
        report_dir: `output.report_dir` of the configuration.
        prices: returns what a period is replayed on, told what the ledger says of itself.
        venue: the account, asked and never traded on; None: it cannot be reached.
        unreached: why there is no venue.
    """

    ledger: Ledger
    clock: Clock
    config: Path
    rules: Path
    report_dir: Path
    prices: Callable[[Mapping[str, str]], Market]
    venue: Venue | None = None
    unreached: str = ""


@dataclass(frozen=True)
class Round:
    """Work that is done again and again.

    Attributes:
        name: for people.
        every_s: the pause after it.
        act: the work.
        dated: what it records carries the time, so it waits while the clock has gone back.
    """

    name: str
    every_s: float
    act: Callable[[Duty], Awaitable[None]]
    dated: bool = True


@dataclass(frozen=True)
class Paper:
    """Work that is done once for each period, also for those that ended while nothing ran.

    What was done stands in the ledger, so nothing is done twice, and nothing left out.

    Attributes:
        name: for people.
        at: the period that holds an instant.
        done: the ends of the periods for which it was done, ms.
        write: the work; what was done stands in the ledger afterwards.
        possible: whether there is anything to do for a period that is over, on a rollout that began then.
    """

    name: str
    at: Callable[[int], Period]
    done: Callable[[Ledger], Collection[int]]
    write: Callable[[Duty, Period], Awaitable[None]]
    possible: Callable[[Period, int], bool] = lambda _period, _begun_ms: True

    def due(self, ledger: Ledger, now_ms: int, grace_ms: int) -> Iterator[Period]:
        """Yield the periods since the launch that ended and were not done, oldest first.

        The latest waits for the bar that closes it, at most `grace_ms`.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        begun_ms = launched_ms(ledger)
        if begun_ms is None:
            return
        done = self.done(ledger)
        closed_ms = max((event.at_ms for event in ledger.events(BAR, from_ms=now_ms - LOOK_BACK_MS)), default=0)
        for period in ended(self.at, begun_ms, now_ms):
            ready = closed_ms >= period.to_ms or now_ms >= period.to_ms + grace_ms
            if period.to_ms not in done and ready and self.possible(period, begun_ms):
                yield period


def tell(duty: Duty, severity: Severity, subject: str, what: str, **lines: str) -> None:
    """Queue an alert.

    Raises:
        LedgerError: it cannot be queued.
    """
    told = tuple((label, text) for label, text in lines.items() if text)
    duty.ledger.append(Alert(duty.clock.now_ms(), severity, subject, what, told).row())
