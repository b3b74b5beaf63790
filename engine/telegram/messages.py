"""The Bot API by python-telegram-bot: messages in, answers out, every failure as words without the token in them."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Self

from engine.clock import SECOND_MS
from engine.telegram.hearing import Heard

if TYPE_CHECKING:
    from telegram import Bot, Update
    from telegram.error import RetryAfter

POLL_S = 25
"""How long one question for messages stays open (long polling)."""

LONGEST_ANSWER = 3_500
"""Characters; Telegram takes 4,096, of which the marks of a fixed-width text are some."""

_ANSWER_TRIES = 3
_TIMEOUT_S, _TRY_AGAIN_S = 10.0, 0.5
_CONFLICT = "another program listens with this bot's token"


@dataclass(frozen=True)
class Found:
    """What one question came to: messages, or a problem in words and how long to wait (0: the caller's choice)."""

    messages: tuple[Heard, ...] = ()
    problem: str = ""
    wait_s: float = 0.0


class Messenger:
    """One bot, used within an `async with` block.

    Args:
        token: of the bot.
        api_url: of the Bot API; its path ends where the token begins.

    Attributes:
        bot_id: of the bot, 0 before it was heard of; as is `name`, empty.
    """

    def __init__(self, token: str, api_url: str) -> None:
        self.bot_id = 0
        self.name = ""
        self._token = token
        self._bot = _bot(token, api_url)
        self._next: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._bot.shutdown()

    async def updates(self) -> Found:
        """Ask for messages, at first who the bot is; never fails, and waits for `POLL_S` at most."""
        from telegram.error import (  # noqa: PLC0415 - 0.4 s that only a listener needs
            Conflict,
            InvalidToken,
            RetryAfter,
            TelegramError,
        )

        try:
            if not self.name:
                await self._bot.initialize()
                self.bot_id, self.name = self._bot.bot.id, self._bot.bot.username or ""
            found = await self._bot.get_updates(
                offset=self._next, timeout=POLL_S, read_timeout=POLL_S + _TIMEOUT_S, allowed_updates=["message"]
            )
        except InvalidToken:
            return Found(problem="the token is not a bot's, or was revoked", wait_s=60)
        except Conflict:
            return Found(problem=_CONFLICT, wait_s=5)
        except RetryAfter as error:
            return Found(problem="asked too often", wait_s=_seconds(error))
        except TelegramError as error:
            return Found(problem=self._clean(f"no answer ({error})"))
        for update in found:
            self._next = update.update_id + 1
        return Found(tuple(heard for update in found if (heard := _heard(update)) is not None))

    async def say(self, chat_id: int, text: str) -> str:
        """Send an answer in fixed width, cut where it is too long; return why it did not arrive, empty where it did."""
        from telegram.error import RetryAfter, TelegramError  # noqa: PLC0415 - the same

        shown = text if len(text) <= LONGEST_ANSWER else f"{text[:LONGEST_ANSWER]}…"
        problem = ""
        for _ in range(_ANSWER_TRIES):
            try:
                await self._bot.send_message(chat_id, f"<pre>{escape(self._clean(shown), quote=False)}</pre>", "HTML")
            except RetryAfter as error:
                await asyncio.sleep(_seconds(error))
                problem = "asked too often"
            except TelegramError as error:
                problem = self._clean(str(error))
                await asyncio.sleep(_TRY_AGAIN_S)
            else:
                return ""
        return problem

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "…")


def _bot(token: str, api_url: str) -> Bot:
    from telegram import Bot  # noqa: PLC0415 - the same
    from telegram.request import HTTPXRequest  # noqa: PLC0415 - the same

    os.environ.setdefault("PTB_TIMEDELTA", "true")  # else the library warns of its own waiting times

    def request() -> HTTPXRequest:
        return HTTPXRequest(4, _TIMEOUT_S, _TIMEOUT_S, _TIMEOUT_S, _TIMEOUT_S)

    return Bot(token, base_url=api_url, request=request(), get_updates_request=request())


def _heard(update: Update) -> Heard | None:
    message = update.message
    if message is None or message.text is None:
        return None
    user = message.from_user
    named = user is not None and not user.is_bot
    return Heard(
        update_id=update.update_id,
        chat_id=message.chat.id,
        private=message.chat.type == "private",
        user_id=user.id if user is not None and named else None,
        user_name=user.full_name if user is not None else "",
        text=message.text,
        sent_ms=round(message.date.timestamp() * SECOND_MS),
    )


def _seconds(error: RetryAfter) -> float:
    """Return how long the Bot API wants to be left alone."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, dt.timedelta) else float(wait)
