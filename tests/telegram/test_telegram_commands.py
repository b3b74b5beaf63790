"""Commands by chat: the real python-telegram-bot against a Bot API and a venue on loopback."""

from __future__ import annotations

import io
import json
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import QUEUED
from engine.clock import HOUR_MS
from engine.ledger import Fill, Ledger, SleeveMark
from engine.telegram.answers import answer
from engine.telegram.record import COMMAND, STRANGERS_A_MINUTE
from tests.risk_guard.guarding import START_MS
from tests.telegram.botapi import ALICE, GROUP, MALLORY, TOKEN, BotApi, Fault
from tests.telegram.conftest import ENVIRON, Listening, desk_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.telegram import ChatDesk
    from tests.cli.test_cli_guard import Venue


@pytest.fixture
def every_log() -> Iterator[io.StringIO]:
    """Return what a program that logs everything would write down."""
    root, written = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(written), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def recorded(desk: ChatDesk) -> list[tuple[str, str, str]]:
    with Ledger.open(desk.ledger, read_only=True) as ledger:
        found = [(event.subject, json.loads(event.document)) for event in ledger.events(COMMAND)]
    return [(subject, said.get("outcome", ""), said["why"]) for subject, said in found]


@pytest.mark.usefixtures("listening")
def test_questions_are_answered_from_the_ledger_and_the_venue(venue: Venue, api: BotApi, desk: ChatDesk) -> None:
    wanted = {
        "status": "bounds   stage 2, cap $10,000",
        "positions": "BTCUSDT  +0.17",
        "verdict": "no verdict yet",
        "why": "no verdict yet",
        "stage": "stage    2, cap $10,000",
        "pnl": "equity   $10,000.00",
        "approvals": "nothing waits for signatures",
        "help": "/flatten    halt and close everything",
    }
    for number, (command, text) in enumerate(wanted.items(), 1):
        api.write(f"/{command}")
        assert text in api.answers(number)[-1], command
    assert {chat for chat, _ in api.said} == {ALICE}
    assert [(command, outcome) for command, outcome, _ in recorded(desk)] == [(name, "answered") for name in wanted]
    assert venue.permit.present()
    assert venue.standing == 8, "nothing was touched"


def test_what_a_desk_made_and_holds_is_told_on_its_first_day_as_it_is_by_now(alone: ChatDesk) -> None:
    later_ms = START_MS + HOUR_MS
    fill = Fill("f", "risk", later_ms, "BTCUSDT", 1, 0.25, 100.0, 100.0, "bar_open", 0.0, "", "rebalance")
    with Ledger.open(alone.ledger) as ledger:
        began = ledger.last_mark("risk")
        assert began is not None
        ledger.append(replace(began, at_ms=later_ms, nav=began.nav * 1.01, equity_usd=began.equity_usd * 1.01))
        ledger.append([SleeveMark("risk", later_ms, "BTCUSDT", 0.0, 100.0, 0.0, 1.0), fill])
    said = answer("pnl", alone)
    assert "today    +1.00 %" in said
    assert "7 days   unknown: not that old" in said
    assert "BTCUSDT  $0.00 today, holds +0.250000" in said


@pytest.mark.usefixtures("listening")
def test_A82_halt_takes_the_permit_at_once_and_flatten_closes_everything_once_its_code_comes_back(
    venue: Venue, api: BotApi, desk: ChatDesk
) -> None:
    api.write("/halt")
    assert api.answers(1)[-1].startswith("<pre>HALTED: nothing that adds risk leaves")
    assert not venue.permit.present()
    assert venue.standing == 8, "a halt closes nothing"
    api.write("/flatten 123456")
    assert "nothing to confirm" in api.answers(2)[-1]
    api.write("/flatten")
    code = re.search(r"/flatten (\d{6})", api.answers(3)[-1])
    assert code is not None
    api.write("/flatten ‘１２３’")  # as a phone's keyboard writes it
    assert "not the code" in api.answers(4)[-1]
    api.write("/flatten")
    code = re.search(r"/flatten (\d{6})", api.answers(5)[-1])
    assert code is not None
    api.write("/flatten 000000" if code[1] != "000000" else "/flatten 000001")
    assert "not the code" in api.answers(6)[-1]
    api.write(f"/flatten {code[1]}")
    assert "nothing to confirm" in api.answers(7)[-1], "a wrong code voids the right one"
    assert venue.standing == 8
    api.write("/flatten")
    again = re.search(r"/flatten (\d{6})", api.answers(8)[-1])
    assert again is not None
    api.write(again[1])  # the bare code does as well
    assert "FLAT, verified after" in api.answers(10)[-1]
    assert venue.standing == 0
    with Ledger.open(desk.ledger, read_only=True) as ledger:
        assert [json.loads(event.document)["what"] for event in ledger.events(QUEUED)] == [
            "halted: nothing adds risk",
            "flattened by chat",
        ]
        assert [event.subject for event in ledger.events("flatten_begun")] == [f"by chat, Alice ({ALICE})"]
    said = [(command, outcome) for command, outcome, _ in recorded(desk)]
    assert said == [
        ("halt", "done"), ("flatten", "refused"), ("flatten", "answered"), ("flatten", "refused"),
        ("flatten", "answered"), ("flatten", "refused"), ("flatten", "refused"), ("flatten", "answered"),
        ("flatten", "done"),
    ]  # fmt: skip


