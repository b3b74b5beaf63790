"""What the commands that change nothing answer, from the ledger and the venue; none of them decides anything anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, day_start, iso
from engine.config import load_config
from engine.errors import LedgerError, Problem
from engine.inquiry import ACTION, posture_at
from engine.ledger import Ledger
from engine.live.account import RISK
from engine.live.account_time import clock_of
from engine.live.opening import FOR_EVER_MS, launched_ms
from engine.live.status import Status, status
from engine.live.status_text import status_text
from engine.operations.approvals import tallies
from engine.reports.numbers import number, percent, usd
from engine.reports.terminal_verdicts import verdict_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.ledger import Mark
    from engine.telegram.desk import ChatDesk

HELP = {
    "status": "what the venue holds, what is in force, who is alive",
    "positions": "positions, orders and stops at the venue",
    "verdict": "the last verdict and its reason",
    "why": "every reason of it, and how far it is to the next outcome",
    "stage": "stage, cap, exposure, what waits",
    "pnl": "equity, and what it made today, in 7 and in 30 days",
    "reports": "the latest reports",
    "approvals": "what waits for signatures",
    "halt": "at once: nothing may add risk any more",
    "flatten": "halt and close everything; asks for a code first",
    "help": "this",
}
_SHOWN = 5
_WINDOWS = (("today", 0), ("7 days", 7), ("30 days", 30))


def answer(command: str, desk: ChatDesk) -> str:
    """Return the answer to a command that changes nothing.

    Args:
        command: without its slash; one of `ANSWERS`.
        desk: what it is about.

    Raises:
        StagegateError: it cannot be told, and why.
    """
    return ANSWERS[command](desk)


def help_text(switched_off: frozenset[str]) -> str:
    """Return the commands that may be given."""
    return "\n".join(f"/{name:<10} {text}" for name, text in HELP.items() if name not in switched_off)


def _status(desk: ChatDesk) -> str:
    return status_text(_found(desk))


def _positions(desk: ChatDesk) -> str:
    """Return the venue's part of a status, and what could not be told of it."""
    found = replace(_found(desk), books=None)
    lines = status_text(found).splitlines()
    first = next((place for place, line in enumerate(lines) if line.startswith("venue")), 0)
    return "\n".join(lines[first:])


def _found(desk: ChatDesk) -> Status:
    return status(desk.ledger, desk.mode, desk.config)


def _verdict(desk: ChatDesk, *, why: bool = False) -> str:
    with Ledger.open(desk.ledger, read_only=True) as ledger:
        record = ledger.latest_verdict(policy=ACTION)
    if record is None:
        return "no verdict yet"
    return verdict_text(record, desk.ledger, why=why, more="/why: every reason")


def _why(desk: ChatDesk) -> str:
    return _verdict(desk, why=True)


def _stage(desk: ChatDesk) -> str:
    with Ledger.open(desk.ledger, read_only=True) as ledger:
        posture = posture_at(ledger, FOR_EVER_MS)
    entries = "allowed" if posture.entries_allowed else "blocked"
    lines = [
        f"stage    {posture.stage}, cap {usd(posture.cap_usd, 0)}",
        f"exposure {posture.exposure:g}, entries {entries}",
        f"counts   since {iso(posture.epoch_ms)}",
    ]
    if posture.paused_since_ms is not None:
        lines.append(f"PAUSED   since {iso(posture.paused_since_ms)}, until a signed restart")
    lines += [f"episode  {each.kind} since {iso(each.since_ms)}" for each in posture.episodes]
    lines += [f"waits    {each.kind} of {each.subject}, {each.approvals} to sign" for each in posture.requests]
    return "\n".join(lines)


def _pnl(desk: ChatDesk) -> str:
    with Ledger.open(desk.ledger, read_only=True) as ledger:
        last = ledger.last_mark(RISK)
        if last is None:
            where = str(desk.ledger)
            raise LedgerError(Problem("nothing-yet", where, "nothing was marked yet", "ask after the first bar"))
        lines = [f"equity   {usd(last.equity_usd)} at {iso(last.at_ms)}"]
        peak = max(ledger.marks(RISK, posture_at(ledger, FOR_EVER_MS).epoch_ms).nav, default=last.nav)
        lines.append(f"drawdown {percent(100 * max(0.0, 1 - last.nav / peak))}")
        lines += [f"{words:<8} {_made(ledger, last, days)}" for words, days in _WINDOWS]
        since = {one.symbol: one.pnl_usd for one in ledger.last_sleeve_marks(RISK, day_start(last.at_ms))}
        held = ledger.held(RISK)  # by now: a sleeve's mark is from before the orders of its bar
        for one in ledger.last_sleeve_marks(RISK):
            today = usd(one.pnl_usd - since.get(one.symbol, 0.0), signed=True)
            lines.append(f"{one.symbol:<8} {today} today, holds {number(held.get(one.symbol, 0.0), 6, signed=True)}")
    return "\n".join(lines)


def _made(ledger: Ledger, last: Mark, days: int) -> str:
    """Return what was made in so many days, 0: since midnight, or the launch after it; flows do not count."""
    since_ms = last.at_ms - days * DAY_MS if days else max(day_start(last.at_ms), launched_ms(ledger) or 0)
    before = ledger.last_mark(RISK, since_ms)
    return "unknown: not that old" if before is None else percent(100 * (last.nav / before.nav - 1), 2, signed=True)


def _reports(desk: ChatDesk) -> str:
    folder = Path(load_config(desk.config).output.report_dir) / "prod_reports"
    kinds = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    lines = []
    for kind in kinds:
        newest = sorted(kind.glob("*.md"), key=lambda path: (path.stat().st_mtime_ns, path.name))[-_SHOWN:]
        lines += [f"{kind.name:<8} {path}" for path in reversed(newest)]
    return "\n".join(lines) or f"no report in {folder} yet"


def _approvals(desk: ChatDesk) -> str:
    with Ledger.open(desk.ledger, read_only=True) as ledger:
        found = tallies(ledger, desk.signers, clock_of(ledger).now_ms())
    waiting = [tally for tally in found if tally.state in {"waiting", "granted"}]
    lines = [
        f"{tally.request.request_id}\n  {tally.state}: {len(tally.signers)} of {tally.request.approvals} signed, "
        f"{tally.request.action} of {tally.request.subject}, until {iso(tally.request.expires_ms)}"
        for tally in waiting
    ]
    return "\n".join(lines) or "nothing waits for signatures"


ANSWERS: Mapping[str, Callable[[ChatDesk], str]] = {
    "status": _status,
    "positions": _positions,
    "verdict": _verdict,
    "why": _why,
    "stage": _stage,
    "pnl": _pnl,
    "reports": _reports,
    "approvals": _approvals,
}
