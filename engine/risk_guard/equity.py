"""The risk equity as the venue tells it: margin balance, less idle cash (A53), marked at every tick.

Money that came or went by a transfer is no profit and no loss. The venue books it at once and tells of it in its
history a little later; until then what moved without a trade is held apart: a loss counts if nothing explains it in
time, a gain never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.clock import Clock
    from engine.execution.venue import Balance, Income, Position, Venue

TRANSFERS = frozenset({"TRANSFER", "INTERNAL_TRANSFER", "CROSS_COLLATERAL_TRANSFER", "STRATEGY_UMFUTURES_TRANSFER"})
"""What the venue calls money that moved in or out of the account."""

READING_HOLDS_MS = MINUTE_MS
"""A08: positions that were read longer ago than this are no basis of a mark."""

LIQUIDATED = "INSURANCE_CLEAR"
"""What the venue calls the fee of a liquidation."""

UNEXPLAINED_MS = MINUTE_MS
"""How long the venue's history may lag behind its balance before a loss without a reason is taken for one."""

ASKED_AGAIN_MS = 10 * SECOND_MS
"""The history costs more allowance than the account itself: fills in quick succession are one question."""

OVERLAP_MS = HOUR_MS
"""How far before the last look the history is read again: a row may come into it later than one after it."""

TOLERANCE_USD = Decimal("0.01")
QUOTE = "USDT"

_OF_TRADES = frozenset({"COMMISSION", "REALIZED_PNL"})
_READINGS = 3
_ZERO = Decimal(0)


@dataclass(frozen=True)
class Reading:
    """The account as the venue told it.

    Attributes:
        at_ms: when the answer was there.
        balance: cash, and cash with what is unrealized.
        positions: those that are not zero, by symbol.
    """

    at_ms: int
    balance: Balance
    positions: Mapping[str, Position]

    def margin_usd(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return the margin balance at other mark prices than those of the reading, where there are newer ones."""
        moved = (
            each.unrealized_usd + each.qty * (prices.get(symbol, each.mark_price) - each.mark_price)
            for symbol, each in self.positions.items()
        )
        return self.balance.wallet_usd + sum(moved, _ZERO)

    def gross_usd(self, prices: Mapping[str, Decimal]) -> float:
        """Return the sum of all positions without their signs."""
        return float(
            sum((abs(one.qty) * prices.get(name, one.mark_price) for name, one in self.positions.items()), _ZERO)
        )

    def traded_since(self, before: Reading) -> bool:
        """Return whether positions are others than in a reading before."""
        return _entries(self) != _entries(before)


@dataclass(frozen=True)
class EquityMark:
    """The equity at one instant, and the value of a unit: flows that come later change the first, never the second."""

    at_ms: int
    equity_usd: float
    nav: float
    gross_usd: float


async def read_account(venue: Venue, clock: Clock) -> Reading:
    """Ask for money and positions until both are of one moment: no fill came between.

    Raises:
        VenueError: the venue does not tell.
    """
    with venue.urgent():
        balance = await venue.balance()
        for _ in range(_READINGS):
            positions = await venue.positions()
            before, balance = balance, await venue.balance()
            if balance.wallet_usd == before.wallet_usd:
                break
    return Reading(clock.now_ms(), balance, positions)


class Cash:
    """Money that came into the account or left it without a trade.

    Args:
        since_ms: when the account was opened: nothing before is looked at.
        known: the transfers that were noted by an earlier run: id -> USDT.
        looked_ms: when an earlier run last looked; None: never.

    Attributes:
        apart_usd: what moved and is not explained yet.
        owed: the wallet moved by trades, and the history has not been asked yet whether by something else as well.
    """

    def __init__(self, since_ms: int, known: Mapping[str, float], looked_ms: int | None) -> None:
        self.apart_usd = _ZERO
        self.owed = False
        self._since_ms = since_ms
        self._known = {name: Decimal(str(amount)) for name, amount in known.items()}
        self._looked_ms = looked_ms
        self._heard: dict[tuple[str, str], int] = {}
        self._apart_since_ms = 0
        self._last: Reading | None = None

    @property
    def transfers_usd(self) -> Decimal:
        """What came in, less what went out."""
        return sum(self._known.values(), _ZERO)

    async def settle(self, venue: Venue, reading: Reading) -> tuple[list[Income], list[Income]] | None:
        """Take in a reading; return the transfers and the liquidations that are new.

        Returns:
            None where money moved while the history was asked: it may tell of what the reading does not know yet, so
            nothing was taken in, and the account must be read again.

        Raises:
            VenueError: the history cannot be read, and it had to be.
        """
        before = self._last
        moved = _ZERO if before is None else reading.balance.wallet_usd - before.balance.wallet_usd
        traded = before is not None and reading.traded_since(before)
        owed = self.owed or bool(moved and traded)
        asked = before is None or bool(moved and not traded) or bool(self.apart_usd)
        rows: tuple[Income, ...] = ()
        if asked or (owed and reading.at_ms - (self._looked_ms or 0) >= ASKED_AGAIN_MS):
            from_ms = self._since_ms if self._looked_ms is None else max(self._since_ms, self._looked_ms - OVERLAP_MS)
            rows = await venue.income(from_ms)
            if (await venue.balance()).wallet_usd != reading.balance.wallet_usd:
                return None
            self._looked_ms, owed = reading.at_ms, False
        self._last, self.owed = reading, owed
        return self._taken(rows, _ZERO if traded else moved, reading.at_ms)

    def _taken(self, rows: tuple[Income, ...], moved: Decimal, now_ms: int) -> tuple[list[Income], list[Income]]:
        """Take in what the history told, and what moved without a trade."""
        if moved and not self.apart_usd:
            self._apart_since_ms = now_ms
        self.apart_usd += moved
        new = [row for row in rows if row.asset == QUOTE and (row.kind, row.income_id) not in self._heard]
        self._heard |= {(row.kind, row.income_id): row.at_ms for row in new}
        asked_from_ms = (self._looked_ms or 0) - OVERLAP_MS
        self._heard = {name: at_ms for name, at_ms in self._heard.items() if at_ms >= asked_from_ms}
        self._explain(new, now_ms)
        transfers = [row for row in new if row.kind in TRANSFERS and row.income_id not in self._known]
        self._known |= {row.income_id: row.amount for row in transfers}
        return transfers, [row for row in new if row.kind == LIQUIDATED]

    def _explain(self, new: list[Income], now_ms: int) -> None:
        """Take off what the history accounts for by now, and give up on a loss that it does not account for in time."""
        told = sum((row.amount for row in new if row.kind not in _OF_TRADES), _ZERO)
        if self.apart_usd > 0:
            self.apart_usd = max(self.apart_usd - told, _ZERO)
        elif self.apart_usd < 0:
            late = now_ms - self._apart_since_ms > UNEXPLAINED_MS
            self.apart_usd = _ZERO if late else min(self.apart_usd - told, _ZERO)
        if abs(self.apart_usd) <= TOLERANCE_USD:
            self.apart_usd = _ZERO


def _entries(reading: Reading) -> dict[str, tuple[Decimal, Decimal]]:
    return {symbol: (one.qty, one.entry_price) for symbol, one in reading.positions.items()}
