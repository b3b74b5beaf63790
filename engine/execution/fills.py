"""Fills into the ledger: each exactly once, whatever was dropped, late or heard twice, from the venue's own history.

Streams only wake us up. The history is read from a little before the last fill on (a trade may become visible after a
later one), and from further back while some order is known to be filled by more than was booked.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, MINUTE_MS, hour_start
from engine.errors import Problem, UnavailableError
from engine.execution.ids import is_ours, parent_of, purpose_of
from engine.execution.journal import FOREIGN
from engine.execution.venue import FORCED_PREFIXES
from engine.ledger import Fill

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.clock import Clock
    from engine.execution.journal import Journal
    from engine.execution.venue import Trade, Venue
    from engine.ledger import Parent

QUOTE = "USDT"
OVERLAP_MS = MINUTE_MS
VISIBLE_BY_MS = MINUTE_MS
"""A venue may deny an order for seconds while it exists; what it denies for longer is not ours."""

NAMES_KEPT = 1_000
"""Of orders lately heard of: weeks of them."""

READ_AGAIN_MS = DAY_MS
"""How far before the last reading history is read again: a flat desk must not read its whole idle time each hour."""

OPEN_BOOKS_MS = 30 * DAY_MS
"""How long an order whose fills are not all booked keeps its history being read again."""

FORCED = "forced"

OTHER_FEE = "fee_in_other_asset"
"""The kind of the event of a fee that did not come out of the USDT; its subject is the fill."""


class FillBook:
    """Books the fills of one account.

    Args:
        venue: whose history is read.
        journal: where they are booked.
        clock: the time.
        since_ms: when the account began to trade: nothing before is read.
    """

    def __init__(self, venue: Venue, journal: Journal, clock: Clock, *, since_ms: int) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._since_ms = since_ms
        self._names: dict[tuple[str, str], str] = {}
        self._read_ms: dict[str, int] = {}
        self._whole_at: dict[str, tuple[int, int]] = {}  # where the ledger ended when a symbol's books were whole

    def heard(self, symbol: str, venue_id: str, client_id: str) -> None:
        """Remember the name of an order that the history tells by number only; of very old ones the venue is asked."""
        self._names[symbol, venue_id] = client_id
        if len(self._names) > NAMES_KEPT:
            del self._names[next(iter(self._names))]

    async def take(self, symbols: Iterable[str]) -> tuple[Fill, ...]:
        """Book what the ledger does not know yet of these symbols; return it, oldest first.

        Raises:
            VenueError: the history cannot be read; nothing of that symbol is booked, and the next call reads it again.
            LedgerError: it cannot be written.
        """
        booked = [fill for symbol in symbols for fill in await self._take(symbol)]
        return tuple(sorted(booked, key=lambda fill: fill.at_ms))

    async def _take(self, symbol: str) -> list[Fill]:
        began_ms = self._clock.now_ms()
        trades = await self._venue.trades(symbol, from_ms=self._from_ms(symbol))
        unknown = self._journal.ledger.unknown_fills(_fill_id(trade) for trade in trades)
        new = [trade for trade in trades if _fill_id(trade) in unknown]
        if not new:
            self._read_ms[symbol] = began_ms
            return []
        if any(self._parent(trade) is None for trade in new):
            await self._ask_for_numbers(symbol)
            await self._ask_for_names(new)
        assets = {_fill_id(trade): trade.fee_asset for trade in new}
        fills = [await self._fill(trade) for trade in new]
        with self._journal.together():
            still = self._journal.ledger.unknown_fills(fill.fill_id for fill in fills)
            fills = [fill for fill in fills if fill.fill_id in still]
            self._journal.ledger.append(fills)
            for fill in fills:
                if assets[fill.fill_id] != QUOTE:
                    self._tell(OTHER_FEE, fill, {"asset": assets[fill.fill_id], "fee_usd": fill.fee_usd})
                if fill.reason in {FOREIGN, FORCED}:
                    what = "the venue closed by force" if fill.reason == FORCED else "an order of no ledger"
                    document = {"what": what, "side": fill.side, "qty": fill.qty, "price": fill.price}
                    self._tell("difference", fill, document)
        self._read_ms[symbol] = began_ms
        return fills

    def _from_ms(self, symbol: str) -> int:
        ledger, account = self._journal.ledger, self._journal.account
        last = ledger.last_fill_ms(account, symbol)
        start = self._since_ms if last is None else max(self._since_ms, last - OVERLAP_MS)
        start = max(start, self._read_ms.get(symbol, 0) - READ_AGAIN_MS)
        end = ledger.end_of_orders()
        whole_at = self._whole_at.get(symbol, (0, 0))
        if whole_at == end:
            return start
        open_ms = self._clock.now_ms() - OPEN_BOOKS_MS
        short = ledger.first_short_ms(account, symbol, open_ms, whole_to=whole_at[0])
        if short is None:
            self._whole_at[symbol] = end
            return start
        return min(start, short)

    def _parent(self, trade: Trade) -> Parent | None:
        ledger = self._journal.ledger
        name = trade.client_id or self._names.get((trade.symbol, trade.order_id))
        intent = ledger.intent(name) if name else None
        intent = intent or ledger.intent_of_order(trade.symbol, trade.order_id)
        return ledger.parent(intent.parent_id) if intent else None

    async def _ask_for_numbers(self, symbol: str) -> None:
        """Ask what became of the orders whose number at the venue is not known: a stop that was hit, a lost answer."""
        for intent in self._journal.ledger.unnumbered_intents(self._journal.account, symbol):
            # unanswered is an error: the trade may be ours after all, better not booked yet than as a stranger's
            name = intent.client_id
            found = await (self._venue.stop(name) if intent.algo else self._venue.order(symbol, name))
            if found is not None:
                self._journal.note(name, found, self._clock.now_ms())

    async def _ask_for_names(self, trades: Iterable[Trade]) -> None:
        """Ask whose order each trade is of that the ledger does not know: a flatten's record comes beside it, or never.

        Raises:
            VenueError: the venue does not tell, or denies an order so young that this proves nothing.
        """
        for trade in trades:
            key = trade.symbol, trade.order_id
            if trade.client_id or key in self._names or self._parent(trade) is not None:
                continue
            name = await self._venue.client_id_of(*key)
            if name is not None:
                self._names[key] = name
            elif self._clock.now_ms() - trade.at_ms < VISIBLE_BY_MS:
                problem = "the venue tells of a trade, but not yet of its order"
                where = f"order {trade.order_id} of `{trade.symbol}`"
                raise UnavailableError(Problem("unavailable", where, problem, "the fill is booked with the next look"))

    async def _fill(self, trade: Trade) -> Fill:
        parent = self._parent(trade)
        fee_usd = float(trade.fee) * await self._usd(trade.fee_asset, trade.at_ms)
        name = trade.client_id or self._names.get((trade.symbol, trade.order_id), "")
        if parent is not None:
            ref_price, ref_kind, parent_id, reason = parent.ref_price, parent.ref_kind, parent.parent_id, parent.reason
        else:
            # a stranger's order, or ours from a run that had no ledger: nothing is known to measure its slippage by
            ref_price, ref_kind = float(trade.price), "mark"
            parent_id = parent_of(name) if is_ours(name) else f"venue-{trade.symbol}-{trade.order_id}"
            reason = _reason(name)
        return Fill(
            fill_id=_fill_id(trade),
            account=self._journal.account,
            at_ms=trade.at_ms,
            symbol=trade.symbol,
            side=trade.side,
            qty=float(trade.qty),
            price=float(trade.price),
            ref_price=ref_price,
            ref_kind=ref_kind,
            fee_usd=fee_usd,
            parent_id=parent_id,
            reason=reason,
        )

    async def _usd(self, asset: str, at_ms: int) -> float:
        """Return what one unit of a fee's asset was worth in USDT at the open of the hour of the fill (A39).

        It is the same whenever the fill is booked, and known at once; in an hour without a trade yet, the book tells.
        """
        if asset == QUOTE:
            return 1.0
        pair = f"{asset}{QUOTE}"
        price = await self._venue.running_open(pair, hour_start(at_ms))
        if price is not None:
            return float(price)
        best = await self._venue.best_price(pair)
        return float(best.bid + best.ask) / 2

    def _tell(self, kind: str, fill: Fill, document: dict[str, object]) -> None:
        self._journal.note_event(kind, fill.fill_id, fill.at_ms, json.dumps(document, sort_keys=True))


def _fill_id(trade: Trade) -> str:
    return f"{trade.symbol}-{trade.trade_id}"


def _reason(name: str) -> str:
    if name.startswith(FORCED_PREFIXES):
        return FORCED
    purpose = purpose_of(name)
    return purpose.name.lower() if purpose else FOREIGN
