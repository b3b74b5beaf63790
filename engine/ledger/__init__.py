"""The ledger: what happened, written once, in one SQLite file.

`Ledger.open(path)`, `append`, and the questions of `LedgerReader`; rows are the dataclasses of `engine.ledger.rows`.
"""

from engine.ledger.rows import (
    CashFlow,
    Event,
    FactsSnapshot,
    Fill,
    FundingPayment,
    Mark,
    Marks,
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
    "Ledger",
    "Mark",
    "Marks",
    "Row",
    "SleeveMark",
    "SleeveMarks",
    "StoredDocument",
    "VerdictRecord",
    "sha256_of",
]
