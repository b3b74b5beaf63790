"""One request at a time: asked again where that is safe, and turned into an answer, an error or an outcome.

Errors are raised outside of `except` blocks: what the client raises may hold the request with its key, and must not
travel along as their context.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from engine.errors import Problem
from engine.execution.binance.client import calling, present_call
from engine.execution.binance.outcomes import HEDGE_CODES, KEY_CODES, Failure, Kind, failure_of
from engine.execution.binance.payloads import UNREADABLE, HedgeModeError
from engine.execution.venue import VenueRefused, VenueUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.execution.binance.client import Call
    from engine.execution.binance.clocksync import VenueClock

ATTEMPTS = 3
FIRST_PAUSE_S = 0.2

_LOOK = "nothing is assumed: look at the network and the venue's status page (a simulator: start it), then run it again"
_CODE = "the venue's list of error codes says what it wants"
_WAIT = "nothing is assumed: run it again when the venue's limit lets it answer"

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What the venue said."""

    value: T


@dataclass(frozen=True)
class Asker:
    """Sends requests through the library's client.

    Attributes:
        client: of `make_client`.
        clock: the venue's time; measured again when the venue refuses a timestamp.
    """

    client: Any
    clock: VenueClock

    async def sync_clock(self) -> None:
        """Measure the venue's clock.

        Raises:
            VenueUnavailable: it does not tell.
            VenueRefused: it refuses to.
        """
        await self.ask("the venue's clock", self._measure_clock, lambda _nothing: None)

    async def ask(self, what: str, method: Callable[..., Awaitable[Any]], read: Callable[[Any], T], **params: Any) -> T:
        """Return what `read` makes of the answer; a request without an answer is sent again.

        For questions, and for what may be said twice (cancel all, settings).

        Args:
            what: named in errors.
            method: of the client.
            read: may raise what `payloads` raises.
            params: of the method.

        Raises:
            VenueUnavailable: no answer, or one that cannot be read.
            VenueRefused: the venue refused.
        """
        got = await self.tried(method, read, **params)
        if isinstance(got, Failure):
            raise error_of(what, got)
        return got.value

    async def tried(
        self, method: Callable[..., Awaitable[Any]], read: Callable[[Any], T], **params: Any
    ) -> Answer[T] | Failure:
        """Return the answer, or the last failure; otherwise as `ask`."""
        pause_s = FIRST_PAUSE_S
        for _again in range(ATTEMPTS - 1):
            got = await self.in_step(method, read, present_call(), **params)
            if isinstance(got, Answer) or not _worth_asking_again(got):
                return got
            if got.kind is Kind.UNKNOWN:
                await asyncio.sleep(pause_s)
                pause_s *= 2
        return await self.in_step(method, read, present_call(), **params)

    async def in_step(
        self, method: Callable[..., Awaitable[Any]], read: Callable[[Any], T], call: Call, **params: Any
    ) -> Answer[T] | Failure:
        """Send a request; once more after a refused timestamp, which proves that nothing came of the first."""
        got = await self._once(method, read, call, **params)
        if isinstance(got, Failure) and got.kind is Kind.CLOCK:
            measured = await self._once(self._measure_clock, lambda _nothing: None, call)
            if isinstance(measured, Answer):
                return await self._once(method, read, call, **params)
        return got

    async def _once(
        self, method: Callable[..., Awaitable[Any]], read: Callable[[Any], T], call: Call, **params: Any
    ) -> Answer[T] | Failure:
        try:
            with calling(call):
                said = await method(**params)
        except Exception as error:  # failure_of raises on whatever is no failure of a request
            failure = failure_of(error)
            if failure is None:
                raise
            return failure
        try:
            return Answer(read(said))
        except HedgeModeError:
            code = min(HEDGE_CODES)
            return Failure(Kind.REFUSED, code, "a position is held long and short apart (hedge mode)")
        except UNREADABLE as fault:
            return Failure(Kind.UNKNOWN, 0, f"the answer cannot be read ({type(fault).__name__})")

    async def _measure_clock(self) -> None:
        """Measure twice and take the quicker answer: the first may have had to connect, which is time of one way."""
        samples = [await self._clock_sample() for _again in range(2)]
        self.clock.measure(*min(samples, key=lambda sample: sample[2] - sample[0]))

    async def _clock_sample(self) -> tuple[float, int, float]:
        loop = asyncio.get_running_loop()
        sent_s = loop.time()
        server_ms = int((await self.client.futures_time())["serverTime"])
        return sent_s, server_ms, loop.time()


def error_of(what: str, failure: Failure) -> VenueRefused | VenueUnavailable:
    """Return the error of a question that failed so.

    Args:
        what: was asked.
        failure: how it failed.
    """
    if failure.kind is Kind.REFUSED:
        if failure.code in KEY_CODES:
            help_ = "check the key, its list of addresses and its permissions"
            return VenueRefused(
                Problem("key-refused", what, f"the venue refuses the key: {failure.message}", help_), failure.code
            )
        if failure.code in HEDGE_CODES:
            help_ = "close it and switch the account to one-way mode"
            return VenueRefused(Problem("hedge-mode", what, failure.message, help_), failure.code)
        return VenueRefused(Problem("refused", what, f"the venue refuses: {failure.message}", _CODE), failure.code)
    help_ = _WAIT if failure.kind is Kind.LIMITED else _LOOK
    return VenueUnavailable(Problem("unavailable", what, failure.message, help_), failure.retry_after_s)


def _worth_asking_again(failure: Failure) -> bool:
    """Whether the same request may go better; without allowance we have waited already."""
    return failure.kind is Kind.UNKNOWN or (failure.kind is Kind.LIMITED and failure.code != 0)
