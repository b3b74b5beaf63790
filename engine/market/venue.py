"""The venue's public market data through python-binance: pages, rate limits, retries. USDⓈ-M futures only (R012)."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.errors import Problem, RejectedError, UnavailableError, VenueError
from engine.market.answers import NonsenseError, bars_of, rates_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tenacity import RetryCallState

    from engine.clock import Clock
    from engine.market.series import FundingRates, Kind
    from strategies.bars import Bars

KLINES_A_PAGE = 1_500
FUNDING_A_PAGE = 1_000
INTERVAL = "1h"

# The venue's published limit, and the part of it that downloads leave to whoever else uses this address
WEIGHT_A_MINUTE = 2_400
WEIGHT_SHARE = 0.8

ATTEMPTS = 4
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 120.0
TIMEOUTS_S = (3.0, 10.0)  # to connect, to answer

_BANNED, _TOO_MANY, _SERVER_FAULT = 418, 429, 500


class _SlowDownError(Exception):
    """The venue asks for a longer pause than a command should take."""


@dataclass(frozen=True)
class PublicData:
    """A connection for public market data; see `connected`."""

    client: Any
    url: str
    clock: Clock
    wait: Callable[[float], None]

    def server_ms(self) -> int:
        """Return the venue's time, milliseconds UTC.

        Raises:
            VenueError: it refuses, answers nonsense or cannot be reached.
        """
        answer = self._ask(self.client.futures_time)
        try:
            return int(answer["serverTime"])
        except (TypeError, KeyError, ValueError):
            raise self._nonsense("its time") from None

    def bars(self, kind: Kind, symbol: str, start_ms: int, end_ms: int) -> Iterator[Bars]:
        """Yield pages of bars that open in [start_ms, end_ms), oldest first.

        Args:
            kind: `last` or `mark`.
            symbol: the venue's name.
            start_ms: at an hour.
            end_ms: at an hour; bars that are not closed must lie beyond it.

        Raises:
            VenueError: it refuses, answers nonsense or cannot be reached.
        """
        method = self.client.futures_mark_price_klines if kind == "mark" else self.client.futures_klines
        while start_ms < end_ms:
            limit = min(KLINES_A_PAGE, (end_ms - start_ms) // HOUR_MS)
            times = {"startTime": start_ms, "endTime": end_ms - 1}
            rows = self._ask(method, symbol=symbol, interval=INTERVAL, limit=limit, **times)
            page = self._page_of_bars(kind, symbol, rows, start_ms, end_ms)
            if not len(page):
                return
            yield page
            start_ms = int(page.open_time_ms[-1]) + HOUR_MS
            if len(page) < limit:
                return

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> Iterator[FundingRates]:
        """Yield pages of settlements in [start_ms, end_ms), oldest first; their times floored to the hour.

        Raises:
            VenueError: it refuses, answers nonsense or cannot be reached.
        """
        while start_ms < end_ms:
            times = {"startTime": start_ms, "endTime": end_ms - 1}
            rows = self._ask(self.client.futures_funding_rate, symbol=symbol, limit=FUNDING_A_PAGE, **times)
            try:
                page = rates_of(symbol, rows, start_ms, end_ms)
            except NonsenseError as fault:
                raise self._nonsense(fault.expected) from None
            if not len(page):
                return
            yield page
            start_ms = int(page.time_ms[-1]) + HOUR_MS
            if len(page) < FUNDING_A_PAGE:
                return

    def _page_of_bars(self, kind: Kind, symbol: str, rows: Any, start_ms: int, end_ms: int) -> Bars:
        try:
            return bars_of(kind, symbol, rows, start_ms, end_ms)
        except NonsenseError as fault:
            raise self._nonsense(fault.expected, fault.why) from None

    def _ask(self, method: Callable[..., Any], **params: Any) -> Any:
        """Call the venue until it answers, refuses, or has been asked often enough."""
        import requests  # noqa: PLC0415 - keeps queries fast
        from binance.exceptions import BinanceAPIException, BinanceRequestException  # noqa: PLC0415 - the same
        from tenacity import Retrying, retry_if_exception, stop_after_attempt  # noqa: PLC0415 - the same

        def transient(failure: BaseException) -> bool:
            if isinstance(failure, BinanceAPIException):
                return _asks_for_patience(failure) or failure.status_code >= _SERVER_FAULT
            return isinstance(failure, BinanceRequestException | requests.RequestException)

        def once() -> Any:
            answer = method(**params)
            self._respect_weight()
            return answer

        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=_pause_s,
            retry=retry_if_exception(transient),
            sleep=self.wait,
            reraise=True,
        )
        try:
            return retrying(once)
        except _SlowDownError as failure:
            raise self._unavailable(str(failure)) from None
        except BinanceAPIException as failure:
            if transient(failure):
                problem = f"answered HTTP {failure.status_code}, {ATTEMPTS} times in a row"
                raise self._unavailable(problem) from None
            what = f"refused `{params.get('symbol', 'the request')}`: {failure.message} ({failure.code})"
            raise RejectedError(Problem("refused", self.url, what, "check the symbol in the configuration")) from None
        except BinanceRequestException:
            raise self._nonsense("JSON") from None
        except requests.RequestException as failure:
            raise self._unavailable(f"no answer after {ATTEMPTS} attempts: {_cause(failure)}") from None

    def _respect_weight(self) -> None:
        """Wait for the next minute when this one's allowance is nearly used up."""
        used = self.client.response.headers.get("X-MBX-USED-WEIGHT-1M", "0")
        if used.isdigit() and int(used) >= WEIGHT_SHARE * WEIGHT_A_MINUTE:
            self.wait((MINUTE_MS - self.clock.now_ms() % MINUTE_MS) / SECOND_MS)

    def _unavailable(self, problem: str) -> UnavailableError:
        help_ = "check the network and run the command again; it goes on where it stopped"
        return UnavailableError(Problem("unavailable", self.url, problem, help_))

    def _nonsense(self, expected: str, why: str | None = None) -> VenueError:
        detail = f": {why}" if why else ""
        help_ = "nothing of this answer was stored; run the command again later"
        return VenueError(Problem("nonsense", self.url, f"the answer is not {expected}{detail}", help_))


