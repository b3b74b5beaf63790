"""A child's lifeline: its standard input is a pipe that only the service holds open, and nobody writes into.

When the service dies, however it dies, the pipe ends and the child ends as with SIGTERM: what is under way is done,
nothing more is begun. So no process trades on unseen. A parent-death signal would do the same on Linux only, and is
sent when the thread that started the child ends, not the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from engine.clock import wait_s

_PIPE_END = 64


def hold(patience_s: float) -> None:
    """Hold on to the lifeline: end as with SIGTERM when it ends, by force `patience_s` later."""
    lifeline = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())  # whatever this process starts does not get the lifeline
    os.close(nothing)
    threading.Thread(target=_let_go, args=(lifeline, patience_s), name="lifeline", daemon=True).start()


def _let_go(lifeline: int, patience_s: float) -> None:
    while os.read(lifeline, _PIPE_END):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    wait_s(patience_s)
    os.kill(os.getpid(), signal.SIGKILL)
