"""The ledger: what happened, written once, in one SQLite file.

`Ledger.open(path)`, `append`, and the questions of `LedgerReader`; rows are the dataclasses of `engine.ledger.rows`.
"""

from engine.ledger.rows import (
    CashFlow,
    Event,
    FactsSnapshot,
    Fill,
    FundingPayment,
    Intent,
    Mark,
    Marks,
    OrderUpdate,
    Parent,
    Row,
    SleeveMark,
    SleeveMarks,
    StoredDocument,
    VerdictRecord,
    sha256_of,
)
from engine.ledger.store import KINDS, Ledger

__all__ = [
    "KINDS",
    "CashFlow",
    "Event",
    "FactsSnapshot",
    "Fill",
    "FundingPayment",
    "Intent",
    "Ledger",
    "Mark",
    "Marks",
    "OrderUpdate",
    "Parent",
    "Row",
    "SleeveMark",
    "SleeveMarks",
    "StoredDocument",
    "VerdictRecord",
    "sha256_of",
]
