"""A desk that runs for ever must not grow: each day the same objects live, but for what the books must remember."""

from __future__ import annotations

import gc
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.real_path.loop import on_real_path
from engine.rehearsal.run import RehearsalRequest, rehearse

if TYPE_CHECKING:
    from engine.rehearsal.loop import Progress

ROOT = Path(__file__).parents[2]
BOOKS = {"Fill", "Order", "AlgoOrder", "Income", "FundingPayment"}
"""Of the simulated venue and of the account: each once, for good."""

A_DAY = 100
"""More objects than this a day are a leak: 24 bars, or some 400 requests, each leaving one behind, are far above."""


def test_from_day_to_day_nothing_grows_but_the_books(tmp_path: Path) -> None:
    living: dict[int, Counter[str]] = {}

    def look(progress: Progress) -> None:
        if progress.bars % 24 == 0:
            gc.collect()
            living[progress.bars // 24] = Counter(type(one).__name__ for one in gc.get_objects())

    config, rules = (ROOT / f"config/{name}_R1.yaml" for name in ("prod_candidate", "prod_scale_rules"))
    request = RehearsalRequest(config, rules, tmp_path / "out", 7, 2, None, "klines", None, None, 3, "all", "test")
    rehearse(request, look, report=False, carry_out=partial(on_real_path, seed=7))
    more = living[2] - living[1]
    assert more["Fill"]
    grown = {name: count for name, count in more.items() if name not in BOOKS}
    assert sum(grown.values()) < A_DAY, grown
