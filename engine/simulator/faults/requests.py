"""Faults between a request and its answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Self

from engine.clock import SECOND_MS
from engine.simulator.faults.model import ORDERS, Match, RequestFault
from engine.simulator.refusals import VenueError, refusal
from engine.simulator.requests import Answer, HangUpError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import numpy as np

    from engine.simulator.faults.model import Scene
    from engine.simulator.requests import Asked

    Proceed = Callable[[], Awaitable[Answer]]

# what a proxy before the venue says when the venue does not: no JSON
UNAVAILABLE_PAGE = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"


@dataclass(frozen=True)
class AcceptThenTimeout(RequestFault):
    """The venue acts on the request, the answer never comes.

    The client sees its own timeout (`asyncio.TimeoutError`), while the order lives.

    Attributes:
        silence_s: after which the connection breaks.
    """

    name: ClassVar = "accept_then_timeout"
    usual_match: ClassVar = ORDERS
    usual_times: ClassVar = 1
    silence_s: float = 90.0

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Act, then be silent."""
        del asked, scene
        await proceed()
        await asyncio.sleep(self.silence_s)
        raise HangUpError


@dataclass(frozen=True)
class AcceptThen503(RequestFault):
    """The venue acts on the request, the answer is HTTP 503 without JSON.

    The client sees `BinanceAPIException` with status 503 and code 0, while the order lives.
    """

    name: ClassVar = "accept_then_503"
    usual_match: ClassVar = ORDERS
    usual_times: ClassVar = 1

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Act, then say that nobody is there."""
        del asked, scene
        await proceed()
        return Answer(UNAVAILABLE_PAGE, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class AcceptThenReset(RequestFault):
    """The venue acts on the request, the connection breaks before the answer.

    The client sees `aiohttp.ServerDisconnectedError`, while the order lives.
    """

    name: ClassVar = "accept_then_reset"
    usual_match: ClassVar = ORDERS
    usual_times: ClassVar = 1

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Act, then break the connection."""
        del asked, scene
        await proceed()
        raise HangUpError


@dataclass(frozen=True)
class AcceptThenUnknown(RequestFault):
    """The venue acts on the request and says that it does not know whether it did.

    The client sees `BinanceAPIException` with code −1007 (or −1006), while the order lives.

    Attributes:
        code: -1007 or -1006.
    """

    name: ClassVar = "accept_then_unknown"
    usual_match: ClassVar = ORDERS
    usual_times: ClassVar = 1
    code: int = -1007

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Act, then disclaim."""
        del asked, scene
        await proceed()
        timed_out = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
        confused = "An unexpected response was received from the message bus. Execution status unknown."
        message, status = {
            -1006: (confused, HTTPStatus.BAD_REQUEST),
            -1007: (timed_out, HTTPStatus.REQUEST_TIMEOUT),
        }[self.code]
        return Answer.refusing(VenueError(self.code, message, status))

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return one of the two codes."""
        return cls(code=-1006 if rng.random() < 0.5 else -1007)  # noqa: PLR2004 - a coin


@dataclass(frozen=True)
class LostRequest(RequestFault):
    """The request never reaches the venue, and nothing comes back.

    The client sees its own timeout, as with `accept_then_timeout`, but there is no order.

    Attributes:
        silence_s: after which the connection breaks.
    """

    name: ClassVar = "lost_request"
    usual_match: ClassVar = ORDERS
    usual_times: ClassVar = 1
    silence_s: float = 90.0

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Be silent."""
        del asked, proceed, scene
        await asyncio.sleep(self.silence_s)
        raise HangUpError


@dataclass(frozen=True)
class RejectNTimes(RequestFault):
    """The venue refuses so many requests (`times`), then takes them.

    The client sees `BinanceAPIException` with the code given; nothing was done.

    Attributes:
        code: the venue's; -4131 refuses a market order when the book is too thin.
        message: the venue's words.
        status: of HTTP.
    """

    name: ClassVar = "reject_n_times"
    usual_match: ClassVar = ORDERS
    usual_times: ClassVar = 3
    code: int = -4131
    message: str = "The counterparty's best price does not meet the PERCENT_PRICE filter limit."
    status: int = 400

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Refuse."""
        del asked, proceed, scene
        return Answer.refusing(VenueError(self.code, self.message, self.status))


