"""The comparable part of R1 as plain values: what a peer is told, on the command line too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Task:
    """What to run.

    Attributes:
        choices: symbol -> (strategy, its parameters).
        weights: symbol -> share of the equity.
        cash_usd: at the start.
        fee_ratio: of the notional, each side.
        dead_band_ratio: a smaller change of a target is not traded.
        warmup_bars: bars of a symbol before its first decision.
        start_ms: the first hour.
        end_ms: the end, excluded.
    """

    choices: dict[str, tuple[str, dict[str, Any]]]
    weights: dict[str, float]
    cash_usd: float
    fee_ratio: float
    dead_band_ratio: float
    warmup_bars: int
    start_ms: int
    end_ms: int

    def to_json(self) -> str:
        """Return the task for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return what `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Outcome:
    """What a run came to: the equity at the end, and how many orders it took."""

    equity_usd: float
    orders: int


def frames_from_files(task: Task, folder: Path, klines: str) -> dict[str, Any]:
    """Return one pandas frame a symbol, read as users read it; `klines` is asked first, then ``klines``."""
    import pandas as pd

    frames = {}
    for symbol in task.choices:
        found = [folder / name / f"{symbol}-1h.csv.gz" for name in (klines, "klines")]
        path = next(path for path in found if path.exists())
        columns = ["open_time", "open", "high", "low", "close"]
        frame = pd.read_csv(path, usecols=columns, parse_dates=["open_time"])
        frames[symbol] = frame.assign(open_time=frame["open_time"].dt.tz_localize(None)).set_index("open_time")
    return frames


def inside(task: Task, index: Any) -> Any:
    """Return which rows of a time index lie in the task's window, as a boolean array."""
    times = index.to_numpy().astype("datetime64[ms]").astype(np.int64)
    return (times >= task.start_ms) & (times < task.end_ms)
