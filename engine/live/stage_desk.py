"""Stages as people work on them: where a ledger stands, promotions asked for and carried out, evidence, watchers."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.book import AccountBook
from engine.bounds import PROMOTION, RESTART, STAGE, initial_posture, subject_of
from engine.clock import HOUR_MS
from engine.config import load_config
from engine.drill import drill_venue
from engine.errors import Problem, UsageError
from engine.inquiry import RISK, SHADOW, facts_at, posture_at
from engine.ledger import Ledger
from engine.live.account_time import clock_of
from engine.live.drill import check as check_drill
from engine.live.drill import mark as mark_drill
from engine.live.lock import InstanceLock, holder
from engine.live.opening import FOR_EVER_MS, launched_ms
from engine.live.paper import started_beside
from engine.live.promotion import carry_out
from engine.live.stages import ACTION, PAPER, Books, Staging, rollout_of
from engine.live.whole_file import replace_json
from engine.operations.approvals import ApprovalRequest, ask, tallies
from engine.operations.signatures import sign, verified
from engine.operations.stages.evidence import Evidence, evidence_of, read_evidence, verify_evidence
from engine.operations.stages.facts import PAPER_STAGE, Moment
from engine.operations.stages.papers import watch_document, watcher_event
from engine.operations.stages.rollout import STAGES
from engine.operations.stages.standing import StageStanding, standing_of
from engine.operations.stages.tenure import Tenure
from engine.policy.bundle import load_bundle
from engine.policy.decide import Decision
from engine.policy.interpreter import evaluate, outcome_of
from engine.policy.worker import Worker
from engine.verdict import bundle_documents, bundle_hashes
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.config import FrozenConfig
    from engine.operations.approvals import Tally
    from engine.operations.signatures import Signer
    from engine.operations.stages.rollout import Decided, Rollout
    from engine.policy.bundle import Bundle
    from engine.policy.facts import Facts
    from engine.policy.model import Policy, Snapshot

NOT_YET, ASKED, CARRIED_OUT, WITH_RUNNER = "not yet", "asked", "carried out", "with the runner"
"""What `stage promote` comes to."""


@dataclass(frozen=True)
class Promotion:
    """What `stage promote` came to.

    Attributes:
        state: not yet, asked, carried out, or with the runner, which carries it out at its next bar.
        standing: of the rollout when it was decided.
        verdict_id: of that decision, as recorded.
        request: with its signatures; None where nobody may be asked yet.
    """

    state: str
    standing: StageStanding
    verdict_id: str
    request: Tally | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "state": self.state,
            "verdict_id": self.verdict_id,
            "request": None if self.request is None else self.request.to_json(),
            "standing": self.standing.to_json(),
        }


@dataclass(frozen=True)
class Transitioned:
    """One transition, as recorded: when, from where to where, with what capital, on what grounds, by whom."""

    at_ms: int
    start: int
    to: int
    cap_usd: float
    flow_usd: float
    because: tuple[str, ...]
    approvals: tuple[str, ...]
    verdict_id: str


@dataclass(frozen=True)
class InterpreterAlone:
    """The interpreter, for questions that decide nothing: what counts is decided by both engines."""

    policy: Policy

    def decide(self, snapshot: Snapshot) -> Decision:
        """Return what the interpreter says."""
        fired = evaluate(self.policy, snapshot)
        return Decision(outcome_of(self.policy, fired), fired, True, None, fired, fired)  # noqa: FBT003 - it agrees


@dataclass(frozen=True)
class Stand:
    """A ledger, looked at: what is known now, and what decides."""

    ledger: Ledger
    bundle: Bundle
    config: FrozenConfig
    rollout: Rollout
    moment: Moment
    posted: Facts
    equity_usd: float | None
    launched: bool

    @property
    def kind(self) -> str:
        """Of the ledger; live where it does not say yet."""
        return self.ledger.meta().get("kind", "live")

    def decide(self) -> Decided:
        """Return what the stage policy decides now."""
        moment = self.moment
        return self.rollout.decide(
            moment.now_ms, moment.posture, self.posted, moment.flattened_ms, self.equity_usd or 0.0
        )


@dataclass(frozen=True)
class StageDesk:
    """Where stages are worked on.

    Attributes:
        ledger: of the account.
        rules: the bundle.
        signers: the allowed-signers file.
    """

    ledger: Path
    rules: Path
    signers: Path

    def standing(self) -> StageStanding:
        """Return where the rollout stands; nothing is recorded.

        Raises:
            UsageError: there are signatures and no allowed-signers file, or nothing was launched on a paper ledger.
            LedgerError: the ledger cannot be read.
            PolicyError, ConfigError: bundle or configuration are wrong.
        """
        bundle = load_bundle(self.rules)
        with Ledger.open(self.ledger, read_only=True) as ledger:
            stand = self._stand(ledger, bundle, Staging(InterpreterAlone(bundle.policies[STAGES]), self.signers))
            return self._standing(stand, stand.decide())

    def promote(self, key: Path) -> Promotion:
        """Ask for the next stage, or enter it where enough people have signed and nothing runs on the ledger.

        The stage policy is decided by both engines, and that is recorded whatever it says.

        Args:
            key: of the person who asks, and therefore does not sign.

        Raises:
            UsageError: a paper ledger, which is not promoted; a paused desk; no stage above; or whose key it is cannot
                be told.
            SignatureError: the key is not one of the allowed signers'.
            LedgerError: the ledger cannot be read or written.
        """
        bundle = load_bundle(self.rules)
        policy = bundle.policies[STAGES]
        with ExitStack() as stack:
            ledger = stack.enter_context(Ledger.open(self.ledger))
            now_ms = clock_of(ledger).now_ms()
            asker = self._signer(key, now_ms)
            runs = holder(self.ledger) is not None
            if not runs:
                stack.enter_context(InstanceLock(self.ledger, "stage promote", now_ms))
            engine = stack.enter_context(Worker(policy))
            stand = self._stand(ledger, bundle, Staging(engine, self.signers))
            _require_promotable(stand, policy)
            decided = stand.decide()
            ledger.append([*bundle_documents(bundle), *decided.verdict.rows()])
            name = decided.verdict.verdict_id
            if not decided.promotes:
                return Promotion(NOT_YET, self._standing(stand, decided), name, None)
            request = self._request(stand, decided, asker)
            if not request.granted:
                return Promotion(ASKED, self._standing(stand, decided), name, request)
            if runs:
                return Promotion(WITH_RUNNER, self._standing(stand, decided), name, request)
            carry_out(ledger, bundle, stand.config, decided, stand.moment, request)
            request = self._requests(stand)[-1]
            return Promotion(CARRIED_OUT, self._standing(stand, decided), name, request)

    def watch(self, name: str, key: Path, hours: int) -> int:
        """Record that a person watches, signed with that person's key; return until when, ms UTC (R068).

        Raises:
            UsageError: not-you: it is somebody else's key; there is no allowed-signers file.
            SignatureError: the key is nobody's.
            LedgerError: there is no such ledger, or it cannot be written.
        """
        with Ledger.open(self.ledger) as ledger:
            now_ms = clock_of(ledger).now_ms()
            until_ms = now_ms + hours * HOUR_MS
            document = watch_document(name, now_ms, until_ms)
            signature = sign(document.encode(), key)
            signer = verified(document.encode(), signature, self.signers, now_ms)
            if signer.name != name:
                problem = f"it is the key of {signer.name}, and {name} was named"
                raise UsageError(Problem("not-you", str(key), problem, "who watches signs for it"))
            ledger.append(watcher_event(name, now_ms, until_ms, signer.fingerprint, signature))
        return until_ms

    def _stand(self, ledger: Ledger, bundle: Bundle, staging: Staging) -> Stand:
        config = load_config(bundle.config_path)
        now_ms = clock_of(ledger).now_ms()
        launched = launched_ms(ledger) is not None
        if not launched and ledger.meta().get("kind") == PAPER:
            help_ = "run `stagegate run --paper` on it"
            raise UsageError(Problem("not-launched", str(ledger.path), "nothing was launched here", help_))
        books = Books(*(AccountBook.read(ledger, account, config.market.symbols, now_ms) for account in (RISK, SHADOW)))
        posture = posture_at(ledger, FOR_EVER_MS) if launched else initial_posture(PAPER_STAGE, 0.0, 0)
        mark = ledger.last_mark(RISK)
        rollout = rollout_of(ledger, bundle, config, staging, books, version())
        outcomes = frozenset(bundle.policies[ACTION].outcomes)
        begun = tuple(event.at_ms for event in ledger.events("episode_start") if event.subject in outcomes)
        flattened = tuple(event.at_ms for event in ledger.events("flatten"))
        return Stand(
            ledger,
            bundle,
            config,
            rollout,
            Moment(now_ms, posture, Tenure.read(ledger), flattened, begun),
            facts_at(ledger, bundle, posture, now_ms) if launched else {},
            None if mark is None else mark.equity_usd,
            launched,
        )

    def _standing(self, stand: Stand, decided: Decided) -> StageStanding:
        found = holder(self.ledger)
        runner = "" if found is None or found.what == "stage promote" else str(found)
        requests = self._requests(stand)
        return standing_of(decided, stand.moment, requests, kind=stand.kind, launched=stand.launched, runner=runner)

    def _requests(self, stand: Stand) -> tuple[Tally, ...]:
        """Return the requests for promotions out of this stage since it was entered."""
        moment = stand.moment
        rules = stand.bundle.policies[STAGES].stages[moment.posture.stage]
        if rules.promote is None:
            return ()
        subject, since_ms = subject_of(rules.number, rules.promote.to), moment.tenure.entered_ms

        def wanted(asked: ApprovalRequest) -> bool:
            return (asked.action, asked.subject) == (PROMOTION, subject) and asked.asked_ms >= since_ms

        return tallies(stand.ledger, self.signers, moment.now_ms, wanted)

    def _request(self, stand: Stand, decided: Decided, asker: Signer) -> Tally:
        """Return the request that waits or is granted, of this release; where there is none, ask."""
        hashes = bundle_hashes(stand.bundle)
        digest = hashes["digest"]
        waiting = [tally for tally in self._requests(stand) if tally.state in {"waiting", "granted"}]
        of_release = [tally for tally in waiting if tally.request.hashes.get("digest") == digest]
        if of_release:
            return of_release[-1]
        assert decided.transition is not None
        transition, now_ms = decided.transition, stand.moment.now_ms
        request = ApprovalRequest(
            action=PROMOTION,
            subject=subject_of(transition.start, transition.to),
            approvals=transition.approvals,
            asked_by=asker.name,
            asked_ms=now_ms,
            expires_ms=now_ms + stand.bundle.promotion_valid_ms,
            decision_id=decided.verdict.verdict_id,
            stage=transition.start,
            amount_usd=float(stand.bundle.policies[STAGES].stages[transition.to].cap_usd),
            hashes={**hashes, "facts": decided.verdict.hashes["facts"]},
        )
        ask(stand.ledger, request)
        return next(tally for tally in self._requests(stand) if tally.request.request_id == request.request_id)

    def _signer(self, key: Path, now_ms: int) -> Signer:
        """Return whose key it is: by a signature that is made and thrown away."""
        document = f"stage promote {now_ms}".encode()
        return verified(document, sign(document, key), self.signers, now_ms)


def history_of(path: Path) -> tuple[Transitioned, ...]:
    """Return every transition, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with Ledger.open(path, read_only=True) as ledger:
        return tuple(_transitioned(event.at_ms, json.loads(event.document)) for event in ledger.events(STAGE))


