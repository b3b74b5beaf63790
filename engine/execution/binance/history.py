"""Walking through the venue's histories: each row exactly once, whatever the page and window limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from engine.clock import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

PAGE = 1_000
WINDOW_MS = 7 * DAY_MS  # the widest span of one question to userTrades

TRADES_KEPT_MS, INCOME_KEPT_MS = 180 * DAY_MS, 89 * DAY_MS
"""How far back the venue tells: userTrades six months, income three (its reference of both endpoints)."""

Row = TypeVar("Row")


class CrowdedError(ValueError):
    """A full page leads no further: more rows in one millisecond than it holds, or the same rows again."""

    def __init__(self) -> None:
        super().__init__("a full page that leads no further")


async def walk_times(
    page: Callable[[int, int], Awaitable[Sequence[Row]]],
    key: Callable[[Row], Hashable],
    at_ms: Callable[[Row], int],
    from_ms: int,
    until_ms: int,
    window_ms: int = WINDOW_MS,
) -> tuple[Row, ...]:
    """Return the rows of [from_ms, until_ms], in the venue's order, each once.

    Args:
        page: asks for the first `PAGE` rows of a span, both ends included.
        key: what makes a row unique.
        at_ms: a row's time.
        from_ms: of the first row.
        until_ms: of the last; may lie in the future.
        window_ms: the widest span of one question.

    Raises:
        CrowdedError: a full page lies within one millisecond.
    """
    rows: dict[Hashable, Row] = {}
    start_ms = from_ms
    while start_ms <= until_ms:
        end_ms = min(start_ms + window_ms - 1, until_ms)
        got = await page(start_ms, end_ms)
        for row in got:
            rows.setdefault(key(row), row)
        if len(got) < PAGE:
            start_ms = end_ms + 1
        elif (last_ms := at_ms(got[-1])) > start_ms:
            start_ms = last_ms  # again: rows of this millisecond may have been cut off
        else:
            raise CrowdedError
    return tuple(rows.values())


async def walk_ids(
    page: Callable[[int], Awaitable[Sequence[Row]]], key: Callable[[Row], int], from_id: int
) -> tuple[Row, ...]:
    """Return the rows from an id on, ascending, each once.

    Args:
        page: asks for the first `PAGE` rows from an id on.
        key: a row's id.
        from_id: the first id wanted.

    Raises:
        CrowdedError: a full page holds nothing from the id on.
    """
    rows: dict[int, Row] = {}
    while True:
        got = await page(from_id)
        new = {key(row): row for row in got if key(row) >= from_id}
        rows.update(new)
        if len(got) < PAGE:
            return tuple(rows[found] for found in sorted(rows))
        if not new:
            raise CrowdedError
        from_id = max(new) + 1
