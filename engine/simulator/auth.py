"""Who asks: API keys, HMAC-SHA256 signatures and timestamps, checked as the venue checks them."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS
from engine.simulator.refusals import VenueError, refusal, unauthorised
from engine.simulator.routes import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.simulator.requests import Asked

# a key is enough, nothing is signed
KEY_PATHS = frozenset({"/fapi/v1/listenKey"})

DEFAULT_WINDOW_MS = 5 * SECOND_MS
LONGEST_WINDOW_MS = 60 * SECOND_MS
AHEAD_MS = SECOND_MS

_UNAUTHORISED = 401


def authenticate(asked: Asked, account_of_key: Callable[[str], tuple[str, str] | None], server_ms: int) -> None:
    """Prove who asks and set `asked.account`; public paths, and those that lead nowhere, stay without one.

    Args:
        asked: the request.
        account_of_key: returns the account and the secret of a key, None for an unknown one.
        server_ms: the venue's time.

    Raises:
        VenueError: -2014 no key, -2015 unknown key, -1102 no timestamp, -1021 outside the window, -1022 wrong
            signature.
    """
    if (asked.method, asked.path) not in PRIVATE:
        return
    if not asked.api_key:
        raise VenueError(-2014, "API-key format invalid.", _UNAUTHORISED)
    known = account_of_key(asked.api_key)
    if known is None:
        raise unauthorised()
    account, secret = known
    if asked.path not in KEY_PATHS:
        _check_time(asked.params, server_ms)
        _check_signature(asked, secret)
    asked.account = account


def _check_time(params: dict[str, str], server_ms: int) -> None:
    window_ms = _whole(params, "recvWindow", DEFAULT_WINDOW_MS)
    if window_ms > LONGEST_WINDOW_MS:
        raise VenueError(-1131, "recvWindow must be less than 60000")
    stamp_ms = _whole(params, "timestamp")
    if stamp_ms >= server_ms + AHEAD_MS:
        raise VenueError(-1021, f"Timestamp for this request was {AHEAD_MS}ms ahead of the server's time.")
    if server_ms - stamp_ms > window_ms:
        raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _whole(params: dict[str, str], name: str, default: int | None = None) -> int:
    text = params.get(name, "" if default is None else str(default))
    if not text.isascii() or not text.isdigit():
        raise refusal(-1102, name)
    return int(text)


def _check_signature(asked: Asked, secret: str) -> None:
    given = asked.params.get("signature")
    if not given:
        raise refusal(-1102, "signature")
    signed = "&".join(part for part in asked.payload.split("&") if not part.startswith("signature="))
    expected = hmac.digest(secret.encode(), signed.encode(), "sha256").hex()
    if not hmac.compare_digest(expected, given):
        raise VenueError(-1022, "Signature for this request is not valid.")
