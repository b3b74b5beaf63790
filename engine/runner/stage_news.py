"""What people are told of stages after a bar: one that was entered or has ended, and one that may be asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.alerts.alert import OF_EFFECT
from engine.bounds import RESTART, STAGE
from engine.operations.stages.rollout import STAGES
from engine.operations.stages.steps import waiting
from engine.policy.model import ABORT, PROMOTE

if TYPE_CHECKING:
    from engine.runner.open import Post
    from engine.runner.voice import Voice


def tell_stages(post: Post, voice: Voice, close_ms: int) -> None:
    """Tell of the transitions of a bar, as the stage policy wants them told, and of a promotion that waits for people.

    Raises:
        LedgerError: it cannot be told.
    """
    effects = post.place.release.bundle.policies[STAGES].effects
    for event in post.ledger.events(STAGE, from_ms=close_ms, to_ms=close_ms):
        said = json.loads(event.document)
        up = said["to"] > said["from"]
        alert = effects[PROMOTE if up else ABORT].alert
        if alert is None or RESTART in said["because"]:
            continue
        what = (
            f"stage {said['from']} {'left for' if said['to'] > said['from'] else 'ended, back to'} stage {said['to']}"
        )
        done = f"cap {said['cap_usd']:,.0f} USDT, flow {said['flow_usd']:+,.2f} USDT"
        voice.alert_once(OF_EFFECT[alert], f"stage {event.subject}", what, why=", ".join(said["because"]), done=done)
    request, alert = waiting(post.desk.governor.posture), effects[PROMOTE].alert
    if request is None:
        voice.well("promotion")
    elif alert is not None:
        what = f"the next stage may be entered: {request.subject}"
        voice.alert_once(OF_EFFECT[alert], "promotion", what, do="`stagegate stage promote --key KEY`, then signatures")
