"""The only source of time: a system clock and a simulated one. Nothing else in the project asks what time it is.

Times are integers, milliseconds since 1970-01-01 UTC (`*_ms`), as the venue counts them.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import Protocol

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Clock(Protocol):
    """Something that knows what time it is."""

    def now_ms(self) -> int:
        """Return the present as milliseconds since the epoch, UTC."""
        ...


@dataclass(frozen=True)
class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the machine's time."""
        return time.time_ns() // 1_000_000


@dataclass
class SimulatedClock:
    """A clock that stands still until it is set; it never goes back."""

    at_ms: int

    def now_ms(self) -> int:
        """Return the simulated time."""
        return self.at_ms

    def advance_to(self, at_ms: int) -> None:
        """Move to `at_ms`.

        Raises:
            ValueError: `at_ms` lies in the past.
        """
        if at_ms < self.at_ms:
            raise ValueError(f"a simulated clock never goes back: {iso(at_ms)} is before {iso(self.at_ms)}")
        self.at_ms = at_ms


def elapsed_s() -> float:
    """Return seconds of a monotonic stopwatch (differences only); for progress and benchmarks, never for decisions."""
    return time.perf_counter()


def wait_s(seconds: float) -> None:
    """Stand still for `seconds` of the machine's time; whoever waits takes this as an argument: tests need not."""
    time.sleep(seconds)


def iso(at_ms: int) -> str:
    """Return `at_ms` as ``2022-11-09T14:00:00Z``; milliseconds only where there are any.

    >>> iso(1667998800000)
    '2022-11-09T13:00:00Z'
    >>> iso(1667998800123)
    '2022-11-09T13:00:00.123Z'
    """
    moment = dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC)
    return moment.isoformat(timespec="seconds" if at_ms % SECOND_MS == 0 else "milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> int:
    """Return the milliseconds of an ISO date or date-time; without a zone it is UTC.

    Raises:
        ValueError: `text` is no ISO 8601 date or time.

    >>> parse_time("2022-11-09") == parse_time("2022-11-09T00:00:00Z") == 1667952000000
    True
    """
    moment = dt.datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return round(moment.timestamp() * 1000)


def hour_start(at_ms: int) -> int:
    """Return the start of the hour that holds `at_ms`."""
    return at_ms - at_ms % HOUR_MS


def day_start(at_ms: int) -> int:
    """Return the start of the UTC day that holds `at_ms`."""
    return at_ms - at_ms % DAY_MS
