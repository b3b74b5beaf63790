"""Reads `parameters`: thresholds with a name and a range, of one policy or (in the vocabulary) of several."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from engine.policy.model import Parameter
from engine.policy.quantity import parse_quantity, plain, quoted

if TYPE_CHECKING:
    from engine.policy.schema import Findings


def read_parameters(findings: Findings) -> tuple[dict[str, Parameter], set[str]]:
    """Return the parameters of a file by name, and the names of those that no condition can be checked against.

    Mistakes are added to `findings`.
    """
    parameters: dict[str, Parameter] = {}
    unsound: set[str] = set()
    for name in findings.value("parameters") or {}:
        path = ("parameters", name)
        value, ends = findings.value(*path, "value"), findings.value(*path, "range")
        if value is None or ends is None or not all(findings.sound(*path, "range", end) for end in (0, 1)):
            unsound.add(name)
            continue
        texts = [as_text(item) for item in (value, *ends)]
        quantities = [parse_quantity(text) for text in texts]
        places = [(*path, "value"), (*path, "range", 0), (*path, "range", 1)]
        for place, text, quantity in zip(places, texts, quantities, strict=True):
            if quantity is None:
                findings.add(place, "threshold", f"{quoted(text)} is not a number", "write digits, without an exponent")
        sound = [quantity for quantity in quantities if quantity]
        if len(sound) < len(quantities):
            unsound.add(name)
        elif len({quantity.suffix for quantity in sound}) > 1:
            problem = f"the value and the range of `{name}` have different units"
            findings.add(path, "unit", problem, key=True)
            unsound.add(name)
        elif not sound[1].number <= sound[0].number <= sound[2].number:
            problem = f"{quoted(texts[0])} is outside the range {texts[1]} to {texts[2]} of `{name}`"
            findings.add(places[0], "range", problem)
        parameters[name] = Parameter(name, texts[0], texts[1], texts[2], findings.value(*path, "about") or "")
    return parameters, unsound


def as_text(value: Any) -> str:
    """Return a plain value as YAML would write it, a number without exponent."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return plain(Decimal(repr(value)))
    return str(cast("object", value))
