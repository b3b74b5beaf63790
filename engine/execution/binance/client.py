"""python-binance's async client, bent to what the venue really does; the only place that knows the library's insides.

What is bent, and why (measured on 1.0.37):

- It has no argument for addresses, and its `testnet` leaves sapi in production: all addresses are set here, on
  subclasses.
- It reads the machine's clock plus `timestamp_offset`, measured once and at the spot venue: here that attribute is
  computed from our clock and the offset to the futures venue each time it is read.
- It knows no rate limit, and keeps only the last answer of any request: here each request is admitted and each answer
  read by the `Limiter`.
- It has one timeout for everything, passed in a form that aiohttp gives up: here connecting has its own.
- Its exceptions hold the request, key and signature and all, and a 503 without JSON has the code 0: here an answer
  that is no success becomes an `AnswerError`, which holds no more than it says.
- It leaves timeouts and broken connections unwrapped: `outcomes` knows them all.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.execution.binance.limiter import RETRY_AFTER
from engine.execution.binance.weights import weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.execution.binance.clocksync import VenueClock
    from engine.execution.binance.limiter import Limiter

RECV_WINDOW_MS = 5_000
"""How old a signed request may be when it reaches the venue: afterwards it can no longer come to be."""

CONNECT_TIMEOUT_S = 2.0
KEEPALIVE_S = 15.0  # aiohttp's own; a venue closes idle connections later
ANSWER_TIMEOUT_S = 5.0

PATIENCE_S = 75.0  # a full minute of the rate limit, and some
STREAM_QUEUE = 100_000  # messages; the library's 100 are gone in a second of a busy consumer

_SUCCESS = 2
_LONGEST_MESSAGE = 200


@dataclass(frozen=True)
class Keys:
    """The account's key and secret; neither is ever shown."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


@dataclass(frozen=True)
class Addresses:
    """Where a venue answers, such as ``http://127.0.0.1:8080`` and ``ws://127.0.0.1:8080/``; the stream's ends in /.

    An idle connection is kept for `keepalive_s`; in virtual time, where hours pass at once, longer is faster.
    """

    rest_url: str
    stream_url: str
    keepalive_s: float = KEEPALIVE_S


