"""A promotion that is carried out where nothing runs: the same steps as the governor's, on the ledger alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bounds import PROMOTION, STAGE, Change, cap_of, subject_of
from engine.live.account import RiskAccount
from engine.live.eventlog import EventLog
from engine.live.opening import launched_ms
from engine.live.stages import ACTION
from engine.operations.stages.rollout import STAGES
from engine.operations.stages.steps import Rules, promoted

if TYPE_CHECKING:
    from engine.config import FrozenConfig
    from engine.ledger import Ledger
    from engine.operations.approvals import Tally
    from engine.operations.stages.facts import Moment
    from engine.operations.stages.rollout import Decided
    from engine.policy.bundle import Bundle

BY = "stage"


def carry_out(
    ledger: Ledger, bundle: Bundle, config: FrozenConfig, decided: Decided, moment: Moment, request: Tally
) -> None:
    """Enter the next stage: the request is used, the flow and the new bounds are recorded.

    Where nothing was launched yet, Stage 1 is open for the launch; its capital is recorded there.

    Args:
        ledger: of real money, open for writing; the caller holds its lock.
        bundle: the policies.
        config: the frozen configuration.
        decided: a promotion.
        moment: when it was decided.
        request: granted.

    Raises:
        LedgerError: it cannot be recorded; nothing was.
    """
    transition = decided.transition
    assert transition is not None, "a promotion leads somewhere"
    rules = Rules(bundle.policies[STAGES], bundle.policies[ACTION])
    signers = tuple(signer.name for signer in request.signers)
    by = {"verdict_id": decided.verdict.verdict_id}
    used = {"subject": request.request.subject, "request_id": request.request.request_id, "signers": list(signers)}
    events, now_ms = EventLog(BY, ledger), moment.now_ms
    events.record(now_ms, Change("approval_given", PROMOTION, used))
    with ledger.transaction():
        if launched_ms(ledger) is None:
            detail = {
                "from": transition.start,
                "to": transition.to,
                "cap_usd": cap_of(rules.stages, transition.to, 0.0),
                "flow_usd": 0.0,
                "because": list(transition.rules),
                "approvals": list(signers),
            }
            events.record(now_ms, Change(STAGE, subject_of(transition.start, transition.to), {**detail, **by}))
        else:
            account = RiskAccount.read(ledger, config.market.symbols)
            step = promoted(moment.posture, transition, rules, equity_usd=account.equity_usd, approvals=signers)
            if step.flow_usd:
                account.flow(now_ms, step.flow_usd, STAGE)
            ledger.append(account.unwritten())
            for change in step.changes:
                events.record(now_ms, Change(change.kind, change.subject, {**change.detail, **by}))
            bounds = {**step.posture.in_force(), "reason": STAGE, **by}
            events.record(now_ms, Change("bounds", STAGE, bounds))
            events.record(now_ms, Change("posture", str(step.posture.stage), step.posture.to_json()))
        ledger.append(events.take())
