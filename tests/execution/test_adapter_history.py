"""Histories are walked exactly once, whatever the venue's page and window limits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.execution.binance import history
from engine.execution.binance.history import PAGE, WINDOW_MS, CrowdedError, walk_ids, walk_times

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Row:
    number: int
    at_ms: int


@dataclass
class Book:
    """A venue's history: at most a page, and at most a window, at a time."""

    rows: Sequence[Row]
    questions: int = 0

    async def span(self, start_ms: int, end_ms: int) -> Sequence[Row]:
        self.questions += 1
        assert start_ms <= end_ms
        assert end_ms - start_ms < WINDOW_MS
        return [row for row in self.rows if start_ms <= row.at_ms <= end_ms][: history.PAGE]

    async def since(self, number: int) -> Sequence[Row]:
        self.questions += 1
        return [row for row in self.rows if row.number >= number][: history.PAGE]


def book(gaps: Sequence[int], start_ms: int = 0) -> Book:
    rows, at_ms = [], start_ms
    for number, gap in enumerate(gaps):
        at_ms += gap
        rows.append(Row(number, at_ms))
    return Book(rows)


def walked(there: Book, from_ms: int, until_ms: int) -> tuple[Row, ...]:
    return asyncio.run(walk_times(there.span, lambda row: row.number, lambda row: row.at_ms, from_ms, until_ms))


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([0, 1, 5, 60_000, WINDOW_MS // 2, WINDOW_MS, 3 * WINDOW_MS]), max_size=40),
    st.integers(0, 2 * WINDOW_MS),
    st.integers(4, 9),
)
def test_a_walk_by_time_finds_each_row_of_the_span_once(gaps: list[int], from_ms: int, page: int) -> None:
    there = book(gaps)
    until_ms = max((row.at_ms for row in there.rows), default=0) + 5
    crowds = {row.at_ms: sum(other.at_ms == row.at_ms for other in there.rows) for row in there.rows}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "PAGE", page)
        if max(crowds.values(), default=0) >= page:
            return  # a page within a millisecond: the next test
        assert walked(there, from_ms, until_ms) == tuple(row for row in there.rows if row.at_ms >= from_ms)


def test_more_rows_in_a_millisecond_than_a_page_holds_are_an_error_not_a_loss() -> None:
    with pytest.raises(CrowdedError):
        walked(book([0] * (PAGE + 1)), 0, 10)


@settings(max_examples=30)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(2, 7))
def test_a_walk_by_id_finds_each_row_from_the_id_on_once(count: int, first: int, page: int) -> None:
    there = book([1] * count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "PAGE", page)
        found = asyncio.run(walk_ids(there.since, lambda row: row.number, first))
    assert found == tuple(row for row in there.rows if row.number >= first)
    assert there.questions <= max(count - first, 0) // page + 1


def test_a_venue_that_repeats_an_old_page_is_an_error_not_an_endless_walk() -> None:
    async def stuck(_number: int) -> Sequence[Row]:
        return [Row(number, 0) for number in range(PAGE)]

    with pytest.raises(CrowdedError):
        asyncio.run(walk_ids(stuck, lambda row: row.number, 5))
