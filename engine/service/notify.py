"""What systemd is told of the service: that it is ready, that it lives, that it stops (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = "NOTIFY_SOCKET"
READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


@dataclass(frozen=True)
class Systemd:
    """Where systemd listens; empty: it did not start this process, and nobody is told."""

    address: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> Systemd:
        """Return what the environment names."""
        return cls((os.environ if environ is None else environ).get(SOCKET, ""))

    def tell(self, *lines: str) -> None:
        """Send a state; systemd that does not listen, or has no time, is no reason to stop."""
        if not self.address:
            return
        # an address that begins with @ lies in Linux's abstract name space
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(0)  # a systemd that is busy must not hold up the watching
            out.sendto("\n".join(lines).encode(), address)
