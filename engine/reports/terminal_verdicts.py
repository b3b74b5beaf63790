"""Verdicts, facts and rehearsals in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.ledger import Ledger
from engine.reports.conditions import sentence
from engine.reports.days import changes, outcome_counts
from engine.reports.numbers import age, count, day_text, with_unit
from engine.reports.standing import read_standing
from engine.reports.tables import table
from engine.reports.terminal_tables import rich_table
from engine.reports.verdicts import parse_verdict
from engine.reports.why import header_lines, why_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Group
    from rich.table import Table as RichTable

    from engine.ledger import VerdictRecord
    from engine.reports.archive import Archived
    from engine.reports.days import DayVerdict
    from engine.reports.snapshots import FactDay


class RehearsedLike(Protocol):
    """Where a rehearsal's results are; `engine.rehearsal.run.Rehearsed` is one."""

    @property
    def ledger(self) -> Path: ...  # noqa: D102 - the names are the rehearsal's
    @property
    def report(self) -> Path | None: ...  # noqa: D102


class ReplayLike(Protocol):
    """A verdict decided again; `engine.inquiry.Replay` is one."""

    @property
    def record(self) -> VerdictRecord: ...  # noqa: D102 - the names are the replay's
    @property
    def difference(self) -> str: ...  # noqa: D102
    @property
    def identical(self) -> bool: ...  # noqa: D102


def verdict_text(record: VerdictRecord, ledger: Path, *, why: bool, more: str = "add `--why` for every reason") -> str:
    """Return a recorded verdict.

    Args:
        record: the verdict.
        ledger: the file that recorded it.
        why: every reason and distance; else the heading and the reason in a sentence.
        more: how whoever reads the sentence comes to every reason.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    verdict = parse_verdict(record.document)
    with Ledger.open(ledger, read_only=True) as reader:
        if why:
            return why_text(verdict, read_standing(reader, verdict))
        standing = read_standing(reader, verdict, tail=1)
    lines = header_lines(verdict, standing)
    return "\n".join([*lines, f"  {sentence(verdict)}", f"  {verdict.verdict_id}: {more}"])


def verdict_log_table(records: Sequence[VerdictRecord]) -> RichTable:
    """Return recorded verdicts, oldest first; their ids tell when they were given."""
    rows = []
    for record in records:
        verdict = parse_verdict(record.document)
        doubt = "" if verdict.agree and verdict.fault is None else "ENGINES NOT TRUSTED, "
        rows.append((verdict.verdict_id, verdict.outcome, doubt + sentence(verdict)))
    return rich_table(table("=id | !verdict | why", rows))


def changes_table(days: Sequence[DayVerdict]) -> RichTable:
    """Return the days on which the outcome changed, with the reason and how long the new one lasted."""
    rows = [
        (day_text(change.day_ms), change.before, change.after, count(change.days, "day"), change.why)
        for change in changes(days)
    ]
    return rich_table(table("day | !from | !to | #lasted | why", rows))


def facts_table(facts: FactDay, now_ms: int, titles: Mapping[str, str], units: Mapping[str, str]) -> RichTable:
    """Return every fact with value, status and age.

    Args:
        facts: the snapshot.
        now_ms: the instant from which ages are counted.
        titles: fact -> what people read.
        units: fact -> unit of the vocabulary.
    """
    rows = [
        (
            name,
            with_unit(_plain(fact.value), units.get(name, "")) if fact.value is not None else "",
            fact.status,
            age(max(now_ms - fact.as_of_ms, 0)) if fact.value is not None else "",
            titles.get(name, ""),
        )
        for name, fact in sorted(facts.facts.items())
    ]
    return rich_table(table("fact | #value | status | #age | what it is", rows))


def rehearsal_summary(done: RehearsedLike) -> Group:
    """Return how a rehearsal ended: money, days per outcome, every change, where the report is, what to try next.

    Raises:
        LedgerError: its ledger cannot be read.
    """
    from rich.console import Group  # noqa: PLC0415 - keeps the command line fast
    from rich.text import Text  # noqa: PLC0415 - the same

    from engine.reports.sections import effect_sentence  # noqa: PLC0415 - pictures are not needed for queries
    from engine.reports.view import read_view  # noqa: PLC0415 - the same

    with Ledger.open(done.ledger, read_only=True) as reader:
        view = read_view(reader)
    parts: list[RichTable | str] = [effect_sentence(view) or "nothing was marked"]
    if view.days:
        total = len(view.days)
        days = outcome_counts(view.days, view.policy.severity)
        spread = ", ".join(f"{outcome} {count(many, 'day')}" for outcome, many in days.items())
        parts += [f"{count(total, 'day')}: {spread}", changes_table(view.days)]
    last = view.verdict
    if last is not None:
        with Ledger.open(done.ledger, read_only=True) as reader:
            parts += [why_text(last, read_standing(reader, last, view.policy)), ""]
    parts += [
        f"report  {done.report or 'none was asked for'}",
        f"ledger  {done.ledger}",
        "next    "
        + "\n        ".join(
            (
                f"stagegate verdict log --ledger {done.ledger}",
                f"stagegate verdict --why --ledger {done.ledger}",
                f"stagegate report --daily --ledger {done.ledger}",
            )
        ),
    ]
    return Group(*(Text(part) if isinstance(part, str) else part for part in parts))


def archived_text(archived: Archived) -> str:
    """Return where a report lies, and whether it was there already."""
    head = "written" if archived.is_new else "already there, nothing was written"
    return "\n".join([head, *(f"  {path}" for path in archived.paths)])


def replay_text(replayed: ReplayLike) -> str:
    """Return whether a verdict came out equal to the byte, and if not, what differs first."""
    verdict_id, outcome = replayed.record.verdict_id, replayed.record.outcome
    if replayed.identical:
        size = len(replayed.record.document.encode())
        return f"{verdict_id}: {outcome}, decided again and equal in all of {size:,} bytes"
    return f"{verdict_id}: recorded as {outcome}, DIFFERS when decided again, first in `{replayed.difference}`"


def _plain(value: float | str | bool | None) -> float | str | None:  # noqa: FBT001 - a fact's own value
    return ("yes" if value else "no") if isinstance(value, bool) else value
