"""Recorded facts: what every name was worth at one instant, or why it was unknown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import LedgerError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.ledger import FactsSnapshot

OK = "ok"


@dataclass(frozen=True)
class FactValue:
    """One fact of a snapshot; `value` is None unless `status` is ok."""

    value: float | str | bool | None
    status: str
    as_of_ms: int


@dataclass(frozen=True)
class FactDay:
    """All facts at one instant."""

    at_ms: int
    facts: Mapping[str, FactValue]

    def number(self, name: str) -> float | None:
        """Return a fact's number; None where it is unknown, absent or a word."""
        fact = self.facts.get(name)
        if fact is None or isinstance(fact.value, str | bool) or fact.value is None:
            return None
        return float(fact.value)

    @property
    def unknown(self) -> dict[str, str]:
        """The facts without a value, with their status."""
        return {name: fact.status for name, fact in self.facts.items() if fact.status != OK}


def fact_day(snapshot: FactsSnapshot) -> FactDay:
    """Return a recorded snapshot's facts.

    Raises:
        LedgerError: the document is not ``{name: [value, status, as_of_ms]}``.
    """
    try:
        data: dict[str, Any] = json.loads(snapshot.document)
        facts = {name: FactValue(value, str(status), int(as_of)) for name, (value, status, as_of) in data.items()}
    except (ValueError, TypeError, AttributeError):
        raise LedgerError(
            Problem(
                "facts-document",
                "facts",
                "recorded facts cannot be read: they are not of this version's form",
                "read the ledger with the version that wrote it, or restore it from a backup",
            )
        ) from None
    return FactDay(snapshot.at_ms, facts)
