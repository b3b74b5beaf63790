"""The Bot API on loopback: people write to it, the bot asks it, and it fails as it is told to."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from engine.clock import SECOND_MS, SystemClock, elapsed_s

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "4711:AAsentinel-Secret_of-the-bot-0123456789"  # noqa: S105 - of a bot that is none
ALICE, MALLORY, GROUP = 1001, 6666, -2002
WAIT_S = 20.0


@dataclass
class Fault:
    """How the next so many requests of a method go wrong."""

    method: str
    times: int
    status: int
    body: dict[str, Any] = field(default_factory=dict)


class BotApi:
    """A server in a thread of its own.

    Attributes:
        said: what the bot sent: chat and text.
        asked: the methods that were called, in order.
        faults: what goes wrong next.
        polling: how many questions for messages are open.
    """

    def __init__(self) -> None:
        self.said: list[tuple[int, str]] = []
        self.asked: list[str] = []
        self.faults: list[Fault] = []
        self.polling = 0
        self._updates: list[dict[str, Any]] = []
        self._number = 100
        self._ready = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/bot"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def write(
        self, text: str, *, user: int | None = ALICE, chat: int = ALICE, ago_s: float = 0, name: str = "Alice"
    ) -> None:
        """Have a person write to the bot."""
        with self._changed:
            self._number += 1
            sent_s = SystemClock().now_ms() // SECOND_MS - ago_s
            kind = "private" if chat > 0 else "group"
            message: dict[str, Any] = {
                "message_id": self._number,
                "date": int(sent_s),
                "chat": {"id": chat, "type": kind, "first_name": name}
                if chat > 0
                else {"id": chat, "type": kind, "title": "desk"},
                "text": text,
            }
            if user is not None:
                message["from"] = {"id": user, "is_bot": False, "first_name": name}
            self._updates.append({"update_id": self._number, "message": message})

    def hears(self, wanted: Callable[[BotApi], object]) -> None:
        """Wait until the server has heard what is wanted."""
        begun_s = elapsed_s()
        with self._changed:
            while not wanted(self):
                left_s = WAIT_S - (elapsed_s() - begun_s)
                assert left_s > 0, f"waited in vain; the bot said {self.said}, and asked {self.asked[-5:]}"
                self._changed.wait(min(left_s, 0.2))

    def answers(self, count: int) -> list[str]:
        """Wait for so many answers; return the texts of all."""
        self.hears(lambda api: len(api.said) >= count)
        return [text for _, text in self.said]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        given = dict(await request.post())
        with self._changed:
            self.asked.append(method)
            self._changed.notify_all()
        fault = next((one for one in self.faults if one.method == method and one.times), None)
        if fault is not None:
            fault.times -= 1
            if fault.status == 0:  # the connection breaks
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            return web.json_response({"ok": False, "error_code": fault.status, **fault.body}, status=fault.status)
        if request.match_info["token"] != TOKEN:
            return web.json_response({"ok": False, "error_code": 401, "description": "Unauthorized"}, status=401)
        result = await {"getMe": self._me, "getUpdates": self._poll, "sendMessage": self._send}[method](given)
        return web.json_response({"ok": True, "result": result})

    async def _me(self, _: dict[str, Any]) -> Any:
        return {"id": 4711, "is_bot": True, "first_name": "desk", "username": "desk_bot"}

    async def _poll(self, given: dict[str, Any]) -> Any:
        offset, wait_s = int(given.get("offset", 0)), float(given.get("timeout", 0))
        begun_s = elapsed_s()
        self.polling += 1
        try:
            while True:
                self._updates = [one for one in self._updates if one["update_id"] >= offset]
                if self._updates or elapsed_s() - begun_s > wait_s or self._stop.is_set():
                    return list(self._updates)
                await asyncio.sleep(0.01)
        finally:
            self.polling -= 1

    async def _send(self, given: dict[str, Any]) -> Any:
        with self._changed:
            self.said.append((int(given["chat_id"]), str(given["text"])))
            self._changed.notify_all()
        chat = {"id": int(given["chat_id"]), "type": "private"}
        return {"message_id": 1, "date": 0, "chat": chat, "text": given["text"]}
