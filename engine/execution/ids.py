"""Names of orders: deterministic, so that whoever comes after a crash asks the venue for the very same ones.

A client id is ``sg`` + purpose + symbol + instant + number of the parent at that instant + attempt within it, as in
``sgb-BTCUSDT-lz4k8e2o-0-1``. The venue takes 36 characters of ``[A-Za-z0-9_-]`` and more (−4015 beyond).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

PREFIX = "sg"
LONGEST = 36

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_INSTANT_DIGITS = 8  # milliseconds until the year 2059
_LONGEST_SYMBOL = 15
_SHORTENED = 8
MOST = 36**2
"""Parents of one symbol, purpose and instant; attempts of one parent."""


class Purpose(StrEnum):
    """What an order is for: one letter of its name."""

    BAR = "b"
    STOP = "s"
    STOPPED = "t"  # closing by hand what a stop did not
    FLATTEN = "f"
    CANARY = "c"


def parent_prefix(purpose: Purpose, symbol: str, instant_ms: int) -> str:
    """Return how the ids of all parents of one purpose, symbol and instant begin.

    Raises:
        ValueError: the instant does not fit into an id.

    >>> parent_prefix(Purpose.BAR, "BTCUSDT", 1667998800000)
    'sgb-BTCUSDT-la9nf340-'
    """
    if not 0 <= instant_ms < len(_DIGITS) ** _INSTANT_DIGITS:
        raise ValueError(f"no instant of an order: {instant_ms}")
    return f"{PREFIX}{purpose}-{_short(symbol)}-{_base36(instant_ms)}-"


def parent_id(purpose: Purpose, symbol: str, instant_ms: int, number: int) -> str:
    """Return the id of the `number`-th parent of one purpose, symbol and instant, counted from 0.

    Raises:
        ValueError: as `parent_prefix`, or more parents than anything sane needs.
    """
    if not 0 <= number < MOST:
        raise ValueError(f"{number} parents at one instant")
    return parent_prefix(purpose, symbol, instant_ms) + _base36(number)


def client_id(parent: str, attempt: int) -> str:
    """Return the id of a parent's `attempt`-th order, counted from 0.

    Raises:
        ValueError: more attempts than anything sane needs.

    >>> client_id("sgb-BTCUSDT-la9nf340-0", 1)
    'sgb-BTCUSDT-la9nf340-0-1'
    """
    if not 0 <= attempt < MOST:
        raise ValueError(f"{attempt} attempts of one parent")
    return f"{parent}-{_base36(attempt)}"


def is_ours(name: str) -> bool:
    """Return whether an order or a stop carries a name of this project, of whichever ledger."""
    return purpose_of(name) is not None


def purpose_of(name: str) -> Purpose | None:
    """Return what an order was for, from its client id alone; None: it is not ours."""
    letter, dash = name[len(PREFIX) : len(PREFIX) + 1], name[len(PREFIX) + 1 : len(PREFIX) + 2]
    if not name.startswith(PREFIX) or dash != "-" or letter not in set(Purpose):
        return None
    return Purpose(letter)


def parent_of(name: str) -> str:
    """Return the parent id within a client id of ours.

    >>> parent_of("sgb-BTCUSDT-la9nf340-0-1")
    'sgb-BTCUSDT-la9nf340-0'
    """
    return name.rpartition("-")[0]


def _short(symbol: str) -> str:
    """Return the symbol, or for a long one its beginning and enough of its hash."""
    if len(symbol) <= _LONGEST_SYMBOL and symbol.isascii() and symbol.replace("_", "").isalnum():
        return symbol
    digest = hashlib.sha256(symbol.encode()).hexdigest()[: _LONGEST_SYMBOL - _SHORTENED]
    return "".join(mark for mark in symbol if mark.isascii() and mark.isalnum())[:_SHORTENED] + digest


def _base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
