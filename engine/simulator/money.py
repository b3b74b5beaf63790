"""Decimal quantities, prices and amounts, and how the venue writes them."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

ZERO = Decimal(0)
ONE = Decimal(1)
AMOUNT = Decimal("1e-8")
BPS = Decimal("1e-4")

_AVERAGE_DECIMALS = 5


def amount(value: Decimal) -> Decimal:
    """Return `value` as the venue books money: to 8 decimals."""
    return value.quantize(AMOUNT)


def usd(value: Decimal) -> str:
    """Return money as the venue writes it.

    >>> usd(Decimal("1.5"))
    '1.50000000'
    """
    return f"{value:.8f}"


def plain(value: Decimal) -> str:
    """Return a number without exponent and without trailing zeros.

    >>> plain(Decimal("1E+2")), plain(Decimal("0.0500")), plain(Decimal("0.000"))
    ('100', '0.05', '0')
    """
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def fixed(value: Decimal, unit: Decimal) -> str:
    """Return a multiple of `unit` with as many decimals as the unit has; exact where it has more.

    >>> fixed(Decimal("2"), Decimal("0.001")), fixed(Decimal("0"), Decimal("0.001"))
    ('2.000', '0.000')
    """
    decimals = max(-int(unit.as_tuple().exponent), 0)
    exact = max(-int(value.normalize().as_tuple().exponent), decimals) if value else decimals
    return f"{value:.{exact}f}"


def average(quote: Decimal, qty: Decimal) -> str:
    """Return an average price as the venue writes it, 5 decimals at least, 8 at most.

    >>> average(Decimal("207.8"), Decimal("0.003")), average(Decimal(0), Decimal(0))
    ('69266.66666667', '0.00000')
    """
    if not qty:
        return "0.00000"
    text = f"{quote / qty:.8f}"
    whole, decimals = text.split(".")
    return f"{whole}.{decimals.rstrip('0'):0<{_AVERAGE_DECIMALS}}"


def floor_to(value: Decimal, unit: Decimal) -> Decimal:
    """Return the largest multiple of `unit` not above a `value` ≥ 0."""
    return (value / unit).to_integral_value(ROUND_DOWN) * unit


def below(price: Decimal, tick: Decimal) -> Decimal:
    """Return the highest price on the tick that is lower than `price`."""
    return ((price / tick).to_integral_value(ROUND_CEILING) - 1) * tick


def above(price: Decimal, tick: Decimal) -> Decimal:
    """Return the lowest price on the tick that is higher than `price`."""
    return ((price / tick).to_integral_value(ROUND_FLOOR) + 1) * tick


def on_tick(price: Decimal, tick: Decimal) -> Decimal:
    """Return the price on the tick that lies nearest."""
    return (price / tick).to_integral_value() * tick


def is_multiple(value: Decimal, unit: Decimal) -> bool:
    """Return whether `value` is a whole number of `unit`s."""
    return value % unit == 0


def decimals_of(value: Decimal) -> int:
    """Return how many decimals `value` needs."""
    return max(-int(value.normalize().as_tuple().exponent), 0) if value else 0
