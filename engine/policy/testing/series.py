"""Daily series in short form, for policy tests: ``"0.9x7 _ 0.9x10"`` is seven days, a missing one, and ten more.

An item is a value as a policy writes it (``12%``, ``0.9``, ``24hours``, ``FLATTEN_ALL``), a status (``_`` missing,
``young``, ``stale``, ``invalid``), or a range (``1%..10%x10``: ten days in even steps, both ends included). ``x7``
repeats the item on seven days. A series of one item without ``x`` stands for every day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING, Any

from engine.policy.facts import INVALID, MISSING, OK, STALE, YOUNG, Fact, Status
from engine.policy.model import FLAG
from engine.policy.quantity import MistakeError, nearest, parse_quantity, plain, quoted, shown, threshold

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from engine.policy.model import FactSpec

MAX_DAYS = 3660
GAP = "_"
STATUSES: dict[str, Status] = {GAP: MISSING, "missing": MISSING, "young": YOUNG, "stale": STALE, "invalid": INVALID}

_REPEATED = re.compile(r"(.+?)x([1-9][0-9]{0,4})")
_RANGE = re.compile(r"(.+?)\.\.(.+)")
_EXAMPLE = "write a value for each day, such as `0.9x7 _ 0.9x10`"


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact on one day: whole steps of its resolution where `status` is ``ok``, else None."""

    steps: int | None
    status: Status = OK

    def posted(self, spec: FactSpec, at_ms: int) -> Fact:
        """Return the fact as it would be posted at `at_ms`."""
        if self.steps is None:
            return Fact(spec.name, None, self.status, at_ms)
        if spec.choices:
            return Fact(spec.name, self.steps == 1 if spec.unit == FLAG else spec.choices[self.steps], OK, at_ms)
        exact = self.steps * spec.resolution
        return Fact(spec.name, int(exact) if spec.whole else float(exact), OK, at_ms)

    def text(self, spec: FactSpec) -> str:
        """Return the entry as an item of a series."""
        if self.steps is None:
            return GAP if self.status == MISSING else self.status
        return shown(spec, self.steps).replace(" ", "")


def fact_series(spec: FactSpec, raw: Any) -> tuple[Entry, ...]:
    """Return the days of a fact; a single entry stands for every day.

    Raises:
        MistakeError: not a series, or a value that the fact cannot have: wrong unit, range or resolution.
    """
    text = _as_text(raw, spec)
    quantity = parse_quantity(text)
    if quantity is not None and quantity.suffix not in STATUSES:  # also one with a space in it, such as `24 hours`
        return (Entry(threshold(spec, text)),)
    entries: list[Entry] = []
    for item, count in _items(text, spec.choices):
        ends = _RANGE.fullmatch(item)
        if ends is not None and item not in spec.choices:
            entries += _range(spec, ends[1], ends[2], count)
        else:
            entries += [_entry(spec, item)] * (count or 1)
        _check_length(len(entries))
    return tuple(entries)


def word_series(raw: Any, known: Collection[str], what: str) -> tuple[str | None, ...]:
    """Return a series of words, such as outcomes; None for ``_``, a day of which nothing is said.

    Raises:
        MistakeError: not a series, or a word that is not `known`; `what` names their kind.
    """
    if not isinstance(raw, str):
        raise MistakeError("series", f"{quoted(_shown(raw))} is no series", f"write `{next(iter(known), GAP)}x3`")
    words: list[str | None] = []
    for item, count in _items(raw, known):
        if item != GAP and item not in known:
            raise MistakeError(f"unknown-{what}", f"there is no {what} {quoted(item)}", nearest(item, known))
        words += [None if item == GAP else item] * (count or 1)
        _check_length(len(words))
    return tuple(words)


def shortened(items: Iterable[str]) -> str:
    """Return a series in its shortest form.

    >>> shortened(["1%", "1%", "_", "1%"])
    '1%x2 _ 1%'
    """
    runs = [(item, len(list(run))) for item, run in groupby(items)]
    return " ".join(item if count == 1 else f"{item}x{count}" for item, count in runs)


def _items(text: str, words: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield each item and how often it was repeated, 0 where it was not; a word may itself end in ``x2``."""
    parts = text.split()
    if not parts:
        raise MistakeError("series", "the series has no days", _EXAMPLE)
    for part in parts:
        repeated = None if part in words else _REPEATED.fullmatch(part)
        yield (repeated[1], int(repeated[2])) if repeated else (part, 0)


def _entry(spec: FactSpec, item: str) -> Entry:
    if item in STATUSES and item not in spec.choices:
        return Entry(None, STATUSES[item])
    return Entry(threshold(spec, item))


def _range(spec: FactSpec, first: str, last: str, count: int) -> list[Entry]:
    if spec.choices:
        raise MistakeError("series", f"`{spec.name}` is a word, a range means nothing", "name each day's word")
    if count < 2:  # noqa: PLR2004 - the two ends
        raise MistakeError(
            "series", f"{quoted(f'{first}..{last}')} needs a number of days", f"write `{first}..{last}x10`"
        )
    low, high = threshold(spec, first), threshold(spec, last)
    return [Entry(low + round(Fraction((high - low) * day, count - 1))) for day in range(count)]


def _check_length(days: int) -> None:
    if days > MAX_DAYS:
        raise MistakeError("series", f"the series has more than {MAX_DAYS} days", "write a shorter one")


def _as_text(raw: Any, spec: FactSpec) -> str:
    if isinstance(raw, bool) and spec.unit == FLAG:
        return spec.choices[raw]
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise MistakeError("series", f"{quoted(_shown(raw))} is no series", _EXAMPLE)
    return raw if isinstance(raw, str) else plain(Decimal(repr(raw)))


def _shown(raw: Any) -> str:
    if isinstance(raw, list | dict):
        return "[…]" if isinstance(raw, list) else "{…}"
    return "null" if raw is None else str(raw).lower()
