"""The parameters of a request, read with the venue's refusals."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from engine.simulator.money import ZERO
from engine.simulator.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping


class Params:
    """A request's parameters; one that is empty was not sent."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, usual: str = "") -> str:
        """Return a parameter, `usual` where it was not sent."""
        value = self._values.get(name)
        return usual if value is None or value == "" else str(value)

    def need(self, name: str) -> str:
        """Return a mandatory parameter.

        Raises:
            VenueError: −1102.
        """
        value = self.text(name)
        if not value:
            raise refusal(-1102, name)
        return value

    def number(self, name: str, usual: int) -> int:
        """Return a whole number.

        Raises:
            VenueError: −1130.
        """
        try:
            return int(self.text(name, str(usual)))
        except ValueError:
            raise refusal(-1130, name) from None

    def decimal(self, name: str, usual: Decimal = ZERO) -> Decimal:
        """Return a decimal number.

        Raises:
            VenueError: −1130.
        """
        try:
            value = Decimal(self.text(name, str(usual)))
        except InvalidOperation:
            raise refusal(-1130, name) from None
        if not value.is_finite():
            raise refusal(-1130, name)
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        return self.text(name).lower() == "true"

    def sent(self, name: str) -> bool:
        """Return whether a parameter was sent."""
        return bool(self.text(name))
