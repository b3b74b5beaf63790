"""What can be asked of a ledger. Plain sqlite3 and NumPy; no pandas.

States are cut inclusively (`from_ms <= at_ms <= to_ms`): the mark of an instant belongs to it. Happenings (fills,
funding, cash flows) are cut half-open (`from_ms <= at_ms < to_ms`): what happens at an instant comes after its mark, so
a verdict at `to_ms` has not seen it. A bound that is None is open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.ledger.order_queries import OrderQueries
from engine.ledger.reading import RowT, bounds, upper
from engine.ledger.rows import (
    CashFlow,
    Event,
    FactsSnapshot,
    Fill,
    FundingPayment,
    Mark,
    Marks,
    SleeveMark,
    SleeveMarks,
    StoredDocument,
    VerdictRecord,
)
from engine.ledger.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strategies.bars import FloatArray, IntArray


class LedgerReader(OrderQueries):
    """The reading half of a ledger; every method raises LedgerError where the file cannot be read."""

    def meta(self) -> dict[str, str]:
        """Return what is known of the ledger itself: kind, created_at_ms, seed, source, stage and the like."""
        return dict(self._rows("SELECT key, value FROM meta"))

    def newest_ms(self) -> int | None:
        """Return the time of the desk's latest mark or verdict; None: there is neither."""
        rows = self._rows(
            "SELECT max(at_ms) FROM (SELECT max(at_ms) AS at_ms FROM marks WHERE account = 'risk' "
            "UNION ALL SELECT max(at_ms) FROM verdicts WHERE policy <> 'risk_guard')"
        )
        newest: int | None = rows[0][0]
        return newest

    def marks(self, account: str, from_ms: int | None = None, to_ms: int | None = None) -> Marks:
        """Return the account's marks in ``[from_ms, to_ms]``, oldest first."""
        rows = self._rows(
            "SELECT at_ms, equity_usd, nav, units, exposure, cap_usd, gross_usd, estimated_marks FROM marks "
            "WHERE account = ? AND at_ms BETWEEN ? AND ? ORDER BY at_ms",
            (account, *bounds(from_ms, to_ms)),
        )
        at_ms, equity, nav, units, exposure, cap, gross, estimated = zip(*rows, strict=True) if rows else [()] * 8
        return Marks(
            at_ms=_ints(at_ms),
            equity_usd=_reals(equity),
            nav=_reals(nav),
            units=_reals(units),
            exposure=_reals(exposure),
            cap_usd=_reals(cap),
            gross_usd=_reals(gross),
            estimated_marks=_ints(estimated),
        )

    def last_mark(self, account: str, at_ms: int | None = None) -> Mark | None:
        """Return the latest mark at or before `at_ms` (of all: None); None where there is none."""
        found = self._read(Mark, "account = ? AND at_ms <= ? ORDER BY at_ms DESC LIMIT 1", (account, upper(at_ms)))
        return found[0] if found else None

    def first_mark(self, account: str, from_ms: int) -> Mark | None:
        """Return the oldest mark at or after `from_ms`; None where there is none."""
        found = self._read(Mark, "account = ? AND at_ms >= ? ORDER BY at_ms LIMIT 1", (account, from_ms))
        return found[0] if found else None

    def symbols(self, account: str) -> tuple[str, ...]:
        """Return the symbols that have sleeve marks, sorted."""
        rows = self._rows("SELECT DISTINCT symbol FROM sleeve_marks WHERE account = ? ORDER BY symbol", (account,))
        return tuple(row[0] for row in rows)

    def sleeve_marks(
        self, account: str, from_ms: int | None = None, to_ms: int | None = None
    ) -> dict[str, SleeveMarks]:
        """Return each symbol's marks in ``[from_ms, to_ms]``, oldest first; symbols without any are absent."""
        rows = self._rows(
            "SELECT symbol, at_ms, qty, mark_price, pnl_usd, position FROM sleeve_marks "
            "WHERE account = ? AND at_ms BETWEEN ? AND ? ORDER BY at_ms",
            (account, *bounds(from_ms, to_ms)),
        )
        by_symbol: dict[str, list[tuple[Any, ...]]] = {}
        for symbol, *values in rows:
            by_symbol.setdefault(symbol, []).append(tuple(values))
        return {symbol: _sleeve_columns(values) for symbol, values in sorted(by_symbol.items())}

    def last_sleeve_marks(self, account: str, at_ms: int | None = None) -> tuple[SleeveMark, ...]:
        """Return every symbol's mark of the latest instant at or before `at_ms`, sorted by symbol."""
        latest = "SELECT max(at_ms) FROM sleeve_marks WHERE account = ? AND at_ms <= ?"
        where = f"account = ? AND at_ms = ({latest}) ORDER BY symbol"
        return self._read(SleeveMark, where, (account, account, upper(at_ms)))

    def fills(self, account: str, from_ms: int | None = None, to_ms: int | None = None) -> tuple[Fill, ...]:
        """Return the account's fills in ``[from_ms, to_ms)``, oldest first, then as appended."""
        return self._happened(Fill, account, from_ms, to_ms)

    def funding(self, account: str, from_ms: int | None = None, to_ms: int | None = None) -> tuple[FundingPayment, ...]:
        """Return the account's funding settlements in ``[from_ms, to_ms)``, oldest first, then as appended."""
        return self._happened(FundingPayment, account, from_ms, to_ms)

    def cash_flows(self, account: str, from_ms: int | None = None, to_ms: int | None = None) -> tuple[CashFlow, ...]:
        """Return the account's cash flows in ``[from_ms, to_ms)``, oldest first, then as appended."""
        return self._happened(CashFlow, account, from_ms, to_ms)

    def facts_at(self, at_ms: int | None = None) -> FactsSnapshot | None:
        """Return the latest snapshot of facts at or before `at_ms`; None where there is none."""
        found = self._read(FactsSnapshot, "at_ms <= ? ORDER BY at_ms DESC LIMIT 1", (upper(at_ms),))
        return found[0] if found else None

    def day_closes(self, days: int, at_ms: int | None = None) -> tuple[FactsSnapshot, ...]:
        """Return the last `days` day-close snapshots at or before `at_ms`, oldest first; a missing day is absent."""
        where = "day_close = 1 AND at_ms <= ? ORDER BY at_ms DESC LIMIT ?"
        return self._read(FactsSnapshot, where, (upper(at_ms), days))[::-1]

    def verdict(self, verdict_id: str) -> VerdictRecord | None:
        """Return the verdict with this id; None where there is none."""
        found = self._read(VerdictRecord, "verdict_id = ?", (verdict_id,))
        return found[0] if found else None

    def verdicts(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        *,
        policy: str | None = None,
        last: int | None = None,
    ) -> tuple[VerdictRecord, ...]:
        """Return the log of verdicts in ``[from_ms, to_ms]``, oldest first; with `last`, only the latest so many."""
        where = "at_ms BETWEEN ? AND ? AND (? IS NULL OR policy = ?) ORDER BY at_ms DESC, rowid DESC LIMIT ?"
        limit = -1 if last is None else last
        return self._read(VerdictRecord, where, (*bounds(from_ms, to_ms), policy, policy, limit))[::-1]

    def latest_verdict(self, at_ms: int | None = None, *, policy: str | None = None) -> VerdictRecord | None:
        """Return the last verdict at or before `at_ms`; None where there is none."""
        found = self.verdicts(to_ms=at_ms, policy=policy, last=1)
        return found[0] if found else None

    def document(self, sha256: str) -> StoredDocument | None:
        """Return the document with this hash; None where it was never stored."""
        found = self._read(StoredDocument, "sha256 = ?", (sha256,))
        return found[0] if found else None

    def events(
        self, kind: str | None = None, from_ms: int | None = None, to_ms: int | None = None
    ) -> tuple[Event, ...]:
        """Return events of this kind (None: of any) in ``[from_ms, to_ms]``, oldest first, then as appended."""
        between, order = "at_ms BETWEEN ? AND ?", "ORDER BY at_ms, rowid"
        if kind is None:
            return self._read(Event, f"{between} {order}", bounds(from_ms, to_ms))
        return self._read(Event, f"kind = ? AND {between} {order}", (kind, *bounds(from_ms, to_ms)))

    def last_event(self) -> Event | None:
        """Return the latest event of any kind; None where there is none."""
        found = self._read(Event, "at_ms = (SELECT max(at_ms) FROM events) ORDER BY rowid DESC LIMIT 1", ())
        return found[0] if found else None

    def audit_link(self, number: int) -> str | None:
        """Return the hash of one link of the audit trail; None where there is none of this number."""
        rows = self._rows("SELECT chain_sha256 FROM audit WHERE number = ?", (number,))
        return str(rows[0][0]) if rows else None

    def events_after(self, place: int, kinds: Sequence[str]) -> tuple[tuple[int, Event], ...]:
        """Return the events of these kinds that were written after a place in the file, each with its own place.

        Args:
            place: of the last event that was seen; 0: none was. Only what is newer is read.
            kinds: which are wanted.
        """
        columns = ", ".join(TABLES[Event].columns)
        marks = ", ".join("?" * len(kinds))
        # the plus keeps SQLite from the index of kinds, by which it would read all of them each time
        sql = f"SELECT rowid, {columns} FROM events WHERE rowid > ? AND +kind IN ({marks}) ORDER BY rowid"  # noqa: S608 - own names only
        return tuple((row[0], Event(*row[1:])) for row in self._rows(sql, (place, *kinds)))

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table of data."""
        names = sorted(table.name for table in TABLES.values())
        return {name: self._rows(f"SELECT count(*) FROM {name}")[0][0] for name in names}  # noqa: S608 - own names only

    def _happened(self, kind: type[RowT], account: str, from_ms: int | None, to_ms: int | None) -> tuple[RowT, ...]:
        where = "account = ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms, rowid"
        return self._read(kind, where, (account, *bounds(from_ms, to_ms)))


def _ints(values: Sequence[int]) -> IntArray:
    import numpy as np  # noqa: PLC0415 - keeps queries of a few rows fast

    return np.array(values, dtype=np.int64)


def _reals(values: Sequence[float | None]) -> FloatArray:
    import numpy as np  # noqa: PLC0415 - the same

    return np.array(values, dtype=np.float64)


def _sleeve_columns(rows: list[tuple[Any, ...]]) -> SleeveMarks:
    at_ms, qty, mark_price, pnl_usd, position = zip(*rows, strict=True)
    return SleeveMarks(_ints(at_ms), _reals(qty), _reals(mark_price), _reals(pnl_usd), _reals(position))
