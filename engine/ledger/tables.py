"""Which table holds which rows, and how a row travels to SQLite and back."""

from __future__ import annotations

import dataclasses
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.ledger.rows import (
    CashFlow,
    Event,
    FactsSnapshot,
    Fill,
    FundingPayment,
    Intent,
    Mark,
    OrderUpdate,
    Parent,
    Row,
    SleeveMark,
    StoredDocument,
    VerdictRecord,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Table:
    """How one kind of row is stored.

    Attributes:
        identity: the columns that must agree when a key comes again; of a document only the text, because the same
            policy may be read under two names; of an order's update not its time and wording, because a stream and a
            query tell the same thing differently.
        to_sql: one conversion a column; NumPy's scalars become Python's, a NaN in a nullable column becomes None.
        flags: positions of the columns that are true or false.
    """

    name: str
    row: type[Any]
    key: tuple[str, ...]
    identity: tuple[str, ...]
    columns: tuple[str, ...]
    to_sql: tuple[Callable[[Any], Any], ...]
    flags: frozenset[int]

    def values(self, row: Row) -> tuple[Any, ...]:
        """Return the row as SQLite takes it."""
        return tuple(convert(getattr(row, name)) for name, convert in zip(self.columns, self.to_sql, strict=True))

    def from_sql(self, values: tuple[Any, ...]) -> Any:
        """Return the row that was read."""
        if self.flags:
            return self.row(*(bool(value) if index in self.flags else value for index, value in enumerate(values)))
        return self.row(*values)


def _text_or_none(value: str | None) -> str | None:
    return None if value is None else str(value)


def _real_or_none(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


_TO_SQL: dict[str, Callable[[Any], Any]] = {
    "str": str,
    "str | None": _text_or_none,
    "int": operator.index,
    "bool": int,
    "float": float,
    "float | None": _real_or_none,
}


def _table(name: str, row: type[Any], *key: str, identity: tuple[str, ...] = ()) -> Table:
    fields = dataclasses.fields(row)
    columns = tuple(field.name for field in fields)
    flags = frozenset(index for index, field in enumerate(fields) if field.type == "bool")
    to_sql = tuple(_TO_SQL[str(field.type)] for field in fields)
    return Table(name, row, key, identity or columns, columns, to_sql, flags)


TABLES: dict[type[Any], Table] = {
    table.row: table
    for table in (
        _table("documents", StoredDocument, "sha256", identity=("text",)),
        _table("marks", Mark, "account", "at_ms"),
        _table("sleeve_marks", SleeveMark, "account", "at_ms", "symbol"),
        _table("fills", Fill, "fill_id"),
        _table("funding", FundingPayment, "payment_id"),
        _table("cash_flows", CashFlow, "flow_id"),
        _table("facts", FactsSnapshot, "at_ms"),
        _table("verdicts", VerdictRecord, "verdict_id"),
        _table("events", Event, "event_id"),
        _table("parents", Parent, "parent_id"),
        _table("intents", Intent, "client_id"),
        _table("order_updates", OrderUpdate, "update_id", identity=("client_id", "status", "filled_qty")),
    )
}
