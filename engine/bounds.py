"""What a verdict does: exposure, cap and entries in force, episodes, and what waits for a person's approval.

Pure transitions of one persisted value, `Posture`. The numbers (exposure 0.5, ×1.5, 5 days, 2 approvals) are effects
declared in the policy; nothing of the SOP is decided here. REDUCE and PAUSE act by themselves; SCALE_UP, recovery and
restart wait for people (A32).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.policy.effects import Effects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.policy.model import Policy

INCIDENT = "incident"
RECOVERY = "recovery"
RESTART = "restart"
SCALE_UP = "scale_up"
PROMOTION = "promote"
STAGE = "stage"
"""The kind of the event of every transition: up, an abort or a restart; its subject is ``1->2``."""

_ENGINES = "engines"
_ENGINES_SEVERITY = "MEDIUM"  # A85: no hard stop and no REDUCE


@dataclass(frozen=True)
class Request:
    """Something that happens only when enough people approve it.

    Attributes:
        kind: ``recovery``, ``restart``, ``scale_up`` or ``promote``.
        subject: the episode's kind for a recovery, the stages for a promotion, else the outcome that asks.
        at_ms: when it was asked for.
        approvals: how many different people must agree.
    """

    kind: str
    subject: str
    at_ms: int
    approvals: int


@dataclass(frozen=True)
class Episode:
    """A stretch of reduced exposure: it acts once, however often its conditions fire again (A29)."""

    kind: str
    since_ms: int
    last_seen_ms: int
    exposure: float


@dataclass(frozen=True)
class Posture:
    """The bounds in force, as the ledger remembers them.

    Attributes:
        stage: 0 to 3.
        cap_usd: the most that may be at risk (A52).
        exposure: the multiplier of every target, 0 to 1 (A31).
        entries_allowed: whether exposure may be opened or increased.
        epoch_ms: since when drawdown and returns count: launch, or the last signed restart (A05).
        streaks_since_ms: days that ended before it are in no streak (A34).
        episodes: the running REDUCE episodes, one a kind.
        paused_since_ms: set from a PAUSE until the restart.
        scaled_up_at_ms: the last SCALE_UP that took effect.
        requests: what waits for approval.
        distrusted_since_ms: since when the engines differ or one gives no answer; None while they agree.
    """

    stage: int
    cap_usd: float
    epoch_ms: int
    streaks_since_ms: int
    exposure: float = 1.0
    entries_allowed: bool = True
    episodes: tuple[Episode, ...] = ()
    paused_since_ms: int | None = None
    scaled_up_at_ms: int | None = None
    requests: tuple[Request, ...] = ()
    distrusted_since_ms: int | None = None

    @property
    def flat(self) -> bool:
        """Whether nothing can be at risk: the book is closed until a restart, or the stage has no capital."""
        return self.paused_since_ms is not None or self.cap_usd == 0

    def in_force(self) -> dict[str, Any]:
        """Return what orders are bound by, as plain values."""
        entries = "allowed" if self.entries_allowed else "blocked"
        return {"stage": self.stage, "cap_usd": self.cap_usd, "exposure": self.exposure, "entries": entries}

    def lasting(self) -> Posture:
        """Return it without what every verdict writes anew: when an episode was last seen."""
        seen = tuple(dataclasses.replace(episode, last_seen_ms=episode.since_ms) for episode in self.episodes)
        return dataclasses.replace(self, episodes=seen)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the ledger."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Posture:
        """Return what `to_json` wrote."""
        return cls(
            **{
                **values,
                "episodes": tuple(Episode(**episode) for episode in values["episodes"]),
                "requests": tuple(Request(**request) for request in values["requests"]),
            }
        )


@dataclass(frozen=True)
class Change:
    """One thing that happened to the posture, for the ledger's events and for people."""

    kind: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """A posture after a verdict or an approval, and what changed on the way.

    `flow_usd` is the virtual cash flow that a new cap brings to the risk equity (A53).
    """

    posture: Posture
    changes: tuple[Change, ...] = ()
    flow_usd: float = 0.0


def initial_posture(stage: int, cap_usd: float, at_ms: int) -> Posture:
    """Return the posture of a launch at `stage` with full exposure."""
    return Posture(stage=stage, cap_usd=cap_usd, epoch_ms=at_ms, streaks_since_ms=at_ms)


def after_verdict(
    posture: Posture, policy: Policy, outcome: str, fired: Iterable[str], now_ms: int, *, trusted: bool = True
) -> Step:
    """Return the posture once a verdict has been given.

    Args:
        posture: before.
        policy: the policy that decided; its effects say what to do.
        outcome: the verdict's outcome.
        fired: the ids of the rules that fired.
        now_ms: the verdict's time.
        trusted: False where the engines disagreed or one failed: entries are blocked, and an incident is opened, one
            for as long as it lasts; the verdict holds what each of them said.
    """
    opened = Step(dataclasses.replace(posture, distrusted_since_ms=None)) if trusted else distrusted(posture, now_ms)
    step = _acted(opened.posture, policy, outcome, fired, now_ms, trusted=trusted)
    return dataclasses.replace(step, changes=(*step.changes, *opened.changes))


