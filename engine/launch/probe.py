"""What a probe is: it finds facts, or says in words why there is none. All probes run at once, each for so long.

A probe never decides. What it cannot find has no value, and the policy makes of that what it makes of a failure.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import StagegateError
from engine.policy.facts import MISSING, OK, Fact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from engine.policy.facts import Value

LIMIT_S = 10.0
"""How long a probe may take: a venue far away answers within a second, a messenger within a few."""


@dataclass(frozen=True)
class Finding:
    """What was found of one fact.

    Attributes:
        value: in the vocabulary's unit; None: not known.
        said: what was seen, in words; without a value, why there is none.
        as_of_ms: the moment it describes; None: now.
    """

    value: Value
    said: str = ""
    as_of_ms: int | None = None

    def fact(self, name: str, now_ms: int) -> Fact:
        """Return the fact that is posted."""
        status = MISSING if self.value is None else OK
        return Fact(name, self.value, status, now_ms if self.as_of_ms is None else self.as_of_ms)


Findings = dict[str, Finding]


@dataclass(frozen=True)
class Probe:
    """Finds some facts together.

    Attributes:
        facts: their names; one that `find` does not tell counts as not known.
        find: raises a StagegateError where it cannot look.
    """

    facts: tuple[str, ...]
    find: Callable[[], Awaitable[Mapping[str, Finding]]]


def yes(said: str) -> Finding:
    """Return that it is so."""
    return Finding(value=True, said=said)


def no(said: str) -> Finding:
    """Return that it is not so."""
    return Finding(value=False, said=said)


def unknown(why: str) -> Finding:
    """Return what is not known, and why."""
    return Finding(None, why)


def reason(error: StagegateError) -> str:
    """Return why something could not be looked at, in one line."""
    first = error.problems[0]
    more = len(error.problems) - 1
    text = f"{first.where}: {first.problem}" if first.where else first.problem
    return f"{text} (and {more} more)" if more else text


async def find_out(probes: Iterable[Probe], *, limit_s: float = LIMIT_S) -> Findings:
    """Return what all probes find, by fact; none waits for another, and none takes longer than `limit_s`."""
    found = await asyncio.gather(*(_find(probe, limit_s) for probe in probes))
    return {name: finding for part in found for name, finding in part.items()}


async def _find(probe: Probe, limit_s: float) -> Findings:
    why = "the probe did not say"
    found: Mapping[str, Finding] = {}
    try:
        async with asyncio.timeout(limit_s):
            found = await probe.find()
    except TimeoutError:
        why = f"no answer within {limit_s:g} s"
    except StagegateError as error:
        why = reason(error)
    return {name: found.get(name, unknown(why)) for name in probe.facts}