def write_evidence(paper: Path, path: Path) -> Evidence:
    """Write what a paper ledger proves.

    Args:
        paper: the paper account's ledger.
        path: of the file; what stood there is replaced.

    Raises:
        UsageError: the ledger is no paper account's, is too young, or the file cannot be written.
        LedgerError: the ledger cannot be read.
    """
    with Ledger.open(paper, read_only=True) as ledger:
        evidence = evidence_of(ledger, prices_of(paper), clock_of(ledger).now_ms(), drill=_is_drill())
    problem = replace_json(path, evidence.whole)
    if problem:
        raise UsageError(Problem("evidence", str(path), problem, "name a folder you may write to with `--file`"))
    return evidence


def verify_file(real: Path, rules: Path, path: Path, paper: Path) -> Evidence:
    """Verify a file against the paper ledger that it came from, and have a ledger know of it.

    Args:
        real: of real money.
        rules: the bundle.
        path: of the file.
        paper: the paper account's ledger.

    Raises:
        DataError: it was altered, is claimed, or of another configuration.
        UsageError: `paper` is no paper account's ledger.
        LedgerError: a ledger cannot be read or written, or was altered.
    """
    bundle = load_bundle(rules)
    evidence = read_evidence(path)
    with Ledger.open(paper, read_only=True) as source:
        verify_evidence(evidence, path, source, bundle.config_sha256, prices_of(paper), drill=_is_drill())
    check_drill(real, drill=_is_drill())
    with Ledger.open(real, create=True) as ledger:
        if _is_drill():
            mark_drill(ledger)  # what stood in for paper there never counts for real money
        ledger.append(evidence.row(clock_of(ledger).now_ms()))
    return evidence


