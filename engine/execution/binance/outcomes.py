"""What a failed request proves. Only the venue's own refusal proves a rejection; everything else is unknown.

The codes are those of the venue's error reference; −20xxx are those of its algo orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from engine.execution.binance.client import AnswerError, NotSentError
from engine.execution.binance.limiter import BANNED, TOO_MANY, AllowanceError
from engine.execution.venue import NOT_SENT, Rejected, Unknown

CLOCK_CODES = frozenset({-1021})
ABSENT_CODES = frozenset({-2011, -2013, -20124})
DUPLICATE_CODES = frozenset({-4116, -20132})
ALREADY_SO_CODES = frozenset({-4046, -4059})
KEY_CODES = frozenset({-1002, -1022, -1099, -2014, -2015, -2017})
HEDGE_CODES = frozenset({-4061})

# Codes that say "I do not know what became of it" though they come as a refusal
_UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007, -1010, -1016})
# Codes that prove a refusal though they may come with a 5xx
_PROVEN_CODES = frozenset({-1008})

_SUCCESS, _BAD_REQUEST, _SERVER_FAULT = 2, 400, 500


class Kind(Enum):
    """What a failure proves."""

    REFUSED = auto()  # the venue refused it
    LIMITED = auto()  # the venue refused it for want of allowance, or we did not send it for that reason
    CLOCK = auto()  # the venue refused it for its timestamp
    NOT_PERMITTED = auto()  # we did not send it: the permit is gone
    UNKNOWN = auto()  # nothing


@dataclass(frozen=True)
class Failure:
    """One failed request.

    Attributes:
        kind: what it proves.
        code: the venue's, 0 where it gave none.
        message: in words, without secrets, one line.
        retry_after_s: how long the venue wants silence; None: it did not say.
    """

    kind: Kind
    code: int
    message: str
    retry_after_s: float | None = None


def failure_of(error: BaseException) -> Failure | None:
    """Return what `error` proves; None: it is no failure of a request, and must be raised further."""
    import aiohttp  # noqa: PLC0415 - keeps queries fast

    if isinstance(error, NotSentError):
        return Failure(Kind.NOT_PERMITTED, NOT_SENT, "not sent: the permit to add risk is gone")
    if isinstance(error, AllowanceError):
        message = f"not sent: the venue's rate limit leaves no allowance for {error.wait_s:.0f} s"
        return Failure(Kind.LIMITED, NOT_SENT, message, error.wait_s)
    if isinstance(error, AnswerError):
        return _answered(error)
    broken = (
        (TimeoutError, "no answer in time"),
        (aiohttp.ClientConnectorError, "no connection"),
        (aiohttp.ClientError, "the connection broke"),
        (OSError, "the connection broke"),
    )
    words = next((words for kind, words in broken if isinstance(error, kind)), None)
    return None if words is None else Failure(Kind.UNKNOWN, 0, words)


def outcome_of(failure: Failure) -> Rejected | Unknown:
    """Return the outcome of an order whose sending failed so."""
    if failure.kind is Kind.UNKNOWN:
        return Unknown(failure.message)
    return Rejected(failure.code, failure.message)


def _answered(error: AnswerError) -> Failure:
    status, code = error.status, error.code
    message = f"{error.message} ({code})" if code else f"HTTP {status}"
    if status in {BANNED, TOO_MANY}:
        return Failure(Kind.LIMITED, code, message, error.retry_after_s)
    if status // 100 == _SUCCESS:
        return Failure(Kind.UNKNOWN, code, "the answer is not JSON")
    if code in _PROVEN_CODES:
        return Failure(Kind.REFUSED, code, message)
    if code >= 0 or code in _UNKNOWN_CODES or not _BAD_REQUEST <= status < _SERVER_FAULT:
        return Failure(Kind.UNKNOWN, code, message)
    return Failure(Kind.CLOCK if code in CLOCK_CODES else Kind.REFUSED, code, message)
