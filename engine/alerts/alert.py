"""One alert: who, how bad, what; then why, what was done, and what a person must do.

Queuing is an append to the ledger and nothing else, so an alert that cannot be delivered never delays a flatten (R161).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.clock import iso
from engine.ledger.rows import Event, sha256_of

QUEUED, SENT, FAILING, ROUTE = "alert", "alert_sent", "alert_failing", "alert_route"
"""The kinds of the events of an alert, of its delivery, of a route that does not take it, and of a new route."""

MOST_CHARACTERS = 1_000


class Severity(StrEnum):
    """How bad it is; the order of the members is the order of badness."""

    INFO = "INFO"
    WARN = "WARN"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """0 for the mildest."""
        return list(Severity).index(self)


OF_EFFECT = {"info": Severity.INFO, "warn": Severity.WARN, "page": Severity.CRITICAL}
"""What a policy's effect `alert:` means."""


@dataclass(frozen=True)
class Alert:
    """What people are told.

    Attributes:
        at_ms: when it happened.
        severity: how bad.
        subject: what it is about, for de-duplication.
        what: one line: what happened.
        lines: ``(label, text)``: why, done, balance, do … in this order.
        route: the only one it goes to, whatever its severity; empty: all that take it.
    """

    at_ms: int
    severity: Severity
    subject: str
    what: str
    lines: tuple[tuple[str, str], ...] = ()
    route: str = ""

    @property
    def alert_id(self) -> str:
        """``N20221109T140211-3fa9c1``: moment, and six digits of all that it says: what differs never collides."""
        stamp = iso(self.at_ms)[:19].replace("-", "").replace(":", "")
        said = f"{self.at_ms} {self.severity} {self.subject} {self.what} {self.lines} {self.route}"
        return f"N{stamp}-{sha256_of(said)[:6]}"

    @property
    def sameness(self) -> tuple[str, str, str]:
        """What is equal in an alert and in its repetition a minute later."""
        return self.severity, self.subject, self.what

    def repeated(self, times: int, since_ms: int) -> Alert:
        """Return the alert as it is told when it stands for several."""
        return self if times == 1 else replace(self, lines=(("times", f"{times} since {iso(since_ms)}"), *self.lines))

    def text(self, prefix: str) -> str:
        """Return the message in plain text, at most `MOST_CHARACTERS`; a line that is too much is cut, never the first.

        >>> print(Alert(0, Severity.WARN, "x", "entries blocked", (("why", "equity 6 min old"),)).text("[R1]"))
        [R1] WARN  entries blocked
        why     equity 6 min old
        """
        head = f"{prefix} {self.severity}  {self.what}".strip()
        body = [f"{label:<7} {text}" for label, text in self.lines]
        message = "\n".join([head, *body])
        return message if len(message) <= MOST_CHARACTERS else f"{message[: MOST_CHARACTERS - 1]}…"

    def row(self) -> Event:
        """Return the ledger's row; queuing the same alert again is the same row."""
        document = {"severity": self.severity, "subject": self.subject, "what": self.what, "lines": list(self.lines)}
        if self.route:
            document["route"] = self.route
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return Event(self.alert_id, self.at_ms, QUEUED, self.severity, text)

    @classmethod
    def from_row(cls, row: Event) -> Alert:
        """Return what `row` wrote."""
        values = json.loads(row.document)
        lines = tuple((label, text) for label, text in values["lines"])
        route = values.get("route", "")
        return cls(row.at_ms, Severity(values["severity"]), values["subject"], values["what"], lines, route)
