"""Carrying out what was heard: each command in a thread of its own, recorded, then answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.errors import StagegateError
from engine.telegram.acting import flatten, flattened_alert, flattened_text, halt, halted_alert
from engine.telegram.answers import answer, help_text
from engine.telegram.hearing import CONFIRM_MS, FLATTEN, Confirmations
from engine.telegram.record import CommandLog, command_row

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from engine.clock import Clock
    from engine.ledger import Row
    from engine.telegram.desk import ChatDesk
    from engine.telegram.hearing import Asked, Heard, Listeners
    from engine.telegram.messages import Messenger

ANSWERED, DONE, REFUSED, FAILED = "answered", "done", "refused", "failed"
_HALT, _HELP = "halt", ("help", "start")
_QUESTIONS_AT_ONCE = 4


class Carrier:
    """Carries out commands of one desk.

    Args:
        desk: whose.
        secret: makes the codes of a flatten; nobody outside knows it.
        clock: the machine's.
    """

    def __init__(self, desk: ChatDesk, secret: str, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self._confirmations = Confirmations(secret.encode())
        self._log = CommandLog(desk.ledger)
        self._writing = asyncio.Lock()
        self._questions = asyncio.Semaphore(_QUESTIONS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def take(self, heard: Heard, listeners: Listeners, messenger: Messenger) -> None:
        """Begin with a message; one that is no command is passed over."""
        now_ms = self._clock.now_ms()
        awaits_code = self._confirmations.awaits(heard)
        asked = listeners.asked(heard, now_ms, awaits_code=awaits_code)
        if asked is None:
            return
        one = _One(heard, asked, messenger, now_ms, listeners.settings.switched_off)
        if asked.refusal:
            self._begin(self._refuse(one, asked.refusal))
        elif asked.command == _HALT:
            self._begin(self._halt(one))
        elif asked.command == FLATTEN:
            self._flatten(one)
        else:
            self._begin(self._answer(one))

    async def finish(self) -> None:
        """Wait for a flatten that was begun; drop questions that are not answered yet."""
        for task in self._tasks - self._closing:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._closing.discard)
        return task

    async def _refuse(self, one: _One, why: str) -> None:
        row = command_row(one.messenger.bot_id, one.heard, one.asked, REFUSED, why, one.now_ms)
        if one.asked.stranger:
            kept = self._log.of_stranger(row)
            if kept is not None:
                await self._write(kept)
            return
        await self._write(row)
        await one.say(why)

    async def _answer(self, one: _One) -> None:
        outcome, why = ANSWERED, ""
        if one.asked.command in _HELP:
            text = help_text(one.switched_off)
        else:
            try:
                async with self._questions:
                    text = await asyncio.to_thread(answer, one.asked.command, self._desk)
            except StagegateError as error:
                outcome, why, text = FAILED, error.problems[0].problem, str(error)
        await self._tell(one, outcome, why, text)

    async def _halt(self, one: _One) -> None:
        try:
            text = await asyncio.to_thread(halt, self._desk, one.by, one.now_ms)
        except StagegateError as error:
            await self._tell(one, FAILED, error.problems[0].problem, str(error))
            return
        await self._tell(one, DONE, "", text, halted_alert(one.now_ms, one.by).row())

    def _flatten(self, one: _One) -> None:
        words = one.asked.words
        if not words:
            code = self._confirmations.give(one.heard, one.now_ms)
            text = (
                f"on the {self._desk.mode} account this halts, cancels every order and stop, and closes every "
                f"position at market.\nTo do it, send within {CONFIRM_MS // 1000} s:\n/flatten {code}"
            )
            self._begin(self._tell(one, ANSWERED, "asked for the code", text))
            return
        why = self._confirmations.objection(one.heard, words[0], one.now_ms)
        if why:
            self._begin(self._refuse(one, why))
            return
        self._closing.add(self._begin(self._close(one)))

    async def _close(self, one: _One) -> None:
        closing = asyncio.ensure_future(asyncio.to_thread(flatten, self._desk, f"by chat, {one.by}"))
        await self._tell(one, DONE, "begun", "closing everything now; you will hear when the venue shows it flat")
        try:
            report = await closing
        except StagegateError as error:
            await self._write(flattened_alert(self._clock.now_ms(), one.by, error).row())
            await one.say(str(error))
            return
        await self._write(flattened_alert(self._clock.now_ms(), one.by, report).row())
        await one.say(flattened_text(report))

    async def _tell(self, one: _One, outcome: str, why: str, text: str, *rows: Row) -> None:
        row = command_row(one.messenger.bot_id, one.heard, one.asked, outcome, why, one.now_ms)
        problem = await self._write(row, *rows)
        await one.say(f"{text}\nnot recorded yet: {problem}" if problem else text)

    async def _write(self, *rows: Row) -> str:
        async with self._writing:
            return await asyncio.to_thread(self._log.write, *rows)


class _One:
    """One command on its way."""

    def __init__(
        self, heard: Heard, asked: Asked, messenger: Messenger, now_ms: int, switched_off: frozenset[str]
    ) -> None:
        self.switched_off = switched_off
        self.heard = heard
        self.asked = asked
        self.messenger = messenger
        self.now_ms = now_ms

    @property
    def by(self) -> str:
        return f"{self.heard.user_name} ({self.heard.user_id})"

    async def say(self, text: str) -> None:
        await self.messenger.say(self.heard.chat_id, text)