@contextmanager
def connected(clock: Clock, wait: Callable[[float], None], url: str | None = None) -> Iterator[PublicData]:
    """Open a connection to the venue's public futures endpoints; nothing is sent yet.

    Args:
        clock: for the minute that the rate limit counts in.
        wait: stands still for so many seconds.
        url: instead of the venue's own, such as ``http://127.0.0.1:8080/fapi``.
    """
    from binance.client import Client  # noqa: PLC0415 - imports aiohttp and pandas; keeps queries fast

    class PublicClient(Client):  # type: ignore[misc] # python-binance has no types
        FUTURES_URL = url or Client.FUTURES_URL

    # python-binance takes the thread's event loop, or makes one that nobody closes
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        client = PublicClient(ping=False, requests_params={"timeout": TIMEOUTS_S})
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    try:
        yield PublicData(client, client.FUTURES_URL.format("com"), clock, wait)
    finally:
        client.close_connection()


def _asks_for_patience(failure: Any) -> bool:
    return failure.status_code in {_TOO_MANY, _BANNED}


def _pause_s(state: RetryCallState) -> float:
    """Return how long to wait before the next attempt: what the venue asks for, else twice as long each time.

    Raises:
        _SlowDownError: the venue asks for more than LONGEST_PAUSE_S.
    """
    failure = state.outcome.exception() if state.outcome else None
    pause = FIRST_PAUSE_S * 2.0 ** (state.attempt_number - 1)
    response = getattr(failure, "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    if not asked.isdigit():
        return pause
    if int(asked) > LONGEST_PAUSE_S:
        raise _SlowDownError(f"too many requests from this address: it wants {int(asked):,} s of silence")
    return max(pause, float(asked))


def _cause(failure: BaseException) -> str:
    """Return the innermost reason of a network fault in a few words."""
    import requests  # noqa: PLC0415 - keeps queries fast

    if isinstance(failure, requests.Timeout):
        return "it took too long"
    text = str(failure)
    for mark in ("Connection refused", "Name or service not known", "Temporary failure in name resolution"):
        if mark in text:
            return mark.lower()
    return "the connection broke"
