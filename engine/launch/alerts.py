"""SOP §1.2, §1.6: an alert arrives when the messenger is configured; where it does not, a waiver is signed (A80)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine.alerts.alert import Alert, Severity
from engine.alerts.outbox import send_by_apprise
from engine.alerts.routes import TELEGRAM, routes_of
from engine.launch.probe import Finding, Findings, Probe, no, unknown, yes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from engine.clock import Clock
    from engine.config.model import NotificationConfig

    Send = Callable[[str, str], Awaitable[bool]]

FACT = "telegram_delivered"
SUBJECT = "launch-guard"


def probes(
    notification: NotificationConfig, environ: Mapping[str, str], clock: Clock, send: Send | None
) -> tuple[Probe, ...]:
    """Return the probe of the messenger.

    Args:
        notification: of the frozen configuration.
        environ: the environment, for the address's secrets.
        clock: the time, for the message.
        send: sends a text to an address, and says whether it was taken; None: Apprise.
    """

    async def find() -> Findings:
        return {FACT: await delivered(notification, environ, clock.now_ms(), send or send_by_apprise)}

    return (Probe((FACT,), find),)


async def delivered(notification: NotificationConfig, environ: Mapping[str, str], now_ms: int, send: Send) -> Finding:
    """Return whether Telegram takes a message; where it is not configured, nothing is known (R023, R024, R054)."""
    route = next((one for one in routes_of(notification) if one.name == TELEGRAM), None)
    if route is None:
        return unknown("the configuration has no messenger, or switches it off")
    missing = [name for name in route.url.names if not environ.get(name, "").strip()]
    address = route.url.resolve(environ)
    if missing or address is None:
        return unknown(f"not configured: {' and '.join(missing) or 'its address'} not set")
    _silence()
    prefix = notification.prefix.resolve(environ) if notification.prefix else None
    if await send(address, message(now_ms).text(prefix or "")):
        return yes("a test message was taken")
    return no("the test message was not taken: wrong token or chat, or no way to Telegram")


def _silence() -> None:
    """Keep Apprise's own log to itself: it writes down a token that it does not like (R022)."""
    logging.getLogger("apprise").propagate = False


def message(now_ms: int) -> Alert:
    """Return the test message."""
    lines = (("why", "alerts must arrive before a launch"), ("do", "nothing"))
    return Alert(now_ms, Severity.INFO, SUBJECT, "test message of the launch guard", lines)
