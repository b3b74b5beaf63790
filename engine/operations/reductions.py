"""What is said each day of a reduced exposure that lasts: it never ends in a pause, so a person must look (A29)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerts.alert import Alert, Severity
from engine.clock import DAY_MS, iso

if TYPE_CHECKING:
    from engine.bounds import Posture


def daily_pages(posture: Posture, now_ms: int) -> tuple[Alert, ...]:
    """Return the latest page of each episode that has lasted for a day or more: the same one all day long.

    Args:
        posture: in force.
        now_ms: the time.
    """
    lasting = ((episode, (now_ms - episode.since_ms) // DAY_MS) for episode in posture.episodes)
    return tuple(
        Alert(
            episode.since_ms + days * DAY_MS,
            Severity.CRITICAL,
            f"episode {episode.kind} {episode.since_ms}",
            f"{episode.kind}: exposure ×{episode.exposure:g} for {days} {'day' if days == 1 else 'days'}",
            (
                ("why", f"since {iso(episode.since_ms)}, and it lasts"),
                ("do", "`stagegate verdict --why` says what holds it, `stagegate approvals` what people must sign"),
            ),
        )
        for episode, days in lasting
        if days
    )