def distrusted(posture: Posture, now_ms: int) -> Step:
    """Return the posture while the engines cannot be trusted: no entries, and one incident for as long as it lasts."""
    since_ms = posture.distrusted_since_ms
    after = dataclasses.replace(
        posture, entries_allowed=False, distrusted_since_ms=now_ms if since_ms is None else since_ms
    )
    opened = Change(INCIDENT, _ENGINES, {"severity": _ENGINES_SEVERITY})
    return Step(after, () if since_ms is not None else (opened,))


def _acted(posture: Posture, policy: Policy, outcome: str, fired: Iterable[str], now_ms: int, *, trusted: bool) -> Step:
    """Return the posture after the effects of an outcome and of the rules that fired."""
    instances = {instance.id: instance for instance in policy.instances}
    fired_instances = [instances[name] for name in fired]
    blocked = not trusted or any(instance.effects.entries_blocked for instance in fired_instances)
    effects = policy.effects[outcome]
    if effects.until == RESTART:
        return paused(posture, outcome, effects, now_ms)
    if posture.paused_since_ms is not None:
        return Step(posture)
    step = _episodes(posture, policy, fired_instances, now_ms)
    if effects.cap_factor is not None:
        step = _ask(step, Request(SCALE_UP, outcome, now_ms, effects.approvals), _may_scale(posture, effects, now_ms))
    else:  # it is asked for again once its days are full again
        step = _withdraw(step, SCALE_UP, now_ms)
    return _with(step, entries_allowed=not (blocked or effects.entries_blocked))


def paused(posture: Posture, outcome: str, effects: Effects, now_ms: int) -> Step:
    """Return the posture once the book is closed until a signed restart.

    Args:
        posture: before; one that is paused already stays as it is.
        outcome: whose effects these are, of the action policy or of the risk guard.
        effects: they say how many must sign the restart.
        now_ms: the time of the decision.
    """
    if posture.paused_since_ms is not None:
        return Step(posture)
    request = Request(RESTART, outcome, now_ms, effects.approvals)
    paused = dataclasses.replace(
        posture,
        exposure=_exposure(effects),
        entries_allowed=False,
        episodes=(),
        paused_since_ms=now_ms,
        requests=(request,),
    )
    changes = (
        Change("flatten", outcome, {"exposure": paused.exposure}),
        Change("approval_requested", RESTART, {"approvals": request.approvals, "subject": outcome}),
    )
    return Step(paused, changes)


def _episodes(posture: Posture, policy: Policy, fired: Iterable[Any], now_ms: int) -> Step:
    """Start, prolong, ask to end, or end the episodes of reduced exposure."""
    running = {episode.kind: episode for episode in posture.episodes}
    requests = {(request.kind, request.subject): request for request in posture.requests}
    changes: list[Change] = []
    ended = False
    for instance in fired:
        effects = policy.effects[instance.outcome]
        if not effects.once_per_episode:
            continue
        kind = instance.episode or instance.outcome
        if kind in running:
            running[kind] = dataclasses.replace(running[kind], last_seen_ms=now_ms)
        else:
            running[kind] = Episode(kind, now_ms, now_ms, _exposure(effects))
            changes.append(Change("episode_start", kind, {"rule": instance.id, "exposure": running[kind].exposure}))
        if requests.pop((RECOVERY, kind), None):
            changes.append(Change("approval_withdrawn", RECOVERY, {"subject": kind, "rule": instance.id}))
    for kind, episode in list(running.items()):
        recovery = effects_of(policy, kind)
        if recovery.recovery_ms is None or now_ms - episode.last_seen_ms < recovery.recovery_ms:
            continue
        if recovery.approvals == 0:
            del running[kind]
            ended = True
            changes.append(Change("episode_end", kind, {"since": iso(episode.since_ms)}))
        elif (RECOVERY, kind) not in requests:
            requests[RECOVERY, kind] = Request(RECOVERY, kind, now_ms, recovery.approvals)
            changes.append(Change("approval_requested", RECOVERY, {"subject": kind, "approvals": recovery.approvals}))
    after = dataclasses.replace(
        posture,
        episodes=tuple(running.values()),
        requests=tuple(requests.values()),
        exposure=min((episode.exposure for episode in running.values()), default=1.0),
        streaks_since_ms=now_ms if ended else posture.streaks_since_ms,
    )
    return Step(after, tuple(changes))


def effects_of(policy: Policy, kind: str) -> Effects:
    """Return what holds for a kind of episode.

    One that began under another bundle, and that this one does not know, is any other outcome's that acts by episodes:
    it must be able to end.
    """
    own = policy.episodes.get(kind) or policy.effects.get(kind)
    return own or next((one for one in policy.effects.values() if one.once_per_episode), Effects())


