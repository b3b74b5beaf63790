"""Transitions of the rollout as steps of the bounds: pure, one stage at a time. The policy says where to and on what.

Changes of the cap are virtual flows of the risk equity (A53). A stage without capital keeps the account as it is, flat:
its NAV goes on, and the flow is that of the next entry.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from engine.bounds import (
    INCIDENT,
    PROMOTION,
    RESTART,
    SCALE_UP,
    STAGE,
    Change,
    Request,
    Step,
    cap_of,
    flow_into,
    paused,
    subject_of,
)

if TYPE_CHECKING:
    from engine.bounds import Episode, Posture
    from engine.policy.model import Policy
    from engine.policy.stages import Transition


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a transition obeys.

    Attributes:
        stages: the stage policy: caps, and what its outcomes do.
        action: the action policy: how a closed book is opened again.
        paper_usd: the simulated capital of Stage 0; 0 where money is real, which has none there.
    """

    stages: Policy
    action: Policy
    paper_usd: float = 0.0


def aborted(posture: Posture, transition: Transition, rules: Rules, now_ms: int, *, equity_usd: float) -> Step:
    """Return the posture once a stage has ended (R084, R100): a lower cap at once, and a flat book where it says so.

    A REDUCE of the same moment has cut already what the lower cap cuts: one cut, to the cap (A03), and what the cap
    cuts less, the REDUCE goes on cutting. A book that is closed waits for its restart, which leads a stage down by
    itself (R182); only an abort that closes the book as well moves the stage of one (A02).

    Args:
        posture: before.
        transition: an abort.
        rules: what it obeys.
        now_ms: the decision's time.
        equity_usd: the risk equity now.
    """
    was_paused = posture.paused_since_ms is not None
    if was_paused and not transition.flatten:
        return Step(posture)
    cap_usd = cap_of(rules.stages, transition.to, rules.paper_usd)
    kept = tuple(request for request in posture.requests if request.kind not in {SCALE_UP, PROMOTION})
    after = dataclasses.replace(posture, stage=transition.to, cap_usd=cap_usd, requests=kept)
    if 0 < cap_usd < posture.cap_usd:
        episodes = tuple(
            _under(cap_usd, posture.cap_usd, episode) if episode.since_ms == now_ms else episode
            for episode in posture.episodes
        )
        exposure = posture.exposure if was_paused else min((one.exposure for one in episodes), default=1.0)
        after = dataclasses.replace(after, episodes=episodes, exposure=exposure)
    # an abort takes capital away, it never pays any in: that waits for people (A100)
    flow_usd = min(0.0, flow_into(cap_usd, equity_usd))
    moved = _stage_change(transition, cap_usd, flow_usd, ())
    effects = rules.stages.effects[transition.outcome]
    changes: tuple[Change, ...] = (moved,)
    if transition.flatten and not was_paused:
        until_restart = next(one for one in rules.action.effects.values() if one.until == RESTART)
        closed = paused(after, transition.outcome, until_restart, now_ms)
        after, changes = closed.posture, (moved, *closed.changes)
    if effects.incident:
        changes = (*changes, Change(INCIDENT, transition.outcome, {"severity": effects.incident}))
    return Step(after, changes, flow_usd)


def asked(posture: Posture, transition: Transition, now_ms: int) -> Step:
    """Return the posture with a promotion that waits for people; one that waits already stays as it is."""
    if waiting(posture) is not None:
        return Step(posture)
    request = Request(PROMOTION, subject_of(transition.start, transition.to), now_ms, transition.approvals)
    change = Change("approval_requested", PROMOTION, {"subject": request.subject, "approvals": request.approvals})
    return Step(dataclasses.replace(posture, requests=(*posture.requests, request)), (change,))


def waiting(posture: Posture) -> Request | None:
    """Return the promotion that waits for people; None: none does."""
    return next((request for request in posture.requests if request.kind == PROMOTION), None)


def promoted(
    posture: Posture, transition: Transition, rules: Rules, *, equity_usd: float, approvals: tuple[str, ...]
) -> Step:
    """Return the posture in the next stage, with exactly its capital at risk (A53, R090).

    Drawdown and streaks go on: only a signed restart begins them anew (A05). A REDUCE that an abort took into its cut,
    and that nobody has ended, cuts what the higher cap would add.

    Args:
        posture: before.
        transition: a promotion, with all its approvals.
        rules: what it obeys.
        equity_usd: the risk equity now.
        approvals: who agreed, for the record.
    """
    cap_usd = cap_of(rules.stages, transition.to, rules.paper_usd)
    flow_usd = flow_into(cap_usd, equity_usd)
    kept = tuple(request for request in posture.requests if request.kind != PROMOTION)
    episodes, exposure = posture.episodes, posture.exposure
    if posture.cap_usd > 0:
        episodes = tuple(_under(cap_usd, posture.cap_usd, episode) for episode in episodes)
        exposure = min((exposure, *(episode.exposure for episode in episodes)))
    after = dataclasses.replace(
        posture, stage=transition.to, cap_usd=cap_usd, requests=kept, episodes=episodes, exposure=exposure
    )
    return Step(after, (_stage_change(transition, cap_usd, flow_usd, approvals),), flow_usd)


def _under(cap_usd: float, before_usd: float, episode: Episode) -> Episode:
    """Return an episode that leaves as much at risk under another cap as it did under the one before, at most all."""
    return dataclasses.replace(episode, exposure=min(1.0, episode.exposure * before_usd / cap_usd))


def _stage_change(transition: Transition, cap_usd: float, flow_usd: float, approvals: tuple[str, ...]) -> Change:
    detail: dict[str, Any] = {
        "from": transition.start,
        "to": transition.to,
        "cap_usd": cap_usd,
        "flow_usd": flow_usd,
        "because": list(transition.rules),
        "approvals": list(approvals),
    }
    return Change(STAGE, subject_of(transition.start, transition.to), detail)
