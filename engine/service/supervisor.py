"""The tree: all processes kept at once, a sign of life each second, and an end in order.

At the end the runner goes first, so that the risk guard watches until nothing is traded any more, and the caretaker
last, so that what happened meanwhile is still told.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.service.book import STARTED, STOPPED
from engine.service.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from engine.live.service_sign import ChildSign
    from engine.service.book import ServiceBook
    from engine.service.children import Part, Spawner
    from engine.service.settings import Settings

    Beside = Callable[["Supervisor"], Coroutine[object, object, None]]


class Supervisor:
    """Keeps a tree of processes.

    Args:
        parts: in the order in which they are ended.
        spawner: starts them.
        settings: of the service.
        book: records what happens.
        beat: called at each look, with how the children are.
        beside: what runs as long as the tree does.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        spawner: Spawner,
        settings: Settings,
        book: ServiceBook,
        beat: Callable[[tuple[ChildSign, ...]], None] = lambda _: None,
        beside: Sequence[Beside] = (),
    ) -> None:
        self.keepers = tuple(Keeper(part, spawner, settings, book) for part in parts)
        self._settings = settings
        self._book = book
        self._beat = beat
        self._beside = beside
        self._stop = asyncio.Event()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End in order; told a second time, at once and by force: every process survives that."""
        if self.stopping:
            self._book.show("told to stop again: everything is ended by force")
            for keeper in self.keepers:
                keeper.kill()
            return
        self._stop.set()

    def renew(self, part: Part) -> None:
        """Let the process of that name end what is under way, and start it again as the part says."""
        for keeper in self.keepers:
            if keeper.part.name == part.name:
                keeper.renew(part)

    async def run(self) -> None:
        """Keep the tree until told to stop; a fault of the service's own ends it in order too, and is raised."""
        self._book.note(STARTED, parts=[keeper.part.name for keeper in self.keepers])
        keeping = [asyncio.ensure_future(keeper.run()) for keeper in self.keepers]
        looks = asyncio.ensure_future(self._looks())
        stop = asyncio.ensure_future(self._stop.wait())
        others = [asyncio.ensure_future(work(self)) for work in self._beside]
        await asyncio.wait([*keeping, looks, stop, *others], return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        for task in (stop, *others):
            task.cancel()
        for keeper, task in zip(self.keepers, keeping, strict=True):
            keeper.stop()
            await asyncio.wait({task})
        looks.cancel()
        ended = await asyncio.gather(*keeping, looks, *others, return_exceptions=True)
        self._look()
        self._book.note(STOPPED)
        for result in ended:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _looks(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(self._settings.look_every_s)

    def _look(self) -> None:
        self._book.press()
        self._beat(tuple(keeper.sign for keeper in self.keepers))
