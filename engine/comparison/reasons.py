"""Why a trade stands alone: what the ledger tells of the bar at which the two sides parted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.comparison.trades import BY_VENUE, FOREIGN

if TYPE_CHECKING:
    from engine.comparison.recorded import Recorded
    from engine.comparison.replay import Replay
    from engine.comparison.trades import Trade
    from engine.ledger import Parent
    from engine.ledger.queries import LedgerReader

_DUST = 1e-6
_STRANGERS = {
    FOREIGN: "an order that no ledger of ours knows: made by hand, or by another program",
    BY_VENUE: "the venue closed it by force",
}


class Reasons:
    """Says why two trades differ.

    Args:
        reader: the ledger, for what became of its orders.
        record: what it says of the period.
        replay: the other side.
    """

    def __init__(self, reader: LedgerReader, record: Recorded, replay: Replay) -> None:
        self._reader = reader
        self._record = record
        self._history = replay.history
        self._filled = {fill.parent_id for fill in record.fills}
        self._intended: dict[tuple[str, int], list[Parent]] = {}
        for parent in record.parents.values():
            self._intended.setdefault((parent.symbol, parent.bar_ms), []).append(parent)

    def why(self, live: Trade | None, replay: Trade | None) -> str:
        """Return in words why two trades differ, or why one of them stands alone."""
        told = live or replay
        assert told is not None, "a difference has at least one side"
        if live is not None and live.reason in _STRANGERS:
            return _STRANGERS[live.reason]
        before = self._positions_before(told)
        if live is None:
            return self._not_done(told) or before or "the desk decided on no order"
        if replay is None:
            return before or "the replay decides on no order at this bar"
        if live.side != replay.side:
            return before or "the other side"
        return before or self._in_part(live) or "the same side in another quantity"

    def _positions_before(self, trade: Trade) -> str:
        """Say that the positions differed already when the hour began; empty where they did not."""
        ours = self._record.held(trade.symbol, trade.hour_ms)
        theirs = self._held_in_replay(trade.symbol, trade.hour_ms)
        if ours is None:
            return "the ledger has no mark of the position before it"
        if abs(ours - theirs) <= _DUST * max(abs(ours), abs(theirs), _DUST):
            return ""
        return f"follows from an earlier difference: {ours:.8g} were held, {theirs:.8g} in the replay"

    def _held_in_replay(self, symbol: str, open_ms: int) -> float:
        place = int(np.searchsorted(self._history.at_ms, open_ms, side="right")) - 1
        return float(self._history.qty[place, self._history.symbols.index(symbol)]) if place >= 0 else 0.0

    def _not_done(self, trade: Trade) -> str:
        """Say what kept the desk from a trade that the replay makes; empty where the ledger does not tell."""
        if self._record.worked and trade.hour_ms not in self._record.worked:
            return "the desk did no work at this bar"
        skipped = self._record.skipped.get((trade.symbol, trade.hour_ms))
        if skipped:
            return f"the order was skipped: {skipped}"
        for parent in self._intended.get((trade.symbol, trade.hour_ms), ()):
            if parent.parent_id not in self._filled:
                return f"the order was not filled: {self._fate(parent)}"
        return ""

    def _in_part(self, trade: Trade) -> str:
        found = [self._record.parents[name] for name in trade.parent_ids if name in self._record.parents]
        wanted = sum(parent.qty for parent in found if parent.side == trade.side)
        short = wanted - trade.qty
        return f"filled in part: {trade.qty:.8g} of {wanted:.8g}" if short > _DUST * trade.qty else ""

    def _fate(self, parent: Parent) -> str:
        """Return the last word of the venue on the orders of a parent."""
        said = [
            f"{update.status} {update.detail}".strip()
            for intent in self._reader.intents_of(parent.parent_id)
            for update in self._reader.updates_of(intent.client_id)[-1:]
        ]
        return said[-1] if said else "it never left"
