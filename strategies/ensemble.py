"""The ensemble: one sleeve a symbol, each with its own strategy and a fixed weight (R011).

A sleeve without a signal stays without one. Its weight is not lent to the others, and no average hides it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from strategies.registry import make_sleeve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from strategies.bars import Bars
    from strategies.sleeve import Sleeve


class Choice(Protocol):
    """A strategy's name and its parameters, as the configuration gives them."""

    @property
    def name(self) -> str:
        """The strategy's name in the registry."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """All of its parameters."""
        ...


def make_sleeves(
    choices: Mapping[str, Choice], bars: Mapping[str, Bars], symbols: Iterable[str], slippage_bps: float
) -> dict[str, Sleeve]:
    """Return the sleeve of each symbol, in the order of `symbols`.

    Args:
        choices: symbol -> strategy.
        bars: symbol -> bars from the first there is.
        symbols: those that are traded; all must be in `choices` and `bars`.
        slippage_bps: of an entry fill.

    Raises:
        ConfigError: an unknown strategy, or a parameter too few or too many.
    """
    return {
        symbol: make_sleeve(choices[symbol].name, choices[symbol].params, bars[symbol], slippage_bps)
        for symbol in symbols
    }
