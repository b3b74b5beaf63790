"""The rules engine's own process: ``python -m engine.policy.child``, spoken to in lines of JSON over its pipes.

First line in: ``{"shards": […], "limit_s": 1.0}``; out: ``{"ready": true}``. Then each line in is ``[n, values]``, each
line out ``{"n": n, "fired": […]}``, or ``{"n": n, "fault": "…"}`` and the end. The process ends with its input, so it
dies with its parent; a hang inside the engine's C code is ended by an alarm, parent or none.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    limit_s = float(setup["limit_s"]) * _ALARM_FACTOR
    number: int | None = None
    try:
        signal.setitimer(signal.ITIMER_REAL, max(limit_s, 10.0))
        from engine.policy.host import RulesHost  # noqa: PLC0415 - a failing import is answered like any fault

        host = RulesHost(setup["shards"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        _answer(answers, {"ready": True})
        for line in requests:
            number, values = json.loads(line)
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            fired = host.fire(values)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _answer(answers, {"n": number, "fired": fired})
    except BrokenPipeError:
        return
    except Exception as failure:  # noqa: BLE001 - whatever it is, the parent must hear of it
        signal.setitimer(signal.ITIMER_REAL, 0)
        _answer(answers, {"n": number, "fault": f"{failure}"})


def _answer(answers: BinaryIO, document: dict[str, Any]) -> None:
    answers.write(json.dumps(document).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
