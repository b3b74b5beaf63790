"""A Bot API, a simulated venue with a launched ledger, and a desk that listens."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from engine.clock import SystemClock
from engine.execution.permit import Permit
from engine.live.connection import Mode
from engine.telegram import ChatDesk, serve_commands
from tests.cli.test_cli_guard import venue  # noqa: F401 - a fixture
from tests.risk_guard.guarding import RULES, begin
from tests.telegram.botapi import ALICE, TOKEN, BotApi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.test_cli_guard import Venue

ENVIRON = {"FUTURES_TELEGRAM_BOT_TOKEN": TOKEN, "FUTURES_TELEGRAM_CHAT_ID": str(ALICE)}
ROUTES = "routes: {chat: {url: 'tgram://${FUTURES_TELEGRAM_BOT_TOKEN}/${FUTURES_TELEGRAM_CHAT_ID}/'}}\n"


class Listening:
    """`serve_commands` in a thread of its own."""

    def __init__(self, desk: ChatDesk) -> None:
        self.lines: list[str] = []
        self.error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(desk,), daemon=True)  # a failed test must end
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self, desk: ChatDesk) -> None:
        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await serve_commands(desk, ENVIRON, SystemClock(), self._stop, self.lines.append)

        try:
            asyncio.run(main())
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error

    def stop(self) -> None:
        with suppress(RuntimeError):  # it may have ended by itself, and its loop with it
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def api() -> Iterator[BotApi]:
    made = BotApi()
    yield made
    made.close()


def desk_in(folder: Path, api: BotApi, said: str = "") -> ChatDesk:
    """Return a paper desk whose ledger lies in `folder`."""
    alerts = folder / "alerts.yaml"
    alerts.write_text(f"{ROUTES}telegram:\n  api_url: {api.url}\n{said}", encoding="utf-8")
    config = RULES.with_name("prod_candidate_R1.yaml")
    return ChatDesk(folder / "ledger.db", RULES, config, Mode.PAPER, folder / "signers", alerts)


@pytest.fixture
def desk(venue: Venue, api: BotApi) -> ChatDesk:  # noqa: F811 - the fixture
    return desk_in(venue.folder, api)


@pytest.fixture
def alone(tmp_path: Path, api: BotApi) -> ChatDesk:
    """Return a desk with a ledger and no venue: what needs none must not wait for one."""
    begin(tmp_path, Permit.beside(tmp_path / "ledger.db"), None)
    return desk_in(tmp_path, api)


@pytest.fixture
def listening(desk: ChatDesk) -> Iterator[Listening]:
    made = Listening(desk)
    yield made
    made.stop()
    assert made.error is None
