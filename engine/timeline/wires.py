"""Connections inside one loop: two transports that hand bytes to each other's protocol, without the kernel.

What the kernel's loopback delivers and when is its own affair; here a byte that was written is read in the next turn of
the loop, in the order of writing, so nothing is ever in flight when the loop is idle, and every run is the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Data = bytes | bytearray | memoryview
    Name = tuple[str, int]

# About what the kernel's two socket buffers hold before a writer is told to wait
HIGH_WATER_BYTES = 256 * 1024


class _Pipe:
    """One direction of a connection, named for where it leads: what was written and not yet read."""

    def __init__(self, name: Name) -> None:
        self.name = name
        self.chunks: list[bytes] = []
        self.unread_bytes = 0
        self.ended = False  # nothing will be written any more
        self.abandoned = False  # nobody will read any more
        self.reader: WireEnd
        self.writer: WireEnd

    def put(self, data: bytes) -> None:
        self.chunks.append(data)
        self.unread_bytes += len(data)
        self.reader.wake()

    def take(self) -> bytes:
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.unread_bytes = 0
        self.writer.relieve()
        return data

    def end(self) -> None:
        self.ended = True
        self.reader.wake()

    def abandon(self) -> None:
        self.abandoned = True
        self.take()


class WireEnd(asyncio.Transport):
    """One end of a connection; behaves as asyncio's own socket transport does."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, incoming: _Pipe, outgoing: _Pipe
    ) -> None:
        super().__init__({"sockname": incoming.name, "peername": outgoing.name})
        self._loop = loop
        self.set_protocol(protocol)
        self._incoming, self._outgoing = incoming, outgoing
        incoming.reader = outgoing.writer = self
        self._reading = True
        self._closing = False
        self._turn_due = False
        self._told_of_end = False
        self._told_to_wait = False
        self._high_bytes = HIGH_WATER_BYTES

    def open(self) -> None:
        """Tell the protocol that the connection is made."""
        self._protocol.connection_made(self)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that reads here."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what is read from now on to another protocol.

        Raises:
            TypeError: it is no streaming protocol.
        """
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError("a wire carries a stream, an asyncio.Protocol was expected")
        self._protocol = protocol

    def write(self, data: Data) -> None:
        """Send bytes; what is written to an end that has gone is lost, and breaks the connection."""
        if self._outgoing.ended and not self._closing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._closing:
            return
        if self._outgoing.abandoned:
            self._close(ConnectionResetError("the other end has gone"))
            return
        self._outgoing.put(bytes(data))
        if not self._told_to_wait and self._outgoing.unread_bytes > self._high_bytes:
            self._told_to_wait = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Return True: one direction can be closed alone."""
        return True

    def write_eof(self) -> None:
        """Close the direction of writing."""
        if not self._outgoing.ended:
            self._outgoing.end()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the other end has not read."""
        return self._outgoing.unread_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks, bytes: the writer goes on when all is read, and waits above the second."""
        return 0, self._high_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set above how many unread bytes the protocol is told to wait; never below what a kernel would hold."""
        self._high_bytes = max(high or 0, low or 0, HIGH_WATER_BYTES)

    def relieve(self) -> None:
        """Note that the other end has read everything."""
        if self._told_to_wait:
            self._told_to_wait = False
            self._protocol.resume_writing()

    def is_reading(self) -> bool:
        """Return whether the protocol takes data."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Keep what arrives until `resume_reading`."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand over what has arrived and what will."""
        self._reading = True
        self.wake()

    def wake(self) -> None:
        """Read in the loop's next turn what there is to read."""
        untold_end = self._incoming.ended and not self._told_of_end
        if not self._turn_due and (self._incoming.chunks or untold_end):
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        if self._closing or not self._reading:
            return
        if self._incoming.chunks:
            self._protocol.data_received(self._incoming.take())
            # the protocol may have stopped reading or closed: the end of the stream waits its turn
            self.wake()
        elif self._incoming.ended and not self._told_of_end:
            self._told_of_end = True
            if not self._protocol.eof_received():
                self.close()

    def is_closing(self) -> bool:
        """Return whether the end has begun."""
        return self._closing

    def close(self) -> None:
        """Close: what was written still arrives, what arrives from now on is dropped."""
        self._close(None)

    def abort(self) -> None:
        """Close at once."""
        self._close(None)

    def _close(self, failure: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._outgoing.end()
        self._loop.call_soon(self._lose, failure)

    def _lose(self, failure: Exception | None) -> None:
        self._incoming.abandon()
        self._protocol.connection_lost(failure)


def wire(
    loop: asyncio.AbstractEventLoop,
    client: asyncio.BaseProtocol,
    server: asyncio.BaseProtocol,
    client_name: Name,
    server_name: Name,
) -> asyncio.Transport:
    """Connect two protocols; return the client's end. The server learns of it in the loop's next turn.

    Args:
        loop: of both.
        client: the protocol that dialled; its connection is made when this returns.
        server: the protocol that listens.
        client_name: host and port of the client.
        server_name: host and port of the server.
    """
    to_client, to_server = _Pipe(client_name), _Pipe(server_name)
    near = WireEnd(loop, client, incoming=to_client, outgoing=to_server)
    far = WireEnd(loop, server, incoming=to_server, outgoing=to_client)
    loop.call_soon(far.open)
    near.open()
    return near
