"""Where alerts go: named routes, each an Apprise URL that names environment variables, and the severities it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.config.secret import Secret

if TYPE_CHECKING:
    from engine.alerts.alert import Alert
    from engine.config.model import NotificationConfig

TELEGRAM = "telegram"
EVERY_MS = 1_000
"""Telegram takes about one message a second in one chat (Bot API FAQ, "broadcasting to users")."""


@dataclass(frozen=True)
class Route:
    """One way to people.

    Attributes:
        name: for the record of deliveries.
        url: for Apprise; its secrets are names of environment variables.
        least: the mildest severity that it takes.
        every_ms: no two messages are sent closer together.
    """

    name: str
    url: Secret
    least: Severity = Severity.INFO
    every_ms: int = EVERY_MS

    def takes(self, alert: Alert) -> bool:
        """Return whether an alert goes here."""
        return alert.route == self.name if alert.route else alert.severity.rank >= self.least.rank


def routes_of(notification: NotificationConfig) -> tuple[Route, ...]:
    """Return the route of the frozen configuration; none where notification is off or not configured."""
    token, chat = notification.telegram_bot_token, notification.telegram_chat_id
    if not notification.enabled or token is None or chat is None:
        return ()
    return (Route(TELEGRAM, Secret(f"tgram://{token.template}/{chat.template}/")),)
