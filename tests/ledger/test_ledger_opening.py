"""Opening what is there, refusing what is no ledger, migrating, checking, copying."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import LedgerError
from engine.ledger import Event, FactsSnapshot, Ledger, Mark, StoredDocument
from engine.ledger.opening import Migrated, check_sqlite, file_uri
from engine.ledger.schema import APPLICATION_ID, Migration, migrate, shipped_migrations

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = Mark("risk", 1, 100.0, 1.0, 100.0, 1.0, 100.0, 0.0)
NOW = len(shipped_migrations())
NEXT = Migration(NOW + 1, "9999_next", "CREATE TABLE later (x TEXT NOT NULL) STRICT; INSERT INTO later VALUES ('a;b');")
BROKEN = Migration(NOW + 1, "9999_broken", "CREATE TABLE later (x TEXT) STRICT; INSERT INTO nowhere VALUES (1);")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with a mark, an event, facts and a document in it, closed."""
    where = tmp_path / "ledger.db"
    with Ledger.open(where, create=True) as ledger:
        ledger.append(
            [MARK, Event("e", 1, "k", "s"), FactsSnapshot.of(1, "{}", day_close=True), StoredDocument.of("k", "n", "x")]
        )
    return where


def damage(path: Path) -> None:
    """Overwrite the page that holds the marks; the schema stays readable."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'marks'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)


def refusal(call: Callable[[], object]) -> tuple[str, str, str]:
    """Return code, problem and help of the single LedgerError that `call` must raise."""
    with pytest.raises(LedgerError) as caught:
        call()
    (problem,) = caught.value.problems
    assert problem.help
    assert "\n" not in problem.problem
    return problem.code, problem.problem, problem.help


def test_creating_makes_the_folder_and_is_repeatable(tmp_path: Path) -> None:
    where = tmp_path / "a" / "b c#?" / "ledger.db"
    with Ledger.open(where, create=True) as ledger:
        ledger.append(MARK)
    with Ledger.open(str(where), create=True) as ledger:
        assert ledger.last_mark("risk") == MARK


def test_nothing_is_left_beside_a_closed_ledger(path: Path) -> None:
    with Ledger.open(path, read_only=True) as ledger:
        ledger.meta()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_missing_ledger_is_not_made_by_asking(tmp_path: Path, read_only: bool) -> None:  # noqa: FBT001
    where = tmp_path / "none" / "ledger.db"
    code, problem, _ = refusal(lambda: Ledger.open(where, read_only=read_only))
    assert (code, problem) == ("missing-ledger", "there is no ledger here")
    code, _, _ = refusal(lambda: Ledger.open(where, read_only=True, create=True))
    assert code == "missing-ledger"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    assert refusal(lambda: Ledger.open(tmp_path))[0] == "cannot-open"
    file = tmp_path / "file"
    file.touch()
    assert refusal(lambda: Ledger.open(file / "ledger.db", create=True))[0] == "cannot-open"


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_bytes(b"time,open,high,low,close\n" * 200)
    assert refusal(lambda: Ledger.open(text))[0] == "not-a-database"
    assert refusal(lambda: Ledger.open(text, create=True))[0] == "not-a-database"
    empty = tmp_path / "empty.db"
    empty.touch()
    assert refusal(lambda: Ledger.open(empty))[0] == "not-a-ledger"
    other = tmp_path / "market.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE bars (x)")
    before = other.read_bytes()
    assert refusal(lambda: Ledger.open(other, create=True)) == (
        "not-a-ledger",
        "this database is not a stagegate ledger",
        "check the path; nothing was changed",
    )
    assert other.read_bytes() == before
    with closing(sqlite3.connect(other)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    assert refusal(lambda: Ledger.open(other))[0] == "not-a-ledger"


def test_an_empty_file_may_become_a_ledger(tmp_path: Path) -> None:
    # what a kill between creating the file and committing the schema leaves behind
    where = tmp_path / "ledger.db"
    where.touch()
    with Ledger.open(where, create=True) as ledger:
        ledger.append(MARK)
    with Ledger.open(where, read_only=True) as ledger:
        assert ledger.last_mark("risk") == MARK


@pytest.mark.parametrize("keep", [100, 4096, 20_000])
def test_a_truncated_ledger_is_corrupt(path: Path, keep: int) -> None:
    content = path.read_bytes()
    assert keep < len(content)
    path.write_bytes(content[:keep])

    def use() -> None:
        with Ledger.open(path) as ledger:
            ledger.verify()

    with pytest.raises(LedgerError) as caught:
        use()
    assert {problem.code for problem in caught.value.problems} <= {"corrupt", "not-a-database"}
    assert "restore" in caught.value.problems[0].help


def test_a_read_only_ledger_refuses_every_write(path: Path) -> None:
    with Ledger.open(path, read_only=True) as ledger:
        assert ledger.last_mark("risk") == MARK
        for act in (lambda: ledger.append(Event("e2", 1, "k", "s")), lambda: ledger.set_meta(kind="live")):
            assert refusal(act)[0] == "not-writable"
    with Ledger.open(path) as ledger:
        assert len(ledger.events()) == 1


def test_how_a_file_is_opened(path: Path) -> None:
    def flags(*, create: bool = False, read_only: bool, may_write: bool) -> str:
        return file_uri(path, create=create, read_only=read_only, may_write=may_write).split("?")[1]

    assert flags(create=True, read_only=False, may_write=False) == "mode=rwc"
    assert flags(read_only=False, may_write=False) == "mode=rw"
    assert flags(read_only=True, may_write=True) == "mode=rw"
    assert flags(read_only=True, may_write=False) == "mode=ro&immutable=1"
    Path(f"{path}-wal").touch()
    assert flags(read_only=True, may_write=False) == "mode=ro"


def test_an_immutable_uri_reads_a_closed_ledger(path: Path) -> None:
    uri = file_uri(path, create=False, read_only=True, may_write=False)
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        assert connection.execute("SELECT nav FROM marks").fetchall() == [(1.0,)]
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


def test_a_library_without_strict_tables_is_named(path: Path) -> None:
    assert refusal(lambda: check_sqlite(path, (3, 36, 9))) == (
        "sqlite-older",
        "this Python brings SQLite 3.36.9, the ledger needs 3.37.0",
        "install a Python built with a newer SQLite",
    )
    check_sqlite(path, (3, 37, 0))


# migrations


def test_the_shipped_migrations_are_numbered_without_holes() -> None:
    assert [step.number for step in shipped_migrations()] == list(range(1, len(shipped_migrations()) + 1))


def test_an_older_schema_is_migrated_where_that_is_asked_for_after_a_copy_beside_it(path: Path) -> None:
    steps = (*shipped_migrations(), NEXT)
    with Ledger.open(path, migrate=True, migrations=steps) as ledger:
        assert ledger.migrated == Migrated(NOW, NOW + 1, path.with_name(f"ledger.db.schema-{NOW}.backup"))
        assert ledger._rows("SELECT x FROM later") == [("a;b",)]
        assert ledger._rows("SELECT number, name FROM migrations") == [*((step.number, step.name) for step in steps)]
        assert ledger.last_mark("risk") == MARK
        ledger.verify()
    copy = path.with_name(f"ledger.db.schema-{NOW}.backup")
    with Ledger.open(copy, read_only=True) as before:
        assert before.last_mark("risk") == MARK
        before.verify()
    with Ledger.open(path, migrate=True, migrations=steps) as ledger:
        assert ledger.migrated is None
        assert len(ledger._rows("SELECT x FROM later")) == 1
    assert sorted(file.name for file in path.parent.iterdir()) == ["ledger.db", copy.name]


def test_a_ledger_of_the_first_release_is_brought_up_to_date(tmp_path: Path) -> None:
    where = tmp_path / "old.db"
    with Ledger.open(where, create=True, migrations=shipped_migrations()[:1]) as ledger:
        ledger.append(MARK)
    with Ledger.open(where, migrate=True) as ledger:
        ledger.verify()
        assert ledger.last_mark("risk") == MARK
        assert ledger.parents("risk") == ()


@pytest.mark.parametrize(
    "how", [{"read_only": True}, {}, {"create": True}, {"read_only": True, "migrate": True}], ids=str
)
def test_an_older_schema_is_refused_to_whoever_did_not_come_to_migrate_it(path: Path, how: dict[str, bool]) -> None:
    before = path.read_bytes()
    steps = (*shipped_migrations(), NEXT)
    code, problem, help_ = refusal(lambda: Ledger.open(path, migrations=steps, **how))
    assert (code, problem) == ("schema-older", f"its schema is number {NOW}, this version works with {NOW + 1}")
    assert f"`stagegate ledger migrate --ledger {path}`" in help_
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_the_copy_of_an_earlier_migration_is_not_written_over(path: Path) -> None:
    earlier = path.with_name(f"ledger.db.schema-{NOW}.backup")
    earlier.write_text("of an earlier time")
    with Ledger.open(path, migrate=True, migrations=(*shipped_migrations(), NEXT)) as ledger:
        assert ledger.migrated is not None
        assert ledger.migrated.copy.name == f"ledger.db.schema-{NOW}-1.backup"
    assert earlier.read_text() == "of an earlier time"


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_schema_is_refused_to_everyone(path: Path, read_only: bool) -> None:  # noqa: FBT001
    with Ledger.open(path, migrate=True, migrations=(*shipped_migrations(), NEXT)):
        pass
    before = path.read_bytes()
    code, problem, _ = refusal(lambda: Ledger.open(path, read_only=read_only, create=not read_only))
    assert (code, problem) == ("schema-newer", f"its schema is number {NOW + 1}, this version knows up to {NOW}")
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_old_schema_whole(path: Path) -> None:
    code, problem, _ = refusal(lambda: Ledger.open(path, migrate=True, migrations=(*shipped_migrations(), BROKEN)))
    assert code == "database"
    assert "nowhere" in problem
    with Ledger.open(path) as ledger:
        ledger.verify()
        assert ledger.last_mark("risk") == MARK


def test_two_that_create_at_once_agree(tmp_path: Path) -> None:
    where = tmp_path / "ledger.db"
    with Ledger.open(where, create=True), closing(sqlite3.connect(where, isolation_level=None)) as second:
        migrate(second, shipped_migrations())  # the other saw an empty file too, and comes second
        assert second.execute("SELECT count(*) FROM migrations").fetchone() == (len(shipped_migrations()),)


# checking itself


def test_a_sound_ledger_passes(path: Path) -> None:
    with Ledger.open(path, read_only=True) as ledger:
        ledger.verify()  # raises where anything is amiss: the tests that follow
        assert ledger.counts()["marks"]


TAMPERED = {
    "a guard removed": ("DROP TRIGGER marks_never_updated", "schema-altered", "the trigger `marks_never_updated`"),
    "an index removed": ("DROP INDEX fills_in_time", "schema-altered", "the index `fills_in_time`"),
    "a table added": ("CREATE TABLE mine (x)", "schema-altered", "the table `mine`"),
    "a text exchanged": (
        """DROP TRIGGER documents_never_updated; UPDATE documents SET text = 'y';
