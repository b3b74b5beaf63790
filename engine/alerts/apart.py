"""Work in a thread and an event loop of its own: it never holds up who started it, and is held up by nobody.

A flatten must not wait for a messenger, nor a command for a bar's work; and on a simulated exchange the loop of the
desk runs in simulated time, in which the timeouts of a real connection would mean nothing.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Work = Callable[[asyncio.Event], Awaitable[None]]

LAST_WORDS_S = 5.0
"""How long who is cancelled waits for the thread to end."""


async def apart(work: Work, name: str) -> None:
    """Run `work` in a thread of its own until it ends, or until this is cancelled: then it is told to stop.

    Args:
        work: is given the event that tells it to stop; it looks at it at least each second.
        name: of the thread.

    Raises:
        Exception: whatever `work` ended with.
    """
    beside = _Beside(work, name)
    try:
        await asyncio.shield(beside.ended)
    except asyncio.CancelledError:
        beside.stop()
        await asyncio.to_thread(beside.thread.join, LAST_WORDS_S)
        raise


class _Beside:
    """One thread; `ended` is of the loop that started it."""

    def __init__(self, work: Work, name: str) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._its_loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._told = threading.Event()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.ended.add_done_callback(lambda done: done.cancelled() or done.exception())
        # a daemon: a messenger that never answers must not keep the process from ending
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self._told.set()
        if self._its_loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._its_loop.call_soon_threadsafe(self._stop.set)

    async def _main(self) -> None:
        self._its_loop = asyncio.get_running_loop()
        if not self._told.is_set():
            await self._work(self._stop)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._main())
        except Exception as caught:  # noqa: BLE001 - raised again where it was started
            error = caught
        with suppress(RuntimeError):  # who started it is gone
            self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: BaseException | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
