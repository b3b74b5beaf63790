"""Explanations in the terminal: plain text in 80 columns, the same through a pipe."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from engine.policy.tree import FALSE, TRUE, UNKNOWN
from engine.policy_explain.subjects import FactText, RuleText, Subject, rule_said
from engine.reports.conditions import (
    condition_text,
    distance_text,
    margin_text,
    recovery_text,
    streak_text,
    test_of,
    value_text,
    way_back_text,
)
from engine.reports.numbers import count, minute_text, short_hash
from engine.reports.verdicts import Condition, exact
from engine.reports.verdicts import Rule as Told
from engine.reports.verdicts import Streak as ToldStreak
from engine.reports.why import labelled, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.policy.account import Account, Judged, Way
    from engine.policy.explain import Leaf
    from engine.policy.tree import Node
    from engine.policy_explain.accounts import Explanation
    from engine.policy_explain.subjects import ReferenceText

_MOST_WAYS = 2  # to each outcome
_MOST_LACKING = 3
_MOST_CAUSES = 6
_STEP = 2
_OUTCOME = 8  # columns for an outcome
_TRUTH = 9  # columns for a truth
_VALUE, _TEST = 42, 59  # columns at which a value and a test end


def answer_text(answer: Explanation | Subject) -> str:
    """Return what was asked for."""
    return subject_text(answer) if isinstance(answer, Subject) else explanation_text(answer)


def explanation_text(explanation: Explanation) -> str:
    """Return what was decided, its causes, what is near, and every rule with every condition."""
    account = explanation.account
    lines = [*_head(explanation), ""]
    lines += labelled("cause", _causes(explanation))
    lines += labelled("unclear", _undecided(explanation))
    lines += labelled("harder", _ways(account.harder, explanation) or ["nothing is more severe, or near"])
    lines += labelled("softer", _softer(explanation) or ["nothing"])
    unknown = ", ".join(f"{fact} ({status})" for fact, status in account.unknown)
    lines += [*labelled("unknown", [unknown or "none"]), ""]
    for rule in sorted(account.rules, key=_place):
        lines += _rule(rule)
    return "\n".join(line.rstrip() for line in lines)


def subject_text(subject: Subject) -> str:
    """Return what an id stands for."""
    blocks = []
    for part in subject.parts:
        if isinstance(part, RuleText):
            blocks.append(_rule_text(part))
        elif isinstance(part, FactText):
            blocks.append(_fact_text(part))
        else:
            blocks.append(_reference_text(part))
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks)


def _head(explanation: Explanation) -> list[str]:
    account = explanation.account
    moment = "" if explanation.at_ms is None else minute_text(explanation.at_ms)
    parts = [account.policy.name, explanation.title, moment, f"policy {short_hash(account.policy.sha256)}"]
    lines = wrapped(" · ".join(part for part in parts if part), 0)
    fired = ", ".join(account.fired)
    lines += wrapped(f"{account.outcome:<{_OUTCOME}} {fired or 'no rule fires'}", _OUTCOME + 1)
    if explanation.differs:
        text = f"the ledger recorded {explanation.recorded}: `stagegate verdict replay` says what differs"
        lines += wrapped(text, 0)
    return lines


def _causes(explanation: Explanation) -> list[str]:
    account = explanation.account
    many = len(account.decisive)
    told = [f"{rule.id}: {_because(rule)}" for rule in account.decisive[:_MOST_CAUSES]]
    told += [f"and {count(many - _MOST_CAUSES, 'more rule')}, below"] if many > _MOST_CAUSES else []
    told += [f"each of these {many} alone is enough for {account.outcome}"] if many > 1 else []
    return told or ["no rule asks for anything else"]


def _because(rule: Judged) -> str:
    """Return the minimal set of conditions behind a rule that fires, and its days."""
    conditions = " and ".join(
        f"{leaf.fact} unknown" if leaf.value is None else condition_text(_condition(leaf)) for leaf in rule.causes
    )
    return ", ".join(part for part in (conditions, _streak(rule)) if part)


def _undecided(explanation: Explanation) -> list[str]:
    """Return what would make the outcome more severe if the unknown came out that way."""
    told = []
    for rule in explanation.account.undecided:
        missing = dict.fromkeys(leaf.fact for leaf in rule.causes if leaf.truth == UNKNOWN)
        unknown = [*missing, *(["how many days before were like this"] if rule.days_unknown else [])]
        told.append(f"{rule.id} could ask for {rule.outcome}: unknown {' and '.join(unknown)}")
    return told


def _ways(ways: Iterable[Way], explanation: Explanation) -> list[str]:
    by_outcome: dict[str, list[str]] = {}
    for way in ways:
        by_outcome.setdefault(way.outcome, []).append(_way(way, explanation))
    return [f"{outcome} {', or '.join(list(dict.fromkeys(told))[:_MOST_WAYS])}" for outcome, told in by_outcome.items()]


def _way(way: Way, explanation: Explanation) -> str:
    """Return one way: ``at drawdown > 12 % (1.6 points)``, ``in 3 more days like this``."""
    leaves = [distance_text(_condition(leaf), explanation.equity_usd) for leaf in way.lacking[:_MOST_LACKING]]
    more = len(way.lacking) - _MOST_LACKING
    leaves += [count(more, "more condition")] if more > 0 else []
    text = f"at {' and '.join(leaves)}" if leaves else ""
    if way.days is None:
        return f"{text} if its days are enough ({way.rule})".strip()
    if way.days:
        days = count(way.days, "more day" if not leaves else "day")
        return f"{text} for {days}" if leaves else f"in {days} like this ({way.rule})"
    return text


def _softer(explanation: Explanation) -> list[str]:
    account = explanation.account
    told: list[str] = []
    if account.softer is not None:
        recovery = " and ".join(dict.fromkeys(filter(None, (_recovery(rule, account) for rule in account.decisive))))
        ends = list(dict.fromkeys(_end(leaf) for _, leaves in account.softer.ends for leaf in leaves))
        more = len(ends) - _MOST_CAUSES
        ends[_MOST_CAUSES:] = [count(more, "more change")] if more > 0 else []
        days = [rule.id for rule in account.decisive if _outlasts(rule)]
        parts = [
            f"at {' and '.join(ends)}" if ends else "",
            f"once the days of {' and '.join(days)} are over" if days else "",
        ]
        text = f"{account.softer.outcome} {' and '.join(part for part in parts if part)}"
        told.append(f"{text}; its effects end {recovery}" if recovery else text)
    return told + _ways(account.promotions, explanation)


def _recovery(rule: Judged, account: Account) -> str:
    """Return what the episode that a rule keeps alive waits for."""
    policy = account.policy
    effects = policy.episodes.get(rule.instance.episode, policy.effects[account.outcome])
    text = recovery_text(account.outcome, dataclasses.asdict(effects))
    return f"{text} ({rule.instance.episode})" if rule.instance.episode else text


def _outlasts(rule: Judged) -> bool:
    """Return whether a rule goes on for days after its condition ended, or fires by its days alone."""
    span = rule.instance.span
    return span is not None and (rule.tree.truth != TRUE or span.of is not None)


def _end(leaf: Leaf) -> str:
    return way_back_text(_condition(leaf))


def _place(rule: Judged) -> int:
    return (TRUE, UNKNOWN, FALSE).index(rule.truth)


def _rule(rule: Judged) -> list[str]:
    word = "FIRES" if rule.fires else "unknown" if rule.truth == UNKNOWN else "no"
    off = "" if rule.instance.rule.enabled else "switched off"
    days = "its days are unknown" if rule.days_unknown else _streak(rule)
    refs = " ".join(rule.instance.rule.refs)
    head = " · ".join(part for part in (f"{rule.id} → {rule.outcome}", days, off, refs) if part)
    return [*wrapped(f"{word:<{_TRUTH}}{head}", _TRUTH), *_tree(rule.tree, _STEP)]


def _tree(node: Node, indent: int) -> Iterator[str]:
    if node.leaf is None:
        held = sum(part.truth == TRUE for part in node.parts)
        needed = "all" if node.kind == "all" else "any"
        yield f"{' ' * indent}{node.truth.lower():<{_TRUTH}}{needed} of {len(node.parts)}, {held} true"
        for part in node.parts:
            yield from _tree(part, indent + _STEP)
        return
    condition = _condition(node.leaf)
    note = _distance(condition)
    line = f"{' ' * indent}{node.truth.lower():<{_TRUTH}}{value_text(condition)}".ljust(_VALUE)
    line = f"{line} {test_of(condition) or condition.test}".ljust(_TEST)
    yield from wrapped(f"{line}  {note}" if note else line, indent + _TRUTH)


def _distance(condition: Condition) -> str:
    """Return how far a condition is from turning: ``by 0.4 points`` where it holds, ``1.6 points away``."""
    margin = exact(condition.margin)
    if margin is None or (not margin and condition.test.startswith(("=", "!="))):
        return ""
    if not margin:
        return "at the edge"
    return f"by {margin_text(condition)}" if condition.truth == TRUE else f"{margin_text(condition)} away"


def _streak(rule: Judged) -> str:
    if rule.streak is None:
        return ""
    streak = ToldStreak(rule.streak.days, rule.streak.needed, rule.streak.of)
    return streak_text(Told(rule.id, rule.outcome, rule.truth, (), "", (), streak))


def _condition(leaf: Leaf) -> Condition:
    return Condition(**vars(leaf))


def _rule_text(one: RuleText) -> list[str]:
    rule = one.rule
    lines = wrapped(f"{rule.name} · {one.policy.name} · {one.where}", 0)
    lines += [*wrapped(one.sentence, _STEP), ""]
    before = ""
    for label, words in rule_said(one):
        if words:
            lines += labelled("" if label == before else label, [words])
            before = label
    if one.now is not None:
        moment = "" if one.now.at_ms is None else f"{minute_text(one.now.at_ms)}, "
        lines += ["", *wrapped(f"now, by {moment}{one.now.title}", 0)]
        for judged in one.judged:
            lines += _rule(judged)
    return lines


def _fact_text(fact: FactText) -> list[str]:
    lines = [f"{fact.name} · a fact", ""]
    for label, words in fact.declared:
        lines += labelled(label.replace("_", " "), [words])
    for policy, words in fact.bands:
        lines += labelled("band", [f"in {policy}: {words}"])
    readers: dict[str, list[str]] = {}
    for one in fact.rules:
        readers.setdefault(one.policy.name, []).append(f"{one.rule.name} → {one.rule.outcome}")
    told = [f"in {policy}: {', '.join(rules)}" for policy, rules in readers.items()]
    return lines + labelled("rules", told or ["none reads it"])


def _reference_text(reference: ReferenceText) -> list[str]:
    lines = [f"{reference.name} · a requirement or resolution", "", *_sentences(reference.rules, "no rule carries it")]
    for where, text in reference.lines:
        lines += wrapped(f"{where}  {text}", _STEP)
    return lines


def _sentences(rules: Iterable[RuleText], nothing: str) -> Iterator[str]:
    told = [f"{one.policy.name}: {one.rule.name}: {one.sentence}" for one in rules]
    for text in told or [nothing]:
        yield from wrapped(text, _STEP)
    yield ""
