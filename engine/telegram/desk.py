"""Whose desk it is that commands by chat are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.live.connection import Mode


@dataclass(frozen=True)
class ChatDesk:
    """A desk as its commands by chat see it: files, so that they need no process of it to be alive.

    Attributes:
        ledger: of the account.
        rules: the bundle.
        config: the frozen configuration.
        mode: whose money.
        signers: whose key is whose.
        alerts: the alerts file; None: the one beside the bundle, where there is one.
    """

    ledger: Path
    rules: Path
    config: Path
    mode: Mode
    signers: Path = Path("config/allowed_signers")
    alerts: Path | None = None
