"""What a failed request proves: a rejection only where the venue itself says so."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st

from engine.execution.binance.asking import error_of
from engine.execution.binance.client import AnswerError, NotSentError, answer_of
from engine.execution.binance.limiter import AllowanceError
from engine.execution.binance.outcomes import Failure, Kind, failure_of, outcome_of
from engine.execution.venue import NOT_SENT, Rejected, Unknown

_HOST = ConnectionKey("127.0.0.1", 1, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


def answered(status: int, body: str, headers: dict[str, str] | None = None) -> Failure:
    with pytest.raises(AnswerError) as caught:
        answer_of(status, headers or {}, body.encode())
    failure = failure_of(caught.value)
    assert failure is not None
    return failure


def coded(code: int) -> str:
    return json.dumps({"code": code, "msg": "words"})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, coded(-2019), Kind.REFUSED),  # margin
        (400, coded(-2021), Kind.REFUSED),  # would trigger at once
        (400, coded(-2022), Kind.REFUSED),  # reduce-only
        (400, coded(-4164), Kind.REFUSED),  # notional
        (400, coded(-1111), Kind.REFUSED),  # precision
        (400, coded(-4400), Kind.REFUSED),  # quantitative rules
        (400, coded(-4116), Kind.REFUSED),  # duplicate id
        (401, coded(-2015), Kind.REFUSED),  # key
        (400, coded(-1021), Kind.CLOCK),
        (429, coded(-1003), Kind.LIMITED),
        (418, coded(-1003), Kind.LIMITED),
        (429, "<html>slow down</html>", Kind.LIMITED),
        (503, coded(-1008), Kind.REFUSED),  # overload: says itself that nothing was done
        (503, "<html>Service Unavailable</html>", Kind.UNKNOWN),  # of which python-binance makes code 0
        (503, json.dumps({"code": -1000, "msg": "Unknown error"}), Kind.UNKNOWN),
        (500, coded(-2019), Kind.UNKNOWN),  # a 5xx proves nothing, whatever it says
        (408, coded(-1007), Kind.UNKNOWN),
        (400, coded(-1006), Kind.UNKNOWN),
        (400, coded(-1007), Kind.UNKNOWN),
        (400, coded(-1001), Kind.UNKNOWN),
        (403, "<html>firewall</html>", Kind.UNKNOWN),
        (400, "[]", Kind.UNKNOWN),
        (400, json.dumps({"code": "-2019", "msg": "a text is no code"}), Kind.UNKNOWN),
        (200, "<html>a proxy's login page</html>", Kind.UNKNOWN),
        (302, "", Kind.UNKNOWN),
    ],
)
def test_an_answer_proves_what_it_proves(status: int, body: str, kind: Kind) -> None:
    failure = answered(status, body)
    assert failure.kind is kind
    assert isinstance(outcome_of(failure), Unknown if kind is Kind.UNKNOWN else Rejected)


@given(st.integers(500, 599), st.integers(-30_000, 1_000).filter(lambda code: code != -1008))
def test_no_server_fault_is_ever_a_rejection(status: int, code: int) -> None:
    assert isinstance(outcome_of(answered(status, coded(code))), Unknown)


@given(
    st.integers(300, 599).filter(lambda status: status not in {418, 429}), st.text(alphabet="<>{}[]ab0 ", max_size=20)
)
def test_no_answer_without_the_venues_code_is_ever_a_rejection(status: int, body: str) -> None:
    assert isinstance(outcome_of(answered(status, body)), Unknown)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        aiohttp.ServerTimeoutError(),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientConnectorError(_HOST, OSError(111, "refused")),
        aiohttp.ClientPayloadError(),
        aiohttp.ClientOSError(104, "reset"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_broken_connection_proves_nothing(error: Exception) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert isinstance(outcome_of(failure), Unknown)


def test_what_was_never_sent_is_rejected_by_ourselves() -> None:
    for error in (NotSentError(), AllowanceError(12.0)):
        failure = failure_of(error)
        assert failure is not None
        outcome = outcome_of(failure)
        assert isinstance(outcome, Rejected)
        assert outcome.code == NOT_SENT


@pytest.mark.parametrize(
    ("failure", "code", "do"),
    [
        (answered(503, ""), "unavailable", "look at the network and the venue's status page"),
        (answered(429, coded(-1003)), "unavailable", "when the venue's limit lets it answer"),
        (answered(400, coded(-2015)), "key-refused", "check the key"),
        (answered(400, coded(-4061)), "hedge-mode", "switch the account to one-way mode"),
        (answered(400, coded(-4003)), "refused", "the venue's list of error codes"),
    ],
)
def test_whoever_asks_in_vain_is_told_what_to_do(failure: Failure, code: str, do: str) -> None:
    (problem,) = error_of("the balance", failure).problems
    assert (problem.where, problem.code) == ("the balance", code)
    assert do in problem.help


def test_a_mistake_of_our_own_is_no_failure_of_a_request() -> None:
    assert failure_of(RuntimeError("a bug")) is None
    assert failure_of(asyncio.CancelledError()) is None


def test_how_long_the_venue_wants_silence_is_read_from_the_headers() -> None:
    assert answered(429, coded(-1003), {"Retry-After": "17"}).retry_after_s == 17.0
    assert answered(429, coded(-1003)).retry_after_s is None
