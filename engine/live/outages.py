"""Outages of the venue (A78): from the first failure after retries until minutes of success, one is one.

Runner and guard each see them through a connection of their own and note them as events; what overlaps is one outage.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.clock import DAY_MS
from engine.ledger.rows import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BEGUN, ENDED = "outage", "outage_ended"
"""The kinds of the events; their subject is the process that saw it."""


@dataclass(frozen=True)
class Outage:
    """One outage as one process saw it; `ended_ms` is the first success of those that ended it, None: it is on."""

    source: str
    began_ms: int
    ended_ms: int | None = None


class Outages:
    """The outages that one process sees.

    Args:
        source: the process: ``runner`` or ``guard``.
        ends_after_ms: an outage is over after so much success.
    """

    def __init__(self, source: str, ends_after_ms: int) -> None:
        self._source = source
        self._ends_after_ms = ends_after_ms
        self._seen: dict[tuple[str, int], Outage] = {}
        self._running: Outage | None = None
        self._well_since_ms: int | None = None
        self._learned = False

    @property
    def running(self) -> bool:
        """Whether one is on, minutes of success still missing included."""
        return self._running is not None

    def learn(self, noted: Iterable[Outage]) -> None:
        """Take up what the ledger has, of all processes; an own one that an earlier run left open goes on."""
        mine: Outage | None = None
        for each in sorted(noted, key=lambda outage: outage.began_ms):
            key = each.source, each.began_ms
            if each.source != self._source:
                self._seen[key] = each
            elif key not in self._seen:  # of an own one the ledger is never newer than what is known here
                self._seen[key] = mine = each
        if not self._learned and self._running is None and mine is not None and mine.ended_ms is None:
            self._running = mine
        self._learned = True

    def failed(self, at_ms: int, why: str) -> Event | None:
        """Take note that the venue did not answer; return the event to record where an outage begins."""
        self._well_since_ms = None
        if self._running is not None:
            return None
        self._running = self._keep(Outage(self._source, at_ms))
        return Event(f"{BEGUN}-{self._source}-{at_ms}", at_ms, BEGUN, self._source, _text(why=why))

    def succeeded(self, at_ms: int) -> Event | None:
        """Take note that the venue answered; return the event to record where an outage ends."""
        if self._running is None:
            return None
        if self._well_since_ms is None or at_ms < self._well_since_ms:
            self._well_since_ms = at_ms
        if at_ms - self._well_since_ms < self._ends_after_ms:
            return None
        ended = self._keep(replace(self._running, ended_ms=self._well_since_ms))
        self._running = self._well_since_ms = None
        name = f"{ENDED}-{self._source}-{ended.began_ms}"
        return Event(name, at_ms, ENDED, self._source, _text(began_ms=ended.began_ms, ended_ms=ended.ended_ms))

    def count(self, now_ms: int, *, window_ms: int = DAY_MS) -> int:
        """Return how many outages lie, with any part, within the time before `now_ms`; what overlaps counts once."""
        spans = sorted((each.began_ms, self._until_ms(each, now_ms)) for each in self._seen.values())
        joined: list[tuple[int, int]] = []
        for began_ms, until_ms in spans:
            if joined and began_ms <= joined[-1][1] + self._ends_after_ms:
                joined[-1] = (joined[-1][0], max(joined[-1][1], until_ms))
            else:
                joined.append((began_ms, until_ms))
        return sum(now_ms - window_ms < until_ms and began_ms <= now_ms for began_ms, until_ms in joined)

    def _until_ms(self, outage: Outage, now_ms: int) -> int:
        if outage.ended_ms is not None:
            return outage.ended_ms
        # of another process that may have ended with it: what is known is that it began
        return now_ms if outage is self._running else outage.began_ms

    def _keep(self, outage: Outage) -> Outage:
        self._seen[outage.source, outage.began_ms] = outage
        return outage


def outages_of(events: Sequence[Event]) -> tuple[Outage, ...]:
    """Return the outages that events of both kinds tell of, oldest first."""
    found = {
        (event.subject, event.at_ms): Outage(event.subject, event.at_ms) for event in events if event.kind == BEGUN
    }
    for event in events:
        if event.kind == ENDED:
            said = json.loads(event.document)
            found[event.subject, said["began_ms"]] = Outage(event.subject, said["began_ms"], said["ended_ms"])
    return tuple(found[key] for key in sorted(found, key=lambda key: key[1]))


def _text(**values: object) -> str:
    return json.dumps(values, sort_keys=True)
