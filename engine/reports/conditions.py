"""One rule or condition in words: its value, how far off its threshold is, and what that distance is worth in money."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.policy.notation import duration_words
from engine.reports.numbers import bare, comparison, count, number, points, usd, with_unit
from engine.reports.numbers import threshold as edge_of
from engine.reports.verdicts import TRUE, Condition, Rule, Verdict, exact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HUNDRED = 100
_SHARPE = re.compile(r"sharpe_(\d+)d")
_OF_PEAK = {"drawdown"}  # the largest, or a day's lowest, says nothing of where the equity stands now
_OF_START = {"return_1d", "return_30d", "return_window"}
_TEST = re.compile(r"(<=|>=|!=|<|>|=)(.*)")
_KNOWING = ("known", "unknown")
_OR_UNKNOWN = " or unknown"
_LOWER = (">", ">=")
_UPPER = ("<", "<=")
_TOLD = 3  # conditions told in a sentence
_OPPOSITE = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "=": "!=", "!=": "="}


def sentence(verdict: Verdict) -> str:
    """Return the reason in one sentence: what fired for the outcome, its value against its threshold."""
    rules = verdict.decisive or verdict.minor
    if not rules:
        return "no rule asks for anything else"
    first = rules[0]
    told = telling(first)
    facts = ", ".join(condition_text(condition) for condition in told)
    if len(told) == 1 and "[" not in first.id and first.because:
        facts = facts.removeprefix(f"{told[0].fact} ")  # the reason names it
    if len(told) > _TOLD:
        facts = f"all {count(len(told), 'condition')} hold"
    text = ": ".join(part for part in (first.because or first.id, facts) if part)
    return f"{text} (and {count(len(rules) - 1, 'more rule')})" if len(rules) > 1 else text


def sharpe_error(fact: str, value: float) -> float | None:
    """Return the standard error of an annualised Sharpe ratio (Lo 2002); None where `fact` is not a rolling Sharpe.

    Args:
        fact: such as ``sharpe_20d``; its number is the count of daily returns.
        value: the annualised ratio.

    >>> round(sharpe_error("sharpe_20d", -1.12), 1)
    4.3
    """
    match = _SHARPE.fullmatch(fact)
    if match is None:
        return None
    from engine.metrics.returns import sharpe_standard_error  # noqa: PLC0415 - NumPy: keeps queries fast

    return sharpe_standard_error(value, int(match[1]))


def condition_text(condition: Condition) -> str:
    """Return the fact, its value and what it is compared with."""
    test = test_of(condition)
    if condition.value is not None:
        test = test.partition(_OR_UNKNOWN)[0]  # it is known
    between = "between " if " to " in test else ""
    return f"{value_text(condition)} {between}{test.replace(' to ', ' and ') if between else test}".rstrip()


def test_of(condition: Condition) -> str:
    """Return the comparison in print; nothing where it only asks whether the fact is known, which the value says."""
    return "" if condition.test in _KNOWING else comparison(condition.test)


def value_text(condition: Condition) -> str:
    """Return the fact with its value and unit; a Sharpe ratio with its standard error."""
    if condition.value is None:
        return f"{condition.fact} unknown"
    text = f"{condition.fact} {with_unit(condition.value, condition.unit, apart_from=condition.test)}"
    value = exact(condition.value)
    error = None if value is None else sharpe_error(condition.fact, float(value))
    return text if error is None else f"{text} (±{number(error, 1)})"


def telling(rule: Rule) -> tuple[Condition, ...]:
    """Return the conditions that made a rule fire: the true ones, or all where truth came from elsewhere."""
    true = tuple(condition for condition in rule.conditions if condition.truth == TRUE)
    return grouped(true or rule.conditions)


def grouped(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return the conditions with what is asked of one fact as one: both edges of a yellow band are ``8 to 10%``."""
    found: list[Condition] = []
    for condition in conditions:
        before = found[-1] if found else None
        if before is None or (before.fact, before.truth) != (condition.fact, condition.truth):
            found.append(condition)
        else:
            found[-1] = replace(before, test=_both(before.test, condition.test), margin=None)
    return tuple(found)


