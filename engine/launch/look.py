"""All probes of a case, at once: of the machine, the files, the ledger, and of the venue if it tells the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ConfigError, UsageError
from engine.launch import (
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
from engine.launch.probe import Finding, Findings, Probe, find_out, reason, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.errors import StagegateError
    from engine.execution.venue import Venue
    from engine.launch.case import Case


async def look(case: Case, venue: Venue | None, clock: Clock) -> Findings:
    """Return what all probes find, by fact.

    The venue's clock comes first and alone: whatever else is done meanwhile would be taken for its delay.

    Args:
        case: what is looked at.
        venue: the account; None where there is none.
        clock: the time.
    """
    limit_s = case.world.limit_s
    time = await _venue_time(case, venue, clock)
    if venue is None or time.value is None:  # nothing else is asked of it, and everything says why
        found = await find_out(_near(case, clock), limit_s=limit_s)
        return {**found, **dict.fromkeys((key.CLOCK, *_FAR_FACTS), unknown(time.said))}
    return {key.CLOCK: time, **await find_out([*_near(case, clock), *_far(venue, case, clock)], limit_s=limit_s)}


async def _venue_time(case: Case, venue: Venue | None, clock: Clock) -> Finding:
    if venue is None:
        assert isinstance(case.account, UsageError), "there is an account or a reason"
        return unknown(reason(case.account))
    return (await find_out([key.clock_probe(venue, clock)], limit_s=case.world.limit_s))[key.CLOCK]


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


def _far(venue: Venue, case: Case, clock: Clock) -> Sequence[Probe]:
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
