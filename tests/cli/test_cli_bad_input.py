"""Every command that works on a ledger, on one that is missing, no ledger, damaged, newer or older: it says so.

The commands are those of the command line, whichever they are: a new one is tried without being named here.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

import cli
from engine.ledger import Ledger, Mark
from engine.ledger.schema import shipped_migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import click

ROOT = Path(__file__).resolve().parents[2]
WORDS = {
    "name": "telegram",
    "check": "telegram",
    "incident": "INC-20221109-01",
    "what": "screenshot",
    "verdict_id": "V20221109-1400",
    "decision": "continue",
    "kind": "weekly",
    "stage": "2",
    "equity": "5000",
    "peak": "5000",
    "peak_at": "2026-01-01",
    "until": "2100-01-01",
}
MAKES_ONE = {"run", "stream", "serve", "caretake", "risk-guard", "launch-guard", "ledger adopt", "ledger restore"}
"""Where no ledger is, these begin one, or do without."""

ANSWERS_ANYWAY = {"status", "flatten", "launch-guard", "risk-guard", "policy explain"}
"""What a person needs most when everything is broken: they do what can be done, and say what could not."""


STOPS_BEFORE = {
    "flatten",
    "ledger restore",
    "resume",
    "risk-guard",
}
"""What these miss first, in an empty folder, is the venue or a backup."""


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield each command that takes a ledger, with words for whatever it requires."""
    for path, command in leaves(typer.main.get_command(cli.app), []):
        options = {option for parameter in command.params for option in parameter.opts}
        if "--ledger" in options:
            yield " ".join(path), list(filled(command, options))


def leaves(command: Any, path: list[str]) -> Iterator[tuple[list[str], click.Command]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, [*path, name])
    if not hasattr(command, "commands") or getattr(command, "invoke_without_command", False):
        yield path, command


def filled(command: click.Command, options: set[str]) -> Iterator[str]:
    for parameter in command.params:
        if parameter.required:
            word = WORDS.get(str(parameter.name), "something")
            yield from [word] if parameter.param_type_name == "argument" else [parameter.opts[0], word]
    yield from (option for option in ("--daily", "--yes") if option in options)
    if "--paper" in options:
        yield "--paper"


def no_ledger(path: Path) -> None:
    path.write_bytes(b"no ledger at all, but a letter to somebody" * 100)


def damaged(path: Path) -> None:
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(kind="paper")
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(255 - byte for byte in content[4096:8192])
    path.write_bytes(bytes(content))


def newer(path: Path) -> None:
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(kind="paper")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO migrations (number, name) VALUES (999, 'of tomorrow')")


def older(path: Path) -> None:
    """Make a ledger of the first schema: with something in it that its own version wrote."""
    with Ledger.open(path, create=True, migrations=shipped_migrations()[:1]) as ledger:
        ledger.set_meta(kind="paper")
        ledger.append(Mark("risk", 1, 100.0, 1.0, 100.0, 1.0, 100.0, 0.0))


def folder(path: Path) -> None:
    path.mkdir()


def state(folder: Path) -> dict[str, str]:
    """Return every file by its content; what SQLite or a look leaves beside a ledger is no change of it."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "reports" not in path.parts and not path.name.endswith(("-wal", "-shm", ".lock"))
    }


COMMANDS = sorted(commands())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("project")
    for name in ("config", "policies"):
        shutil.copytree(ROOT / name, place / name)
    return place


@pytest.mark.parametrize(
    "spoiled", [None, no_ledger, damaged, newer, older, folder], ids=lambda how: how.__name__ if how else "missing"
)
@pytest.mark.parametrize(("name", "arguments"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_a_ledger_that_cannot_be_used_is_said_plainly_and_left_alone(
    name: str,
    arguments: list[str],
    spoiled: Callable[[Path], None] | None,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ledger = project / "desk" / "trading.db"
    shutil.rmtree(ledger.parent, ignore_errors=True)
    ledger.parent.mkdir()
    if spoiled is None and name in MAKES_ONE:
        pytest.skip("it begins a ledger")
    if spoiled is older and name == "ledger migrate":
        pytest.skip("it is what that needs")
    if spoiled is not None:
        spoiled(ledger)
    monkeypatch.chdir(project)
    for variable in ("BINANCE_API_KEY", "BINANCE_API_SECRET", "STAGEGATE_LEDGER", "STAGEGATE_SIGNERS"):
        monkeypatch.delenv(variable, raising=False)
    before = state(project)
    with pytest.raises(SystemExit) as ended:
        cli.main([*name.split(), *arguments, "--ledger", str(ledger)])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "error[internal]" not in said.err
    if name not in ANSWERS_ANYWAY:
        assert ended.value.code not in (0, None), said
        assert "help:" in said.err, said.err
    if spoiled is older and name not in STOPS_BEFORE:
        assert f"stagegate ledger migrate --ledger {ledger}" in said.out + said.err
    assert state(project) == before
