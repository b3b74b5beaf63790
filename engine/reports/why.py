"""`verdict --why`: what was decided, what decided it, what almost did, and how far everything is from changing.

Plain text in 80 columns; it says the same without colour and through a pipe. Nothing is decided here: every value,
threshold and margin is the recorded verdict's own.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.reports.conditions import (
    distance_text,
    grouped,
    margin_text,
    nearness,
    recovery_text,
    streak_text,
    telling,
    test_of,
    value_text,
    way_back_text,
)
from engine.reports.numbers import age, count, day_text, minute_text, short_hash, usd
from engine.reports.verdicts import FALSE, UNKNOWN, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WIDTH = 80
_LABEL = 10  # where the columns begin: rule, value, test, note
_VALUE = 31
_TEST = 56
_NOTE = 64
_NEAREST_RULES = 2  # of each outcome
_NEAREST_DISTANCES = 2
_MISSING_CONDITIONS = 3
_NO_BREAK = "\N{NO-BREAK SPACE}"
_GLUE = re.compile(r"(?<=[<>=≤≥≠]) | (?=%)")  # a comparison and its unit stay on one line


@dataclass(frozen=True)
class Standing:
    """What stood around a verdict, read from the ledger and the policy; everything has a value that means "not known".

    Attributes:
        release: the bundle's name, such as ``R1``.
        severity: outcomes, most severe first.
        promotes: outcomes that raise the risk.
        exposure: multiplier in force once the verdict had acted.
        exposure_since_ms: since when.
        entries_allowed: whether positions may be opened or increased; None: not recorded.
        firing_since_ms: rule id -> since when it has fired without a pause, for rules that fired before this verdict.
        oldest_fact: name and age in ms of the fact that is oldest among the known.
        recovery_from_ms: the earliest time at which the running episode may end.
        waiting: requests that wait for approval, in words.
        approve: the command that answers them; empty where none is offered.
    """

    release: str = ""
    severity: tuple[str, ...] = ()
    promotes: tuple[str, ...] = ()
    exposure: float | None = None
    exposure_since_ms: int | None = None
    entries_allowed: bool | None = None
    firing_since_ms: Mapping[str, int] = field(default_factory=dict)
    oldest_fact: tuple[str, int] | None = None
    recovery_from_ms: int | None = None
    waiting: tuple[str, ...] = ()
    approve: str = ""

    @property
    def calmest(self) -> str:
        """The least severe outcome."""
        return self.severity[-1] if self.severity else "the least severe outcome"

    def harder_than(self, outcome: str) -> tuple[str, ...]:
        """Return the outcomes that cut deeper than `outcome`, most severe first; a promotion is never harder."""
        if outcome not in self.severity:
            return ()
        return tuple(other for other in self.severity[: self.severity.index(outcome)] if other not in self.promotes)


def why_text(verdict: Verdict, standing: Standing | None = None) -> str:
    """Return the explanation of one verdict.

    Args:
        verdict: as recorded.
        standing: what stood around it; None: only what the verdict itself says.

    Returns:
        Lines of at most 80 columns without a trailing newline.
    """
    around = standing or Standing()
    lines = [*header_lines(verdict, around), ""]
    lines += _fired(verdict, around)
    lines += _not_fired(verdict, around)
    lines += _unknown(verdict, around)
    lines.append("")
    lines += labelled("harder", _harder(verdict, around))
    lines += labelled("softer", _softer(verdict, around))
    lines += labelled("next", _next(around))
    return "\n".join(line.rstrip() for line in lines)


def header_lines(verdict: Verdict, around: Standing) -> list[str]:
    """Return what was decided when and under which policy, and the bounds in force."""
    return [*wrapped(_header(verdict, around), 0), *wrapped(_outcome(verdict, around), _LABEL - 1)]


def _header(verdict: Verdict, around: Standing) -> str:
    hashes = ((kind, verdict.hashes.get(kind)) for kind in ("policy", "config"))
    parts = [
        around.release,
        "" if verdict.stage is None else f"Stage {verdict.stage}",
        "" if verdict.cap_usd is None else f"{usd(verdict.cap_usd, 0)} cap",
        minute_text(verdict.at_ms),
        *(f"{kind} {short_hash(sha256)}" for kind, sha256 in hashes if sha256),
    ]
    return " · ".join(part for part in parts if part)


def _outcome(verdict: Verdict, around: Standing) -> str:
    exposure = verdict.exposure if around.exposure is None else around.exposure
    parts = [] if exposure is None else [f"exposure {exposure:g}"]
    if parts and around.exposure_since_ms is not None:
        parts[0] += f" since {day_text(around.exposure_since_ms)}"
    if around.entries_allowed is not None:
        parts.append(f"entries {'allowed' if around.entries_allowed else 'BLOCKED'}")
    parts.append(verdict.engines)
    parts += verdict.flags
    return f"{verdict.outcome:<9}" + " · ".join(parts)


def _fired(verdict: Verdict, around: Standing) -> list[str]:
    """Return what decided: the rules that fire anew, else those that still stand; then all the others that fire."""
    new = [rule for rule in verdict.decisive if rule.id not in around.firing_since_ms]
    standing = [rule for rule in verdict.decisive if rule.id in around.firing_since_ms]
    main, rest = (new, standing) if new else (standing, [])
    lines = [line for index, rule in enumerate(main) for line in _rule_lines("" if index else "why", rule, around)]
    if not main:
        lines = labelled("why", ["no rule asks for anything else"])
    for index, rule in enumerate([*rest, *verdict.minor]):
        lines += _rule_lines("" if index else "also", rule, around)
    return lines


def _rule_lines(label: str, rule: Rule, around: Standing) -> list[str]:
    """Return a fired rule: each true condition with its margin, then the reason and the ids behind it."""
    since = around.firing_since_ms.get(rule.id)
    lines: list[str] = []
    for condition in telling(rule):
        margin = margin_text(condition)
        note = f"by {margin}" if margin.strip("0. points") else ""
        if since is not None and not lines:
            note = f"since {day_text(since)}"
        first = not lines
        lines += row(label if first else "", rule.id if first else "", value_text(condition), test_of(condition), note)
    lines = lines or row(label, rule.id)
    reason = " · ".join(part for part in (rule.because, streak_text(rule), " ".join(rule.refs)) if part)
    return [*lines, *(labelled("", [reason]) if reason else [])]


def _not_fired(verdict: Verdict, around: Standing) -> list[str]:
    """Return the rules nearest to firing that would have changed something, promotions last."""
    harder = around.harder_than(verdict.outcome)
    waiting = [
        rule
        for rule in verdict.rules
        if rule.id not in verdict.fired and (rule.outcome in {*harder, *around.promotes} or not around.severity)
    ]
    waiting.sort(key=lambda rule: max(map(nearness, rule.failing), default=0.0))
    shown = [
        rule
        for outcome in (*reversed(harder), *around.promotes)
        for rule in [rule for rule in waiting if rule.outcome == outcome][:_NEAREST_RULES]
    ]
    shown = shown or waiting[:_NEAREST_RULES]
    lines = [line for index, rule in enumerate(shown) for line in _not_line("" if index else "not", rule)]
    hidden = len(waiting) - len(shown)
    return lines + (labelled("", [f"and {count(hidden, 'more rule')}, farther away"]) if hidden else [])


def _not_line(label: str, rule: Rule) -> list[str]:
    failing = rule.failing
    one = failing if len(failing) == 1 else grouped(rule.conditions)
    if len(one) == 1:
        condition = one[0]
        margin = margin_text(condition)
        note = streak_text(rule) or (f"{margin} away" if margin and failing else "")
        return row(label, rule.id, value_text(condition), test_of(condition), note)
    unknown = dict.fromkeys(condition.fact for condition in failing if condition.truth == UNKNOWN)
    parts = [
        f"{len(failing)} of {count(len(rule.conditions), 'condition')} fail" if failing else "every condition holds",
        streak_text(rule),
        f"unknown: {', '.join(unknown)}" if unknown else "",
    ]
    return row(label, rule.id, " · ".join(part for part in parts if part))


def _unknown(verdict: Verdict, around: Standing) -> list[str]:
    listed = ", ".join(f"{item.fact} ({item.status})" for item in verdict.unknown) or "none"
    if around.oldest_fact is not None:
        listed += f" · oldest fact {age(around.oldest_fact[1])} ({around.oldest_fact[0]})"
    return labelled("unknown", [listed])


def _harder(verdict: Verdict, around: Standing) -> list[str]:
    """Return, for each more severe outcome, the nearest ways to it."""
    lines: list[str] = []
    for outcome in reversed(around.harder_than(verdict.outcome)):
        found: list[tuple[float, str]] = []
        for rule in verdict.rules:
            if rule.outcome != outcome or rule.id in verdict.fired:
                continue
            left = rule.streak.needed - rule.streak.days if rule.streak else 0
            if not rule.failing and left > 0:
                found.append((0.0, f"in {count(left, 'more day')} like this ({rule.id})"))
            elif len(rule.failing) == 1 and rule.failing[0].truth == FALSE and left <= 1:
                found.append((nearness(rule.failing[0]), f"at {distance_text(rule.failing[0], verdict.equity_usd)}"))
        ways = list(dict.fromkeys(text for _, text in sorted(found, key=lambda way: way[0])))[:_NEAREST_DISTANCES]
        lines += [f"{outcome} {' or '.join(ways)}"] if ways else []
    return lines or ["nothing is more severe" if not around.harder_than(verdict.outcome) else "nothing is near"]


def _softer(verdict: Verdict, around: Standing) -> list[str]:
    effects = verdict.effects
    recovery = recovery_text(verdict.outcome, effects)
    if effects.get("until"):
        return [f"{around.calmest} {recovery}"]
    if recovery:
        back = dict.fromkeys(way_back_text(condition) for rule in verdict.decisive for condition in telling(rule))
        return [
            f"{around.calmest} {recovery}",
            *([f"none would stand at {' and '.join(back)}"] if back else []),
        ]
    return _promotions(verdict, around)


def _promotions(verdict: Verdict, around: Standing) -> list[str]:
    told: list[str] = []
    for rule in verdict.rules:
        if rule.outcome not in around.promotes or rule.outcome == verdict.outcome:
            continue
        failing = [condition for condition in rule.failing if condition.truth == FALSE]
        unknown = sorted({condition.fact for condition in rule.failing if condition.truth == UNKNOWN})
        parts = [distance_text(condition, verdict.equity_usd) for condition in failing[:_MISSING_CONDITIONS]]
        more = len(failing) - _MISSING_CONDITIONS
        parts += [count(more, "more condition")] if more > 0 else []
        parts += [f"a value for {', '.join(unknown)}"] if unknown else []
        text = f"{rule.outcome} needs {', '.join(parts) or 'every condition to last'}"
        told.append(f"{text} · {streak_text(rule)}" if rule.streak else text)
    return told or ["nothing"]


def _next(around: Standing) -> list[str]:
    told = [f"waiting for approval: {request}" for request in around.waiting]
    if not told and around.recovery_from_ms is not None:
        told.append(f"recovery not before {minute_text(around.recovery_from_ms)}, if nothing fires until then")
    if around.approve and told:
        told[-1] += f": `{around.approve}`"
    return told or ["nothing to do"]


def labelled(label: str, texts: Iterable[str]) -> list[str]:
    """Return texts beside one label, each from a line of its own."""
    lines: list[str] = []
    for index, text in enumerate(texts):
        lines += wrapped(f"  {'' if index else label}".ljust(_LABEL) + text, _LABEL)
    return lines


def row(label: str, rule: str, value: str = "", test: str = "", note: str = "") -> list[str]:
    """Return label, rule, value, test and note in columns on one line; on two where they need more than 80 columns."""
    head = f"  {label}".ljust(_LABEL) + rule
    line = head
    for cell, stop in ((value, _VALUE), (test, _TEST), (note, _NOTE)):
        line = f"{line.ljust(stop - 1)} {cell}" if cell else line
    if len(line) <= WIDTH:
        return [line]
    body = "  ".join(part for part in (value, test, note) if part)
    if len(head) < _VALUE and not test:
        return wrapped(f"{head.ljust(_VALUE)}{body}", _VALUE)
    return [*wrapped(head, _LABEL), *wrapped(" " * (_LABEL + 2) + body, _LABEL + 2)]


def wrapped(text: str, indent: int) -> list[str]:
    """Return a text in lines of at most 80 columns, all but the first indented; a value stays with its unit."""
    glued = _GLUE.sub(_NO_BREAK, text)
    lines = textwrap.wrap(glued, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)
    return [line.replace(_NO_BREAK, " ") for line in lines]
