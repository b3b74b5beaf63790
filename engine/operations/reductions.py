"""What is said again and again of a reduced exposure that lasts: it never ends in a pause, so a person looks (A29)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerts.alert import OF_EFFECT, Alert
from engine.bounds import effects_of
from engine.clock import iso
from engine.policy.notation import duration_words

if TYPE_CHECKING:
    from engine.bounds import Episode, Posture
    from engine.policy.model import Policy


def lasting_pages(posture: Posture, policy: Policy, now_ms: int) -> tuple[Alert, ...]:
    """Return the latest page of each episode that has lasted for its policy's `page_every` or longer.

    Asked again before the next one is due, it is the same page.

    Args:
        posture: in force.
        policy: the action policy; of an episode without `page_every` nothing is said.
        now_ms: the time.
    """
    every = ((episode, effects_of(policy, episode.kind).page_every_ms) for episode in posture.episodes)
    lasted = ((episode, (now_ms - episode.since_ms) // ms * ms) for episode, ms in every if ms is not None)
    return tuple(_page(episode, lasted_ms) for episode, lasted_ms in lasted if lasted_ms > 0)


def _page(episode: Episode, lasted_ms: int) -> Alert:
    return Alert(
        episode.since_ms + lasted_ms,
        OF_EFFECT["page"],
        f"episode {episode.kind} {episode.since_ms}",
        f"{episode.kind}: exposure ×{episode.exposure:g} for {duration_words(lasted_ms)}",
        (
            ("why", f"since {iso(episode.since_ms)}, and it lasts"),
            ("do", "`stagegate verdict --why` says what holds it, `stagegate approvals` what people must sign"),
        ),
    )