class AnswerError(Exception):
    """The venue answered, but not with success.

    Attributes:
        status: of HTTP; 2xx where the body makes no sense.
        code: the venue's, 0 where it gave none.
        message: its words, one line, cut short; empty where it gave none.
        retry_after_s: how long it wants silence; None: it did not say.
    """

    def __init__(self, status: int, code: int, message: str, retry_after_s: float | None) -> None:
        super().__init__(f"HTTP {status}, code {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class NotSentError(Exception):
    """The permit to add risk was gone when the request would have left; not a byte of it was written."""


@dataclass(frozen=True)
class Call:
    """How the requests of the present task are sent.

    Attributes:
        urgent: may use the allowance kept for reducing.
        patience_s: how long to wait for allowance.
        permitted: asked at the very moment before the request is written; False: it is not.
    """

    urgent: bool = False
    patience_s: float = PATIENCE_S
    permitted: Callable[[], bool] | None = None


_CALL: ContextVar[Call] = ContextVar("_CALL", default=Call())  # noqa: B039 - a frozen value


def present_call() -> Call:
    """Return how the present task's requests are sent."""
    return _CALL.get()


@contextmanager
def calling(call: Call) -> Iterator[None]:
    """Send the requests made within in this way."""
    token = _CALL.set(call)
    try:
        yield
    finally:
        _CALL.reset(token)


def check_permitted() -> None:
    """Check the permit of the present call.

    Raises:
        NotSentError: it is gone.
    """
    permitted = present_call().permitted
    if permitted is not None and not permitted():
        raise NotSentError


def answer_of(status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """Return the JSON of an answer; an empty body is an empty object.

    Raises:
        AnswerError: it is no success, or no JSON.
    """
    try:
        answer = json.loads(body) if body else {}
    except ValueError:
        answer = None
    if status // 100 == _SUCCESS and answer is not None:
        return answer
    said = answer if isinstance(answer, dict) else {}
    code = said.get("code", 0)
    words = " ".join(str(said.get("msg", "")).split())[:_LONGEST_MESSAGE]
    asked = headers.get(RETRY_AFTER, "")
    raise AnswerError(status, code if isinstance(code, int) else 0, words, float(asked) if asked.isdigit() else None)


@cache
def _client_class() -> Any:
    import aiohttp  # noqa: PLC0415 - keeps queries fast, as do the other imports of the library
    from binance.async_client import AsyncClient  # noqa: PLC0415

    class PermittedRequest(aiohttp.ClientRequest):
        """Asks for the permit when the connection stands and the first byte is next: connecting may take seconds."""

        async def send(self, conn: Any) -> Any:
            check_permitted()
            return await super().send(conn)

    class VenueClient(AsyncClient):  # type: ignore[misc] # python-binance has no types
        REQUEST_RECVWINDOW = RECV_WINDOW_MS

        def __init__(self, keys: Keys, venue_clock: VenueClock, limiter: Limiter, keepalive_s: float) -> None:
            self.venue_clock = venue_clock
            self.limiter = limiter
            timeout = aiohttp.ClientTimeout(
                total=ANSWER_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S, connect=CONNECT_TIMEOUT_S
            )
            super().__init__(
                keys.api_key,
                keys.api_secret,
                requests_params={"timeout": timeout},
                session_params={
                    "request_class": PermittedRequest,
                    "connector": aiohttp.TCPConnector(keepalive_timeout=keepalive_s),
                },
            )

        @property
        def timestamp_offset(self) -> int:
            return self.venue_clock.machine_offset_ms

        @timestamp_offset.setter
        def timestamp_offset(self, _assigned: int) -> None:
            """The library assigns 0 when it is made."""

        async def _request(self, method: str, uri: str, signed: bool, force_params: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - the library's signature
            call = present_call()
            path = uri.split("/", 5)[-1]
            cost = weight(method.upper(), path, kwargs.get("data") or {})
            await self.limiter.admit(cost, urgent=call.urgent, patience_s=call.patience_s)
            check_permitted()
            with self.limiter.counted(cost):
                return await super()._request(method, uri, signed, force_params, **kwargs)

        async def _handle_response(self, response: Any) -> Any:
            self.limiter.note(response.status, response.headers)
            return answer_of(response.status, response.headers, await response.read())

    return VenueClient


def make_client(keys: Keys, venue_clock: VenueClock, limiter: Limiter, addresses: Addresses | None = None) -> Any:
    """Return the library's client; nothing is sent yet. Call it within a running event loop.

    Args:
        keys: of the account; empty ones serve for public data.
        venue_clock: what requests are stamped with.
        limiter: admits them.
        addresses: instead of the venue's own.
    """
    base = _client_class()
    if addresses is None:
        return base(keys, venue_clock, limiter, KEEPALIVE_S)
    rest = addresses.rest_url
    places = {"API_URL": f"{rest}/api", "FUTURES_URL": f"{rest}/fapi", "MARGIN_API_URL": f"{rest}/sapi"}
    return type("VenueClientElsewhere", (base,), places)(keys, venue_clock, limiter, addresses.keepalive_s)


def make_sockets(client: Any, link: Mapping[str, float | None], addresses: Addresses | None = None) -> Any:
    """Return the library's maker of sockets, for one connection only: it keeps dead ones for good.

    Args:
        client: of `make_client`.
        link: passed to each connection: `open_timeout`, `ping_interval`, `ping_timeout`, in seconds.
        addresses: instead of the venue's own.
    """
    from binance.ws.streams import BinanceSocketManager  # noqa: PLC0415 - keeps queries fast

    # What it logs at each attempt, the supervisor reports once
    library = logging.getLogger("binance")
    library.propagate = False
    if not library.handlers:  # else Python's last resort prints it
        library.addHandler(logging.NullHandler())

    places = {} if addresses is None else {"FSTREAM_URL": addresses.stream_url}
    sockets = type("VenueSockets", (BinanceSocketManager,), places)(client, max_queue_size=STREAM_QUEUE)
    sockets.ws_kwargs = {**link, "proxy": None}  # as the requests go: directly
    return sockets
