"""Where a rollout stands: each condition of the next stage and of the end of this one, and what would satisfy it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.policy.model import DAYS_IN_STAGE, STAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.operations.approvals import Tally
    from engine.operations.stages.facts import Moment
    from engine.operations.stages.rollout import Decided
    from engine.policy.explain import Leaf
    from engine.policy.model import Policy
    from engine.policy.model import Stage as Rules
    from engine.verdict import Verdict

WAIT = "wait"

_CURES = {
    "launch": "stagegate launch-guard --stage {to}; it is fresh for an hour",
    "weekly_review": "stagegate report --weekly, then stagegate review sign weekly --decision continue --key KEY",
    "monthly_review": "stagegate report --monthly, then stagegate review sign monthly --decision continue --key KEY",
    "watcher_named": "stagegate stage watcher NAME --key KEY",
    "paper_evidence": "stagegate stage evidence write, then stagegate stage evidence verify",
    "signal_consistency": "stagegate consistency on the paper ledger, then its evidence anew",
    "sharpe_30d": "30 days on paper with a better result, then its evidence anew",
    "max_drawdown_30d": "30 days on paper with a better result, then its evidence anew",
    "exposure": "approve the recovery: stagegate approvals",
    "flatten_events_stage": "none: the stage begins anew with a restart",
    "slippage_ratio": "better executions; the window is 7 days, else 30",
    "cost_ratio": "lower costs; the window is 7 days, else 30",
}


@dataclass(frozen=True)
class Condition:
    """One condition as it stands.

    Attributes:
        fact: its name.
        title: of the fact.
        value: in its unit; None where it is not known, and `status` says why.
        unit: of value and margin.
        test: what is asked.
        holds: None where the value is not known.
        margin: how far the value is from the threshold, without sign; None where that means nothing.
        status: of the fact: ok, young, stale, missing or invalid.
        cure: what satisfies it; empty where it holds, or where it would end the stage.
    """

    fact: str
    title: str
    value: str | None
    unit: str
    test: str
    holds: bool | None
    margin: str | None
    status: str
    cure: str


@dataclass(frozen=True)
class StageStanding:
    """Where a rollout stands in its stage.

    Attributes:
        at_ms: the moment.
        kind: of the ledger: live, paper or rehearsal; empty where nothing was launched.
        stage: 0 to 3.
        title: of the stage.
        since_ms: when it was entered; None where nothing was launched.
        days: complete UTC days in it; of Stage 0 of real money those that its evidence proves.
        min_days: how many it must last.
        cap_usd: the most that may be at risk.
        equity_usd: the risk equity at the last mark; None: none.
        exposure: in force.
        paused_since_ms: set until the restart.
        outcome: of the stage policy now.
        exit_code: that it declares for it.
        fired: the rules behind it.
        to: the next stage; None: there is none.
        to_cap_usd: its capital; None where there is none.
        approvals: how many different people must agree.
        promote: what must hold, all of it.
        abort_to: where the stage ends; None: it does not end early.
        abort: what ends it, any of it.
        requests: of promotions out of this stage, with their signatures, newest last.
        runner: what runs on the ledger; empty: nothing.
    """

    at_ms: int
    kind: str
    stage: int
    title: str
    since_ms: int | None
    days: int | None
    min_days: int
    cap_usd: float
    equity_usd: float | None
    exposure: float
    paused_since_ms: int | None
    outcome: str
    exit_code: int
    fired: tuple[str, ...]
    to: int | None
    to_cap_usd: float | None
    approvals: int
    promote: tuple[Condition, ...]
    abort_to: int | None
    abort: tuple[Condition, ...]
    requests: tuple[Tally, ...]
    runner: str = ""

    @property
    def missing(self) -> tuple[Condition, ...]:
        """What keeps it from the next stage."""
        return tuple(each for each in self.promote if not each.holds)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            **vars(self),
            "promote": [vars(each) for each in self.promote],
            "abort": [vars(each) for each in self.abort],
            "missing": [each.fact for each in self.missing],
            "requests": [tally.to_json() for tally in self.requests],
        }


def standing_of(
    decided: Decided,
    moment: Moment,
    requests: Iterable[Tally],
    *,
    kind: str,
    launched: bool,
    runner: str = "",
) -> StageStanding:
    """Return where a rollout stands, from a decision about it.

    Args:
        decided: of the stage policy, now.
        moment: what was known.
        requests: of promotions out of this stage.
        kind: of the ledger.
        launched: whether a rollout began on it.
        runner: what runs on it.
    """
    verdict, posture = decided.verdict, moment.posture
    policy = verdict.policy
    rules = policy.stages[posture.stage]
    to = rules.promote.to if rules.promote else None
    days = verdict.facts[DAYS_IN_STAGE].value
    return StageStanding(
        at_ms=moment.now_ms,
        kind=kind,
        stage=posture.stage,
        title=rules.title,
        since_ms=moment.tenure.entered_ms if launched else None,
        days=None if days is None else int(days),
        min_days=rules.min_days,
        cap_usd=posture.cap_usd,
        equity_usd=verdict.situation.equity_usd,
        exposure=posture.exposure,
        paused_since_ms=posture.paused_since_ms,
        outcome=verdict.outcome,
        exit_code=policy.exit_codes[verdict.outcome],
        fired=verdict.decision.fired,
        to=to,
        to_cap_usd=None if to is None else float(policy.stages[to].cap_usd),
        approvals=rules.promote.approvals if rules.promote else 0,
        promote=_promote(verdict, policy, rules),
        abort_to=rules.abort.to if rules.abort else None,
        abort=_abort(verdict, rules),
        requests=tuple(requests),
        runner=runner,
    )


def _promote(verdict: Verdict, policy: Policy, rules: Rules) -> tuple[Condition, ...]:
    if rules.promote is None:
        return ()
    explained = {one.id: one for one in verdict.explainer.explained(verdict.snapshot)}
    leaves = [leaf for leaf in explained[rules.promote.rule].conditions if leaf.fact != STAGE]
    return tuple(_condition(leaf, verdict, policy, rules.promote.to) for leaf in leaves)


def _abort(verdict: Verdict, rules: Rules) -> tuple[Condition, ...]:
    if rules.abort is None:
        return ()
    explained = {one.id: one for one in verdict.explainer.explained(verdict.snapshot)}
    leaves = [leaf for rule in rules.abort.rules for leaf in explained[rule].conditions if leaf.fact != STAGE]
    return tuple(_condition(leaf, verdict, verdict.policy, None) for leaf in leaves)


def _condition(leaf: Leaf, verdict: Verdict, policy: Policy, to: int | None) -> Condition:
    holds = {"TRUE": True, "FALSE": False, "UNKNOWN": None}[leaf.truth]
    cure = "" if holds or to is None else _CURES.get(leaf.fact, WAIT).format(to=to)
    return Condition(
        fact=leaf.fact,
        title=policy.vocabulary.facts[leaf.fact].title,
        value=leaf.value,
        unit=leaf.unit,
        test=leaf.test,
        holds=holds,
        margin=leaf.margin,
        status=verdict.facts[leaf.fact].status,
        cure=cure,
    )
