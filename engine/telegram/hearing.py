"""Who may say what: the allow-list of chats and people, the age of a message, and the commands that are switched off.

Pure: a message and a time give a request, or the reason why there is none (A82).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.alerts.settings import COMMANDS
from engine.clock import MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from engine.alerts.settings import ChatSettings

STALE_MS = MINUTE_MS
"""A82: an older message is dropped; a phone that comes out of a tunnel must not act on what was true before."""

CONFIRM_MS = MINUTE_MS
"""How long a flatten waits for its code."""

FLATTEN = "flatten"
_CODE_DIGITS = 6


@dataclass(frozen=True)
class Heard:
    """One message.

    Attributes:
        update_id: of the Bot API, increasing.
        chat_id: where.
        private: whether it is the chat of one person with the bot.
        user_id: who; None: nobody who can be named, such as a channel.
        user_name: as shown, for the record.
        text: of it.
        sent_ms: when, by Telegram's clock.
    """

    update_id: int
    chat_id: int
    private: bool
    user_id: int | None
    user_name: str
    text: str
    sent_ms: int


@dataclass(frozen=True)
class Asked:
    """A message that is a command; `refusal` says why it is not carried out, empty where it is.

    Attributes:
        command: without its slash; such as was written, where there is none of that name.
        words: what follows it.
        stranger: whether who wrote it may know nothing of us: no answer either.
    """

    command: str
    words: tuple[str, ...]
    refusal: str = ""
    stranger: bool = False


@dataclass(frozen=True)
class Listeners:
    """Who is listened to.

    Attributes:
        settings: of the alerts file.
        home: the chat that alerts go to; None: that is not a number.
        bot_name: of the bot; a command to another one in the same group is not ours.
    """

    settings: ChatSettings
    home: int | None
    bot_name: str

    def may(self, heard: Heard) -> bool:
        """Return whether a message comes from a chat AND a person of the list."""
        chats = self.settings.chats or (() if self.home is None else (self.home,))
        if heard.chat_id not in chats or heard.user_id is None:
            return False
        if self.settings.users:
            return heard.user_id in self.settings.users
        return heard.private and heard.user_id == heard.chat_id

    def asked(self, heard: Heard, now_ms: int, *, awaits_code: bool = False) -> Asked | None:
        """Return what a message asks for; None: it is no command of ours.

        Args:
            heard: the message.
            now_ms: the machine's time.
            awaits_code: whether this person was asked for a code in this chat: the bare code is then one.
        """
        words = heard.text.split()
        if awaits_code and len(words) == 1 and words[0].isdecimal():
            words = [f"/{FLATTEN}", *words]
        if not words or not words[0].startswith("/") or words[0] == "/":
            return None
        name, _, bot = words[0][1:].partition("@")
        if bot and bot.lower() != self.bot_name.lower():
            return None
        asked = Asked(name.lower(), tuple(words[1:]))
        if not self.may(heard):
            return Asked(asked.command, asked.words, "this chat and person are not on the list", stranger=True)
        return Asked(asked.command, asked.words, self._refusal(asked.command, heard, now_ms))

    def _refusal(self, command: str, heard: Heard, now_ms: int) -> str:
        age_ms = now_ms - heard.sent_ms
        if age_ms > STALE_MS:
            return f"written {age_ms // SECOND_MS} s ago, older than {STALE_MS // SECOND_MS} s: not carried out"
        if age_ms < -STALE_MS:
            return "written in the future: the clock here is behind, nothing is carried out"
        if command == "start":
            return ""
        if command not in COMMANDS:
            return "no such command: /help lists them"
        return "switched off in the alerts file" if command in self.settings.switched_off else ""


@dataclass
class Confirmations:
    """Codes that were given out for a flatten, one a person and chat, each good once and for a minute.

    Attributes:
        secret: makes the codes; nobody can tell one who does not know it.
    """

    secret: bytes = field(repr=False)
    _open: dict[tuple[int, int | None], tuple[str, int]] = field(default_factory=dict, repr=False)

    def awaits(self, heard: Heard) -> bool:
        """Return whether who wrote was asked for a code."""
        return _whom(heard) in self._open

    def give(self, heard: Heard, now_ms: int) -> str:
        """Return a new code for who wrote; an earlier one is void."""
        made = hmac.new(self.secret, f"{heard.update_id} {heard.chat_id} {now_ms}".encode(), hashlib.sha256)
        code = f"{int(made.hexdigest(), 16) % 10**_CODE_DIGITS:0{_CODE_DIGITS}d}"
        self._open[_whom(heard)] = (code, now_ms)
        return code

    def objection(self, heard: Heard, said: str, now_ms: int) -> str:
        """Take a code back; return why it does not count, empty where it does. It is void either way."""
        code, given_ms = self._open.pop(_whom(heard), ("", 0))
        if not code:
            return "there is nothing to confirm: send /flatten first"
        if not 0 <= now_ms - given_ms <= CONFIRM_MS:
            return f"the code was good for {CONFIRM_MS // SECOND_MS} s: send /flatten again"
        return "" if hmac.compare_digest(code.encode(), said.encode()) else "that is not the code: send /flatten again"


def _whom(heard: Heard) -> tuple[int, int | None]:
    return heard.chat_id, heard.user_id
