"""What a flatten is told and what it reports: values."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from decimal import Decimal

    from engine.clock import Clock

LATCHED, CANCELLED, SENT, FLAT, VERIFIED, SEALED = "latched", "cancelled", "sent", "flat", "verified", "sealed"
STEPS = (LATCHED, CANCELLED, SENT, FLAT, VERIFIED, SEALED)

ARRIVAL_MS = 6 * SECOND_MS
"""After this long a request cannot reach the venue any more: they are signed for 5 s, and clocks differ a little."""


@dataclass(frozen=True)
class Terms:
    """How a flatten is run.

    Attributes:
        symbols: of the configuration: their orders are cancelled without asking first.
        reason: in words, for the ledger and for people.
        account: of the ledger.
        arrival_ms: after which a request can no longer arrive.
        patience_ms: when to give up; None: never.
        on_step: told each step as it is reached, to alert people at once.
        on_problem: told each problem, the first time it is met: whoever waits sees why.
    """

    symbols: Collection[str]
    reason: str
    account: str = "risk"
    arrival_ms: int = ARRIVAL_MS
    patience_ms: int | None = None
    on_step: Callable[[str, int], None] | None = None
    on_problem: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Close:
    """One closing order: `outcome` in words."""

    at_ms: int
    client_id: str
    symbol: str
    side: int
    qty: Decimal
    outcome: str


@dataclass(frozen=True)
class FlattenReport:
    """What a flatten did.

    Attributes:
        reason: why it was run.
        started_ms: when.
        steps: step -> when it was reached; of `STEPS`, those that were.
        closes: the closing orders, in order.
        problems: what went wrong on the way, each once.
        left: symbol -> signed quantity that was last seen standing; empty where flat.
        unrecorded: what the ledger did not take, and why; empty where it took all.
    """

    reason: str
    started_ms: int
    steps: dict[str, int]
    closes: tuple[Close, ...]
    problems: tuple[str, ...]
    left: dict[str, Decimal]
    unrecorded: str

    @property
    def flat(self) -> bool:
        """Whether the venue confirmed that nothing stands: no stop, no order, no position."""
        return VERIFIED in self.steps

    def took_ms(self, step: str) -> int | None:
        """Return how long after the start a step was reached; None: it was not."""
        return self.steps[step] - self.started_ms if step in self.steps else None


@dataclass
class Progress:
    """A flatten's own notes while it runs; as in `FlattenReport`."""

    clock: Clock
    terms: Terms
    started_ms: int
    steps: dict[str, int] = field(default_factory=dict)
    closes: list[Close] = field(default_factory=list)
    problems: dict[str, None] = field(default_factory=dict)

    def reach(self, step: str) -> None:
        """Note a step, the first time it is reached."""
        if step in self.steps:
            return
        self.steps[step] = self.clock.now_ms()
        if self.terms.on_step is not None:
            try:
                self.terms.on_step(step, self.steps[step])
            except Exception as error:  # noqa: BLE001 - an alert that fails must not stop the closing
                self.problem(f"the alert of `{step}` failed: {error!r}")

    def lose(self, *steps: str) -> None:
        """Take steps back: something stands again."""
        for step in steps:
            self.steps.pop(step, None)

    def problem(self, text: str) -> None:
        """Note what went wrong."""
        if text in self.problems:
            return
        self.problems[text] = None
        if self.terms.on_problem is not None:
            with suppress(Exception):  # nobody who listens may stop the closing
                self.terms.on_problem(text)
