"""Every command and option that a page names is on the command line, and every example of every `--help` parses."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import TYPE_CHECKING, Any

import click
import pytest
import typer
import yaml

import cli
from engine.alerts.settings import COMMANDS as CHAT_COMMANDS
from engine.alerts.settings import FILE_NAME
from tests.pages.page import ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

MANUAL = ROOT / "docs/operator-manual.md"
PAGES = ("docs/operator-manual.md", "docs/policy-change.md", "docs/service.md", "README.md", "docs/benchmarks.md")

SAID = re.compile(r"`stagegate ([^`]*)`|^\s*(?:sudo )?stagegate (.*)$", re.MULTILINE)
OPTION = re.compile(r"`(--[a-z][a-z-]*)`")
EXAMPLE = re.compile(r"stagegate ((?:(?!\bstagegate\b)[^\n]|\n(?!\n))+)")
CODE = re.compile(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", re.MULTILINE)
PROGRAM = "stagegate"


@cache
def program() -> click.Group:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, click.Group)
    return group


def words(text: str) -> list[str]:
    """What a shell would make of a line, as far as the next program: `…`, comments and pipes end it."""
    text = re.sub(r"\$\([^)]*\)", "now", text)
    text = re.split(r" \||>|&&|;|\\$|\|\||  #|\)\"|\s…", text)[0]
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def found(said: list[str]) -> tuple[click.Command, list[str]]:
    """The command that is meant, and what follows it."""
    command: click.Command = program()
    rest = list(said)
    while rest and isinstance(command, click.Group) and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    return command, rest


def options(command: click.Command) -> set[str]:
    return {"--help", "-h", *(name for param in command.params for name in (*param.opts, *param.secondary_opts))}


def everything(command: click.Command, path: str = PROGRAM) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from everything(each, f"{path} {name}")


def unknown(said: list[str]) -> list[str]:
    """What of a line the command line does not know."""
    command, rest = found(said)
    if command is program() and rest and not rest[0].startswith("-"):
        return [rest[0]]
    if isinstance(command, click.Group) and rest and re.fullmatch("[a-z][a-z-]*", rest[0]):
        return [rest[0]]
    return [word for word in rest if re.match("--?[a-z]", word) and word.split("=")[0] not in options(command)]


@pytest.mark.requirement("R235")
@pytest.mark.requirement("R236")
@pytest.mark.requirement("R237")
@pytest.mark.requirement("R239")
@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_exists(page: str) -> None:
    said = [words(inline or line) for inline, line in SAID.findall((ROOT / page).read_text())]
    wrong = {" ".join(line): missing for line in said if (missing := unknown(line))}
    assert not wrong
    assert said


def test_every_option_that_the_manual_names_alone_exists() -> None:
    known = set().union(*(options(command) for _, command in everything(program())))
    assert set(OPTION.findall(MANUAL.read_text())) <= known


def test_the_manual_speaks_of_every_command() -> None:
    text = MANUAL.read_text()
    silent = {name for name in program().commands if f"stagegate {name}" not in text}
    assert silent == {"signals"}  # for research, not for the desk


def test_R238_what_the_card_prints_is_run_elsewhere_on_the_page() -> None:
    card, *_ = [block for block in blocks(MANUAL) if block.kind == "repeats"]
    run = {" ".join(words(line)) for block in blocks(MANUAL) if block.kind == "run" for line in block.text.splitlines()}
    assert {" ".join(words(line)) for line in card.text.splitlines()} <= run


def test_R166_the_manual_says_how_to_close_everything_by_hand() -> None:
    by_hand = MANUAL.read_text().split("#### When nothing can be closed from here")[1].split("\n### ")[0]
    for word in ("web interface", "Positions", "market", "Open Orders", "conditional", "stagegate flatten"):
        assert word in by_hand


def test_what_the_manual_calls_an_error_is_one() -> None:
    codes = set(
        re.findall(r"`([a-z-]+)`", " ".join(CODE.findall(MANUAL.read_text().split("A night may bring".lower())[-1])))
    )
    sources = "".join(path.read_text() for path in (ROOT / "engine").rglob("*.py"))
    assert codes
    assert {code for code in codes if f'"{code}"' not in sources} == set()


def test_the_manual_names_the_chat_commands() -> None:
    assert set(re.findall(r"`/([a-z]+)`", MANUAL.read_text())) == set(CHAT_COMMANDS)
    assert f"config/{FILE_NAME}" in MANUAL.read_text()


def examples() -> list[tuple[str, list[str]]]:
    """The examples of every command's help, as they stand there."""
    shown = []
    for path, command in everything(program()):
        for paragraph in (command.help or "").split("\n\n"):
            if not re.match(r"[A-Z][^.]*: stagegate ", " ".join(paragraph.split())):
                continue
            line = " ".join(paragraph.split())
            shown += [(path, words(one)) for one in re.split(r",? (?:then )?stagegate |: stagegate ", line)[1:]]
    return shown


