"""What a fault is: a kind with parameters, and the rule that says when and whom it strikes."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    import numpy as np

    from engine.clock import Clock
    from engine.simulator.exchange import Exchange
    from engine.simulator.requests import Answer, Asked

    Payload = dict[str, Any]

MARKET_MESSAGES = frozenset({"kline", "markPriceUpdate"})


@dataclass(frozen=True)
class Match:
    """Whom a fault strikes; what is None matches all.

    Attributes:
        method: of a request.
        path: of a request, a pattern such as ``/fapi/v1/*rder``.
        symbol: of a request or of a stream's message.
        event: of a stream's message: its ``e``. None: every message of a user stream.
    """

    method: str | None = None
    path: str = "*"
    symbol: str | None = None
    event: str | None = None

    def request(self, asked: Asked) -> bool:
        """Return whether a request is meant."""
        return (
            self.method in {None, asked.method}
            and self.symbol in {None, asked.params.get("symbol")}
            and fnmatchcase(asked.path, self.path)
        )

    def message(self, payload: Payload) -> bool:
        """Return whether a stream's message is meant."""
        kind = payload.get("e")
        meant = kind not in MARKET_MESSAGES if self.event is None else kind == self.event
        return meant and self.symbol in {None, _symbol_of(payload)}


def _symbol_of(payload: Payload) -> str | None:
    order = payload.get("o")
    return order.get("s") if isinstance(order, dict) else payload.get("s")


ORDERS = Match(method="POST", path="/fapi/v1/*rder")


class Controls(Protocol):
    """What a fault may do to the server.

    Attributes:
        skew_ms: by which the venue's clock is ahead.
    """

    skew_ms: int

    async def cut_off(self, manner: str) -> None:
        """Begin an outage: ``reset``, ``refuse``, ``silent`` or ``503``."""
        ...

    async def let_in(self) -> None:
        """End the outage."""
        ...

    def mute(self, kind: str) -> None:
        """Make the present streams half-open: ``user``, ``market`` or ``all``."""
        ...

    def step(self) -> None:
        """Deliver what the exchange has to say, and look when it will have more."""
        ...


@dataclass(frozen=True)
class Scene:
    """What a fault acts on."""

    exchange: Exchange
    clock: Clock
    controls: Controls
    rng: np.random.Generator


@dataclass(frozen=True)
class Fault:
    """A kind of fault with its parameters.

    Attributes:
        name: as written in a fault file.
        usual_match: whom it strikes unless the rule says otherwise.
        usual_times: how often unless the rule says otherwise; None: whenever it can.
        usual_span_s: how long a drawn one lasts, at least and at most.
    """

    name: ClassVar[str]
    usual_match: ClassVar[Match] = Match()
    usual_times: ClassVar[int | None] = None
    usual_span_s: ClassVar[tuple[float, float]] = (60.0, 1_800.0)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return one with parameters drawn from what happens in practice."""
        del rng
        return cls()


class RequestFault(Fault):
    """Comes between a request and its answer."""

    async def strike(self, asked: Asked, proceed: Callable[[], Awaitable[Answer]], scene: Scene) -> Answer:
        """Return the answer that the client gets; `proceed` lets the venue act.

        Raises:
            HangUpError: the connection breaks.
        """
        raise NotImplementedError


class MessageFault(Fault):
    """Comes between an event and the streams that tell of it."""

    def deliveries(self, payload: Payload, rng: np.random.Generator) -> list[tuple[float, Payload]]:
        """Return what is delivered instead: seconds from now, and the message."""
        raise NotImplementedError


class Condition(Fault):
    """Holds for a while."""

    def hold(self, scene: Scene) -> AbstractAsyncContextManager[None]:
        """Return what begins the condition when entered and ends it when left; an instant's has nothing to end."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rule:
    """When and whom a fault strikes.

    Attributes:
        fault: what happens.
        match: whom; None: the fault's usual.
        from_ms: not before; None: from the beginning.
        until_ms: before; None: without end.
        skip: so many that match are let through first.
        times: it strikes so often at most; None: without limit.
        chance: with which each match is struck, ratio.
    """

    fault: Fault
    match: Match
    from_ms: int | None = None
    until_ms: int | None = None
    skip: int = 0
    times: int | None = None
    chance: float = 1.0

    def holds_at(self, at_ms: int) -> bool:
        """Return whether the rule's time has come and is not over."""
        return (self.from_ms is None or at_ms >= self.from_ms) and (self.until_ms is None or at_ms < self.until_ms)
