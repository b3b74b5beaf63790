"""One question, one answer: which of a verdict, facts, an id or the present a reader asked about."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError
from engine.policy.bundle import load_bundle
from engine.policy_explain.accounts import Explanation, of_given, of_ledger, of_verdict
from engine.policy_explain.subjects import RuleText, Subject, is_verdict_id, policy_named, subject

if TYPE_CHECKING:
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy

ACTION = "action"


@dataclass(frozen=True)
class Question:
    """What a reader asked.

    Attributes:
        subject: the id of a verdict, rule, fact or requirement; None for a policy as a whole.
        facts: a file of facts to judge by; None for those of the ledger.
        policy: the name of the one policy that is meant; None: any, and ``action`` as a whole.
        ledger: the ledger; None where there is none.
        rules: the bundle.
    """

    subject: str | None
    facts: Path | None
    policy: str | None
    ledger: Path | None
    rules: Path


def answer(question: Question) -> Explanation | Subject:
    """Return the answer to a question.

    Raises:
        UsageError: the question cannot be answered as it was put, or an id stands for nothing.
        PolicyError, LedgerError: bundle, facts or ledger are wrong.
    """
    name = question.subject
    if name is not None and is_verdict_id(name):
        return _of_verdict(question, name)
    if name is None:
        bundle = load_bundle(question.rules)
        told = _judged(question, bundle, policy_named(bundle, question.policy or ACTION))
        if told is None:
            problem = "there is nothing to explain: no id, no facts, no ledger"
            help_ = "name a rule such as `drawdown_red`, a verdict with --ledger, or a file with --facts"
            raise UsageError(Problem("question", "policy explain", problem, help_))
        return told
    bundle = load_bundle(question.rules)
    parts = subject(bundle, name, question.policy).parts
    return Subject(name, tuple(_standing(question, bundle, one) if isinstance(one, RuleText) else one for one in parts))


def _of_verdict(question: Question, verdict_id: str) -> Explanation:
    if question.facts is not None:
        problem = "a verdict has facts of its own"
        raise UsageError(Problem("question", "--facts", problem, "leave out either the verdict or --facts"))
    if question.ledger is None:
        problem = f"no ledger was named that could hold `{verdict_id}`"
        raise UsageError(Problem("question", "--ledger", problem, "add --ledger with the ledger that recorded it"))
    return of_verdict(question.ledger, verdict_id)


def _judged(question: Question, bundle: Bundle, policy: Policy) -> Explanation | None:
    if question.facts is not None:
        from engine.policy.testing.given import read_given  # noqa: PLC0415 - keeps other questions fast

        return of_given(policy, read_given(question.facts, bundle.vocabulary))
    return None if question.ledger is None else of_ledger(policy, question.ledger)


def _standing(question: Question, bundle: Bundle, one: RuleText) -> RuleText:
    """Return a rule with how it stands now, where facts or a ledger say."""
    now = _judged(question, bundle, one.policy)
    if now is None:
        return one
    asked = question.subject
    judged = tuple(
        rule
        for rule in now.account.rules
        if rule.instance.rule.name == one.rule.name and asked in {rule.id, one.rule.name}
    )
    return dataclasses.replace(one, judged=judged, now=now)
