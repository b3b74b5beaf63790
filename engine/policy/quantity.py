"""Numbers with units: thresholds as people write them, values as whole steps of a fact's resolution, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.policy.model import FactSpec

# The production engine compares 64-bit integers; far inside that, a float still counts single steps.
MAX_STEPS = 10**15

_QUANTITY = re.compile(r"([-+]?[0-9]{1,18}(?:\.[0-9]{1,18})?) ?(%|[A-Za-z]+)?")
_MINUTES = {"minute": 1, "minutes": 1, "hour": 60, "hours": 60, "day": 1440, "days": 1440}
SUFFIXES: dict[str, dict[str, int]] = {
    "ratio": {"": 1},
    "percent": {"%": 1},
    "multiple": {"": 1, "x": 1},
    "usd": {"usd": 1},
    "bps": {"bps": 1},
    "minutes": _MINUTES,
    "days": {"day": 1, "days": 1},
    "count": {"": 1},
    "ms": {"ms": 1},
}
_IN_WORDS = {
    "ratio": "a plain ratio",
    "percent": "in percent",
    "multiple": "a multiple",
    "usd": "in usd",
    "bps": "in bps",
    "minutes": "a time",
    "days": "in days",
    "count": "a count",
    "ms": "in ms",
}
_SHOWN = {
    "percent": "%",
    "multiple": "x",
    "usd": " usd",
    "bps": " bps",
    "minutes": " minutes",
    "days": " days",
    "ms": " ms",
}
_TIMES_MS = {"minute": MINUTE_MS, "hour": HOUR_MS, "day": DAY_MS}
_TIME = re.compile(r"([1-9][0-9]{0,5}) (minute|hour|day)s?")
_TRUNCATED = 60


class MistakeError(Exception):
    """A mistake in a policy file whose place the loader knows: code, problem and help of an `engine.errors.Problem`."""

    def __init__(self, code: str, problem: str, help_: str = "") -> None:
        super().__init__(code, problem, help_)
        self.code = code
        self.problem = problem
        self.help = help_


@dataclass(frozen=True)
class Quantity:
    """A number and the unit it was written with; the unit may be empty."""

    number: Decimal
    suffix: str


def quoted(text: object) -> str:
    """Return user text for a message: one line, in backticks, cut when long."""
    line = " ".join(str(text).split())
    return f"`{line if len(line) <= _TRUNCATED else line[: _TRUNCATED - 1] + '…'}`"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the help that names the nearest known name, or all of them where none is near."""
    names = list(known)
    match = get_close_matches(name, names, n=1, cutoff=0.6) if len(name) <= _TRUNCATED else []
    if match:
        return f"did you mean `{match[0]}`?"
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")  # noqa: PLR2004 - one line of names
    return f"known: {shown}" if names else "none is declared"


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros.

    >>> plain(Decimal("12.5000")), plain(Decimal("1E+3"))
    ('12.5', '1000')
    """
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration_ms(text: object) -> int | None:
    """Return the milliseconds of ``61 minutes``, ``26 hours`` or ``5 days``; None for anything else."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    return int(match[1]) * _TIMES_MS[match[2]] if match else None


def parse_quantity(text: str) -> Quantity | None:
    """Return the number and the unit in `text`, or None where it is not written as one; exponents are not."""
    match = _QUANTITY.fullmatch(text.strip())
    return Quantity(Decimal(match[1]), match[2] or "") if match else None


def threshold(spec: FactSpec, text: str, operator: str = "") -> int:
    """Return the steps of a threshold on `spec`; `operator` is for messages.

    Raises:
        MistakeError: not a number, the wrong unit, outside the range, or finer than the resolution.
    """
    if spec.choices:
        return _choice(spec, text)
    quantity = parse_quantity(text)
    said = quoted(f"{operator} {text}".strip())
    if quantity is None:
        raise MistakeError("threshold", f"{quoted(text)} is not a number", "write digits, without an exponent")
    factors = SUFFIXES[spec.unit]
    if quantity.suffix not in factors:
        raise MistakeError("unit", _wrong_unit(spec, said, quantity), _right_unit(spec, quantity, operator))
    exact = quantity.number * factors[quantity.suffix] / spec.resolution
    steps = int(exact.to_integral_value(ROUND_HALF_EVEN))
    if steps != exact:
        step = f"{plain(spec.resolution)}{_SHOWN.get(spec.unit, '')}"
        raise MistakeError("resolution", f"{said} is finer than the steps of {step} of `{spec.name}`")
    if not spec.low <= steps <= spec.high:
        low, high = shown(spec, spec.low), shown(spec, spec.high)
        raise MistakeError("range", f"`{spec.name}` runs from {low} to {high}, {said} lies outside")
    return steps


def _choice(spec: FactSpec, text: str) -> int:
    if text not in spec.choices:
        raise MistakeError(
            "choice",
            f"`{spec.name}` is one of {', '.join(spec.choices)}, not {quoted(text)}",
            nearest(text, spec.choices),
        )
    return spec.choices.index(text)


def _wrong_unit(spec: FactSpec, said: str, quantity: Quantity) -> str:
    has = f"is written in `{quantity.suffix}`" if quantity.suffix else "has no unit"
    return f"`{spec.name}` is {_IN_WORDS[spec.unit]}, {said} {has}"


def _right_unit(spec: FactSpec, quantity: Quantity, operator: str) -> str:
    if spec.unit in {"minutes", "days"}:
        return f"write {', '.join(name for name in SUFFIXES[spec.unit] if name.endswith('s'))} after the number"
    number = quantity.number
    if spec.unit == "percent" and not quantity.suffix and 0 < abs(number) < 1:
        number *= 100
    if spec.unit in {"ratio", "multiple"} and quantity.suffix == "%":
        number /= 100
    suffix = next(iter(SUFFIXES[spec.unit]))
    gap = " " if suffix.isalpha() else ""
    return f'write `"{f"{operator} {plain(number)}".strip()}{gap}{suffix}"`'


def shown(spec: FactSpec, steps: int) -> str:
    """Return a value or threshold for people: ``12.5%``, ``1.2x``, ``5000 usd``, ``FLATTEN_ALL``."""
    if spec.choices:
        return spec.choices[steps] if 0 <= steps < len(spec.choices) else str(steps)
    return f"{digits(spec, steps)}{_SHOWN.get(spec.unit, '')}"


def digits(spec: FactSpec, steps: int) -> str:
    """Return a value in exact decimal digits of the fact's unit, without the unit."""
    places = spec.places
    if places is None:
        return plain(steps * spec.resolution)
    whole, part = divmod(abs(steps), 10**places)
    text = f"{whole}.{part:0{places}d}".rstrip("0") if part else str(whole)
    return f"-{text}" if steps < 0 else text


def to_steps(value: float, spec: FactSpec) -> int:
    """Return a finite number in whole steps of the resolution, halves to even, from its shortest decimal form.

    0.285 is half-way between steps of 0.01 although its binary form is not: the decimal is what was meant.
    """
    per_unit = spec.per_unit
    scaled = value * per_unit
    if per_unit and -(2**40) < scaled < 2**40:
        near = round(scaled)
        # Below 2**40 the product is wrong by less than 0.001 of a step: only near a half does that matter.
        if -0.499 <= scaled - near <= 0.499:  # noqa: PLR2004 - see above
            return near
    exact = Decimal(repr(float(value))) / spec.resolution
    return int(exact.to_integral_value(ROUND_HALF_EVEN))
