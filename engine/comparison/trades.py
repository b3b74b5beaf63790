"""Trades held against each other: what the ledger did, what the replay would have done, and why they differ.

A trade is everything that was filled of one symbol in one hour at the market's own pace, or all that a protective stop
filled in it: a flip is two orders at the venue and one trade here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.clock import HOUR_MS, hour_start
from engine.portfolio import BY_POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.ledger import Parent
    from engine.portfolio import SymbolFilters

STOP = "stop"
FOREIGN, BY_VENUE = "foreign", "forced"
FORCED = (STOP, BY_VENUE, FOREIGN, *BY_POLICY)
"""Reasons of trades that need not fall on a bar's open."""

_ROUNDING = 1e-6
_BPS = 1e4


class Filled(Protocol):
    """An execution of either side."""

    @property
    def at_ms(self) -> int: ...  # noqa: D102 - the names are the fills'
    @property
    def symbol(self) -> str: ...  # noqa: D102
    @property
    def side(self) -> int: ...  # noqa: D102
    @property
    def qty(self) -> float: ...  # noqa: D102
    @property
    def price(self) -> float: ...  # noqa: D102
    @property
    def ref_kind(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102


class Key(NamedTuple):
    """Where a trade is looked for on the other side."""

    hour_ms: int
    symbol: str
    stopped: bool


@dataclass(frozen=True)
class Trade:
    """One trade.

    Attributes:
        hour_ms: the open of the hour it fell into.
        symbol: the venue's name.
        side: +1 or −1.
        qty: base asset, > 0.
        price: USDT, the mean by quantity.
        reason: of its first fill.
        parent_ids: of the orders behind it; empty in a replay.
    """

    hour_ms: int
    symbol: str
    side: int
    qty: float
    price: float
    reason: str
    parent_ids: tuple[str, ...] = ()

    @property
    def notional_usd(self) -> float:
        """Quantity times price."""
        return self.qty * self.price


@dataclass(frozen=True)
class Matched:
    """The same trade on both sides.

    Attributes:
        live: the ledger's.
        replay: the other.
        price_bps: what the ledger's price cost more, basis points of the replay's; a better price is negative.
    """

    live: Trade
    replay: Trade
    price_bps: float

    @property
    def hours_apart(self) -> int:
        """How many hours later the ledger's is; it differs from 0 only where a position was closed between bars."""
        return (self.live.hour_ms - self.replay.hour_ms) // HOUR_MS


@dataclass(frozen=True)
class Unmatched:
    """A trade without its like on the other side, or with one of another side or quantity, and why as far as told."""

    live: Trade | None
    replay: Trade | None
    why: str

    @property
    def told(self) -> Trade:
        """The ledger's where there is one, else the replay's."""
        trade = self.live or self.replay
        assert trade is not None, "a difference has at least one side"
        return trade


@dataclass(frozen=True)
class Matching:
    """All trades of a period: those on both sides, and those that are not; oldest first."""

    matched: tuple[Matched, ...]
    unmatched: tuple[Unmatched, ...]

    @property
    def live(self) -> tuple[Trade, ...]:
        """The ledger's trades."""
        found = [each.live for each in self.matched] + [each.live for each in self.unmatched if each.live]
        return tuple(sorted(found, key=_order))

    @property
    def replay(self) -> tuple[Trade, ...]:
        """The replay's trades."""
        found = [each.replay for each in self.matched] + [each.replay for each in self.unmatched if each.replay]
        return tuple(sorted(found, key=_order))

    def within(self, from_ms: int, to_ms: int) -> Matching:
        """Return the part whose hours lie in ``[from_ms, to_ms)``."""
        return Matching(
            tuple(each for each in self.matched if from_ms <= each.live.hour_ms < to_ms),
            tuple(each for each in self.unmatched if from_ms <= each.told.hour_ms < to_ms),
        )


def trades(fills: Iterable[Filled], parents: Mapping[str, Parent] | None = None) -> dict[Key, Trade]:
    """Return what was filled, an hour and a symbol at a time; what was bought and sold again in an hour is no trade.

    Args:
        fills: of one side.
        parents: the intended changes of the ledger's fills: an order belongs to the hour it was decided for, however
            late it filled.
    """
    groups: dict[Key, list[Filled]] = defaultdict(list)
    for fill in fills:
        groups[_key(fill, parents or {})].append(fill)
    found = {key: _trade(key, group) for key, group in sorted(groups.items())}
    return {key: trade for key, trade in found.items() if trade is not None}


def matching(
    live: Mapping[Key, Trade],
    replay: Mapping[Key, Trade],
    filters: Mapping[str, SymbolFilters],
    why: Callable[[Trade | None, Trade | None], str],
) -> Matching:
    """Hold the trades of both sides against each other.

    Args:
        live: the ledger's.
        replay: the other's.
        filters: symbol -> the venue's limits: quantities are the same within a step; without one, to rounding.
        why: says why two trades differ, or why one stands alone.
    """
    matched: list[Matched] = []
    unmatched: list[Unmatched] = []
    alone, rest = {}, dict(replay)
    for key, ours in live.items():
        theirs = rest.pop(key, None)
        if theirs is None:
            alone[key] = ours
        elif _same(ours, theirs, filters):
            matched.append(_pair(ours, theirs))
        else:
            unmatched.append(Unmatched(ours, theirs, why(ours, theirs)))
    for ours in alone.values():
        near = _near(ours, rest, filters)
        if near is None:
            unmatched.append(Unmatched(ours, None, why(ours, None)))
        else:
            matched.append(_pair(ours, rest.pop(near)))
    unmatched += [Unmatched(None, theirs, why(None, theirs)) for theirs in rest.values()]
    return Matching(
        tuple(sorted(matched, key=lambda each: _order(each.live))),
        tuple(sorted(unmatched, key=lambda each: _order(each.told))),
    )


def _key(fill: Filled, parents: Mapping[str, Parent]) -> Key:
    stopped = fill.ref_kind == STOP
    parent = parents.get(getattr(fill, "parent_id", ""))
    at_ms = fill.at_ms if stopped or parent is None or fill.reason in FORCED else parent.bar_ms
    return Key(hour_start(at_ms), fill.symbol, stopped)


def _trade(key: Key, fills: list[Filled]) -> Trade | None:
    qty = sum(fill.side * fill.qty for fill in fills)
    traded = sum(fill.qty for fill in fills)
    if abs(qty) <= _ROUNDING * traded:
        return None
    side = 1 if qty > 0 else -1
    same = [fill for fill in fills if fill.side == side]
    price = sum(fill.qty * fill.price for fill in same) / sum(fill.qty for fill in same)
    ids = tuple(dict.fromkeys(getattr(fill, "parent_id", "") for fill in fills))
    return Trade(key.hour_ms, key.symbol, side, abs(qty), price, fills[0].reason, tuple(each for each in ids if each))


def _same(ours: Trade, theirs: Trade, filters: Mapping[str, SymbolFilters]) -> bool:
    limits = filters.get(ours.symbol)
    step = (0.0 if limits is None else limits.step_size) + _ROUNDING * max(ours.qty, theirs.qty)
    return ours.side == theirs.side and abs(ours.qty - theirs.qty) <= step


def _near(ours: Trade, rest: Mapping[Key, Trade], filters: Mapping[str, SymbolFilters]) -> Key | None:
    """Return where the like of a trade is that was made between two bars: the replay trades at opens alone."""
    if ours.reason not in FORCED:
        return None
    for hours in (1, -1):
        for stopped in (False, True):
            key = Key(ours.hour_ms + hours * HOUR_MS, ours.symbol, stopped)
            if key in rest and rest[key].reason in FORCED and _same(ours, rest[key], filters):
                return key
    return None


def _pair(ours: Trade, theirs: Trade) -> Matched:
    return Matched(ours, theirs, ours.side * (ours.price / theirs.price - 1.0) * _BPS)


def _order(trade: Trade) -> tuple[int, str]:
    return trade.hour_ms, trade.symbol
