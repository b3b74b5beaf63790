"""What can be found out about an account before anything is sent, and which rules of the launch policy it breaks.

Probes only find facts. What is wrong, and the cure, is what the launch policy says of those facts; nothing else of it
is looked at here (the launch guard looks at all of it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError, VenueError
from engine.execution.course import TRADING
from engine.policy.derive import History
from engine.policy.facts import OK, Fact
from engine.policy.interpreter import fires
from engine.policy.model import HARD, facts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.config import FrozenConfig
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.venue import VenueFilters
    from engine.policy.facts import Value
    from engine.policy.model import Policy

CLOCK = "venue_clock_offset"
"""The one fact that is no reason not to run: the adapter keeps to the venue's clock."""

SETTINGS = ("margin_type", "leverage_lowest", "leverage_highest")
"""The facts that a new paper account is brought to by `settle_in`."""

ONE_WAY, HEDGE = "ONE_WAY", "HEDGE"
_PERCENT = 100.0


@dataclass(frozen=True)
class Probed:
    """What was found of an account.

    Attributes:
        values: facts of the vocabulary by name.
        filters: the venue's limits of the symbols that it lists.
    """

    values: Mapping[str, Value]
    filters: Mapping[str, VenueFilters]


@dataclass(frozen=True)
class Check:
    """One rule of the launch policy on what was found; `broken` says why, `cure` what to do about it."""

    rule: str
    facts: tuple[tuple[str, Value], ...]
    broken: str = ""
    cure: str = ""

    @property
    def fine(self) -> bool:
        """Whether it holds."""
        return not self.broken


async def probe(venue: BinanceVenue, config: FrozenConfig, capital_usd: float | None) -> Probed:
    """Ask the venue for everything about the account that does not need the ledger.

    Args:
        venue: the account.
        config: its symbols.
        capital_usd: what is to be put at risk, which the balance must cover; None: it is at risk already, and how the
            cash stands to the ledger is told by holding the two together.

    Raises:
        VenueError: it does not answer, or refuses the key.
    """
    await venue.server_time_ms()
    permissions = await venue.permissions()
    values: dict[str, Value] = {
        CLOCK: abs(venue.asker.clock.offset_ms),
        "venue_answers": True,
        "futures_enabled": permissions.futures,
        "withdrawals_enabled": permissions.withdrawals,
        "ip_restricted": permissions.ip_restricted,
    }
    filters = await venue.filters()
    if not permissions.futures:
        return Probed(values, filters)  # whatever else is asked would be refused
    values["position_mode"] = HEDGE if await venue.hedge_mode() else ONE_WAY
    settings = [await venue.settings(symbol) for symbol in config.market.symbols]
    wanted = config.futures.margin_type
    values["margin_type"] = next((one.margin_type for one in settings if one.margin_type != wanted), wanted)
    values["leverage_lowest"] = min(one.leverage for one in settings)
    values["leverage_highest"] = max(one.leverage for one in settings)
    if capital_usd is not None:
        values["balance_cover"] = _PERCENT * float((await venue.balance()).margin_usd) / capital_usd
    return Probed(values, filters)


def checks(policy: Policy, values: Mapping[str, Value], now_ms: int) -> tuple[Check, ...]:
    """Return the HARD rules that read nothing but these facts, in the policy's order, and whether each holds."""
    facts = {name: Fact(name, value, OK, now_ms) for name, value in values.items()}
    history = History(policy)
    snapshot = history.snapshot(history.read(facts, now_ms))
    found = []
    for instance in policy.instances:
        names = facts_of(instance.when)
        if instance.rule.severity != HARD or not names or not set(names) <= values.keys():
            continue
        told = tuple((name, values[name]) for name in names)
        broken = fires(instance, snapshot.values, policy.bands)
        words = (instance.rule.because, instance.rule.cure) if broken else ("", "")
        found.append(Check(instance.id, told, *words))
    return tuple(found)


def untraded(symbols: Collection[str], filters: Mapping[str, VenueFilters]) -> tuple[Problem, ...]:
    """Return the symbols that the venue takes no orders of, as problems with their cure."""
    help_ = "it cannot be traded: a new release without it must be signed, or wait until it trades again"
    return tuple(
        Problem("not-traded", symbol, f"the venue says `{filters[symbol].status}`", help_)
        if symbol in filters
        else Problem("not-traded", symbol, "the venue does not list it", help_)
        for symbol in symbols
        if symbol not in filters or filters[symbol].status != TRADING
    )


def refuse_start(
    found: Probed, policy: Policy, config: FrozenConfig, where: str, now_ms: int, *, passed_over: Collection[str] = ()
) -> None:
    """Refuse to start on an account that must not be traded on.

    Args:
        found: of the account.
        policy: of the launch.
        config: its symbols.
        where: the account, in words.
        now_ms: the time.
        passed_over: facts that are no reason, because they will be put right.

    Raises:
        UsageError: everything that is wrong with it, each with its cure.
    """
    values = {name: value for name, value in found.values.items() if name not in {CLOCK, *passed_over}}
    problems = [
        Problem(check.rule.replace("_", "-"), where, check.broken, check.cure)
        for check in checks(policy, values, now_ms)
        if not check.fine
    ]
    problems += untraded(config.market.symbols, found.filters)
    if problems:
        raise UsageError(problems)


async def settle_in(venue: BinanceVenue, config: FrozenConfig) -> None:
    """Bring a simulated account to the configuration's margin type and leverage; with real money a person does that.

    Raises:
        VenueError: the venue refuses, because something is held, or does not answer.
    """
    for symbol in config.market.symbols:
        settings = await venue.settings(symbol)
        if settings.margin_type != config.futures.margin_type:
            await venue.set_margin_type(symbol, config.futures.margin_type)
        if settings.leverage != config.futures.leverage:
            await venue.set_leverage(symbol, config.futures.leverage)


def reason(error: VenueError) -> str:
    """Return why the venue gave no answer, in a few words."""
    return error.problems[0].problem
