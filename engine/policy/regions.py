"""Which values make a comparison true: whole steps as sorted, disjoint, closed intervals within a fact's range."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.policy.model import Band, Colour, Compare, FactSpec

Region = tuple[tuple[int, int], ...]


def everything(spec: FactSpec) -> Region:
    """Return all values that a fact may have."""
    return ((spec.low, spec.high),)


def region(compare: Compare, spec: FactSpec) -> Region:
    """Return the values for which `compare` is true."""
    steps = compare.steps
    match compare.operator:
        case ">":
            parts = [(steps + 1, spec.high)]
        case ">=":
            parts = [(steps, spec.high)]
        case "<":
            parts = [(spec.low, steps - 1)]
        case "<=":
            parts = [(spec.low, steps)]
        case "=":
            parts = [(steps, steps)]
        case "!=":
            parts = [(spec.low, steps - 1), (steps + 1, spec.high)]
    return union(intersection(((low, high),), everything(spec)) for low, high in parts if low <= high)


def colour_region(band: Band, colour: Colour, spec: FactSpec) -> Region:
    """Return the values for which a band shows `colour`."""
    green, red = region(band.green, spec), region(band.red, spec)
    if colour == "green":
        return green
    if colour == "red":
        return red
    return complement(union([green, red]), spec)


def intersection(one: Region, other: Region) -> Region:
    """Return the values in both."""
    both = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return tuple(sorted((low, high) for low, high in both if low <= high))


def union(regions: Iterable[Region]) -> Region:
    """Return the values in any, neighbours joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(part for one in regions for part in one):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def complement(one: Region, spec: FactSpec) -> Region:
    """Return the values of the fact's range that are not in `one`."""
    rest: list[tuple[int, int]] = []
    start = spec.low
    for low, high in one:
        if start < low:
            rest.append((start, low - 1))
        start = high + 1
    if start <= spec.high:
        rest.append((start, spec.high))
    return tuple(rest)
