"""Policy tests as values: days of facts, and what the policy must make of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.policy.declared import Declared
    from engine.policy.series import Entry


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

    @property
    def days(self) -> int:
        """How many days it plays."""
        return len(self.outcomes)


@dataclass(frozen=True)
class Suite:
    """Policy tests: the cases in the order of their files, and each policy's day on which all is well."""

    cases: tuple[Case, ...]
    defaults: Mapping[str, Mapping[str, Entry]]
