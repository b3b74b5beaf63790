"""All probes of a case: those of the machine and the files at once, those of the venue once its clock has answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.errors import ConfigError, UsageError
from engine.operations.launch import (
    account,
    alerts,
    configuration,
    data,
    dry_run,
    environment,
    key,
    signed,
    timesync,
    variables,
)
from engine.operations.launch.probe import Findings, Probe, find_out, reason, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.errors import StagegateError
    from engine.execution.venue import Venue
    from engine.operations.launch.case import Case


async def look(case: Case, venue: Venue | None, clock: Clock) -> Findings:
    """Return what all probes find, by fact.

    Args:
        case: what is looked at.
        venue: the account; None where there is none.
        clock: the time.
    """
    near, far = await asyncio.gather(find_out(_near(case, clock), limit_s=case.world.limit_s), _far(case, venue, clock))
    return {**near, **far}


def _near(case: Case, clock: Clock) -> list[Probe]:
    world, request, config = case.world, case.request, case.config
    found = [
        *environment.probes(world.machine),
        *timesync.probes(world.machine.run),
        *variables.probes(case.account),
        *configuration.probes(case.rules, config),
        *signed.probes(case.ledger, request.signers, case.rules, case.api_key, clock.now_ms),
        account.instance_probe(request.ledger, case.capital),
    ]
    if isinstance(config, ConfigError):
        return [*found, _barred(data.FACTS, config), _barred((alerts.FACT,), config)]
    return [
        *found,
        *data.probes(request.market, config.market.symbols, clock.now_ms()),
        *alerts.probes(config.notification, world.environ, clock, world.send),
    ]


async def _far(case: Case, venue: Venue | None, clock: Clock) -> Findings:
    """Ask the venue; where it does not even tell the time, nothing else is asked of it, and everything says why."""
    asked = _at(venue, case, clock) if venue is not None else ()
    if venue is None:
        assert isinstance(case.account, UsageError), "there is an account or a reason"
        why = reason(case.account)
    else:
        clock_found = await find_out([key.clock_probe(venue, clock)], limit_s=case.world.limit_s)
        if clock_found[key.CLOCK].value is not None:
            return {**clock_found, **await find_out(asked, limit_s=case.world.limit_s)}
        why = clock_found[key.CLOCK].said
    return dict.fromkeys((key.CLOCK, *_FAR_FACTS), unknown(why))


def _at(venue: Venue, case: Case, clock: Clock) -> Sequence[Probe]:
    config = case.config
    if isinstance(config, ConfigError):
        barred = [fact for fact in _FAR_FACTS if fact not in _OF_THE_KEY]
        return [*key.probes(venue), _barred(tuple(barred), config)]
    return [
        *key.probes(venue),
        *account.probes(venue, config.market.symbols, case.ledger, clock, case.capital),
        *dry_run.probes(venue, config, case.ledger, clock, case.capital.usd),
    ]


_OF_THE_KEY = ("venue_answers", "futures_enabled", "withdrawals_enabled", "ip_restricted")
_FAR_FACTS = (
    *_OF_THE_KEY,
    "margin_type",
    "leverage_lowest",
    "leverage_highest",
    "position_mode",
    "foreign_positions",
    "balance_cover",
    *dry_run.FACTS,
)


def _barred(facts: Sequence[str], error: StagegateError) -> Probe:
    """Return a probe that cannot look, and says why."""

    async def find() -> Findings:
        raise error

    return Probe(tuple(facts), find)