def _ask(step: Step, request: Request, allowed: bool) -> Step:  # noqa: FBT001 - the answer to "may it?"
    waiting = any(other.kind == request.kind for other in step.posture.requests)
    if not allowed or waiting:
        return step
    change = Change("approval_requested", request.kind, {"subject": request.subject, "approvals": request.approvals})
    after = _with(step, requests=(*step.posture.requests, request))
    return dataclasses.replace(after, changes=(*after.changes, change))


def _withdraw(step: Step, kind: str, now_ms: int) -> Step:
    kept = tuple(request for request in step.posture.requests if request.kind != kind)
    if len(kept) == len(step.posture.requests):
        return step
    change = Change("approval_withdrawn", kind, {"at": iso(now_ms)})
    after = _with(step, requests=kept)
    return dataclasses.replace(after, changes=(*after.changes, change))


def _may_scale(posture: Posture, effects: Effects, now_ms: int) -> bool:
    if posture.scaled_up_at_ms is None or effects.at_most_ms is None:
        return True
    return now_ms - posture.scaled_up_at_ms >= effects.at_most_ms


def cap_of(stages: Policy, stage: int, paper_usd: float) -> float:
    """Return a stage's cap; the paper stage's is the simulated capital, which only a paper account has (R058)."""
    return float(stages.stages[stage].cap_usd) or paper_usd


def restart_cap_usd(stages: Policy, posture: Posture) -> float:
    """Return the cap that a restart leads to; a paper account's is the one it has, as it stays at its stage."""
    stage = stages.stages[posture.stage].restart_at
    return cap_of(stages, stage, posture.cap_usd if stage == posture.stage else 0.0)


def flow_into(cap_usd: float, equity_usd: float) -> float:
    """Return the virtual flow with which a stage begins: it puts exactly its capital at risk (A53).

    A stage without capital risks none and moves none: the account goes on flat, so that its NAV is never of nothing.
    """
    return cap_usd - equity_usd if cap_usd else 0.0


def subject_of(start: int, to: int) -> str:
    """Return a transition's name: ``1->2``."""
    return f"{start}->{to}"


def after_approval(
    posture: Posture,
    policy: Policy,
    stages: Policy,
    request: Request,
    now_ms: int,
    *,
    equity_usd: float,
    paper_usd: float = 0.0,
) -> Step:
    """Return the posture once a request has all its approvals.

    Args:
        posture: before.
        policy: the policy whose effects are approved.
        stages: the stage policy: caps, and where a restart leads (A67).
        request: one of `posture.requests`.
        now_ms: the time of the last approval.
        equity_usd: the risk equity now; a restart begins with exactly the stage's capital (A53).
        paper_usd: the simulated capital of the paper stage; 0 where money is real.

    Raises:
        ValueError: `request` is not waiting.
    """
    if request not in posture.requests:
        raise ValueError(f"no such request is waiting: {request.kind} {request.subject}")
    rest = tuple(other for other in posture.requests if other != request)
    if request.kind == RESTART:
        return _restarted(posture, stages, now_ms, equity_usd, paper_usd)
    if request.kind == SCALE_UP:
        factor = policy.effects[request.subject].cap_factor
        assert factor is not None
        cap_usd = posture.cap_usd * factor
        after = dataclasses.replace(
            posture, cap_usd=cap_usd, scaled_up_at_ms=now_ms, streaks_since_ms=now_ms, requests=rest
        )
        change = Change("scale_up", request.subject, {"cap_usd": cap_usd, "from_usd": posture.cap_usd})
        return Step(after, (change,), flow_usd=cap_usd - posture.cap_usd)
    left = tuple(episode for episode in posture.episodes if episode.kind != request.subject)
    after = dataclasses.replace(
        posture,
        episodes=left,
        requests=rest,
        exposure=min((episode.exposure for episode in left), default=1.0),
        streaks_since_ms=now_ms,
    )
    return Step(after, (Change("episode_end", request.subject, {"exposure": after.exposure}),))


def _restarted(posture: Posture, stages: Policy, now_ms: int, equity_usd: float, paper_usd: float) -> Step:
    stage = stages.stages[posture.stage].restart_at
    cap_usd = cap_of(stages, stage, paper_usd)
    after = initial_posture(stage, cap_usd, now_ms)
    after = dataclasses.replace(after, scaled_up_at_ms=posture.scaled_up_at_ms)
    flow_usd = flow_into(cap_usd, equity_usd)
    change = Change("restart", str(stage), {"stage": stage, "cap_usd": cap_usd, "from_stage": posture.stage})
    if stage == posture.stage:
        return Step(after, (change,), flow_usd)
    detail = {"from": posture.stage, "to": stage, "cap_usd": cap_usd, "flow_usd": flow_usd, "because": [RESTART]}
    return Step(after, (change, Change(STAGE, subject_of(posture.stage, stage), detail)), flow_usd)


def _exposure(effects: Effects) -> float:
    return 1.0 if effects.exposure is None else effects.exposure


def _with(step: Step, **values: Any) -> Step:
    return dataclasses.replace(step, posture=dataclasses.replace(step.posture, **values))
