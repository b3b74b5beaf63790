"""Where alerts go: named routes, each an Apprise URL that names environment variables, and the severities it takes.

Without a file of routes there is one, Telegram, from the frozen configuration's notification block (R023, R024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.alerts.alert import Severity
from engine.clock import SECOND_MS
from engine.config.mistakes import problems, schema_mistakes, shown
from engine.config.secret import REFERENCE, Secret
from engine.documents import read_document
from engine.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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

    def takes(self, severity: Severity) -> bool:
        """Return whether an alert of this severity goes here."""
        return severity.rank >= self.least.rank


def routes_of(notification: NotificationConfig) -> tuple[Route, ...]:
    """Return the route of the frozen configuration; none where notification is off or not configured."""
    token, chat = notification.telegram_bot_token, notification.telegram_chat_id
    if not notification.enabled or token is None or chat is None:
        return ()
    return (Route(TELEGRAM, Secret(f"tgram://{token.template}/{chat.template}/")),)


def load_routes(path: Path) -> tuple[Route, ...]:
    """Return the routes of a file.

    Raises:
        ConfigError: with every mistake of the file.
    """
    document = read_document(path)
    if not isinstance(document.data, dict):
        problem = f"the file must hold `routes`, found {shown(document.data)}"
        raise ConfigError(Problem("type", document.where(), problem, "see config/alerts.example.yaml"))
    mistakes = schema_mistakes(document.data, _SCHEMA)
    if mistakes:
        raise ConfigError(problems(document, mistakes))
    return tuple(
        Route(
            name,
            Secret(values["url"]),
            Severity(values.get("least", Severity.INFO)),
            round(values.get("every_seconds", EVERY_MS / SECOND_MS) * SECOND_MS),
        )
        for name, values in document.data["routes"].items()
    )


def _names_its_secret(field: str, value: Any, error: Callable[[str, str], None]) -> None:
    """Refuse an address that carries its secrets in the open: the file is committed."""
    if isinstance(value, str) and not REFERENCE.search(value):
        error(field, "env")


_SCHEMA: dict[str, dict[str, Any]] = {
    "routes": {
        "type": "dict",
        "empty": False,
        "keysrules": {"type": "string"},
        "valuesrules": {
            "type": "dict",
            "schema": {
                "url": {
                    "type": "string",
                    "required": True,
                    "check_with": _names_its_secret,
                    "meta": {"expected": "an Apprise address whose secrets are `${NAMES}` of environment variables"},
                },
                "least": {
                    "type": "string",
                    "required": False,
                    "allowed": [str(severity) for severity in Severity],
                    "meta": {"expected": f"one of {', '.join(Severity)}"},
                },
                "every_seconds": {
                    "type": "number",
                    "required": False,
                    "min": 0,
                    "max": 3600,
                    "meta": {"expected": "seconds from 0 to 3,600"},
                },
            },
            "meta": {"expected": "a route with `url` and perhaps `least` and `every_seconds`"},
        },
        "meta": {"expected": "routes by name"},
    },
}
