"""Faults between an event and the streams that tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from engine.simulator.faults.model import MessageFault

if TYPE_CHECKING:
    import numpy as np

    from engine.simulator.faults.model import Payload


@dataclass(frozen=True)
class DuplicateEvent(MessageFault):
    """A message comes several times, word for word.

    Attributes:
        copies: besides the first.
        gap_s: between two of them.
    """

    name: ClassVar = "duplicate_event"
    usual_span_s: ClassVar = (3_600.0, 86_400.0)
    copies: int = 1
    gap_s: float = 0.0

    def deliveries(self, payload: Payload, rng: np.random.Generator) -> list[tuple[float, Payload]]:
        """Deliver now and again."""
        del rng
        return [(number * self.gap_s, payload) for number in range(self.copies + 1)]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return one to three copies, at once or over some seconds."""
        return cls(int(rng.integers(1, 4)), float(rng.choice([0.0, 0.5, 5.0])))


@dataclass(frozen=True)
class DropEvent(MessageFault):
    """A message never comes; nothing tells the client of the gap."""

    name: ClassVar = "drop_event"
    usual_span_s: ClassVar = (3_600.0, 86_400.0)

    def deliveries(self, payload: Payload, rng: np.random.Generator) -> list[tuple[float, Payload]]:
        """Deliver nothing."""
        del payload, rng
        return []


@dataclass(frozen=True)
class LateEvent(MessageFault):
    """A message comes late; what happened after it may have been told before.

    Attributes:
        delay_s: how late.
    """

    name: ClassVar = "late_event"
    usual_span_s: ClassVar = (3_600.0, 86_400.0)
    delay_s: float = 10.0

    def deliveries(self, payload: Payload, rng: np.random.Generator) -> list[tuple[float, Payload]]:
        """Deliver later."""
        del rng
        return [(self.delay_s, payload)]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return a delay from half a second to two minutes."""
        return cls(float(10 ** rng.uniform(-0.3, 2.1)))


@dataclass(frozen=True)
class ReorderedEvents(MessageFault):
    """Messages overtake each other.

    Attributes:
        spread_s: each is late by up to so much, drawn anew.
    """

    name: ClassVar = "reordered_events"
    usual_span_s: ClassVar = (3_600.0, 86_400.0)
    spread_s: float = 2.0

    def deliveries(self, payload: Payload, rng: np.random.Generator) -> list[tuple[float, Payload]]:
        """Deliver at some instant within the spread."""
        return [(float(rng.uniform(0, self.spread_s)), payload)]