def test_A82_strangers_hear_nothing_old_messages_do_nothing_and_all_of_it_is_recorded(
    venue: Venue, api: BotApi
) -> None:
    said = f"  chats: [{ALICE}, {GROUP}]\n  users: [{ALICE}]\n  commands: {{pnl: false}}\n"
    desk = desk_in(venue.folder, api, said)
    api.write("/halt", ago_s=120)  # it waited while nobody listened
    listening = Listening(desk)
    assert "120 s ago" in api.answers(1)[-1] or "121 s ago" in api.answers(1)[-1]
    api.write("/halt", user=MALLORY, chat=MALLORY)  # neither chat nor person
    api.write("/halt", user=ALICE, chat=MALLORY)  # the person in another chat
    api.write("/halt", user=MALLORY, chat=GROUP)  # the chat and another person
    api.write("/halt", user=None, chat=GROUP)  # nobody who can be named
    api.write("/halt@other_bot", chat=GROUP)  # another bot's
    api.write("good morning")
    api.write("/pnl")
    assert "switched off" in api.answers(2)[-1]
    api.write("/sell_all")
    assert "no such command" in api.answers(3)[-1]
    api.write("/help@desk_bot", chat=GROUP)
    assert "/pnl" not in api.answers(4)[-1]
    for _ in range(STRANGERS_A_MINUTE + 10):
        api.write("/status", user=MALLORY, chat=MALLORY)
    api.write("/stage")
    api.answers(5)
    listening.stop()
    assert venue.permit.present(), "none of them halted anything"
    assert {chat for chat, _ in api.said} == {ALICE, GROUP}
    found = recorded(desk)
    assert sum(why == "this chat and person are not on the list" for *_, why in found) == STRANGERS_A_MINUTE
    assert sum(command == "flood" for command, *_ in found) == 1
    assert {command for command, outcome, _ in found if outcome == "answered"} == {"help", "stage"}
    assert all("switched off" in why for command, _, why in found if command == "pnl")


def test_A82_who_is_taken_off_the_list_is_heard_no_longer_and_a_file_that_is_broken_changes_nobody(
    api: BotApi, alone: ChatDesk
) -> None:
    listening = Listening(alone)
    api.write("/stage")
    api.answers(1)
    before = alone.alerts.read_text() if alone.alerts else ""
    desk_in(alone.ledger.parent, api, f"  chats: [{ALICE}]\n  users: [{MALLORY}]\n")
    api.write("/stage")
    api.write("/stage", user=MALLORY, chat=ALICE)
    api.answers(2)
    (alone.ledger.parent / "alerts.yaml").write_text("routes: [")
    api.write("/stage", user=MALLORY, chat=ALICE)
    api.answers(3)
    (alone.ledger.parent / "alerts.yaml").write_text(before)
    api.write("/stage")
    api.answers(4)
    listening.stop()
    assert [outcome for _, outcome, _ in recorded(alone)] == ["answered", "refused", *["answered"] * 3]
    assert sum("those of before are listened to" in line for line in listening.lines) == 1


def test_the_network_may_come_and_go_and_the_token_is_in_no_line_and_no_log(
    api: BotApi, alone: ChatDesk, capsys: pytest.CaptureFixture[str], every_log: io.StringIO
) -> None:
    slow = {"description": "Too Many Requests", "parameters": {"retry_after": 1}}
    api.faults = [
        Fault("getMe", 1, 0),
        Fault("getUpdates", 1, 502, {"description": f"bad gateway {TOKEN}"}),
        Fault("getUpdates", 1, 429, slow),
        Fault("sendMessage", 1, 0),
    ]
    listening = Listening(alone)
    api.write("/stage")
    assert "stage    2" in api.answers(1)[-1]
    listening.stop()
    assert listening.error is None
    assert any("no answer" in line for line in listening.lines)
    assert listening.lines[-1] == "telegram: listening as @desk_bot"
    shown = capsys.readouterr()
    for text in (*listening.lines, every_log.getvalue(), shown.out, shown.err, *(text for _, text in api.said)):
        assert "sentinel" not in text
    assert "sentinel" not in alone.ledger.read_bytes().decode(errors="replace")


def test_one_poller_at_a_time_and_the_next_takes_over(api: BotApi, alone: ChatDesk) -> None:
    first = Listening(alone)
    api.hears(lambda one: one.polling == 1)
    second = Listening(alone)
    api.hears(lambda _: second.lines)
    assert second.lines == ["telegram: another process listens to the chat; this one waits"]
    api.write("/help")
    api.answers(1)
    assert api.asked.count("getMe") == 1
    first.stop()
    api.write("/help")
    api.answers(2)
    assert "getMe" in api.asked
    assert api.asked.count("getMe") == 2
    second.stop()


def test_without_a_token_or_with_a_wrong_one_it_says_so_and_never_shows_it(
    api: BotApi, alone: ChatDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRON, "FUTURES_TELEGRAM_BOT_TOKEN", "  ")
    listening = Listening(alone)
    listening.stop()
    assert "no-token" in str(listening.error)
    assert "FUTURES_TELEGRAM_BOT_TOKEN" in str(listening.error)
    monkeypatch.setitem(ENVIRON, "FUTURES_TELEGRAM_BOT_TOKEN", "4711:revoked")
    listening = Listening(alone)
    api.hears(lambda _: listening.lines)
    listening.stop()
    assert listening.error is None
    assert listening.lines == ["telegram: the token is not a bot's, or was revoked; tried again until it works"]
