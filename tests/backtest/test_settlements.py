from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.backtest.settlements import settlements
from engine.clock import HOUR_MS, parse_time
from tests.backtest.builders import rates_of, real_market

if TYPE_CHECKING:
    from pathlib import Path

MIDNIGHT = parse_time("2024-01-01")


def found(hours: list[int], start: int = 0, end: int = 48) -> dict[int, tuple[bool, float]]:
    """Return hour -> (missing, hours settled) for a record of settlements at these hours."""
    due = settlements(
        rates_of("BTCUSDT", hours, [1e-4] * len(hours)), MIDNIGHT + start * HOUR_MS, MIDNIGHT + end * HOUR_MS
    )
    at = ((due.time_ms - MIDNIGHT) // HOUR_MS).tolist()
    return dict(zip(at, zip(np.isnan(due.rate).tolist(), due.hours.tolist(), strict=True), strict=True))


def missing(hours: list[int], start: int = 0, end: int = 48) -> list[int]:
    return [hour for hour, (absent, _) in found(hours, start, end).items() if absent]


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ([0, 8, 16, 24, 32, 40], []),
        ([0, 8, 24, 32, 40], [16]),  # one is missing
        ([0, 8, 40], [16, 24, 32]),
        ([8, 16, 24, 32, 40], [0]),  # before the first record
        ([0, 8, 16], [24, 32, 40]),  # after the last
        ([], [0, 8, 16, 24, 32, 40]),
        ([0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44], []),  # every 4 hours
        ([0, 4, 8, 16, 20, 24, 28, 32, 36, 40, 44], [12]),  # one of them is missing
        ([0, 8, 16, 20, 24, 28, 30, 32, 34, 36, 40], []),  # 8 h, 4 h, 2 h, and back
        ([0, 2, 4, 6, 8, 16, 24, 32, 40], []),  # back from 2 h to 8 h at once is no hole
        ([0, 2, 4, 10, 12, 14, 16, 24, 32, 40], [6, 8]),
        ([4, 12, 20, 28, 36, 44], [0]),  # another phase: no multiple of 8 h is missing in between
    ],
)
def test_what_the_record_lacks(recorded: list[int], expected: list[int]) -> None:
    assert missing(recorded) == expected


def test_each_settlement_knows_its_hours() -> None:
    hours = {hour: length for hour, (_, length) in found([0, 8, 24, 28, 30, 32]).items()}
    assert hours == {0: 8.0, 8: 8.0, 16: 8.0, 24: 8.0, 28: 4.0, 30: 2.0, 32: 2.0, 40: 8.0}


def test_the_range_is_half_open() -> None:
    assert list(found([0, 8, 16, 24], 8, 24)) == [8, 16]


def test_no_record_at_all_lacks_every_usual_settlement() -> None:
    due = settlements(None, MIDNIGHT + HOUR_MS, MIDNIGHT + 24 * HOUR_MS)
    assert ((due.time_ms - MIDNIGHT) // HOUR_MS).tolist() == [8, 16]
    assert np.isnan(due.rate).all()


def test_the_real_record_lacks_nothing_although_intervals_change(real_data: Path) -> None:
    for symbol, record in real_market(real_data).funding.items():
        due = settlements(record, int(record.time_ms[0]), int(record.time_ms[-1]) + 1)
        assert not np.isnan(due.rate).any(), symbol
        assert len(due.rate) == len(record)
        if symbol == "SOLUSDT":
            assert set(due.hours.tolist()) == {2.0, 4.0, 8.0}, "November 2022 settled every 4 and 2 hours"
