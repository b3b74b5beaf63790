"""The two commands that do something: /halt takes the permit away at once, /flatten closes everything.

Both are what the command line does, by the same functions; neither needs the ledger to be writable, nor the runner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerts.alert import Alert, Severity
from engine.config import load_config
from engine.errors import StagegateError
from engine.risk_guard.halt import BY_HAND, HaltRequest, close_everything, hold, symbols_or_none

if TYPE_CHECKING:
    from engine.execution.flattened import FlattenReport
    from engine.telegram.desk import ChatDesk

HALTED = (
    "HALTED: nothing that adds risk leaves any more; stops and positions stay. `stagegate status` says what lifts it"
)


UNRECORDED = "HALTED, but that nothing shall be closed is not recorded ({}): a risk guard that runs closes everything"


def halt(desk: ChatDesk, by: str, now_ms: int) -> str:
    """Latch the halt and leave what stands; return what to say.

    Raises:
        PermitError: the permit is still there.
    """
    problem = hold(desk.ledger, by, now_ms)
    return UNRECORDED.format(problem) if problem else HALTED


def flatten(desk: ChatDesk, reason: str) -> FlattenReport:
    """Halt and close everything; ends when the venue confirms that nothing stands, or nothing can be done from here.

    Raises:
        UsageError: the keys are not set, or no simulator is announced; the permit is gone all the same.
    """
    symbols, _ = symbols_or_none(lambda: load_config(desk.config).market.symbols)
    return close_everything(HaltRequest(desk.ledger, desk.mode, reason, symbols), lambda *_: None)


def flattened_text(report: FlattenReport) -> str:
    """Return what a flatten came to; where it is not flat, what a person must do."""
    took_ms = report.took_ms("verified")
    if report.flat and took_ms is not None:
        return f"FLAT, verified after {took_ms / 1000:.1f} s; the halt stays, `stagegate status` says what lifts it"
    left = ", ".join(f"{qty:f} {symbol}" for symbol, qty in report.left.items()) or "unknown"
    problems = [f"on the way: {text}" for text in report.problems[-2:]]
    steps = [f"{number} {step}" for number, step in enumerate(BY_HAND, 1)]
    return "\n".join([f"NOT FLAT: last seen {left}", *problems, "close it by hand, now:", *steps])


def halted_alert(now_ms: int, by: str) -> Alert:
    """Return what everybody is told of a halt by chat."""
    lines = (("why", f"/halt by {by}"), ("done", "the permit is gone; stops and positions stay"))
    do = ("do", "find out why; `stagegate status` says what lifts it")
    return Alert(now_ms, Severity.CRITICAL, "halt by chat", "halted: nothing adds risk", (*lines, do))


def flattened_alert(now_ms: int, by: str, report: FlattenReport | StagegateError) -> Alert:
    """Return what everybody is told of a flatten by chat."""
    if isinstance(report, StagegateError):
        what, done = "flatten by chat FAILED", f"nothing was closed: {report.problems[0].problem}"
    else:
        what = "flattened by chat" if report.flat else "flatten by chat: NOT FLAT"
        done = flattened_text(report).splitlines()[0]
    flat = not isinstance(report, StagegateError) and report.flat
    do = "find out why; `stagegate status` says what lifts the halt" if flat else BY_HAND[0]
    lines = (("why", f"/flatten by {by}"), ("done", done), ("do", do))
    return Alert(now_ms, Severity.CRITICAL, "flatten by chat", what, lines)
