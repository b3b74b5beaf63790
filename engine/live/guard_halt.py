"""A person halts (`flatten`) and a person lets it go on (`resume`), with any process of the desk running or none.

Halting needs nothing but the account: no ledger, no configuration, no disk space. Going on needs everything: a flat
account, a known cause, and a restart that the policy allows and people have signed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, iso
from engine.errors import LedgerError, Problem, StagegateError, UsageError
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.permit import Permit, PermitError
from engine.execution.siderecord import NoRecord, SideRecord
from engine.inquiry import add_days
from engine.ledger import Event, Ledger
from engine.live.connection import Mode, connection
from engine.live.decision_file import DecisionFiles, GuardWatch
from engine.live.guard_books import RESUME, read_books
from engine.operations.approvals import tallies
from engine.policy.facts import OK, Fact
from engine.policy.model import facts_of
from engine.policy.worker import Worker
from engine.verdict import Judge, Situation, bundle_documents, bundle_hashes
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.flattened import FlattenReport
    from engine.execution.venue import Venue
    from engine.live.guard_books import Books
    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy

BY_HAND = (
    "sign in at the venue's web interface, Futures, USDⓈ-M",
    "Positions: close each one at market",
    "Open Orders: cancel all, the conditional ones as well",
    "look at both lists once more, and run `stagegate flatten` again as soon as the key works",
)
"""What is left to do where nothing can be closed from here (R166)."""

RESTART = "restart"
YEAR_DAYS = 365
"""The definition of the fact restarts_12m."""

_ACCOUNT = "the account"


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
        bundle: whose restart policy decides; all its policies are read.
        signers: the allowed-signers file.
        report_dir: where the risk guard publishes.
        by: who asks.
        reason: why it may go on; empty: the ledger knows why it was halted.
    """

    ledger: Path
    mode: Mode
    bundle: Bundle
    signers: Path
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
    """Return whose money is meant; where neither is said, what the ledger is of.

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
        kind = error.problems[0].problem
    known = {"live": Mode.REAL, "paper": Mode.PAPER}
    if kind not in known:
        problem = f"the ledger does not tell whose money it is about ({kind or 'nothing was launched'})"
        raise UsageError(Problem("mode", str(ledger), problem, "add --paper or --real"))
    return known[kind]


def close_everything(request: HaltRequest, on_step: Callable[[str, int], None]) -> FlattenReport:
    """Halt and close everything; ends when the venue confirms that nothing stands, or nothing can be done from here.

    Args:
        request: what.
        on_step: told each step, and how many milliseconds after the beginning it was reached.

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
        began_ms = clock.now_ms()
        record = SideRecord(request.ledger) if request.ledger.is_file() else NoRecord()
        terms = Terms(
            symbols=request.symbols,
            reason=request.reason,
            on_step=lambda step, at_ms: on_step(step, at_ms - began_ms),
        )
        async with reached.venue(request.symbols, clock, lambda: False) as venue:
            return await flatten(venue, permit, clock, record, terms)

    return reached.run(main)


def resume(request: ResumeRequest, confirmed: Callable[[str], bool]) -> Resumed:
    """Grant the permit again where nothing speaks against it.

    Args:
        request: what is asked for.
        confirmed: asks the person, where it is paper money: told the cause, returns whether to go on.

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
            books = read_books(ledger, now_ms)
            if books is None:
                help_ = "`stagegate run` launches it, and grants the first permit"
                raise UsageError(Problem("not-launched", str(request.ledger), "nothing was launched here", help_))
            cause = request.reason or _cause(ledger)
            if permit.present():
                return Resumed(request.ledger, already=True, by=request.by, cause=cause, at_ms=now_ms)
            problems = [*_paused(ledger, books), *_unknown_cause(cause), *_guard(request, clock)]
            async with reached.venue((), clock, lambda: False) as venue:
                problems += await _standing(venue)
            if request.mode is Mode.REAL:
                problems += _restart_policy(request, ledger, books, now_ms)
            if problems:
                raise UsageError(problems)
            if request.mode is Mode.PAPER and not confirmed(cause):
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


def _paused(ledger: Ledger, books: Books) -> Iterable[Problem]:
    posture = books.posture
    if posture.paused_since_ms is None:
        return
    since = iso(posture.paused_since_ms)
    wanted = next((request.approvals for request in posture.requests if request.kind == RESTART), 0)
    problem = f"the desk is paused since {since}, and the restart is not in force: {wanted} people must sign it"
    help_ = "`stagegate approvals` lists the request; once signed, the runner restarts at its next bar"
    yield Problem("paused", str(ledger.path), problem, help_)


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
    policy = request.bundle.policies["risk_guard"]
    others = [name for name in decision.fired if not _is_halt(policy, name)]
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


def _restart_policy(request: ResumeRequest, ledger: Ledger, books: Books, now_ms: int) -> list[Problem]:
    """Return what the restart policy has against it, by both engines; what is not known never helps.

    The verdict is recorded, whatever it is.
    """
    policy = request.bundle.policies[RESTART]
    posture = books.posture
    situation = Situation(posture.stage, posture.exposure, posture.cap_usd, None)
    facts = {**books.posted, **_restart_facts(request, ledger, books, now_ms)}
    with Worker(policy) as engine:
        judge = Judge(policy, engine, bundle_hashes(request.bundle), version())
        add_days(judge, ledger, now_ms)
        verdict = judge.verdict(facts, now_ms, situation)
    ledger.append([*bundle_documents(request.bundle), *verdict.rows()])
    if not policy.effects[verdict.outcome].entries_blocked:
        return []
    rules = [policy.by_id[name].rule for name in verdict.decision.fired]
    return [Problem("restart", rule.name, rule.because, rule.cure or "") for rule in rules]


def _restart_facts(request: ResumeRequest, ledger: Ledger, books: Books, now_ms: int) -> Mapping[str, Fact]:
    since_ms = books.posture.epoch_ms if books.posture.epoch_ms > books.launched_ms else 0
    signed = tallies(ledger, request.signers, now_ms, lambda asked: asked.action == RESTART)
    of_this = [tally for tally in signed if tally.used_ms is None or tally.used_ms >= since_ms]
    signers = len(of_this[-1].signers) if of_this else 0
    restarts = ledger.events(RESTART, from_ms=now_ms - YEAR_DAYS * DAY_MS)
    return {
        "restart_signers": Fact("restart_signers", signers, OK, now_ms),
        "restarts_12m": Fact("restarts_12m", max(1, len(restarts)), OK, now_ms),
    }


def symbols_or_none(symbols: Callable[[], tuple[str, ...]]) -> tuple[tuple[str, ...], str]:
    """Return the symbols of the configuration, and why there are none: a halt does without them."""
    try:
        return symbols(), ""
    except StagegateError as error:
        return (), str(error.problems[0])
