"""What can be asked of a ledger about orders: what was intended, what is still open, what was filled, what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ledger.reading import Reading, bounds
from engine.ledger.rows import Fill, Intent, OrderUpdate, Parent

if TYPE_CHECKING:
    from collections.abc import Iterable

UNITS = 10**8
"""Of one base asset: the venue's finest step of a quantity."""

_NOT_ENDED = "NOT EXISTS (SELECT 1 FROM order_updates WHERE order_updates.client_id = intents.client_id AND ended = 1)"
_MINE = "parent_id IN (SELECT parent_id FROM parents WHERE account = ?)"


class OrderQueries(Reading):
    """The questions about orders; every method raises LedgerError where the file cannot be read."""

    def parent(self, parent_id: str) -> Parent | None:
        """Return the parent with this id; None where there is none."""
        found = self._read(Parent, "parent_id = ?", (parent_id,))
        return found[0] if found else None

    def parents(
        self, account: str, from_ms: int | None = None, to_ms: int | None = None, *, symbol: str | None = None
    ) -> tuple[Parent, ...]:
        """Return the account's parents written in ``[from_ms, to_ms)``, oldest first, then as appended."""
        where = "account = ? AND at_ms >= ? AND at_ms < ? AND (? IS NULL OR symbol = ?) ORDER BY at_ms, rowid"
        return self._read(Parent, where, (account, *bounds(from_ms, to_ms), symbol, symbol))

    def parents_named(self, beginning: str) -> int:
        """Return how many parents have an id that begins so."""
        sql = "SELECT count(*) FROM parents WHERE parent_id >= ? AND parent_id < ? || char(127)"
        return int(self._rows(sql, (beginning, beginning))[0][0])

    def intent(self, client_id: str) -> Intent | None:
        """Return the intent with this client id; None where there is none."""
        found = self._read(Intent, "client_id = ?", (client_id,))
        return found[0] if found else None

    def intents_of(self, parent_id: str) -> tuple[Intent, ...]:
        """Return a parent's intents in the order of their attempts."""
        return self._read(Intent, "parent_id = ? ORDER BY attempt, rowid", (parent_id,))

    def open_intents(self, account: str, *, symbol: str | None = None) -> tuple[Intent, ...]:
        """Return the intents of which no end is known, oldest first: each may have an order at the venue."""
        where = f"{_NOT_ENDED} AND {_MINE} AND (? IS NULL OR symbol = ?) ORDER BY at_ms, rowid"
        return self._read(Intent, where, (account, symbol, symbol))

    def intent_of_order(self, symbol: str, venue_id: str) -> Intent | None:
        """Return the intent that became the venue's order `venue_id` of `symbol`; None where none is known to."""
        known = "SELECT client_id FROM order_updates WHERE venue_id = ? AND venue_id <> ''"
        found = self._read(Intent, f"symbol = ? AND client_id IN ({known})", (symbol, venue_id))
        return found[0] if found else None

    def updates_of(self, client_id: str) -> tuple[OrderUpdate, ...]:
        """Return what became known of an order, as it became known."""
        return self._read(OrderUpdate, "client_id = ? ORDER BY rowid", (client_id,))

    def fills_of(self, parent_id: str) -> tuple[Fill, ...]:
        """Return a parent's fills, oldest first."""
        return self._read(Fill, "parent_id = ? ORDER BY at_ms, rowid", (parent_id,))

    def last_fill_ms(self, account: str, symbol: str) -> int | None:
        """Return the time of the account's latest fill of `symbol`; None where there is none."""
        sql = "SELECT at_ms FROM fills WHERE account = ? AND symbol = ? ORDER BY at_ms DESC LIMIT 1"
        found = self._rows(sql, (account, symbol))
        return int(found[0][0]) if found else None

    def first_short_ms(self, account: str, symbol: str, from_ms: int, *, whole_to: int = 0) -> int | None:
        """Return when the oldest parent since `from_ms` began of which more is filled than is booked; None: none is.

        Args:
            account: whose.
            symbol: of the parents.
            from_ms: older ones are not looked at.
            whole_to: none was short when the updates ended here (`end_of_orders`): only who was heard of since can be.
        """
        told = (
            "SELECT sum(most) FROM (SELECT max(filled_qty) AS most FROM intents JOIN order_updates USING (client_id) "
            "WHERE intents.parent_id = parents.parent_id GROUP BY client_id)"
        )
        booked = "SELECT sum(qty) FROM fills WHERE fills.parent_id = parents.parent_id"
        heard_of = "SELECT parent_id FROM order_updates JOIN intents USING (client_id) WHERE order_updates.rowid > ?"
        sql = (
            "SELECT min(at_ms) FROM parents WHERE account = ? AND symbol = ? AND at_ms >= ? "  # noqa: S608 - own names only
            f"AND parent_id IN ({heard_of}) AND coalesce(({told}), 0) > coalesce(({booked}), 0) + 1e-9"
        )
        found = self._rows(sql, (account, symbol, from_ms, whole_to))[0][0]
        return None if found is None else int(found)

    def end_of_orders(self) -> tuple[int, int]:
        """Return how far updates and fills reach: while it stays, so does whatever they say together."""
        sql = "SELECT coalesce((SELECT max(rowid) FROM order_updates), 0), coalesce((SELECT max(rowid) FROM fills), 0)"
        updates, fills = self._rows(sql)[0]
        return int(updates), int(fills)

    def unnumbered_intents(self, account: str, symbol: str) -> tuple[Intent, ...]:
        """Return the intents whose order at the venue is not known by number and that may have one."""
        numbered = "SELECT 1 FROM order_updates WHERE order_updates.client_id = intents.client_id AND venue_id <> ''"
        refused = "status IN ('REJECTED', 'NOT_SENT', 'ABSENT', 'CANCELED', 'EXPIRED')"
        never = f"SELECT 1 FROM order_updates WHERE order_updates.client_id = intents.client_id AND {refused}"  # noqa: S608 - own names only
        where = f"NOT EXISTS ({numbered}) AND NOT EXISTS ({never}) AND {_MINE} AND symbol = ? ORDER BY at_ms, rowid"
        return self._read(Intent, where, (account, symbol))

    def unknown_fills(self, fill_ids: Iterable[str]) -> frozenset[str]:
        """Return those of the ids under which no fill is recorded."""
        return frozenset(each for each in fill_ids if not self._rows("SELECT 1 FROM fills WHERE fill_id = ?", (each,)))

    def held(self, account: str) -> dict[str, float]:
        """Return what the account's fills sum up to, signed base asset, every symbol ever filled.

        They are summed in whole units: a sum of floats is off by more than a rounding after some hundred fills.
        """
        units = f"CAST(round(qty * {UNITS}) AS INTEGER)"
        sql = f"SELECT symbol, sum(side * {units}) FROM fills WHERE account = ? GROUP BY symbol ORDER BY symbol"  # noqa: S608 - own names only
        return {symbol: found / UNITS for symbol, found in self._rows(sql, (account,))}

    def last_targets(self, account: str) -> dict[str, float]:
        """Return the target in USDT of each symbol's last parent that was filled at all (the dead-band's reference)."""
        filled = "EXISTS (SELECT 1 FROM fills WHERE fills.parent_id = parents.parent_id)"
        last = (
            "SELECT target_usd FROM parents WHERE account = ? AND symbol = traded.symbol "  # noqa: S608 - own names only
            f"AND {filled} ORDER BY at_ms DESC, rowid DESC LIMIT 1"
        )
        traded = "SELECT DISTINCT symbol FROM parents WHERE account = ?"
        sql = f"SELECT symbol, ({last}) FROM ({traded}) AS traded"  # noqa: S608 - own names only
        return {
            symbol: target_usd for symbol, target_usd in self._rows(sql, (account, account)) if target_usd is not None
        }
