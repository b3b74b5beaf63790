"""The account: as the configuration wants it, empty of what is not ours, covered, ours alone (R013, R014, A53, A64)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.launch.probe import Finding, Findings, Probe
from engine.live.foreign import unknown_to_us
from engine.live.lock import holder
from engine.reports.numbers import percent, usd
from engine.runner.probes import HEDGE, ONE_WAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.reconcile import Difference
    from engine.execution.venue import Balance, SymbolSettings, Venue
    from engine.ledger import Ledger

MIXED = "MIXED"
_PERCENT = 100.0
_SHOWN = 3  # differences; the rest is counted


@dataclass(frozen=True)
class Capital:
    """What is to be at risk: the stage, its capital in USDT, and whether the rollout runs: its runner is no other."""

    stage: int
    usd: float
    running: bool = False


def probes(venue: Venue, symbols: Sequence[str], ledger: Ledger, clock: Clock, capital: Capital) -> tuple[Probe, ...]:
    """Return the probes of the account at the venue."""

    async def settings() -> Findings:
        read = await asyncio.gather(*(venue.settings(symbol) for symbol in symbols))
        return margin(dict(zip(symbols, read, strict=True)))

    async def mode() -> Findings:
        word = HEDGE if await venue.hedge_mode() else ONE_WAY
        return {"position_mode": Finding(word, f"{word}, read from the venue")}

    async def foreign() -> Findings:
        return {"foreign_positions": foreigners(await unknown_to_us(venue, symbols, ledger, clock))}

    async def covered() -> Findings:
        return {"balance_cover": cover(await venue.balance(), capital)}

    return (
        Probe(("margin_type", "leverage_lowest", "leverage_highest"), settings),
        Probe(("position_mode",), mode),
        Probe(("foreign_positions",), foreign),
        Probe(("balance_cover",), covered),
    )


def instance_probe(ledger: Path, capital: Capital) -> Probe:
    """Return the probe of the ledger's lock.

    A rollout that changes its stage, its bundle, or restarts may be running: the runner of this ledger is no other.
    """

    async def find() -> Findings:
        found = holder(ledger)
        if found is None:
            return {"other_instances": Finding(0, "none")}
        ours = capital.running and found.what.split()[:1] in (["run"], ["stream"])
        return {"other_instances": Finding(0 if ours else 1, str(found))}

    return Probe(("other_instances",), find)


def margin(settings: Mapping[str, SymbolSettings]) -> Findings:
    """Return margin type and leverage of all symbols, as read back from the venue."""
    types = {one.margin_type for one in settings.values()}
    leverages = [one.leverage for one in settings.values()]
    each = ", ".join(f"{symbol} {one.margin_type} {one.leverage}x" for symbol, one in settings.items())
    return {
        "margin_type": Finding(types.pop() if len(types) == 1 else MIXED, each),
        "leverage_lowest": Finding(min(leverages), each),
        "leverage_highest": Finding(max(leverages), each),
    }


def foreigners(found: Sequence[Difference]) -> Finding:
    """Return how many positions, orders and stops are not this program's."""
    if not found:
        return Finding(0, "none")
    told = [f"{one.subject}: the venue has {one.venue}, the ledger {one.ledger}" for one in found[:_SHOWN]]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Finding(len(found), f"{'; '.join(told)}{more}")


def cover(balance: Balance, capital: Capital) -> Finding:
    """Return the futures wallet, with what is gained or lost in open positions, over the capital (A53).

    Where nothing is to be at risk, nothing needs to be covered.
    """
    there_usd = float(balance.margin_usd)
    if not capital.usd:
        return Finding(_PERCENT, f"{usd(there_usd)}, stage {capital.stage} risks nothing")
    share = _PERCENT * there_usd / capital.usd
    return Finding(share, f"{usd(there_usd)} of {usd(capital.usd)}, {percent(share)}")