@dataclass(frozen=True)
class RateLimited(RequestFault):
    """The venue wants silence: every request is answered with 429, or 418 when the address is banned.

    The client sees `BinanceAPIException` with the status and code −1003; Retry-After is on the answer's headers only.

    Attributes:
        status: 429 or 418.
        retry_after_s: what the header says.
    """

    name: ClassVar = "rate_limited"
    usual_span_s: ClassVar = (10.0, 120.0)
    status: int = 429
    retry_after_s: int = 10

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Ask for silence."""
        del asked, proceed
        patience = {"Retry-After": str(self.retry_after_s)}
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            words = "Too many requests; please use the websocket for live updates to avoid polling the API."
        else:
            until_ms = scene.clock.now_ms() + self.retry_after_s * SECOND_MS
            words = f"Way too many requests; IP banned until {until_ms}. Please use the websocket for live updates."
        return Answer.refusing(VenueError(-1003, words, self.status, patience))

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return a limit, seldom a ban."""
        banned = rng.random() < 0.2  # noqa: PLR2004 - one in five
        return cls(status=418 if banned else 429, retry_after_s=int(rng.integers(1, 60)))


@dataclass(frozen=True)
class Slow(RequestFault):
    """The venue takes its time, before it acts and after; how long is drawn anew for each request.

    The client sees nothing, its timeout, or −1021 when the request was stale on arrival.

    Attributes:
        before_s: until the venue acts, on average.
        after_s: until the answer leaves, on average.
        spread_ratio: each delay lies within its average × (1 ± this).
    """

    name: ClassVar = "slow"
    usual_span_s: ClassVar = (600.0, 7_200.0)
    before_s: float = 1.0
    after_s: float = 1.0
    spread_ratio: float = 0.5

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Wait, act, wait."""
        del asked
        await asyncio.sleep(self._delay_s(self.before_s, scene.rng))
        answer = await proceed()
        await asyncio.sleep(self._delay_s(self.after_s, scene.rng))
        return answer

    def _delay_s(self, mean_s: float, rng: np.random.Generator) -> float:
        return mean_s * (1 + self.spread_ratio * float(rng.uniform(-1, 1)))

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return delays from some milliseconds to about ten seconds."""
        before_s, after_s = (float(10 ** rng.uniform(-2, 1)) for _ in range(2))
        return cls(before_s, after_s)


@dataclass(frozen=True)
class DelayedVisibility(RequestFault):
    """An order cannot be seen for some seconds after it was placed, though it exists.

    The client sees −2013 when it queries the order, −2011 when it cancels it, and lists without it.

    Attributes:
        delay_s: from the order's own time.
    """

    name: ClassVar = "delayed_visibility"
    usual_span_s: ClassVar = (3_600.0, 86_400.0)
    usual_match: ClassVar = Match(path="/fapi/v1/*rder*")
    delay_s: float = 5.0

    async def strike(self, asked: Asked, proceed: Proceed, scene: Scene) -> Answer:
        """Hide what is young."""
        if asked.method == "POST":
            return await proceed()
        if asked.method == "DELETE" and self._hides_target(asked, scene):
            return Answer.refusing(refusal(-2011))
        answer = await proceed()
        if answer.status != HTTPStatus.OK or asked.method != "GET":
            return answer
        if isinstance(answer.result, list):
            return Answer([row for row in answer.result if not self._hides(row, scene)], headers=answer.headers)
        return Answer.refusing(refusal(-2013)) if self._hides(answer.result, scene) else answer

    def _hides_target(self, asked: Asked, scene: Scene) -> bool:
        """Return whether a request that nobody has authenticated yet means an order that is hidden."""
        known = scene.exchange.account_of_key(asked.api_key or "")
        try:
            return self._hides(scene.exchange.call("GET", asked.path, asked.params, known and known[0]), scene)
        except VenueError:
            return False

    def _hides(self, order: Any, scene: Scene) -> bool:
        placed_ms = order.get("time", order.get("createTime")) if isinstance(order, dict) else None
        return placed_ms is not None and scene.clock.now_ms() - int(placed_ms) < self.delay_s * SECOND_MS

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Return a delay of one to twenty seconds."""
        return cls(float(rng.uniform(1, 20)))
