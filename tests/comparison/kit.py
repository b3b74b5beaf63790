"""A short rehearsal and what is needed to replay it, shared by the tests of comparisons, reviews and their reports."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from engine.comparison.compare import Comparison, compared
from engine.comparison.prices import market_of_ledger
from engine.comparison.recorded import Recorded, read_recorded
from engine.comparison.replay import Rules
from engine.config import load_config, load_filters
from engine.ledger import Ledger
from engine.policy.bundle import Bundle, load_bundle
from engine.rehearsal.run import rehearse
from tests.rehearsal.conftest import CONFIG, RULES, request

if TYPE_CHECKING:
    from pathlib import Path

    from engine.market.series import Market

DAYS = 30


@cache
def bundle() -> Bundle:
    return load_bundle(RULES)


@cache
def rules() -> Rules:
    config, policies = load_config(CONFIG), bundle()
    assert policies.filters is not None
    filters = load_filters(policies.filters.path, config.market.symbols)
    return Rules(config, policies.rebalance_dead_band_ratio, filters)


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsed month: its ledger, what that says, and the prices it ran on."""

    path: Path
    record: Recorded
    market: Market

    def compared(self, record: Recorded | None = None) -> Comparison:
        """Hold a record, the ledger's own or an altered one, against its replay."""
        with Ledger.open(self.path, read_only=True) as ledger:
            return compared(ledger, self.record if record is None else record, self.market, rules())


def rehearsed(out: Path) -> Rehearsed:
    command = f"stagegate rehearse --days {DAYS}"
    done = rehearse(request(out, days=DAYS, command=command), lambda _: None, report=False)
    with Ledger.open(done.ledger, read_only=True) as ledger:
        record = read_recorded(ledger)
    return Rehearsed(done.ledger, record, market_of_ledger(record.meta, rules().config.market.symbols))


ROOT_CONFIG, ROOT_RULES = str(CONFIG), str(RULES)
