"""The audit trail: whatever is changed behind this program's back breaks the chain, at a place that is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.errors import LedgerError
from engine.ledger import Event, Ledger, VerdictRecord, chain

if TYPE_CHECKING:
    from pathlib import Path

SHA = "a" * 64


def verdict(number: int) -> VerdictRecord:
    return VerdictRecord(f"V{number}", number, "action", "KEEP", SHA, SHA, SHA, f'{{"n":{number}}}')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, create=True) as ledger:
        for number in range(1, 6):
            ledger.append([Event(f"E{number}", number, "command", "halt", '{"by":"alice"}'), verdict(number)])
    return path


def altered(path: Path, *statements: str) -> list[str]:
    """Change the file as nobody should, with the guards taken off and put back; return what the check finds."""
    with closing(sqlite3.connect(path)) as raw:
        guards = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            raw.execute(statement)
        for _, sql in guards:
            raw.execute(sql)
        raw.commit()
    with Ledger.open(path) as ledger, pytest.raises(LedgerError) as caught:
        ledger.verify()
    return [problem.problem for problem in caught.value.problems]


def test_an_untouched_ledger_holds_and_every_verdict_and_event_is_a_link(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.verify()
        before = ledger.audit_head()
        assert before.length == 10
        ledger.append(verdict(5))  # nothing new
        assert ledger.audit_head() == before
        ledger.append(verdict(6))
        assert ledger.audit_head().length == 11
        ledger.verify()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            """UPDATE events SET document = '{"by":"alicf"}' WHERE event_id = 'E3'""",
            "`events` E3 is not what was written",
        ),
        ("UPDATE events SET at_ms = 4 WHERE event_id = 'E3'", "`events` E3 is not what was written"),
        ("UPDATE verdicts SET outcome = 'PAUSE' WHERE verdict_id = 'V2'", "`verdicts` V2 is not what was written"),
        ("DELETE FROM events WHERE event_id = 'E1'", "row 1 of `events` is gone"),
        ("DELETE FROM audit WHERE number = 4", "links 4 to 4 of the audit trail are gone"),
        (
            "UPDATE audit SET row_sha256 = chain_sha256 WHERE number = 7",
            "link 7 does not follow from the one before it",
        ),
        ("DELETE FROM audit WHERE number = 10", "row 5 of `events` is in no link"),
    ],
)
def test_one_change_is_found_and_named(path: Path, statement: str, found: str) -> None:
    assert any(found in problem for problem in altered(path, statement))


def test_a_chain_that_is_made_anew_after_a_change_has_another_head(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path) as ledger:
        head = ledger.audit_head()
    with Ledger.open(tmp_path / "forged.db", create=True) as forged:
        for number in range(1, 6):
            by = "alicf" if number == 3 else "alice"
            forged.append([Event(f"E{number}", number, "command", "halt", f'{{"by":"{by}"}}'), verdict(number)])
        forged.verify()
        assert forged.audit_head().length == head.length
        assert forged.audit_head() != head


def interrupted(_: object) -> None:
    raise KeyboardInterrupt


def test_rows_from_before_the_trail_join_it_with_the_migration(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript("DROP TABLE audit; DELETE FROM migrations WHERE number = 3")
    with monkeypatch.context() as patch:
        patch.setattr(chain, "extend", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Ledger.open(path, migrate=True)
    with closing(sqlite3.connect(path)) as raw:  # killed before the trail was laid: it is of the old schema, whole
        assert raw.execute("SELECT max(number) FROM migrations").fetchone() == (2,)
    with Ledger.open(path, migrate=True) as ledger:
        assert ledger.audit_head().length == 10
        ledger.verify()  # what an older version wrote is no stranger's
        ledger.append(verdict(7))
        assert ledger.audit_head().length == 11
        ledger.verify()
