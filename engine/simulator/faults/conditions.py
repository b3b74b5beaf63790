"""Faults that hold for a while, or happen at an instant, whatever is asked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Self

from engine.clock import SECOND_MS
from engine.simulator.faults.model import Condition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import numpy as np

    from engine.simulator.faults.model import Scene

MANNERS = ("reset", "refuse", "silent", "503")
STREAMS = ("user", "market", "all")


@dataclass(frozen=True)
class Outage(Condition):
    """The venue is away, requests and streams alike.

    Attributes:
        manner: ``reset``: connections break at once (`aiohttp.ServerDisconnectedError`); ``refuse``: nobody listens
            (`aiohttp.ClientConnectorError`); ``silent``: nothing comes back (the client's timeout); ``503``: a proxy
            answers (`BinanceAPIException`, status 503, code 0). Streams break, but for ``silent``: they stay, mute.
    """

    name: ClassVar = "outage"
    manner: str = "reset"

    @asynccontextmanager
    async def hold(self, scene: Scene) -> AsyncIterator[None]:
        """Cut everybody off, then let everybody in again."""
        await scene.controls.cut_off(self.manner)
        yield
        await scene.controls.let_in()

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return one of the manners."""
        return cls(str(rng.choice(MANNERS)))


@dataclass(frozen=True)
class HalfOpenSocket(Condition):
    """At an instant, the streams that are open fall silent for good: no message, no answer to a ping, no end.

    The client notices by its own ping or its own watch over the silence; a new connection works.

    Attributes:
        stream: ``user``, ``market`` or ``all``.
    """

    name: ClassVar = "half_open_socket"
    stream: str = "all"

    @asynccontextmanager
    async def hold(self, scene: Scene) -> AsyncIterator[None]:
        """Fall silent."""
        scene.controls.mute(self.stream)
        yield

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return any of the streams."""
        return cls(str(rng.choice(STREAMS)))


@dataclass(frozen=True)
class ListenKeyExpiry(Condition):
    """At an instant, every listen key ends: `listenKeyExpired` is the stream's last message, keep-alives get −1125."""

    name: ClassVar = "listen_key_expiry"

    @asynccontextmanager
    async def hold(self, scene: Scene) -> AsyncIterator[None]:
        """End the keys."""
        for account in scene.exchange.accounts:
            scene.exchange.expire_listen_key(account)
        scene.controls.step()
        yield


@dataclass(frozen=True)
class ClockSkew(Condition):
    """The venue's clock and the client's differ: a stamped request is refused with −1021 until the client syncs.

    Attributes:
        skew_s: the venue's clock is ahead by so much, behind where negative.
    """

    name: ClassVar = "clock_skew"
    usual_span_s: ClassVar = (600.0, 7_200.0)
    skew_s: float = 5.0

    @asynccontextmanager
    async def hold(self, scene: Scene) -> AsyncIterator[None]:
        """Set the venue's clock wrong, then right."""
        scene.controls.skew_ms = round(self.skew_s * SECOND_MS)
        yield
        scene.controls.skew_ms = 0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return up to a minute, ahead or behind."""
        return cls(float(rng.choice([-1, 1]) * 10 ** rng.uniform(-0.5, 1.8)))


@dataclass(frozen=True)
class PartialFills(Condition):
    """Orders fill in pieces: a market order may come to less than all of it, a resting one waits for the next touch.

    Attributes:
        parts: trades of an order, at most.
        part_delay_s: between two of them.
        market_ratio: of a market order that the book can fill; the rest expires.
        touch_ratio: of a resting order that a touch of its price fills.
    """

    name: ClassVar = "partial_fills"
    usual_span_s: ClassVar = (3_600.0, 86_400.0)
    parts: int = 4
    part_delay_s: float = 0.2
    market_ratio: float = 1.0
    touch_ratio: float = 0.5

    @asynccontextmanager
    async def hold(self, scene: Scene) -> AsyncIterator[None]:
        """Thin the book, then fill it again."""
        usual = scene.exchange.spec.liquidity
        thin = replace(
            usual,
            parts=self.parts,
            part_delay_ms=round(self.part_delay_s * SECOND_MS),
            market_ratio=Decimal(str(self.market_ratio)),
            touch_ratio=Decimal(str(self.touch_ratio)),
        )
        scene.exchange.change_liquidity(thin)
        yield
        scene.exchange.change_liquidity(usual)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return two to six parts over up to some seconds; one market order in three runs dry."""
        market_ratio = 1.0 if rng.random() < 2 / 3 else round(float(rng.uniform(0.3, 0.9)), 2)
        parts, delay_s = int(rng.integers(2, 7)), float(rng.choice([0.0, 0.1, 1.0]))
        return cls(parts, delay_s, market_ratio, round(float(rng.uniform(0.2, 1.0)), 2))


@dataclass(frozen=True)
class Overloaded(Condition):
    """The venue protects itself: orders that do not only reduce are refused; nothing is done.

    The client sees `BinanceAPIException` with status 503 and code −1008.
    """

    name: ClassVar = "overloaded"

    @asynccontextmanager
    async def hold(self, scene: Scene) -> AsyncIterator[None]:
        """Refuse what adds risk."""
        scene.exchange.overload(on=True)
        yield
        scene.exchange.overload(on=False)


@dataclass(frozen=True)
class OnlyReducing(Condition):
    """The venue's quantitative rules let every account only reduce; nothing else is done.

    The client sees `BinanceAPIException` with code −4400.
    """

    name: ClassVar = "only_reducing"

    @asynccontextmanager
    async def hold(self, scene: Scene) -> AsyncIterator[None]:
        """Refuse what adds risk."""
        accounts = tuple(scene.exchange.accounts)
        for account in accounts:
            scene.exchange.restrict(account, reduce_only=True)
        yield
        for account in accounts:
            scene.exchange.restrict(account, reduce_only=False)
