"""A request as it arrived and an answer as it leaves, before and after HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.simulator.refusals import VenueError

_OK = 200


@dataclass(slots=True)
class Asked:
    """One request, as it arrived.

    Attributes:
        method: ``GET``, ``POST``, ``PUT``, ``DELETE``.
        path: such as ``/fapi/v1/order``.
        payload: query string and body as received, one after the other: what the signature is made of.
        api_key: of the header, None where there is none.
        account: whose key signed it; None until that is proved.
        params: names and values of the payload, decoded.
    """

    method: str
    path: str
    payload: str
    api_key: str | None = None
    account: str | None = None
    params: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        pairs = (part.partition("=") for part in self.payload.split("&") if part)
        self.params = {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        result: JSON values; a text is sent as it is, as the page of a proxy.
        status: of HTTP.
        headers: besides those that every answer has.
    """

    result: Any
    status: int = _OK
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def refusing(cls, refused: VenueError) -> Answer:
        """Return the answer that says no."""
        return cls(refused.body(), refused.http_status, refused.headers)

    def body(self) -> bytes:
        """Return the bytes of the body."""
        if isinstance(self.result, str):
            return self.result.encode()
        return json.dumps(self.result, separators=(",", ":"), ensure_ascii=False).encode()


class HangUpError(Exception):
    """The connection breaks instead of an answer."""
