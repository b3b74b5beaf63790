"""Since when a rollout is in its stage, and for how many days money was at risk: read from the bounds as recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from engine.bounds import Posture
from engine.metrics.counts import complete_days

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ledger import Ledger


@dataclass(frozen=True)
class Stay:
    """From `at_ms` on: the stage, the epoch of the metrics, and whether money was at risk (a pause risks none)."""

    at_ms: int
    stage: int
    epoch_ms: int
    at_risk: bool

    @property
    def state(self) -> tuple[int, int, bool]:
        """What makes it another stay."""
        return self.stage, self.epoch_ms, self.at_risk

    @classmethod
    def of(cls, posture: Posture, at_ms: int) -> Stay:
        """Return where a posture stands."""
        return cls(at_ms, posture.stage, posture.epoch_ms, posture.stage > 0 and posture.paused_since_ms is None)


@dataclass(frozen=True)
class Tenure:
    """The stays of a rollout, oldest first, at least one."""

    stays: tuple[Stay, ...]

    @classmethod
    def of(cls, postures: Iterable[tuple[int, Posture]]) -> Tenure:
        """Return the stays behind the bounds that were ever in force, by time."""
        found = [Stay.of(posture, at_ms) for at_ms, posture in postures]
        firsts = (next(group) for _, group in groupby(found, key=lambda stay: stay.state))
        return cls(tuple(firsts))

    @classmethod
    def read(cls, ledger: Ledger, to_ms: int | None = None) -> Tenure:
        """Return the stays that a ledger remembers; where nothing was launched it has always been at Stage 0.

        Raises:
            LedgerError: it cannot be read.
        """
        events = ledger.events("posture", to_ms=to_ms)
        found = cls.of((event.at_ms, Posture.from_json(json.loads(event.document))) for event in events)
        return found if found.stays else cls((Stay(0, 0, 0, at_risk=False),))

    def then(self, posture: Posture, at_ms: int) -> Tenure:
        """Return the stays with the bounds that came into force at `at_ms`."""
        stay = Stay.of(posture, at_ms)
        return self if self.stays[-1].state == stay.state else Tenure((*self.stays, stay))

    @property
    def entered_ms(self) -> int:
        """When the stage was entered: its first stay in this epoch; a restart enters anew, even the same (A57)."""
        last = self.stays[-1]
        entered_ms = last.at_ms
        for stay in reversed(self.stays):
            if (stay.stage, stay.epoch_ms) != (last.stage, last.epoch_ms):
                break
            entered_ms = stay.at_ms
        return entered_ms

    def days_in_stage(self, now_ms: int) -> int:
        """Return how many complete UTC days the stage has lasted (A33, A54)."""
        return complete_days(self.entered_ms, now_ms)

    def live_days(self, now_ms: int) -> int:
        """Return for how many complete UTC days money was at risk (A54); a day with a pause in it is none."""
        days = 0
        since_ms: int | None = None
        for stay in self.stays:
            if stay.at_risk and since_ms is None:
                since_ms = stay.at_ms
            elif not stay.at_risk and since_ms is not None:
                days, since_ms = days + complete_days(since_ms, stay.at_ms), None
        return days if since_ms is None else days + complete_days(since_ms, now_ms)
