"""Stages as people work on them: where a ledger stands, promotions asked for and carried out, who watches."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bounds import PROMOTION, RESTART, subject_of
from engine.clock import HOUR_MS
from engine.errors import Problem, UsageError
from engine.inquiry import require_in_force
from engine.launch_word import LAUNCH
from engine.ledger import Ledger
from engine.live.lock import InstanceLock, holder
from engine.live.promotion import carry_out
from engine.live.stage_stand import InterpreterAlone, stand_of
from engine.live.stages import Staging
from engine.live.time_check import present_of
from engine.operations.approvals import ApprovalRequest, ask, tallies
from engine.operations.signatures import sign, verified
from engine.operations.stages.papers import watch_document, watcher_event
from engine.operations.stages.rollout import STAGES
from engine.operations.stages.standing import StageStanding, standing_of
from engine.policy.bundle import load_bundle
from engine.policy.worker import Worker
from engine.verdict import bundle_documents, bundle_hashes

if TYPE_CHECKING:
    from pathlib import Path

    from engine.live.stage_stand import Stand
    from engine.operations.approvals import Tally
    from engine.operations.signatures import Signer
    from engine.operations.stages.rollout import Decided
    from engine.policy.model import Policy

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
            stand = stand_of(ledger, bundle, Staging(InterpreterAlone(bundle.policies[STAGES]), self.signers))
            return self._standing(stand, stand.decide())

    def promote(self, key: Path) -> Promotion:
        """Ask for the next stage, or enter it where enough people have signed and nothing runs on the ledger.

        The stage policy is decided by both engines, and that is recorded whatever it says.

        Args:
            key: of the person who asks, and therefore does not sign.

        Raises:
            UsageError: a bundle that is not in force; a paper ledger, which is not promoted; a paused desk; no stage
                above; or whose key it is cannot be told.
            SignatureError: the key is not one of the allowed signers'.
            LedgerError: the ledger cannot be read or written.
        """
        bundle = load_bundle(self.rules)
        policy = bundle.policies[STAGES]
        with ExitStack() as stack:
            ledger = stack.enter_context(Ledger.open(self.ledger))
            now_ms = present_of(ledger)
            asker = self._signer(key, now_ms)
            runs = holder(self.ledger) is not None
            if not runs:
                stack.enter_context(InstanceLock(self.ledger, "stage promote", now_ms))
            engine = stack.enter_context(Worker(policy))
            stand = stand_of(ledger, bundle, Staging(engine, self.signers))
            _require_promotable(stand, policy)
            decided = stand.decide()
            if decided.promotes or ledger.latest_verdict(policy=LAUNCH) is not None:
                require_in_force(ledger, bundle)
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
            now_ms = present_of(ledger)
            until_ms = now_ms + hours * HOUR_MS
            document = watch_document(name, now_ms, until_ms)
            signature = sign(document.encode(), key)
            signer = verified(document.encode(), signature, self.signers, now_ms)
            if signer.name != name:
                problem = f"it is the key of {signer.name}, and {name} was named"
                raise UsageError(Problem("not-you", str(key), problem, "who watches signs for it"))
            ledger.append(watcher_event(name, now_ms, until_ms, signer.fingerprint, signature))
        return until_ms

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
