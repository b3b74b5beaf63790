"""What a rollout begins with, and what must be on record before real money is touched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.bounds import STAGE, subject_of
from engine.clock import iso
from engine.errors import Problem, UsageError
from engine.inquiry import ALLOW, posture_at
from engine.launch_word import LAUNCH, last_word
from engine.live.connection import Mode
from engine.live.opening import FOR_EVER_MS, launch, launched_ms
from engine.operations.stages.papers import EVIDENCE

if TYPE_CHECKING:
    from engine.execution.permit import Permit
    from engine.ledger import Ledger
    from engine.live.opening import Release
    from engine.policy.bundle import Bundle

PAPER_STAGE, FIRST_STAGE = 0, 1
FLATTEN_BEGUN = "flatten_begun"

KINDS = {Mode.PAPER: "paper", Mode.REAL: "live"}
_GUARD = "run `stagegate launch-guard`"


@dataclass(frozen=True)
class Capital:
    """What a rollout begins with: its stage, and the risk equity, which is the cap too."""

    stage: int
    usd: float


def capital_of(mode: Mode, release: Release) -> Capital:
    """Return what a new rollout begins with: paper with the configuration's cash, real money with the first stage's."""
    if mode is Mode.PAPER:
        return Capital(PAPER_STAGE, release.config.backtest.initial_cash_usd)
    return Capital(FIRST_STAGE, float(release.bundle.policies["stages"].stages[FIRST_STAGE].cap_usd))


def needed_usd(ledger: Ledger, mode: Mode, release: Release) -> float | None:
    """Return what a balance must cover; None: it is at risk already.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return capital_of(mode, release).usd if launched_ms(ledger) is None else None


def check_kind(ledger: Ledger, mode: Mode) -> None:
    """Refuse a ledger of something else: two kinds of money never share one.

    Raises:
        UsageError: other-ledger.
    """
    kind = ledger.meta().get("kind", KINDS[mode])
    if kind != KINDS[mode]:
        problem = f"it is the ledger of a {kind} rollout, `--{mode}` was asked for"
        help_ = "name another with `--ledger`, or set STAGEGATE_LEDGER"
        raise UsageError(Problem("other-ledger", str(ledger.path), problem, help_))


def check_real(ledger: Ledger, bundle: Bundle, now_ms: int) -> None:
    """Refuse real money unless the launch guard allowed this very release, freshly where nothing was launched yet.

    That enough people signed the bundle (A90) is one of the launch policy's own rules; what it allowed is recognised by
    the hash that they signed. A rollout that is under way may go on after a crash without a new launch, also where the
    launch guard has blocked a promotion since.

    Its warnings must have been acknowledged by name before anything is launched (R045, A91).

    Raises:
        UsageError: not-launched, blocked, other-release, stale-launch, unacknowledged, paper-stage.
        LedgerError: the ledger cannot be read.
    """
    where = str(ledger.path)
    under_way = launched_ms(ledger) is not None
    verdicts = ledger.verdicts(policy=LAUNCH)
    allowed = [one for one in verdicts if one.outcome == ALLOW] if under_way else verdicts
    if not allowed:
        problem = "no launch is on record, real money needs one"
        raise UsageError(Problem("not-launched", where, problem, f"{_GUARD} on this ledger"))
    verdict = allowed[-1]
    if verdict.outcome != ALLOW:
        problem = f"the last launch verdict, {verdict.verdict_id}, is {verdict.outcome}"
        raise UsageError(Problem("blocked", where, problem, f"mend what it names, then {_GUARD} again"))
    if json.loads(verdict.document)["hashes"].get("digest") != bundle.digest:
        problem = f"{verdict.verdict_id} allowed another release than the files here"
        help_ = f"restore the files that were signed; or have these signed (`stagegate approvals`), then {_GUARD}"
        raise UsageError(Problem("other-release", str(bundle.path), problem, help_))
    if not under_way and now_ms - verdict.at_ms > bundle.decision_valid_ms:
        problem = f"the launch was allowed at {iso(verdict.at_ms)}, which is too long ago"
        raise UsageError(Problem("stale-launch", where, problem, f"{_GUARD} again, and start at once"))
    if not under_way:
        _check_warnings(ledger, verdict.verdict_id)
    if not under_way:
        _require_stage_open(ledger, bundle, now_ms)
    if under_way and posture_at(ledger, FOR_EVER_MS).stage == PAPER_STAGE:
        problem = "the rollout is back at stage 0, which is paper only"
        help_ = "trade on paper for its evidence, then `stagegate stage promote` on this ledger"
        raise UsageError(Problem("paper-stage", where, problem, help_))


