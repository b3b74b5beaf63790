"""SOP §1.2: the key and its secret are set. Whether, never what: no value of theirs is in any finding (R021, R022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.launch.probe import Finding, Findings, Probe, yes
from engine.live.connection import KEY, SECRET, Mode

if TYPE_CHECKING:
    from engine.live.connection import Connection

FACTS = {"api_key_set": KEY, "api_secret_set": SECRET}
_NOT_SET = "no-key"


def probes(account: Connection | UsageError) -> tuple[Probe, ...]:
    """Return the probe of the account's key.

    Args:
        account: how it is reached, with key and secret; or why it cannot be.
    """

    async def find() -> Findings:
        return keys_set(account)

    return (Probe(tuple(FACTS), find),)


def keys_set(account: Connection | UsageError) -> Findings:
    """Return whether key and secret are set.

    Raises:
        UsageError: there is no account to have them.
    """
    if isinstance(account, UsageError):
        missing = {one.where for one in account.problems if one.code == _NOT_SET}
        if not missing:
            raise account
        return {fact: _set(name, found=name not in missing) for fact, name in FACTS.items()}
    if account.mode is Mode.PAPER:
        return dict.fromkeys(FACTS, yes("that of the simulated account"))
    return {fact: _set(name, found=True) for fact, name in FACTS.items()}


def _set(name: str, *, found: bool) -> Finding:
    return Finding(found, f"{name} is set" if found else f"{name} is not set, or empty")
