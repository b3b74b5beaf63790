"""What no single value can get wrong: values that contradict each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import parse_time
from engine.config.mistakes import Mistake, dotted, one_line, schema_mistakes, suggestion
from engine.config.schema import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.documents import Key

WEIGHT_TOLERANCE = 1e-9

WEIGHTS: tuple[Key, ...] = (("ensemble", "fixed_weights"), ("portfolio", "allocation"))
# smaller, larger, whether they may be equal
ORDERED = (
    ("ema_fast", "ema_slow", False),
    ("vol_fast_period", "vol_slow_period", False),
    ("vol_scale_floor", "vol_scale_cap", True),
    ("min_hold_bars", "max_holding_bars", True),
)


@dataclass(frozen=True)
class Values:
    """The file's values, without those that are already known to be wrong."""

    data: dict[str, Any]
    broken: frozenset[Key]

    def at(self, path: Key) -> Any:
        """Return the value at `path`; None where it is missing, null, or wrong itself or in its surroundings."""
        value: Any = self.data
        for depth, part in enumerate(path):
            if path[: depth + 1] in self.broken or not isinstance(value, dict) or part not in value:
                return None
            value = value[part]
        return value

    def whole(self, path: Key) -> Any:
        """Return the value at `path`; None where it or anything below it is wrong."""
        return None if any(wrong[: len(path)] == path for wrong in self.broken) else self.at(path)

    def without(self, mistakes: list[Mistake]) -> Values:
        """Return the same values, with more of them known to be wrong."""
        return Values(self.data, self.broken | {mistake.path for mistake in mistakes})


@dataclass(frozen=True)
class _Choice:
    """Parameters, where they stand and whose they are; `partial` where some may be left out."""

    path: Key
    strategy: str
    params: dict[str, Any]
    partial: bool = False

    def mistakes(self) -> list[Mistake]:
        schema = STRATEGIES[self.strategy]
        return schema_mistakes(self.params, schema, at=self.path, owner=self.strategy, partial=self.partial)


def relation_mistakes(data: dict[str, Any], found: list[Mistake]) -> list[Mistake]:
    """Return the mistakes of parameters and of relations.

    Args:
        data: the file's mapping.
        found: the mistakes of single values; a relation is judged only where its values are right.
    """
    values = Values(data, frozenset(mistake.path for mistake in found))
    wrong = [mistake for choice in _choices(values) for mistake in choice.mistakes()]
    values = values.without(wrong)
    return [*wrong, *_orders(values), *_symbols(values), *_dates(values)]


def _choices(values: Values) -> Iterator[_Choice]:
    """Yield every place of the file that gives parameters to a known strategy."""
    default = values.at(("strategy", "name"))
    if default is not None:
        params = values.at(("strategy", "params"))
        if params is not None:
            yield _Choice(("strategy", "params"), default, params)
        for symbol in values.at(("strategy", "symbol_overrides")) or {}:
            path = ("strategy", "symbol_overrides", symbol)
            yield _Choice(path, default, values.at(path) or {}, partial=True)
    for symbol in values.at(("ensemble", "strategies")) or {}:
        path = ("ensemble", "strategies", symbol)
        name, params = values.at((*path, "name")), values.at((*path, "params"))
        if name is not None and params is not None:
            yield _Choice((*path, "params"), name, params)


def _orders(values: Values) -> Iterator[Mistake]:
    yield from _order(values, ("ensemble", "vol_parity"), {}, ("min_weight", "max_weight", True))
    default = values.whole(("strategy", "params")) or {}
    for choice in _choices(values):
        for pair in ORDERED:
            if pair[0] in choice.params or pair[1] in choice.params:
                yield from _order(values, choice.path, default if choice.partial else {}, pair)


def _order(values: Values, path: Key, default: dict[str, Any], pair: tuple[str, str, bool]) -> Iterator[Mistake]:
    """Yield the mistake of two values in the wrong order; what `path` leaves out stands in `default`."""
    small, large, equal = pair
    if values.broken & {(*path, small), (*path, large)}:
        return
    given = default | (values.at(path) or {})
    low, high = given.get(small), given.get(large)
    if low is None or high is None or low < high or (equal and low == high):
        return
    relation = "at most" if equal else "below"
    problem = f"`{dotted((*path, small))}` must be {relation} `{large}`, found `{low}` and `{high}`"
    yield Mistake((*path, small), "order", problem)


def _symbols(values: Values) -> Iterator[Mistake]:
    symbols = values.whole(("market", "symbols"))
    if symbols is None:
        return
    for index, symbol in enumerate(symbols):
        if symbol in symbols[:index]:
            path: Key = ("market", "symbols", index)
            yield Mistake(path, "duplicate", f"`{dotted(path)}` repeats `{symbol}`", "keep one of the two")
    for path in (*WEIGHTS, ("ensemble", "strategies"), ("strategy", "symbol_overrides")):
        yield from _strangers(values, path, symbols)
    for path in WEIGHTS:
        yield from _weights(values, path, symbols)


def _strangers(values: Values, path: Key, symbols: list[str]) -> Iterator[Mistake]:
    for symbol in values.at(path) or {}:
        if symbol not in symbols:
            problem = f"`{dotted((*path, symbol))}` is not one of `market.symbols`"
            yield Mistake((*path, symbol), "symbols", problem, suggestion(symbol, symbols), at_key=True)


def _weights(values: Values, path: Key, symbols: list[str]) -> Iterator[Mistake]:
    weights = values.whole(path)
    if weights is None:
        return
    missing = [symbol for symbol in dict.fromkeys(symbols) if symbol not in weights]
    for symbol in missing:
        problem = f"`{dotted((*path, symbol))}` is missing, every symbol of `market.symbols` needs a weight"
        yield Mistake((*path, symbol), "symbols", problem, f"add `{symbol}:` to `{dotted(path)}`", at_key=True)
    total = math.fsum(weights.values())
    if not missing and set(weights) <= set(symbols) and abs(total - 1) > WEIGHT_TOLERANCE:
        problem = f"`{dotted(path)}` must sum to 1 (within 1e-9), found `{total:.12g}`"
        yield Mistake(path, "weights", problem, at_key=True)


def _dates(values: Values) -> Iterator[Mistake]:
    start, end = values.at(("market", "start")), values.at(("market", "end"))
    if start is not None and end is not None and parse_time(start) >= parse_time(end):
        problem = f"`market.start` must be before `market.end`, found `{one_line(start)}` and `{one_line(end)}`"
        yield Mistake(("market", "start"), "order", problem)
