"""Reads what a policy test expects day by day: outcomes and the rules that fire, for all days, one, or some."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.policy.quantity import MistakeError, nearest, quoted
from engine.policy.testing.series import word_series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.documents import Key
    from engine.policy.model import Policy
    from engine.policy.schema import Findings

_DAILY = re.compile(r"(outcome|rules)(?:@([1-9][0-9]{0,3})(?:-([1-9][0-9]{0,3}))?)?")


@dataclass(frozen=True)
class Daily:
    """One key of `expect`: ``outcome``, ``rules@18`` or ``outcome@1-9``; without days `first` is None."""

    key: str
    what: str
    first: int | None
    last: int | None


def daily_keys(keys: Iterable[str]) -> dict[str, Daily]:
    """Return those keys that expect something of days."""
    found = {key: _DAILY.fullmatch(key) for key in keys}
    return {
        key: Daily(key, match[1], int(match[2]) if match[2] else None, int(match[3] or match[2]) if match[2] else None)
        for key, match in found.items()
        if match
    }


def outcome_days(findings: Findings, at: Key, policy: Policy) -> int:
    """Return how many days the outcomes at `at` are for; 0: for all, or wrong, which is reported later."""
    try:
        words = word_series(findings.value(*at), policy.outcomes, "outcome")
    except MistakeError:
        return 0
    return len(words) if len(words) > 1 else 0


def read_daily(
    findings: Findings, at: Key, policy: Policy, keys: Iterable[Daily], days: int
) -> tuple[tuple[str | None, ...], tuple[frozenset[str] | None, ...]]:
    """Return the expected outcome and rules of each day, None where there is none; mistakes are added to `findings`."""
    outcomes: list[str | None] = [None] * days
    rules: list[frozenset[str] | None] = [None] * days
    for daily in keys:
        here = (*at, daily.key)
        first, last = daily.first or 1, daily.last or days
        if not first <= last <= days:
            problem = f"{quoted(daily.key)} names days that the test does not have, it has {days}"
            findings.add(here, "days", problem, "days count from 1", key=True)
            continue
        length = last - first + 1
        try:
            if daily.what == "rules":
                _put(findings, here, rules, first, [_rules(findings, here, policy)] * length)
                continue
            words = word_series(findings.value(*here), policy.outcomes, "outcome")
        except MistakeError as mistake:
            findings.add(here, mistake.code, mistake.problem, mistake.help)
            continue
        words = words * length if len(words) == 1 else words
        if len(words) == length:
            _put(findings, here, outcomes, first, words)
        elif daily.first is not None:  # of all days: the lengths have been compared
            findings.add(here, "length", f"expected {length} outcomes, found {len(words)}")
    return tuple(outcomes), tuple(rules)


def _put(findings: Findings, at: Key, expected: list[Any], first: int, found: Sequence[Any]) -> None:
    for day, one in enumerate(found, first):
        if one is None:
            continue
        if expected[day - 1] is not None:
            findings.add(at, "duplicate", f"day {day} is expected twice", "keep one of the two", key=True)
            return
        expected[day - 1] = one


def _rules(findings: Findings, at: Key, policy: Policy) -> frozenset[str]:
    names = findings.value(*at)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise MistakeError("type", "expected a list of rules", "write `[scale_up]`, or `[]` where none fires")
    for index, name in enumerate(names):
        if name not in policy.by_id:
            help_ = nearest(name, policy.by_id)
            findings.add((*at, index), "unknown-rule", f"`{policy.name}` has no rule {quoted(name)}", help_)
    return frozenset(names)
