"""The audit trail of commands by chat: every one, also what was refused, as an event of the ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS
from engine.errors import LedgerError
from engine.ledger import Event, Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger import Row
    from engine.telegram.hearing import Asked, Heard

COMMAND = "telegram_command"

STRANGERS_A_MINUTE = 20
"""So many commands of strangers are recorded one by one, then that there are more: anybody can write to a bot."""

_LONGEST_TEXT = 200


def command_row(bot_id: int, heard: Heard, asked: Asked, outcome: str, why: str, now_ms: int) -> Event:
    """Return the event of one command.

    Args:
        bot_id: of the bot; update ids are its own.
        heard: the message.
        asked: what it asked for.
        outcome: answered, done, refused or failed.
        why: of a refusal or a failure.
        now_ms: when it was heard.
    """
    document = {
        "chat": heard.chat_id,
        "user": heard.user_id,
        "name": _storable(heard.user_name),
        "text": _storable(heard.text[:_LONGEST_TEXT]),
        "sent_ms": heard.sent_ms,
        "outcome": outcome,
        "why": why,
    }
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return Event(f"telegram-{bot_id}-{heard.update_id}", now_ms, COMMAND, asked.command, text)


def _storable(text: str) -> str:
    """Return a text that can be stored: half a character, which UTF-8 has no form for, is replaced."""
    return text.encode("utf-8", "replace").decode()


class CommandLog:
    """Writes rows to the ledger; what it does not take is kept, and written with the next.

    Args:
        path: of the ledger.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[Row] = []
        self._minute = 0
        self._strangers = 0

    def of_stranger(self, row: Event) -> Event | None:
        """Return what is recorded of a stranger's command: itself, that there are more in this minute, or nothing."""
        minute = row.at_ms // MINUTE_MS
        if minute != self._minute:
            self._minute, self._strangers = minute, 0
        self._strangers += 1
        if self._strangers <= STRANGERS_A_MINUTE:
            return row
        if self._strangers > STRANGERS_A_MINUTE + 1:
            return None
        why = f"more than {STRANGERS_A_MINUTE} commands of strangers in a minute: its rest is not recorded"
        return Event(f"{row.event_id}-flood", row.at_ms, COMMAND, "flood", json.dumps({"why": why}))

    def write(self, *rows: Row) -> str:
        """Record rows; return why they are not recorded yet, empty where they are."""
        self._waiting += rows
        try:
            with Ledger.open(self._path) as ledger:
                while self._waiting:
                    ledger.append_unless_known(self._waiting[0])
                    del self._waiting[0]
        except LedgerError as error:
            return error.problems[0].problem
        return ""