def _is_drill() -> bool:
    return drill_venue(os.environ) is not None


def prices_of(paper: Path) -> Mapping[str, Any] | None:
    """Return what a paper account lives on, as noted beside its ledger; None: that is not known."""
    try:
        said = json.loads(started_beside(paper).read_text(encoding="utf-8"))["prices"]
        return {name: said[name] for name in ("data", "klines", "seed", "speed")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _require_promotable(stand: Stand, policy: Policy) -> None:
    where, stage = str(stand.ledger.path), stand.moment.posture.stage
    if stand.kind != "live":
        problem = f"it is the ledger of a {stand.kind} account, which stays at its stage"
        help_ = "on paper, `stagegate stage evidence write`; then promote on the ledger of real money"
        raise UsageError(Problem("not-live", where, problem, help_))
    if policy.stages[stage].promote is None:
        problem = f"stage {stage} is the last one"
        raise UsageError(Problem("last-stage", where, problem, "more capital comes by SCALE_UP alone (A51)"))
    if any(request.kind == RESTART for request in stand.moment.posture.requests):
        problem = "the book is closed, and waits for a signed restart"
        raise UsageError(Problem("paused", where, problem, "`stagegate incident list`, then `stagegate restart`"))


def _transitioned(at_ms: int, said: Mapping[str, Any]) -> Transitioned:
    return Transitioned(
        at_ms,
        said["from"],
        said["to"],
        said["cap_usd"],
        said["flow_usd"],
        tuple(said["because"]),
        tuple(said.get("approvals", ())),
        said.get("verdict_id", ""),
    )
