"""Policy tests as values: days of facts, and what the policy must make of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.clock import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.policy.model import Policy
    from engine.policy.testing.declared import Declared
    from engine.policy.testing.series import Entry


# The first day begins here; which year it is means nothing to a policy.
FIRST_MS = 20_000 * DAY_MS


def day_ms(days: int) -> int:
    """Return the moment at which `days` days of a test are over."""
    return FIRST_MS + days * DAY_MS


def posted_facts(policy: Policy) -> tuple[str, ...]:
    """Return the facts of a policy that someone posts: all but the differences of two of them."""
    return tuple(name for name in policy.facts if policy.vocabulary.facts[name].difference is None)


@dataclass(frozen=True)
class Case:
    """One policy test.

    Attributes:
        name: what it shows.
        policy: the name of the policy it is about.
        file: where it is written.
        where: file:line:column.
        facts: an entry a day for each fact of the policy; all of the same length.
        outcomes: the expected outcome a day; None where nothing is expected.
        rules: exactly the rules that must fire, a day; None where nothing is expected.
        declared: what the policy must declare.
        streaks_from: the day with which streaks begin (A34); None: with the first.
        switched_on: rules that the file switches off and that are on in this test.
    """

    name: str
    policy: str
    file: str
    where: str = field(compare=False)
    facts: Mapping[str, tuple[Entry, ...]] = field(repr=False)
    outcomes: tuple[str | None, ...] = ()
    rules: tuple[frozenset[str] | None, ...] = ()
    declared: tuple[Declared, ...] = ()
    streaks_from: int | None = None
    switched_on: frozenset[str] = frozenset()

    @property
    def days(self) -> int:
        """How many days it plays."""
        return len(self.outcomes)

    @property
    def since_ms(self) -> int | None:
        """When streaks begin, on the calendar of `day_ms`; None: with the first day."""
        return None if self.streaks_from is None else day_ms(self.streaks_from - 1)


@dataclass(frozen=True)
class Suite:
    """Policy tests: the cases in the order of their files, and each policy's day on which all is well."""

    cases: tuple[Case, ...]
    defaults: Mapping[str, Mapping[str, Entry]]
