"""Live against replay over one period: both sides in numbers, trade by trade, and the facts that a review reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.comparison.measures import Curve, Measures, apart, measures, sharpe_apart
from engine.comparison.reasons import Reasons
from engine.comparison.replay import replayed
from engine.comparison.trades import matching, trades
from engine.policy.facts import MISSING, OK, Fact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.comparison.recorded import Recorded
    from engine.comparison.replay import Replay, Rules
    from engine.comparison.trades import Matching
    from engine.ledger.queries import LedgerReader
    from engine.market.series import Market


@dataclass(frozen=True)
class Window:
    """One stretch of both sides.

    Attributes:
        from_ms: its start.
        to_ms: its end.
        live: the ledger's numbers.
        replay: the other's.
        trades: of both.
    """

    from_ms: int
    to_ms: int
    live: Measures
    replay: Measures
    trades: Matching

    @property
    def sharpe_deviation(self) -> float | None:
        """How far the Sharpe ratios are apart (A97)."""
        return sharpe_apart(self.live, self.replay)

    @property
    def drawdown_deviation(self) -> float | None:
        """How far the largest drawdowns are apart, in points (A98)."""
        return apart(self.live.max_drawdown_percent, self.replay.max_drawdown_percent)

    @property
    def return_deviation(self) -> float | None:
        """How far the returns are apart, in points."""
        return apart(self.live.return_percent, self.replay.return_percent)


@dataclass(frozen=True)
class Comparison:
    """A ledger's whole past on both sides.

    Attributes:
        record: what the ledger says.
        replay: the other side.
        live_curve: NAV and sleeves as the ledger has them.
        replay_curve: the same of the replay.
        matching: all trades since the launch.
    """

    record: Recorded
    replay: Replay
    live_curve: Curve
    replay_curve: Curve
    matching: Matching

    def window(self, from_ms: int, to_ms: int) -> Window:
        """Return both sides over one stretch; it begins at the launch where that came later."""
        start_ms = max(from_ms, self.record.from_ms)
        part = self.matching.within(start_ms, to_ms)
        live, other = (
            measures(
                curve,
                start_ms,
                to_ms,
                trades=made,
                fees_usd=math.fsum(fill.fee_usd for fill in fills if start_ms <= fill.at_ms < to_ms),
                funding_usd=math.fsum(paid.amount_usd for paid in payments if start_ms <= paid.at_ms < to_ms),
            )
            for curve, made, fills, payments in (
                (self.live_curve, part.live, self.record.fills, self.record.funding),
                (self.replay_curve, part.replay, self.replay.fills, self.replay.funding),
            )
        )
        return Window(start_ms, to_ms, live, other, part)


def compared(reader: LedgerReader, record: Recorded, market: Market, rules: Rules) -> Comparison:
    """Replay a ledger's past and hold it against what the ledger says.

    Raises:
        LedgerError: the ledger cannot be read.
        DataError: the prices do not cover the period.
    """
    replay = replayed(record, market, rules)
    reasons = Reasons(reader, record, replay)
    ours, theirs = trades(record.fills, record.parents), trades(replay.fills)
    return Comparison(
        record, replay, _live_curve(record), _replay_curve(record, replay),
        matching(ours, theirs, rules.filters, reasons.why),
    )  # fmt: skip


def review_facts(windows: Iterable[Window], at_ms: int) -> dict[str, Fact]:
    """Return the facts of a comparison; of several windows the worst counts (de-risking takes the severest reading).

    Args:
        windows: none where nothing could be compared: every fact is then missing.
        at_ms: now.
    """
    found = tuple(windows)
    sharpe = [window.sharpe_deviation for window in found]
    depth = [window.drawdown_deviation for window in found]
    many: list[float | None] = [float(len(window.trades.unmatched)) for window in found]
    values = {"sharpe_deviation": sharpe, "drawdown_deviation": depth, "trades_unmatched": many}
    return {name: _worst(name, each, at_ms) for name, each in values.items()}


def _worst(name: str, values: list[float | None], at_ms: int) -> Fact:
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return Fact(name, None, MISSING, at_ms)
    return Fact(name, max(known), OK, at_ms)


def _live_curve(record: Recorded) -> Curve:
    symbols = tuple(record.sleeves)
    at_ms = record.marks.at_ms
    columns = []
    for marks in record.sleeves.values():
        place = np.searchsorted(marks.at_ms, at_ms, side="right") - 1
        columns.append(np.where(place >= 0, marks.pnl_usd[np.maximum(place, 0)], 0.0))
    pnl = np.column_stack(columns) if columns else np.zeros((len(at_ms), 0))
    return Curve(at_ms, record.marks.nav, pnl, symbols)


def _replay_curve(record: Recorded, replay: Replay) -> Curve:
    history = replay.history
    at_ms = np.concatenate([[record.from_ms], history.at_ms])
    nav = np.concatenate([record.marks.nav[:1], history.nav * record.marks.nav[0]])
    pnl = np.vstack([np.zeros((1, len(history.symbols))), history.pnl_usd])
    return Curve(at_ms, nav, pnl, history.symbols)
