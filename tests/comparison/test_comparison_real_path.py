"""A ledger made through the client and a venue, with its orders and settlements, held against a replay."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from engine.clock import parse_time
from engine.comparison.compare import compared
from engine.comparison.prices import market_of_ledger
from engine.comparison.recorded import read_recorded
from engine.comparison.signals import consistency
from engine.ledger import Ledger
from engine.real_path.loop import on_real_path
from engine.rehearsal.run import rehearse
from engine.reports.fill_rates import fill_rates
from tests.comparison.kit import rules
from tests.rehearsal.conftest import request

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.requirement("R220")
def test_R220_R062_a_day_of_real_orders_is_the_replays_day(tmp_path: Path, real_data: Path) -> None:
    span = {"from_ms": parse_time("2024-02-26T00:00:00Z"), "to_ms": parse_time("2024-02-26T09:00:00Z")}
    asked = request(tmp_path, data=real_data, klines="klines_composite", **span)
    done = rehearse(asked, lambda _: None, report=False, carry_out=partial(on_real_path, seed=7))
    with Ledger.open(done.ledger, read_only=True) as ledger:
        record = read_recorded(ledger)
        market = market_of_ledger(record.meta, rules().config.market.symbols)
        found = compared(ledger, record, market, rules())
        rates = fill_rates(ledger, record.from_ms, record.to_ms + 1)
    whole = found.window(record.from_ms, record.to_ms)
    assert record.parents
    assert record.worked
    assert whole.trades.unmatched == ()
    assert len(whole.trades.matched) > 1
    assert whole.drawdown_deviation == pytest.approx(0, abs=0.05)
    assert whole.live.pnl_usd == pytest.approx(whole.replay.pnl_usd, abs=2)
    assert sum(fate.filled_usd for fate in rates.fates) == pytest.approx(whole.live.turnover_usd, rel=1e-6)
    same = consistency(record, found.replay, record.from_ms, record.to_ms, {})
    assert (same.percent, same.first) == (100.0, None)
