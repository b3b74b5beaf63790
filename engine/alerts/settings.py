"""What a desk's alerts file says: where alerts go, how repeats are told, and who may give which commands by chat.

Without a file there is one route, Telegram, from the frozen configuration's notification block (R023, R024), and the
one who may command is whoever writes in a private chat with that id (A82).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.alerts.alert import Severity
from engine.alerts.routes import EVERY_MS, Route, routes_of
from engine.clock import MINUTE_MS, SECOND_MS
from engine.config.mistakes import NO_REFERENCE, problems, schema_mistakes, shown
from engine.config.secret import REFERENCE, Secret
from engine.documents import read_document
from engine.drill import DRILL, drill_venue
from engine.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.config.model import FrozenConfig

FILE_NAME = "alerts.yaml"
EXAMPLE = "see config/alerts.example.yaml"
API_URL = "https://api.telegram.org/bot"
COMMANDS = (
    "status", "positions", "verdict", "why", "stage", "pnl", "reports", "approvals", "halt", "flatten", "help",
)  # fmt: skip

_REPEATS_MINUTES = 10


@dataclass(frozen=True)
class ChatSettings:
    """Who may give which commands by chat.

    Attributes:
        chats: ids of the chats in which commands are heard; empty: the one that alerts go to.
        users: ids of the people who may give them; empty: who writes in a private chat of the above.
        switched_off: commands that nobody may give.
        api_url: of the Bot API; its path ends where the token begins.
    """

    chats: tuple[int, ...] = ()
    users: tuple[int, ...] = ()
    switched_off: frozenset[str] = frozenset()
    api_url: str = API_URL


@dataclass(frozen=True)
class AlertSettings:
    """How a desk tells people, and listens to them.

    Attributes:
        routes: where alerts go.
        prefix: first word of every message; may name environment variables.
        repeats_ms: the same alert again within so long is counted, not sent.
        chat: who may command.
    """

    routes: tuple[Route, ...]
    prefix: Secret | None = None
    repeats_ms: int = _REPEATS_MINUTES * MINUTE_MS
    chat: ChatSettings = ChatSettings()

    def prefix_in(self, environ: Mapping[str, str]) -> str:
        """Return the first words of every message; in a drill the very first says so."""
        prefix = (self.prefix.resolve(environ) if self.prefix else None) or ""
        return f"{DRILL} {prefix}".strip() if drill_venue(environ) else prefix


def alert_settings(config: FrozenConfig, rules: Path, path: Path | None = None) -> AlertSettings:
    """Return what holds for a desk: its alerts file, or what the frozen configuration comes to.

    Args:
        config: the frozen configuration.
        rules: the bundle; the alerts file stands beside it.
        path: of another alerts file.

    Raises:
        ConfigError: with every mistake of the file.
    """
    path = path or rules.with_name(FILE_NAME)
    notification = config.notification
    if not path.exists():
        return AlertSettings(routes_of(notification), notification.prefix)
    return load_settings(path, notification.prefix)


def load_settings(path: Path, prefix: Secret | None = None) -> AlertSettings:
    """Return what a file says.

    Raises:
        ConfigError: with every mistake of the file.
    """
    document = read_document(path)
    if not isinstance(document.data, dict):
        problem = f"the file must hold `routes`, found {shown(document.data)}"
        raise ConfigError(Problem("type", document.where(), problem, EXAMPLE))
    mistakes = schema_mistakes(document.data, _SCHEMA)
    if mistakes:
        raise ConfigError(problems(document, mistakes))
    said = document.data
    repeats = said.get("repeats", {}).get("within_minutes", _REPEATS_MINUTES)
    routes = tuple(_route(name, values) for name, values in said["routes"].items())
    return AlertSettings(routes, prefix, round(repeats * MINUTE_MS), _chat(said.get("telegram", {})))


def _route(name: str, values: Mapping[str, Any]) -> Route:
    return Route(
        name,
        Secret(values["url"]),
        Severity(values.get("least", Severity.INFO)),
        round(values.get("every_seconds", EVERY_MS / SECOND_MS) * SECOND_MS),
    )


def _chat(values: Mapping[str, Any]) -> ChatSettings:
    return ChatSettings(
        tuple(values.get("chats", ())),
        tuple(values.get("users", ())),
        frozenset(name for name, on in values.get("commands", {}).items() if not on),
        values.get("api_url", API_URL),
    )


def _names_its_secret(field: str, value: Any, error: Callable[[str, str], None]) -> None:
    """Refuse an address that carries its secrets in the open: the file is committed."""
    if isinstance(value, str) and not REFERENCE.search(value):
        error(field, NO_REFERENCE)


def _ids(expected: str) -> dict[str, Any]:
    meta = {"expected": expected}
    return {
        "type": "list",
        "required": False,
        "schema": {"type": "integer", "forbidden": [0], "meta": meta},
        "meta": meta,
    }


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
    "repeats": {
        "type": "dict",
        "required": False,
        "schema": {
            "within_minutes": {
                "type": "number",
                "required": False,
                "min": 0,
                "max": 1440,
                "meta": {"expected": "minutes from 0 (every alert is sent) to 1,440"},
            }
        },
        "meta": {"expected": "`within_minutes`"},
    },
    "telegram": {
        "type": "dict",
        "required": False,
        "schema": {
            "chats": _ids("ids of chats: whole numbers, negative for groups"),
            "users": _ids("ids of people: whole numbers"),
            "commands": {
                "type": "dict",
                "required": False,
                "schema": {
                    name: {"type": "boolean", "required": False, "meta": {"expected": "`true` or `false`"}}
                    for name in COMMANDS
                },
                "meta": {"expected": "commands by name, each `true` or `false`"},
            },
            "api_url": {
                "type": "string",
                "required": False,
                "regex": r"https?://\S+/bot",
                "meta": {"expected": "the address of a Bot API, ending in `/bot`"},
            },
        },
        "meta": {"expected": "`chats`, `users`, `commands` and perhaps `api_url`"},
    },
}