def _check_warnings(ledger: Ledger, verdict_id: str) -> None:
    """Refuse a launch with warnings that nobody has acknowledged.

    Raises:
        UsageError: unacknowledged, one for each; not-launched: the guard's own word on the verdict is not there.
    """
    word = last_word(ledger)
    if word is None or word.verdict_id != verdict_id:
        problem = f"the launch guard's own record of {verdict_id} is missing"
        raise UsageError(Problem("not-launched", str(ledger.path), problem, f"{_GUARD} again"))
    problems = [
        Problem(
            "unacknowledged",
            name,
            f"{verdict_id} warns of it, and nobody has acknowledged that",
            f'once you know why it may stand: `stagegate ack {name} --reason "…"`',
        )
        for name in word.unacknowledged
    ]
    if problems:
        raise UsageError(problems)


def _require_stage_open(ledger: Ledger, bundle: Bundle, now_ms: int) -> None:
    """Refuse real money that did not come through Stage 0 (R055, R066): its promotion must be on record, and recent."""
    where, wanted = str(ledger.path), subject_of(PAPER_STAGE, FIRST_STAGE)
    opened = [event for event in ledger.events(STAGE, to_ms=now_ms) if event.subject == wanted]
    record = ledger.verdict(json.loads(opened[-1].document)["verdict_id"]) if opened else None
    if record is None or json.loads(record.document)["hashes"].get("digest") != bundle.digest:
        problem = f"stage {FIRST_STAGE} is not open: this release was not promoted from paper"
        help_ = "`stagegate stage` says what is missing, `stagegate stage promote` opens it"
        raise UsageError(Problem("stage-closed", where, problem, help_))
    if now_ms - opened[-1].at_ms > bundle.vocabulary.facts[EVIDENCE].max_age_ms:
        problem = f"stage {FIRST_STAGE} was opened at {iso(opened[-1].at_ms)}, which is too long ago"
        raise UsageError(Problem("stage-closed", where, problem, "`stagegate stage promote` opens it anew"))


def begin(ledger: Ledger, permit: Permit, release: Release, mode: Mode, *, close_ms: int, now_ms: int) -> None:
    """Launch on a ledger without a rollout; the permit comes first, and only where nobody halted since it was allowed.

    Raises:
        PermitError: the permit cannot be written.
        LedgerError: the launch cannot be recorded.
    """
    allowed = ledger.latest_verdict(policy=LAUNCH)
    if not ledger.events(FLATTEN_BEGUN, from_ms=allowed.at_ms if allowed else 0):
        reason = allowed.verdict_id if allowed and allowed.outcome == ALLOW else f"{mode} rollout begun"
        permit.grant(by="run", reason=reason, at_ms=now_ms)
    begin_on(ledger, release, mode, close_ms)


def begin_on(ledger: Ledger, release: Release, mode: Mode, close_ms: int) -> None:
    """Record a launch, with the capital that the mode begins with.

    Raises:
        LedgerError: it cannot be recorded.
    """
    capital = capital_of(mode, release)
    launch(ledger, release, kind=KINDS[mode], stage=capital.stage, capital_usd=capital.usd, at_ms=close_ms)
