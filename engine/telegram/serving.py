"""Listening to the chat: one poller at a time asks for messages and has them answered, whatever the network does.

It needs no other process of the desk: it reads the ledger, asks the venue by a connection of its own, and halts by
taking the permit's file away. Each command is carried out in a thread, so that a /halt never waits for a /status.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.alerts.lease import Lease
from engine.alerts.quiet import hush
from engine.alerts.settings import alert_settings
from engine.config import load_config
from engine.errors import ConfigError, Problem, UsageError
from engine.telegram.carrying import Carrier
from engine.telegram.hearing import Listeners
from engine.telegram.messages import Messenger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from engine.alerts.settings import ChatSettings
    from engine.clock import Clock
    from engine.config.model import FrozenConfig, NotificationConfig
    from engine.telegram.desk import ChatDesk
    from engine.telegram.messages import Found

LEASE = "telegram"
LOOK_S, FAULT_PAUSE_S = 1.0, 30.0
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Between two tries while the network is away."""

_TOKEN = re.compile(r"\d+:[\w-]+")
_WHOLE = re.compile(r"-?\d+")


@dataclass(frozen=True)
class _Line:
    """The bot's token, the chat that alerts go to, and who was listened to when it was opened."""

    config: FrozenConfig
    token: str
    home: int | None
    settings: ChatSettings


class _Listened:
    """Who is listened to when a message comes: whoever is taken off the alerts file is heard no longer.

    Args:
        desk: whose alerts file.
        line: where it was heard.
        show: a line for the terminal, where the file cannot be read: then those of before are listened to.
    """

    def __init__(self, desk: ChatDesk, line: _Line, show: Callable[[str], None]) -> None:
        self._desk = desk
        self._line = line
        self._show = show
        self._settings = line.settings
        self._wrong = ""

    def now(self, bot_name: str) -> Listeners:
        """Return them, as the file has them by now."""
        try:
            self._settings = alert_settings(self._line.config, self._desk.rules, self._desk.alerts).chat
        except ConfigError as error:
            wrong = str(error.problems[0])
            if wrong != self._wrong:
                self._show(f"telegram: {wrong}; those of before are listened to")
            self._wrong = wrong
        else:
            self._wrong = ""
        return Listeners(self._settings, self._line.home, bot_name)


async def serve_commands(
    desk: ChatDesk,
    environ: Mapping[str, str],
    clock: Clock,
    stop: asyncio.Event,
    show: Callable[[str], None] = lambda _: None,
) -> None:
    """Answer commands until told to stop; a flatten that was begun is ended first.

    A second one on the same ledger waits, and takes over when the first one dies. Beside a desk run it by
    `engine.alerts.apart.apart`: in a thread and in real time.

    Args:
        desk: what the commands are about.
        environ: holds the token and the chat, under the names of the SOP only (A81).
        clock: the machine's; the age of a message is told by it.
        stop: ends it within a second or two.
        show: a line for the terminal, when the connection comes or goes. The token is in none.

    Raises:
        UsageError: no-token, no-listener: it cannot be begun.
        ConfigError: the configuration or the alerts file is wrong.
    """
    hush()
    line = _line(desk, environ)
    carrier, listened = Carrier(desk, line.token, clock), _Listened(desk, line, show)
    lease = Lease.beside(desk.ledger, LEASE)
    waits = False
    try:
        while not stop.is_set():
            if lease.take():
                await _poll_for_ever(line, carrier, listened, stop, show)
            elif not waits:
                waits = True
                show("telegram: another process listens to the chat; this one waits")
            await pause(stop, LOOK_S)
    finally:
        await carrier.finish()
        lease.release()


def require_line(desk: ChatDesk, environ: Mapping[str, str]) -> None:
    """Refuse to begin where commands could not be heard, before anything else is begun.

    Raises:
        UsageError, ConfigError: as `serve_commands`.
    """
    _line(desk, environ)


async def _poll_for_ever(
    line: _Line, carrier: Carrier, listened: _Listened, stop: asyncio.Event, show: Callable[[str], None]
) -> None:
    while not stop.is_set():
        try:
            await _poll(line, carrier, listened, stop, show)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the chat, the desk beside it goes on
            show(f"telegram: {type(error).__name__}; begun again in {FAULT_PAUSE_S:.0f} s")
            await pause(stop, FAULT_PAUSE_S)


async def _poll(
    line: _Line, carrier: Carrier, listened: _Listened, stop: asyncio.Event, show: Callable[[str], None]
) -> None:
    """Ask for messages and hand them over until told to stop; what the network does is waited out."""
    failures, said = 0, ""
    async with Messenger(line.token, line.settings.api_url) as messenger:
        while not stop.is_set():
            found = await _until(messenger.updates(), stop)
            if found is None:
                return
            if found.problem:
                if found.problem != said:
                    show(f"telegram: {found.problem}; tried again until it works")
                said = found.problem
                await pause(stop, found.wait_s or _PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
                failures += 1
                continue
            if failures or not said:
                show(f"telegram: listening as @{messenger.name}")
                failures, said = 0, "listening"
            for heard in found.messages:
                carrier.take(heard, listened.now(messenger.name), messenger)


async def _until(asking: Coroutine[object, object, Found], stop: asyncio.Event) -> Found | None:
    """Return what a question comes to; None where it was told to stop before."""
    question, stopped = asyncio.ensure_future(asking), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({question, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return question.result() if question.done() else None
    finally:
        for task in (question, stopped):
            task.cancel()
        await asyncio.gather(question, stopped, return_exceptions=True)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _line(desk: ChatDesk, environ: Mapping[str, str]) -> _Line:
    config = load_config(desk.config)
    settings = alert_settings(config, desk.rules, desk.alerts).chat
    token, home = _read(config.notification, environ)
    if not settings.chats and home is None:
        problem = "nobody may command: the chat of alerts is no number, and no other is named"
        help_ = "name `chats` and `users` under `telegram` in the alerts file"
        raise UsageError(Problem("no-listener", str(desk.alerts or desk.config), problem, help_))
    return _Line(config, token, home, settings)


def _read(notification: NotificationConfig, environ: Mapping[str, str]) -> tuple[str, int | None]:
    """Return the token, and the chat's id where it is one: a channel may have a name instead."""
    secret, chat = notification.telegram_bot_token, notification.telegram_chat_id
    token = (secret.resolve(environ) if secret else None) or ""
    if not _TOKEN.fullmatch(token.strip()):
        names = ", ".join(secret.names) if secret else "notification.telegram_bot_token"
        problem = "it is not set, or is no token of a bot"
        raise UsageError(Problem("no-token", names, problem, "set it in the environment, as @BotFather gave it"))
    said = ((chat.resolve(environ) if chat else None) or "").strip()
    return token.strip(), int(said) if _WHOLE.fullmatch(said) else None
