"""Reads `stages`: caps, least days and ways out, which become ordinary rules that both engines decide like any other.

A stage's promotion is one rule: in this stage, for at least its days, and all of its conditions. Each condition that
ends a stage is a rule of its own, so that a verdict names the one that did.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.policy.effects import Effects
from engine.policy.model import (
    ABORT,
    DAYS_IN_STAGE,
    PROMOTE,
    STAGE,
    Abort,
    All,
    Compare,
    Promotion,
    Rule,
    Stage,
    facts_of,
)
from engine.policy.quantity import MistakeError, nearest, parse_quantity, quoted, threshold

if TYPE_CHECKING:
    from engine.documents import Key
    from engine.policy.conditions import ConditionReader
    from engine.policy.model import Condition, Operator
    from engine.policy.schema import Findings

_REF = re.compile(r"\b[RA][0-9]{2,3}\b")
_YES = "yes"


class StageReader:
    """Reads the stages of one file; mistakes are added to the findings.

    Attributes:
        rules: what the promotions and aborts stand for, by name: ``promote_1``, ``abort_1[drawdown]``.
    """

    def __init__(self, findings: Findings, conditions: ConditionReader, outcomes: tuple[str, ...]) -> None:
        self.rules: dict[str, Rule] = {}
        self._findings = findings
        self._conditions = conditions
        self._outcomes = outcomes
        self._names = [name for name in findings.value("stages") or {} if findings.sound("stages", name)]

    def read(self) -> dict[int, Stage]:
        """Return the stages by number, and fill `rules`."""
        stages = {int(name): self._stage(name) for name in self._names}
        if self._names and sorted(stages) != list(range(len(self._names))):
            self._findings.add(("stages",), "stage", "the stages are not numbered 0, 1, 2, …", key=True)
        self._check_outcomes()
        return stages

    def _stage(self, name: str) -> Stage:
        path, number = ("stages", name), int(name)
        value = self._findings.value
        cap, days, restart = (value(*path, key) for key in ("cap", "min_days", "restart_at"))
        quantity = parse_quantity(cap) if cap is not None else None
        if cap is not None and (quantity is None or quantity.suffix != "usd" or quantity.number < 0):
            self._findings.add((*path, "cap"), "unit", f"{quoted(cap)} is no amount in usd", "write `5000 usd`")
        if restart is None and number > 0 and "restart_at" not in self._findings.document.data["stages"][name]:
            self._findings.add(path, "missing", "`restart_at` is missing", "a restart leads to a lower stage", key=True)
        if restart is not None and not (str(restart) in self._names and restart < max(1, number)):
            self._findings.add(
                (*path, "restart_at"), "stage", f"a restart out of stage {name} cannot lead to {restart}"
            )
        return Stage(
            number=number,
            cap_usd=quantity.number if quantity else Decimal(0),
            min_days=days or 0,
            restart_at=restart or 0,
            title=value(*path, "title") or "",
            promote=self._promotion(path, number, days or 0) if value(*path, "promote") else None,
            abort=self._abort(path, number) if value(*path, "abort") else None,
        )

    def _promotion(self, path: Key, number: int, days: int) -> Promotion | None:
        """Return the way up, and add its rule: only to the next stage."""
        inside = (*path, "promote")
        to, items = self._findings.value(*inside, "to"), self._findings.value(*inside, "all")
        if to is not None and (to != number + 1 or str(to) not in self._names):
            problem = f"a promotion out of stage {number} cannot lead to {to}"
            help_ = f"no stage is skipped: write {number + 1}"
            self._findings.add((*inside, "to"), "stage", problem, help_ if str(number + 1) in self._names else "")
        held = self._in_stage(inside, number)
        least = self._compare(inside, DAYS_IN_STAGE, ">=", f"{days} days") if days else None
        condition = self._conditions.many((*inside, "all"), "all") if items is not None else None
        if to is None or condition is None or held is None or (days and least is None):
            return None
        name = f"promote_{number}"
        parts = tuple(part for part in (held, least, *condition.parts) if part is not None)
        lines = [
            (*path, "min_days"),
            inside,
            (*inside, "to"),
            *((*inside, "all", index) for index in range(len(items))),
        ]
        because = f"stage {number} has lasted and met every condition of stage {to}"
        self.rules[name] = self._rule(name, PROMOTE, All(parts), because, inside, lines)
        return Promotion(to, self._findings.value(*inside, "approvals") or 0, name)

    def _abort(self, path: Key, number: int) -> Abort | None:
        """Return the way down, and add a rule for each of its conditions: only to a lower stage."""
        inside = (*path, "abort")
        to, items = self._findings.value(*inside, "to"), self._findings.value(*inside, "any")
        if to is not None and not (str(to) in self._names and to < number):
            problem = f"an abort of stage {number} cannot lead to {to}"
            self._findings.add((*inside, "to"), "stage", problem, "it leads to a lower stage")
        held = self._in_stage(inside, number)
        condition = self._conditions.many((*inside, "any"), "any") if items is not None else None
        if to is None or condition is None or held is None:
            return None
        names = []
        for index, part in enumerate(condition.parts):
            place = (*inside, "any", index)
            name = self._abort_name(number, part)
            lines = [place, inside, (*inside, "to"), (*inside, "flatten")]
            because = f"stage {number} ends where this is so"
            self.rules[name] = self._rule(name, ABORT, All((held, part)), because, place, lines)
            names.append(name)
        return Abort(to, self._findings.value(*inside, "flatten") == _YES, tuple(names))

    def _abort_name(self, number: int, part: Condition) -> str:
        """Return ``abort_1[drawdown]``; a second rule on the same facts is told apart by a number."""
        facts = " ".join(facts_of(part))
        names = (f"abort_{number}[{facts}{f' {count}' if count > 1 else ''}]" for count in range(1, 1000))
        return next(name for name in names if name not in self.rules)

    def _in_stage(self, path: Key, number: int) -> Compare | None:
        return self._compare(path, STAGE, "=", str(number))

    def _compare(self, path: Key, fact: str, operator: Operator, text: str) -> Compare | None:
        spec = self._conditions.facts.get(fact)
        if spec is None:
            problem = f"the vocabulary has no fact `{fact}`, which the stages read"
            known = nearest(fact, self._conditions.facts)
            self._findings.add(("stages",), "unknown-fact", problem, known, key=True)
            return None
        try:
            return Compare(fact, operator, threshold(spec, text), f"{operator} {text}")
        except MistakeError as mistake:
            self._findings.add(path, mistake.code, mistake.problem, mistake.help, key=True)
            return None

    def _rule(self, name: str, outcome: str, when: Condition, because: str, place: Key, lines: list[Key]) -> Rule:
        document = self._findings.document
        refs = dict.fromkeys(ref for line in lines for ref in _REF.findall(document.comment(line)))
        return Rule(
            name=name,
            outcome=outcome,
            when=when,
            span=None,
            gap="breaks" if outcome == PROMOTE else "holds",
            each_band=False,
            effects=Effects(),
            episode="",
            because=because,
            refs=tuple(refs),
            where=document.where(place, key=not isinstance(place[-1], int)),
        )

    def _check_outcomes(self) -> None:
        """Report outcomes that the stages need and the file does not declare, and a promotion before an abort."""
        needed = {rule.outcome for rule in self.rules.values()}
        if not needed or not self._outcomes or any(path[:1] == ("outcomes",) for path in self._findings.broken):
            return
        at = ("outcomes",)
        for name in (ABORT, PROMOTE):
            if name in needed and name not in self._outcomes:
                help_ = f"write `outcomes: [{ABORT}, {PROMOTE}, HOLD]`"
                self._findings.add(at, "missing", f"the stages need the outcome `{name}`", help_, key=True)
        order = [name for name in self._outcomes if name in needed]
        if order == [PROMOTE, ABORT]:
            self._findings.add(
                at, "severity", f"`{PROMOTE}` stands before `{ABORT}`", "an abort dominates every promotion", key=True
            )
