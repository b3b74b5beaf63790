"""The runner's sign of life: a small file beside the ledger, by which anybody can tell whether it runs, and how."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.clock import SystemClock
from engine.live.whole_file import replace_json

if TYPE_CHECKING:
    from pathlib import Path

STARTING, RUNNING, STOPPED = "starting", "running", "stopped"


@dataclass(frozen=True)
class Heartbeat:
    """One beat.

    Attributes:
        pid: of the runner.
        mode: paper or real.
        what: the command.
        state: starting, running or stopped.
        at_ms: on the venue's clock.
        real_ms: on the machine's: what the age is counted by, for a simulated venue has a time of its own.
        last_bar_ms: the close of the last bar whose work was done; None: none yet.
        next_bar_ms: the next one's; None: none is to come.
        outcome: of the last verdict; empty before the first.
        equity_usd: the risk equity at the last mark.
        halted: nothing may add risk.
        doubts: in words, what speaks against adding risk at the moment.
        unheard: what the venue does not answer, in words; empty where it does.
    """

    pid: int
    mode: str
    what: str
    state: str
    at_ms: int
    real_ms: int
    last_bar_ms: int | None
    next_bar_ms: int | None
    outcome: str
    equity_usd: float
    halted: bool
    doubts: tuple[str, ...] = ()
    unheard: str = ""

    def age_ms(self) -> int:
        """Return how old it is on the machine's clock."""
        return SystemClock().now_ms() - self.real_ms


def heartbeat_beside(ledger: Path) -> Path:
    """Return the file of a ledger's runner."""
    return ledger.with_name(f"{ledger.name}.heartbeat.json")


def write_beat(path: Path, beat: Heartbeat) -> str:
    """Replace the last beat; return why it could not be, empty where it was."""
    return replace_json(path, {**asdict(beat), "doubts": list(beat.doubts)}, lasting=False)


def read_beat(path: Path) -> Heartbeat | None:
    """Return the last beat; None: none that can be understood."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Heartbeat(**{**found, "doubts": tuple(found["doubts"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
