"""What an outcome does: effects as typed values. The policy file declares them, the executor carries them out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNITS_MS = {"minute": MINUTE_MS, "hour": HOUR_MS, "day": DAY_MS}
_DURATION = re.compile(r"(\d{1,6}) (minute|hour|day)s?")
_FACTOR = re.compile(r"x(\d{1,3}(?:\.\d{1,4})?)")
_AT_MOST = re.compile(r"once per (.+)")


@dataclass(frozen=True)
class Effects:
    """The effects of one outcome, of one rule, or of one kind of episode; what is absent changes nothing.

    Attributes:
        exposure: the multiplier of every target while it lasts, 0 to 1.
        entries_blocked: no position may be opened or increased.
        cap_factor: what the capital cap is multiplied by.
        once_per_episode: acts when an episode starts, not again while it lasts (A29).
        page_every_ms: how often a person is paged while the episode lasts (A29); None: never.
        recovery_ms: how long no rule of the episode may fire before it may end.
        approvals: how many different people must agree: to the cap, to a recovery, to a restart.
        at_most_ms: the least time between two applications.
        until: what ends it; ``restart`` for a pause.
        incident: severity of the incident it opens.
        alert: route of the alert it sends.
        flag: a word shown beside the outcome.
    """

    exposure: float | None = None
    entries_blocked: bool = False
    cap_factor: float | None = None
    once_per_episode: bool = False
    page_every_ms: int | None = None
    recovery_ms: int | None = None
    approvals: int = 0
    at_most_ms: int | None = None
    until: str | None = None
    incident: str | None = None
    alert: str | None = None
    flag: str | None = None


def duration_ms(text: object) -> int:
    """Return the milliseconds of ``15 minutes``, ``1 hour`` or ``5 days``.

    Raises:
        ValueError: `text` is no such duration.

    >>> duration_ms("5 days") // DAY_MS
    5
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError("write a duration such as `15 minutes`, `1 hour` or `5 days`")
    return int(match[1]) * _UNITS_MS[match[2]]


def _exposure(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("write a number from 0 to 1")
    return float(value)


def _factor(value: object) -> float:
    match = _FACTOR.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) == 0:
        raise ValueError('write a factor such as `"x1.5"`')
    return float(match[1])


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("write a whole number of people, 0 or more")
    return value


def _at_most(value: object) -> int:
    match = _AT_MOST.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write `once per 30 days`")
    return duration_ms(match[1])


def _one_of(*words: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in words:
            raise ValueError(f"write {' or '.join(f'`{word}`' for word in words)}")
        return str(value)

    return parse


def _word(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_]{1,40}", value):
        raise ValueError("write one word")
    return value


def _blocked(value: object) -> bool:
    return _one_of("blocked")(value) == "blocked"


def _per_episode(value: object) -> bool:
    return _one_of("episode")(value) == "episode"


# key in the file -> (attribute, parser)
KEYS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "exposure": ("exposure", _exposure),
    "entries": ("entries_blocked", _blocked),
    "cap": ("cap_factor", _factor),
    "once_per": ("once_per_episode", _per_episode),
    "page_every": ("page_every_ms", duration_ms),
    "recovery": ("recovery_ms", duration_ms),
    "approvals": ("approvals", _count),
    "at_most": ("at_most_ms", _at_most),
    "until": ("until", _one_of("restart")),
    "incident": ("incident", _one_of("CRITICAL", "HIGH", "MEDIUM")),
    "alert": ("alert", _one_of("page", "warn", "info")),
    "flag": ("flag", _word),
}


def parse_effects(values: Mapping[str, object]) -> tuple[Effects, list[tuple[str, str]]]:
    """Return the typed effects and the mistakes as (key, what to write); a mistaken key is left out."""
    parsed: dict[str, Any] = {}
    mistakes: list[tuple[str, str]] = []
    for key, value in values.items():
        if key not in KEYS:
            mistakes.append((key, f"one of {', '.join(KEYS)}"))
            continue
        attribute, parse = KEYS[key]
        try:
            parsed[attribute] = parse(value)
        except ValueError as problem:
            mistakes.append((key, str(problem)))
    return Effects(**parsed), mistakes
