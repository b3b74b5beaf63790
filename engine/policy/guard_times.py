"""How long the risk guard, the runner and the venue wait for each other: the block `execution: risk_guard:`."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.policy.quantity import quoted

if TYPE_CHECKING:
    from engine.policy.schema import Findings

BLOCK = ("execution", "risk_guard")
DURATION = r"[1-9][0-9]{0,5} (?:second|minute|hour)s?"

_UNITS_MS = {"second": SECOND_MS, "minute": MINUTE_MS, "hour": HOUR_MS}
_SHORTER = (("mark_every", "decision_valid_for"), ("dead_man_renewed_every", "dead_man"))


@dataclass(frozen=True)
class GuardTimes:
    """The times of a running desk beside its bars; all in milliseconds.

    Attributes:
        mark_every_ms: how often the equity is read anew, at the latest (A08).
        decision_valid_for_ms: a decision of the guard that was not renewed for so long says nothing.
        acknowledged_within_ms: how long the runner may take to acknowledge; then the guard closes the book (A73).
        flat_within_ms: how long the runner may take to be flat; then the same.
        outage_ends_after_ms: an outage is over after so much success (A78).
        dead_man_ms: the venue cancels what rests when nobody renewed for so long.
        dead_man_renewed_every_ms: how often it is renewed.
    """

    mark_every_ms: int
    decision_valid_for_ms: int
    acknowledged_within_ms: int
    flat_within_ms: int
    outage_ends_after_ms: int
    dead_man_ms: int
    dead_man_renewed_every_ms: int

    def __str__(self) -> str:
        return ", ".join(f"{key} {words}" for key, words in self.in_words().items())

    def in_words(self) -> dict[str, str]:
        """Return the times by their keys, as the bundle writes them."""
        return {_key(one.name): _words(getattr(self, one.name)) for one in fields(self)}


def _key(name: str) -> str:
    return name.removesuffix("_ms")


ABOUT = {
    "mark_every": "equity read anew at the venue, at the latest every",
    "decision_valid_for": "age from which a decision of the risk guard says nothing",
    "acknowledged_within": "time for the runner to acknowledge, then the guard closes the book",
    "flat_within": "time for the runner to be flat, then the guard closes the book",
    "outage_ends_after": "success that ends an outage",
    "dead_man": "time without a renewal after which the venue cancels what rests",
    "dead_man_renewed_every": "the same is renewed every",
}
"""What each key means, for the reference and for editors."""

KEYS = tuple(_key(one.name) for one in fields(GuardTimes))


def read_guard_times(findings: Findings) -> GuardTimes | None:
    """Return the times of a bundle; None where it has no such block, or a mistake in it, which is then reported."""
    if BLOCK not in findings.document.positions:
        return None
    found: dict[str, int] = {}
    for key in KEYS:
        text = findings.value(*BLOCK, key)
        if text is None:
            continue
        time_ms = _time_ms(text)
        if time_ms is None:
            findings.add((*BLOCK, key), "duration", f"{quoted(text)} is no duration", "write `10 seconds`")
        else:
            found[key] = time_ms
    for shorter, longer in _SHORTER:
        if shorter in found and longer in found and found[shorter] >= found[longer]:
            problem = f"{quoted(shorter)} is not shorter than {quoted(longer)}"
            findings.add((*BLOCK, shorter), "duration", problem, "nothing would ever hold")
    if len(found) < len(KEYS):
        return None
    return GuardTimes(**{f"{key}_ms": time_ms for key, time_ms in found.items()})


def _time_ms(text: str) -> int | None:
    """Return the milliseconds of ``10 seconds`` or ``1 minute``; None for anything else.

    >>> _time_ms("90 seconds"), _time_ms("soon")
    (90000, None)
    """
    if not re.fullmatch(DURATION, text):
        return None
    number, unit = text.split()
    return int(number) * _UNITS_MS[unit.removesuffix("s")]


def _words(time_ms: int) -> str:
    unit, size_ms = next(pair for pair in reversed(_UNITS_MS.items()) if time_ms % pair[1] == 0)
    number = time_ms // size_ms
    return f"{number} {unit}{'' if number == 1 else 's'}"