def parse(command: click.Command, said: list[str], name: str, parent: Any = None) -> None:
    """Parse as the command line does, and run nothing."""
    context = command.make_context(name, list(said), parent=parent)
    if isinstance(command, click.Group) and (context._protected_args or context.args):
        sub_name, sub, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert sub is not None
        parse(sub, rest, sub_name or "", context)


def test_every_example_of_every_help_parses() -> None:
    shown = examples()
    for path, said in shown:
        try:
            parse(program(), cli.spread(said), PROGRAM)
        except click.UsageError as error:
            pytest.fail(f"`{path} --help` shows `{PROGRAM} {shlex.join(said)}`: {error.format_message()}")
    with_example = {path for path, _ in shown}
    commands = {path for path, command in everything(program()) if not isinstance(command, click.Group)}
    assert commands <= with_example, commands - with_example


def test_R069_the_manual_has_the_session_of_the_sop_and_a_unit_that_outlives_a_reboot() -> None:
    text, session = MANUAL.read_text(), (ROOT / "deploy/tmux-prod_r1").read_text()
    assert "tmux new -s prod_r1" in text
    assert "session=prod_r1\n" in session
    for name in ("deploy/tmux-prod_r1", "deploy/stagegate.service", "deploy/environment.example"):
        assert name in text
        assert (ROOT / name).is_file()


def test_R072_what_the_unit_starts_parses_and_it_needs_its_folder_and_its_environment() -> None:
    unit = (ROOT / "deploy/stagegate.service").read_text()
    (started,) = re.findall(r"^ExecStart=\S*/stagegate (.*)$", unit, re.MULTILINE)
    parse(program(), shlex.split(started), PROGRAM)
    assert {"serve", "--real", "--telegram-commands"} <= set(shlex.split(started))
    assert re.search("^WorkingDirectory=/", unit, re.MULTILINE)
    assert re.search("^EnvironmentFile=/", unit, re.MULTILINE)
    parse(program(), shlex.split("stream -c config/prod_candidate_R1.yaml --real --telegram-commands"), PROGRAM)


def test_the_files_that_the_manual_names_are_there() -> None:
    text = MANUAL.read_text()
    linked = re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", text)
    assert [name for name in linked if not (MANUAL.parent / name).is_file()] == []
    made_here = {"config/alerts.yaml", "config/allowed_signers"}
    named = set(re.findall(r"`((?:policies|config|deploy)/[\w./-]+)`", text)) - made_here
    assert {name for name in named if not (ROOT / name).exists()} == set()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


def test_the_tables_of_the_manual_say_what_the_policies_say() -> None:
    """Numbers of bands, scale rules and hard stops; whoever changes a threshold is told to change the page."""
    policy = yaml.safe_load((ROOT / "policies/action.yaml").read_text())
    shared = yaml.safe_load((ROOT / "policies/facts.yaml").read_text())["parameters"]
    known = {name: each["value"] for name, each in {**shared, **policy["parameters"]}.items()}
    rows = {
        "sharpe_20d": "20-day Sharpe ratio", "drawdown": "drawdown", "return_30d": "30-day return",
        "slippage_ratio": "slippage", "funding_drag": "funding drag", "negative_sleeves": "sleeves with a loss",
    }  # fmt: skip
    assert set(rows) == set(policy["bands"])
    text = MANUAL.read_text()
    for name, words_ in rows.items():
        (line,) = re.findall(rf"^\| {words_}[^|]*\|([^|]*)\|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
        for cell, colour in zip(line, ("green", "red"), strict=True):
            assert number(policy["bands"][name][colour], known) == number(cell, known), (name, colour)
    stop, down = (re.search(rf"^\| {word}, ANY \|(.*)\|$", text, re.MULTILINE) for word in ("hard stop", "down"))
    assert stop
    assert down
    assert f"drawdown > {number(known['hard_stop_drawdown'], known):g} %" in stop[1]
    assert f"return < −{-number(known['hard_stop_return'], known):g} %" in stop[1]
    worst = number(policy["rules"]["worst_sleeve"]["when"]["worst_sleeve_14d"], known)
    assert f"worst sleeve < −{-worst:g} %" in down[1]


def number(text: str, known: dict[str, str]) -> float:
    """The one number of a condition, a parameter or a cell; none at all is zero."""
    text = re.sub(r"\$(\w+)", lambda found: str(known[found[1]]), str(text)).replace("−", "-")
    found = re.findall(r"-?\d+(?:\.\d+)?", text)
    return float(found[0]) if found else 0.0
