"""A person halts (`flatten`) and a person lets it go on (`resume`), with any process of the desk running or none.

Halting needs nothing but the account: no ledger, no configuration, no disk space. Going on needs everything: a flat
account, a known cause, and a restart that the policy allows and people have signed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.bounds import RESTART
from engine.clock import iso
from engine.errors import LedgerError, Problem, StagegateError, UsageError
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.permit import Permit, PermitError
from engine.execution.siderecord import NoRecord, SideRecord
from engine.ledger import Event, Ledger
from engine.live.connection import Mode, announced_beside, connection
from engine.live.decision_file import DecisionFiles, GuardWatch
from engine.live.time_check import check_time
from engine.operations.incidents.demands import RESUME
from engine.policy.model import facts_of
from engine.risk_guard.aftermath import note_aftermath
from engine.risk_guard.books import held_row, read_books

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.flattened import FlattenReport
    from engine.execution.siderecord import Record
    from engine.execution.venue import Venue
    from engine.policy.model import Policy
    from engine.risk_guard.books import Books

BY_HAND = (
    "sign in at the venue's web interface, Futures, USDⓈ-M",
    "Positions: close each one at market",
    "Open Orders: cancel all, the conditional ones as well",
    "look at both lists once more, and run `stagegate flatten` again as soon as the key works",
)
"""What is left to do where nothing can be closed from here (R166)."""

_ACCOUNT = "the account"
_PAPER_HELP = "; on paper you may also begin anew, with another --ledger"


@dataclass(frozen=True)
class HaltRequest:
    """What `flatten` is asked for; `symbols` are those of the configuration, none where it cannot be read."""

    ledger: Path
    mode: Mode
    reason: str
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class ResumeRequest:
    """What `resume` is asked for.

    Attributes:
        ledger: of the account.
        mode: paper or real.
        policy: the risk guard's.
        report_dir: where the risk guard publishes.
        by: who asks.
        reason: why it may go on; empty: the ledger knows why it was halted.
    """

    ledger: Path
    mode: Mode
    policy: Policy
    report_dir: Path | str
    by: str
    reason: str = ""


@dataclass(frozen=True)
class Resumed:
    """What came of it: `already` where the permit was there, `cause` of the halt that is over."""

    ledger: Path
    already: bool
    by: str
    cause: str
    at_ms: int


def mode_of(
    ledger: Path,
    *,
    paper: bool,
    real: bool,
    opened: Callable[[Path], AbstractContextManager[Ledger]] | None = None,
) -> Mode:
    """Return whose money is meant; where neither is said, what the ledger is of, or lies beside it.

    Args:
        ledger: of the account.
        paper: it was said.
        real: it was said.
        opened: how the ledger is opened; None: for reading.

    Raises:
        UsageError: mode: both are said, or neither and the ledger does not tell.
    """
    if paper and real:
        raise UsageError(Problem("mode", "--paper --real", "both are named", "name one"))
    if paper or real:
        return Mode.PAPER if paper else Mode.REAL
    try:
        with opened(ledger) if opened else Ledger.open(ledger, read_only=True) as found:
            kind = found.meta().get("kind", "")
    except LedgerError as error:
        if ledger.is_file():  # no disk space, or damaged: a simulator announces itself beside its ledger
            return Mode.PAPER if announced_beside(ledger).is_file() else Mode.REAL
        kind = error.problems[0].problem
    known = {"live": Mode.REAL, "paper": Mode.PAPER}
    if kind not in known:
        problem = f"the ledger does not tell whose money it is about ({kind or 'nothing was launched'})"
        raise UsageError(Problem("mode", str(ledger), problem, "add --paper or --real"))
    return known[kind]


def hold(ledger: Path, by: str, now_ms: int) -> str:
    """Halt and leave positions and stops as they are; return why that could not be recorded, empty where it was.

    It is recorded first: a permit that is gone for no reason is the kill switch, and the risk guard closes everything.

    Raises:
        PermitError: the permit is still there.
    """
    problem = ""
    try:
        with Ledger.open(ledger) as opened:
            opened.append(held_row(by, now_ms))
    except LedgerError as error:
        problem = error.problems[0].problem
    Permit.beside(ledger).revoke()
    return problem


def close_everything(
    request: HaltRequest, on_step: Callable[[str, int], None], on_problem: Callable[[str], None] | None = None
) -> FlattenReport:
    """Halt and close everything; ends when the venue confirms that nothing stands, or nothing can be done from here.

    Args:
        request: what.
        on_step: told each step, and how many milliseconds after the beginning it was reached.
        on_problem: told what goes wrong, each problem once.

    Raises:
        UsageError: the keys are not set, or no simulator is announced; the permit is gone all the same.
    """
    permit = Permit.beside(request.ledger)
    try:
        permit.revoke()  # before anything that could fail; the flatten says what it could not do
    except PermitError as error:
        unlatched: PermitError | None = error
    else:
        unlatched = None
    try:
        reached = connection(request.mode, request.ledger)
    except UsageError as error:
        raise UsageError([*error.problems, *(unlatched.problems if unlatched else ())]) from None

    async def main(clock: Clock) -> FlattenReport:
        record: Record = SideRecord(request.ledger) if request.ledger.is_file() else NoRecord()
        async with reached.venue(request.symbols, clock, lambda: False) as venue:
            began_ms = clock.now_ms()
            terms = Terms(
                symbols=request.symbols,
                reason=request.reason,
                on_step=lambda step, at_ms: on_step(step, at_ms - began_ms),
                on_problem=on_problem,
            )
            report = await flatten(venue, permit, clock, record, terms)
            if not isinstance(record, SideRecord):
                return report
            return await note_aftermath(report, request.ledger, venue, clock, request.symbols)

    return reached.run(main)


def resume(request: ResumeRequest, confirmed: Callable[[str], bool]) -> Resumed:
    """Grant the permit again where nothing speaks against it.

    Args:
        request: what is asked for.
        confirmed: asks the person, where no restart answered the halt: told the cause, returns whether to go on.

    Raises:
        UsageError: everything that speaks against it, at once; the halt stays.
        VenueError: the account cannot be looked at; the halt stays.
        LedgerError: it cannot be read or written.
        PermitError: the permit cannot be written.
    """
    permit = Permit.beside(request.ledger)
    reached = connection(request.mode, request.ledger)

    async def main(clock: Clock) -> Resumed:
        now_ms = clock.now_ms()
        with Ledger.open(request.ledger) as ledger:
            check_time(ledger, now_ms, request.ledger)
            books = read_books(ledger, now_ms)
            if books is None:
                help_ = "`stagegate run` launches it, and grants the first permit"
                raise UsageError(Problem("not-launched", str(request.ledger), "nothing was launched here", help_))
            cause = request.reason or _cause(ledger)
            if permit.present():
                return Resumed(request.ledger, already=True, by=request.by, cause=cause, at_ms=now_ms)
            problems = [*_unanswered(request, books), *_unknown_cause(cause)]
            async with reached.venue((), clock, lambda: False) as venue:
                await venue.server_time_ms()  # the guard's word is dated by it
                problems += [*_guard(request, venue.asker.clock), *await _standing(venue)]
            if problems:
                raise UsageError(problems)
            if not books.answered and not confirmed(cause):
                raise UsageError(Problem("declined", str(request.ledger), "not confirmed", "the halt stays"))
            document = json.dumps({"by": request.by, "cause": cause}, sort_keys=True)
            # the record first: a permit of which the ledger knows nothing would be somebody else's
            ledger.append(Event(f"{RESUME}-{now_ms}", now_ms, RESUME, request.by, document))
            permit.grant(by=request.by, reason=cause, at_ms=now_ms)
        return Resumed(request.ledger, already=False, by=request.by, cause=cause, at_ms=now_ms)

    return reached.run(main)


def _cause(ledger: Ledger) -> str:
    """Return why the book was closed last; empty where the ledger does not know."""
    halts = ledger.events("flatten_begun")
    return halts[-1].subject if halts else ""


def _unanswered(request: ResumeRequest, books: Books) -> Iterable[Problem]:
    """Yield why the halt is not answered yet: a restart that the policy allows and people signed, in force.

    Paper money that was halted without a pause needs no more than a person's word.
    """
    posture, where = books.posture, str(request.ledger)
    if posture.paused_since_ms is not None:
        wanted = next((each.approvals for each in posture.requests if each.kind == RESTART), 0)
        since = iso(posture.paused_since_ms)
        problem = f"the desk is paused since {since}, and the restart is not in force: {wanted} people must sign it"
        help_ = (
            "`stagegate incident list`, then `stagegate restart INC-…` says what is missing; once it is granted, the "
        )
        help_ += "runner restarts at its next bar" + _PAPER_HELP * (request.mode is Mode.PAPER)
        yield Problem("paused", where, problem, help_)
    elif request.mode is Mode.REAL and not books.answered:
        problem = "real money goes on after a restart that the policy allows, and there was none since the halt"
        help_ = "`stagegate flatten`, let the runner take note of it, then `stagegate restart`"
        yield Problem("no-restart", where, problem, help_)


def _unknown_cause(cause: str) -> Iterable[Problem]:
    if not cause.strip():
        help_ = "say why with --reason, once it is known"
        yield Problem("no-cause", "--reason", "the ledger does not know why it was halted", help_)


def _guard(request: ResumeRequest, clock: Clock) -> Iterable[Problem]:
    """Yield why the risk guard would close everything again at once; that there is no permit is no reason."""
    watch = GuardWatch(DecisionFiles.under(request.report_dir), request.ledger, clock)
    decision = watch.decision()
    if decision is None or not decision.closes:
        return
    others = [name for name in decision.fired if not _is_halt(request.policy, name)]
    if others:
        problem = f"the risk guard says {decision.outcome}: {'; '.join(decision.because)}"
        yield Problem("risk-guard", decision.decision_id, problem, "it would close everything again at once")


def _is_halt(policy: Policy, rule: str) -> bool:
    instance = policy.by_id.get(rule)
    return instance is not None and set(facts_of(instance.when)) == {"kill_switch"}


async def _standing(venue: Venue) -> list[Problem]:
    """Return what stands at the venue.

    Raises:
        VenueError: it does not tell.
    """
    stops, orders = await venue.open_stops(), await venue.open_orders()
    positions = await venue.positions()
    found = [f"{each.qty:f} {symbol}" for symbol, each in positions.items()]
    found += [f"order {order.client_id}" for order in orders] + [f"stop {stop.client_id}" for stop in stops]
    if not found:
        return []
    return [Problem("not-flat", _ACCOUNT, f"there is still {', '.join(found)}", "run `stagegate flatten` first")]


def symbols_or_none(symbols: Callable[[], tuple[str, ...]]) -> tuple[tuple[str, ...], str]:
    """Return the symbols of the configuration, and why there are none: a halt does without them."""
    try:
        return symbols(), ""
    except StagegateError as error:
        return (), str(error.problems[0])