def _both(one: str, other: str) -> str:
    """Return two tests of a fact as one: a range where one is a lower and the other an upper edge."""
    tests = {match[1]: match[2].strip() for match in (_TEST.fullmatch(test) for test in (one, other)) if match}
    low = next((text for operator, text in tests.items() if operator in _LOWER), None)
    high = next((text for operator, text in tests.items() if operator in _UPPER), None)
    if low is None or high is None:
        return f"{comparison(one)} and {comparison(other)}"
    return f"{bare(low)} to {high}"


def streak_text(rule: Rule) -> str:
    """Return ``2 of 4 days``; empty for a rule without a streak."""
    if rule.streak is None:
        return ""
    if rule.streak.of is not None:
        return f"{rule.streak.days} of the last {rule.streak.of} days, {rule.streak.needed} needed"
    if rule.streak.days > rule.streak.needed:
        return f"{count(rule.streak.days, 'day')}, {rule.streak.needed} needed"
    return f"{rule.streak.days} of {count(rule.streak.needed, 'day')}"


def margin_text(condition: Condition) -> str:
    """Return the distance to the threshold in the fact's own unit; empty where there is none."""
    return points(condition.margin, condition.unit) if exact(condition.margin) is not None else ""


def distance_text(condition: Condition, equity_usd: float | None) -> str:
    """Return where a condition turns true, and how far that is, in points and in money."""
    money = _money(condition, equity_usd)
    far = ", ".join(part for part in (margin_text(condition), "" if money is None else usd(money, 0)) if part)
    text = f"{condition.fact} {test_of(condition) or condition.test}"
    return f"{text} ({far})" if far else text


def way_back_text(condition: Condition) -> str:
    """Return what the fact must show for a true condition to end.

    >>> way_back_text(Condition("drawdown", "10.4", "percent", "> 10%", "TRUE", "0.4"))
    'drawdown ≤ 10 % (0.4 points)'
    """
    if condition.test in _KNOWING:
        return f"{condition.fact} {'known' if condition.test == 'unknown' else 'unknown'}"
    told = condition.test.strip().partition(_OR_UNKNOWN)[0]
    match = _TEST.fullmatch(told)
    if match is None or " and " in told:
        return f"{condition.fact} not {test_of(condition)}"
    test = comparison(_OPPOSITE[match[1]] + match[2])
    far = margin_text(condition) if exact(condition.margin) else ""
    return f"{condition.fact} {test} ({far})" if far else f"{condition.fact} {test}"


def recovery_text(outcome: str, effects: Mapping[str, Any]) -> str:
    """Return what an outcome waits for once nothing asks for it any more; empty where it ends at once.

    Args:
        outcome: which it is.
        effects: that its policy declares, under the names of `engine.policy.effects.Effects`.

    >>> recovery_text("REDUCE", {"recovery_ms": 432_000_000, "approvals": 1})
    'after 5 days without a REDUCE condition, and 1 approval'
    """
    if effects.get("until"):
        return f"only after a signed {effects['until']}"
    if not effects.get("recovery_ms"):
        return ""
    approvals = int(effects.get("approvals") or 0)
    text = f"after {duration_words(int(effects['recovery_ms']))} without a {outcome} condition"
    return text + (f", and {count(approvals, 'approval')}" if approvals else "")


def nearness(condition: Condition) -> float:
    """Return the margin as a share of the threshold (or of the value where that is larger), to compare unlike facts."""
    margin, value, edge = exact(condition.margin), exact(condition.value), edge_of(condition.test)
    if margin is None:
        return 1.0
    scale = max((abs(part) for part in (edge, value) if part is not None), default=None)
    return float(abs(margin) / scale) if scale else 1.0


def _money(condition: Condition, equity_usd: float | None) -> float | None:
    """Return what a margin in points is worth at the present equity; None where points are not of the equity."""
    margin, value = exact(condition.margin), exact(condition.value)
    if margin is None or value is None or equity_usd is None:
        return None
    if condition.fact in _OF_PEAK:
        base = equity_usd / (1 - float(value) / _HUNDRED) if value < _HUNDRED else None
    elif condition.fact in _OF_START:
        base = equity_usd / (1 + float(value) / _HUNDRED) if value > -_HUNDRED else None
    else:
        return None
    return None if base is None else abs(float(margin)) / _HUNDRED * base
