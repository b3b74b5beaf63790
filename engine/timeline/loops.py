"""Event loops with a time of their own."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from engine.timeline.clocks import LoopClock
from engine.timeline.wires import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping

    from engine.clock import Clock

T = TypeVar("T")

# A float of seconds keeps a microsecond exact for a thousand years; asyncio's own nanosecond only for a month
RESOLUTION_S = 1e-6
# How long the machine may really work on something (a thread, another process) before the loop gives up
PATIENCE_S = 30.0
FIRST_PORT = 49_152
_TURNS = 16

Address = tuple[str, int]


class StalledError(RuntimeError):
    """A virtual loop has nothing left that could ever happen, or a thread does not come back."""


class _OwnTime(selectors.BaseSelector):
    """A selector that decides itself how long to wait; the rest is the system's."""

    def __init__(self) -> None:
        self._system = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._system.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._system.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._system.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._system.get_map()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._system.get_key(fileobj)

    def close(self) -> None:
        self._system.close()


class _Jumping(_OwnTime):
    """Polls; when nothing is ready, jumps to the next timer instead of waiting for it."""

    now_s = 0.0
    threads = 0
    _turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:  # work waits in the loop itself: the system is asked now and then
            self._turns = (self._turns + 1) % _TURNS
            return [] if self._turns else self._system.select(0)
        ready = self._system.select(0)
        if ready:
            return ready
        if timeout is None or self.threads:
            ready = self._system.select(PATIENCE_S)
            if not ready:
                raise StalledError("a thread does not come back" if self.threads else "nothing is left to happen")
            return ready
        self.now_s += timeout
        return ready


class _Paced(_OwnTime):
    """Waits `speed` times shorter than asked."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._system.select(None if timeout is None else timeout / self._speed)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which no second is ever waited for: when all is quiet, time jumps to the next timer.

    A connection to a server of the same loop is a wire inside the loop (engine/timeline/wires.py): exact and the same
    in every run. Other sockets are the system's, and read before time moves. Threads (`run_in_executor`) are really
    waited for, while virtual time stands still.

    Raises:
        StalledError: from `run_*`, when no timer, no thread and no socket can wake it any more (after 30 s).
    """

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._clock_resolution = RESOLUTION_S  # else a timer a month ahead is due and not due by a rounding error
        self._servers: dict[Address, tuple[asyncio.Server, Callable[[], asyncio.BaseProtocol]]] = {}
        self._dialled: WeakKeyDictionary[socket.socket, Address] = WeakKeyDictionary()
        self._ports = FIRST_PORT

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._jumping.now_s

    # --- servers and connections of this loop

    async def create_server(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> asyncio.Server:
        """Listen as usual, for others; this loop's own clients are wired through."""
        server: asyncio.Server = await super().create_server(protocol_factory, *args, **kwargs)
        if not kwargs.get("ssl"):
            self._servers |= {sock.getsockname()[:2]: (server, protocol_factory) for sock in server.sockets}
        return server

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect a socket; to a server of this loop, only note where it wants to go."""
        if tuple(address[:2]) in self._servers:
            self._dialled[sock] = self._reachable(tuple(address[:2]))
            await asyncio.sleep(0)
            return
        await super().sock_connect(sock, address)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **kwargs: Any) -> Any:
        """Connect as usual; a server of this loop is reached by a wire."""
        sock = kwargs.get("sock")
        name = (host, port) if sock is None else self._dialled.pop(sock, None)
        if name not in self._servers or kwargs.get("ssl"):
            return await super().create_connection(protocol_factory, host, port, **kwargs)
        if sock is not None:
            sock.close()
        self._reachable(name)
        self._ports += 1
        protocol = protocol_factory()
        transport = wire(self, protocol, self._servers[name][1](), ("127.0.0.1", self._ports), name)
        await asyncio.sleep(0)
        return transport, protocol

    def _reachable(self, name: Address) -> Address:
        if not self._servers[name][0].is_serving():
            raise ConnectionRefusedError(f"nobody listens at {name[0]}:{name[1]}")
        return name

    # --- threads are really waited for

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override] # the base is generic
        """Run a function in a thread; virtual time stands still until it comes back."""
        self._jumping.threads += 1
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:  # whatever it is, and raised again: a thread that never began is waited for by nobody
            self._jumping.threads -= 1
            raise
        future.add_done_callback(self._came_back)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Wait for the threads to end."""
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._jumping.threads -= 1

    def _came_back(self, future: asyncio.Future[Any]) -> None:
        del future
        self._jumping.threads -= 1


class PacedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time runs `speed` times as fast as the machine's.

    Args:
        speed: simulated seconds a second, above 0.
    """

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__(_Paced(speed))
        self._speed = speed
        self._base_s = super().time()

    def time(self) -> float:
        """Return simulated seconds since the loop was made."""
        return (super().time() - self._base_s) * self._speed


def run_virtual(main: Callable[[Clock], Awaitable[T]], start_ms: int) -> T:
    """Run a coroutine in virtual time and return its result.

    Args:
        main: called with the loop's clock.
        start_ms: what that clock shows at the beginning, milliseconds UTC.

    Raises:
        StalledError: nothing is left that could wake it.
    """
    return _run(VirtualTimeLoop, main, start_ms)


def run_paced(main: Callable[[Clock], Awaitable[T]], start_ms: int, speed: float = 1.0) -> T:
    """Run a coroutine in time that starts at `start_ms` and runs `speed` times as fast as the machine's.

    Raises:
        ValueError: `speed` is not above 0.
    """
    if not speed > 0:
        raise ValueError(f"the speed is {speed}, above 0 was expected")
    return _run(lambda: PacedLoop(speed), main, start_ms)


def _run(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], main: Callable[[Clock], Awaitable[T]], start_ms: int
) -> T:
    async def with_clock() -> T:
        return await main(LoopClock(asyncio.get_running_loop(), start_ms))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(with_clock())
