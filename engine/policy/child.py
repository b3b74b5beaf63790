"""The rules engine's own process: ``python -m engine.policy.child``, spoken to in lines of JSON over its pipes.

First line in: ``{"shards": […], "limit_s": 1.0, "start_limit_s": 10.0}``; out: ``{"ready": true}``. Then each line in
is ``[n, values]``, each line out ``{"n": n, "fired": […]}``, or ``{"n": n, "fault": "…"}`` and the end. The process
ends with its input, so it dies with its parent; a hang inside the engine's C code is ended by an alarm.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

# The parent waits no longer than the limit; the alarm is for a parent that is gone.
_ALARM_FACTOR = 4


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair: it closes the input
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the engine prints must not look like an answer
    serve(sys.stdin.buffer, answers)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Read requests and write answers until the input ends or the engine fails."""
    first = requests.readline()
    if not first:
        return
    setup = json.loads(first)
    number: int | None = None
    try:
        with _alarm(setup["start_limit_s"]):
            from engine.policy.host import RulesHost  # noqa: PLC0415 - a failing import is answered like any fault

            host = RulesHost(setup["shards"])
        _answer(answers, {"ready": True})
        for line in requests:
            number, values = json.loads(line)
            with _alarm(setup["limit_s"]):
                fired = host.fire(values)
            _answer(answers, {"n": number, "fired": fired})
    except BrokenPipeError:
        return
    except Exception as failure:  # noqa: BLE001 - whatever it is, the parent must hear of it
        _answer(answers, {"n": number, "fault": f"{failure}"})


@contextmanager
def _alarm(limit_s: float) -> Iterator[None]:
    """End this process if the block hangs, even inside C code."""
    signal.setitimer(signal.ITIMER_REAL, limit_s * _ALARM_FACTOR)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(answers: BinaryIO, document: dict[str, Any]) -> None:
    answers.write(json.dumps(document).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