CREATE TRIGGER documents_never_updated BEFORE UPDATE ON documents
BEGIN SELECT RAISE(ABORT, 'documents is append-only: rows are never changed'); END;""",
        "hash",
        "`documents` 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_other_hands_are_noticed(path: Path, name: str) -> None:
    sql, code, text = TAMPERED[name]
    with closing(sqlite3.connect(path)) as other:
        other.executescript(sql)
    with Ledger.open(path) as ledger:
        found = refusal(ledger.verify)
    assert found[0] == code
    assert text in found[1]


def test_a_page_overwritten_is_noticed_by_the_check_and_by_questions(path: Path) -> None:
    damage(path)
    with Ledger.open(path) as ledger, pytest.raises(LedgerError, match=r"error\[corrupt\]"):
        ledger.verify()
    with Ledger.open(path, read_only=True) as ledger:
        code, _, help_ = refusal(lambda: ledger.marks("risk"))
    assert code == "corrupt"
    assert "restore the last backup" in help_


# copies


def test_A79_a_backup_is_whole_and_taken_while_others_write(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path) as ledger, Ledger.open(path) as writer, writer.transaction():
        writer.append(Event("uncommitted", 2, "k", "s"))
        target = ledger.backup(tmp_path / "copy.db")
        assert target == tmp_path / "copy.db"
    with Ledger.open(target) as copy:
        copy.verify()
        assert copy.last_mark("risk") == MARK
        assert [event.event_id for event in copy.events()] == ["e"]
        copy.append(Event("e3", 3, "k", "s"))


def test_no_backup_is_overwritten_and_a_folder_that_is_not_there_is_named(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path) as ledger:
        assert refusal(lambda: ledger.backup(path))[0] == "exists"
        assert refusal(lambda: ledger.backup(tmp_path / "none" / "copy.db"))[0] == "cannot-open"
        ledger.verify()


def test_a_damaged_ledger_makes_no_backup(path: Path, tmp_path: Path) -> None:
    damage(path)
    with Ledger.open(path) as ledger, pytest.raises(LedgerError, match=r"error\[corrupt\]"):
        ledger.backup(tmp_path / "copy.db")
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("copy")] == []
