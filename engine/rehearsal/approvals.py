"""Who approves what in a rehearsal: everybody after a day, nobody, or a script that plays recorded approvals.

A script is YAML, oldest first:

    - {at: 2022-06-20T09:00:00Z, approve: recovery}
    - {at: 2022-11-12T10:00:00Z, approve: restart}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bounds import PROMOTION, RECOVERY, RESTART, SCALE_UP, Request
from engine.clock import HOUR_MS, parse_time
from engine.documents import Document, read_document
from engine.errors import Problem, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.governor import Approvals

THINKING_TIME_MS = 24 * HOUR_MS  # a simulated team answers on the next day
KINDS = (RECOVERY, RESTART, SCALE_UP, PROMOTION)


class Unsigned:
    """Approvals of a simulated team: nobody signs anything."""

    def paper(self, request: Request) -> Mapping[str, Any]:
        """Return nothing: there is no signed request."""
        del request
        return {}


@dataclass(frozen=True)
class ApproveAll(Unsigned):
    """Everything is approved 24 simulated hours after it was asked for."""

    def given(self, requests: Sequence[Request], now_ms: int) -> tuple[Request, ...]:
        """Return the requests that are a day old."""
        return tuple(request for request in requests if now_ms - request.at_ms >= THINKING_TIME_MS)


@dataclass(frozen=True)
class ApproveNone(Unsigned):
    """Nobody approves anything."""

    def given(self, requests: Sequence[Request], now_ms: int) -> tuple[Request, ...]:
        """Return nothing."""
        del requests, now_ms
        return ()


class ApproveScript(Unsigned):
    """Plays recorded approvals; each line answers one request of its kind that was waiting at its time."""

    def __init__(self, lines: Sequence[tuple[int, str]]) -> None:
        self._lines = sorted(lines)

    def given(self, requests: Sequence[Request], now_ms: int) -> tuple[Request, ...]:
        """Return the requests that a line of the script answers by `now_ms`; a line that finds none is spent."""
        approved: list[Request] = []
        while self._lines and self._lines[0][0] <= now_ms:
            _, kind = self._lines.pop(0)
            approved += [request for request in requests if request.kind == kind and request not in approved][:1]
        return tuple(approved)


def approvals_from(text: str) -> Approvals:
    """Return the approvals that ``--approve`` names: ``all``, ``none``, or the path of a script.

    Raises:
        UsageError: no such script, or it is not one.
    """
    if text == "all":
        return ApproveAll()
    if text == "none":
        return ApproveNone()
    document = read_document(Path(text), error=UsageError)
    lines = document.data
    if not isinstance(lines, list):
        raise UsageError(_problem(document, (), "a script is a list of approvals"))
    return ApproveScript([_line(document, index) for index in range(len(lines))])


def _line(document: Document, index: int) -> tuple[int, str]:
    line = document.data[index]
    if not isinstance(line, dict) or set(line) != {"at", "approve"}:
        raise UsageError(_problem(document, (index,), "an approval has `at` and `approve`"))
    if line["approve"] not in KINDS:
        raise UsageError(_problem(document, (index, "approve"), f"`{line['approve']}` cannot be approved"))
    try:
        return parse_time(str(line["at"])), line["approve"]
    except ValueError:
        raise UsageError(_problem(document, (index, "at"), f"`{line['at']}` is no time")) from None


def _problem(document: Document, path: tuple[str | int, ...], problem: str) -> Problem:
    example = "{at: 2022-06-20T09:00:00Z, approve: " + "|".join(KINDS) + "}"
    return Problem("approvals", document.where(path), problem, f"write `- {example}`")
