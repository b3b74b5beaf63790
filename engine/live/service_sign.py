"""The service's sign of life: a small file beside the ledger that says which processes it keeps, and how they are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.clock import SystemClock
from engine.live.whole_file import replace_json

if TYPE_CHECKING:
    from pathlib import Path

STARTING, UP, WAITING, ENDED = "starting", "up", "waiting", "ended"


@dataclass(frozen=True)
class ChildSign:
    """One process.

    Attributes:
        name: runner, guard or caretaker.
        pid: None: it does not run.
        state: starting, up, waiting (to be started again) or ended.
        since_ms: on the machine's clock.
        deaths: since the service began.
        said: what it said when it died the last time.
    """

    name: str
    pid: int | None
    state: str
    since_ms: int
    deaths: int
    said: str = ""


@dataclass(frozen=True)
class ServiceSign:
    """One beat; `real_ms` is the machine's time, `digest` the bundle in force."""

    pid: int
    what: str
    real_ms: int
    digest: str
    children: tuple[ChildSign, ...]

    def age_ms(self) -> int:
        """Return how old it is on the machine's clock."""
        return SystemClock().now_ms() - self.real_ms


def locked_as(ledger: Path) -> Path:
    """Return the name under which a ledger's service holds its lock (`engine.live.lock`)."""
    return ledger.with_name(f"{ledger.name}.service")


def service_beside(ledger: Path) -> Path:
    """Return the file of a ledger's service."""
    return ledger.with_name(f"{ledger.name}.service.json")


def write_sign(path: Path, sign: ServiceSign) -> str:
    """Replace the last sign; return why it could not be, empty where it was."""
    return replace_json(path, asdict(sign), lasting=False)


def read_sign(path: Path) -> ServiceSign | None:
    """Return the last sign; None: none that can be understood."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        children = tuple(ChildSign(**child) for child in found["children"])
        return ServiceSign(**{**found, "children": children})
    except (OSError, ValueError, KeyError, TypeError):
        return None
