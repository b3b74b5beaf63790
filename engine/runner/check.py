"""`run --check`: what the venue says of the account now, held against the launch policy; nothing is sent (R029)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, HOUR_MS
from engine.live.foreign import unknown_to_us
from engine.reports.numbers import age, count
from engine.runner.probes import CLOCK, Check, checks, probe, untraded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.clock import Clock
    from engine.ledger import Ledger
    from engine.policy.facts import Value
    from engine.runner.open import Place

FOREIGN = "foreign_positions"
_NAME = 24


@dataclass(frozen=True)
class Checked:
    """What was found.

    Attributes:
        where: the account, in words.
        checks: rules of the launch policy on what was found, and what else must hold.
        clock_ms: by which this machine's clock is behind the venue's.
        last_bar_ms: the close of the last bar of the symbol whose bars are the oldest; None: there are none.
        at_ms: the venue's time.
        positions: symbol -> signed quantity, base asset.
        wallet_usd: cash.
    """

    where: str
    checks: tuple[Check, ...]
    clock_ms: int
    last_bar_ms: int | None
    at_ms: int
    positions: dict[str, float]
    wallet_usd: float

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.fine for check in self.checks)


async def check(place: Place, needed_usd: float | None, ledger: Ledger | None, clock: Clock) -> Checked:
    """Ask the venue everything that a run would begin with.

    Args:
        place: which account, which release.
        needed_usd: what the balance must cover; None: it is at risk already.
        ledger: of the account; None: there is none yet.
        clock: ours; the venue's is measured against it.

    Raises:
        VenueError: the venue does not answer, or refuses the key.
        LedgerError: the ledger cannot be read.
    """
    config, release = place.release.config, place.release
    async with place.connection.venue(config.market.symbols, clock, lambda: False) as venue:
        found = await probe(venue, config, needed_usd)
        now_ms = venue.asker.clock.now_ms()
        bars = [await venue.closed_bars(symbol, now_ms - DAY_MS) for symbol in found.filters]
        positions, balance = await venue.positions(), await venue.balance()
        ends = [int(each.open_time_ms[-1]) + HOUR_MS for each in bars if len(each)]
        foreign = await unknown_to_us(venue, config.market.symbols, ledger, venue.asker.clock)
        values = {**found.values, FOREIGN: len(foreign)}
        held = checks(release.bundle.policies["launch"], values, now_ms)
        wrong = untraded(config.market.symbols, found.filters)
        return Checked(
            where=place.connection.where,
            checks=(*held, *(Check(one.code, (("symbol", one.where),), one.problem, one.help) for one in wrong)),
            clock_ms=venue.asker.clock.offset_ms,
            last_bar_ms=min(ends) if len(ends) == len(config.market.symbols) else None,
            at_ms=now_ms,
            positions={symbol: float(position.qty) for symbol, position in positions.items()},
            wallet_usd=float(balance.wallet_usd),
        )


def check_text(found: Checked) -> str:
    """Return what was found, the cure beside each failure."""
    return "\n".join(_lines(found))


def _lines(found: Checked) -> Iterable[str]:
    yield f"{found.where} answers"
    for one in found.checks:
        said = ", ".join(_value(name, value) for name, value in one.facts)
        line = f"{'ok  ' if one.fine else 'FAIL'}  {one.rule.replace('_', ' '):<{_NAME}} {said}"
        yield line if one.fine else f"{line}\n      {one.broken}: {one.cure}"
    bar = "no bars" if found.last_bar_ms is None else f"closed {age(found.at_ms - found.last_bar_ms)} ago"
    side = "behind" if found.clock_ms > 0 else "ahead"
    yield f"      last bar {bar}; this clock is {abs(found.clock_ms):,} ms {side}"
    held = ", ".join(f"{qty:+.12g} {symbol}" for symbol, qty in found.positions.items()) or "nothing"
    yield f"      the account holds {held} and {found.wallet_usd:,.2f} USDT"
    failures = sum(not one.fine for one in found.checks)
    yield "all is as it must be" if found.fine else f"{count(failures, 'check')} failed"


def _value(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == CLOCK:
        return f"{value} ms"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
