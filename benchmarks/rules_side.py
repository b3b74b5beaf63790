"""The same rules on zen-engine and as plain Python.

Both are written out from the policy, so that no threshold stands in two places and none can drift: for zen-engine a
decision table that collects every rule that fires, for Python one `if` a rule, as a person would write them. Both
compare in the facts' own units and guard every comparison against a missing value by hand.

Left out for both: units and ranges of facts, ages, counted days (given to them), a second engine, explanation, hashes,
record. Before anything is timed, both must give the interpreter's rules on every day.
"""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from itertools import cycle
from typing import TYPE_CHECKING, Any

from benchmarks.harness import NotMeasured, timed
from benchmarks.machine import need
from benchmarks.verdicts import WARM_UP, interpreted, snapshots
from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.harness import Figure
    from benchmarks.inputs import Inputs
    from engine.policy.model import Band, Condition, FactSpec, Instance, Operator, Policy, Snapshot

Row = dict[str, float | str | None]

_OPPOSITE: dict[Operator, Operator] = {">": "<=", "<=": ">", "<": ">=", ">=": "<", "=": "!=", "!=": "="}
_LEFT_OUT = "counted days given; no units, ages, second engine, explanation, record"


def rows(policy: Policy, days: list[Snapshot]) -> list[Row]:
    """Return each day as both read it: values in the facts' units, words as words, None where unknown."""
    return [
        {_name(key): _value(policy.vocabulary.facts.get(key), steps) for key, steps in day.values.items()}
        for day in days
    ]


def _name(key: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in key).strip("_")


def _value(spec: FactSpec | None, steps: int | None) -> float | str | None:
    if spec is None or steps is None:
        return steps
    return spec.choices[steps] if spec.choices else float(steps * spec.resolution)


class Writer:
    """Writes a policy's conditions in another language's words.

    Args:
        policy: what is written.
        none: the word for a missing value.
        absent: the operator that asks for it; `present` for its opposite.
        place: how a value is read, with ``{}`` for its name.
    """

    def __init__(self, policy: Policy, *, none: str, absent: str, present: str, place: str = "{}") -> None:
        self._facts: Mapping[str, FactSpec] = policy.vocabulary.facts
        self._bands: Mapping[str, Band] = policy.bands
        self._none, self._absent, self._present, self._place = none, absent, present, place

    def rule(self, instance: Instance) -> str:
        """Return the condition under which a rule fires."""
        if instance.span is None:
            return self._text(instance.when, asked=True)
        return f"{self._read(instance.days_key)} >= {instance.span.days}"

    def _text(self, condition: Condition, *, asked: bool) -> str:
        """Return what is true exactly where `condition` is `asked`, and known."""
        match condition:
            case Compare(fact, operator, steps):
                return self._compared(fact, operator if asked else _OPPOSITE[operator], steps)
            case Unknown(fact):
                return f"{self._read(fact)} {self._absent if asked else self._present} {self._none}"
            case BandIs(fact, colour):
                return self._coloured(self._bands[fact], colour, asked=asked)
            case Not(part):
                return self._text(part, asked=not asked)
            case All(parts) | AnyOf(parts):
                word = " and " if isinstance(condition, All) == asked else " or "
                return f"({word.join(self._text(part, asked=asked) for part in parts)})"

    def _coloured(self, band: Band, colour: str, *, asked: bool) -> str:
        if colour != "yellow":
            return self._text(band.green if colour == "green" else band.red, asked=asked)
        word = " and " if asked else " or "
        return f"({word.join(self._text(edge, asked=not asked) for edge in (band.green, band.red))})"

    def _compared(self, fact: str, operator: Operator, steps: int) -> str:
        read, value = self._read(fact), json.dumps(_value(self._facts[fact], steps))
        return f"({read} {self._present} {self._none} and {read} {'==' if operator == '=' else operator} {value})"

    def _read(self, key: str) -> str:
        return self._place.format(_name(key))


def python_source(policy: Policy) -> str:
    """Return a module whose `decide(row)` gives the outcome and the rules that fire."""
    writer = Writer(policy, none="None", absent="is", present="is not")
    read = [f"    {_name(key)} = row[{_name(key)!r}]" for key in policy.inputs]
    asked = []
    for instance in policy.instances:
        severity = policy.outcomes.index(instance.outcome)
        asked += [f"    if {writer.rule(instance)}:", f"        fired.add({instance.id!r})"]
        asked += [f"        if severity > {severity}:", f"            severity = {severity}"]
    outcomes = (*policy.outcomes, policy.otherwise)
    lines = ["def decide(row):", *read, "    fired = set()", f"    severity = {len(policy.outcomes)}", *asked]
    return "\n".join([*lines, f"    return {outcomes!r}[severity], fired", ""])


def python_decide(policy: Policy) -> Any:
    """Return the plain evaluator."""
    names: dict[str, Any] = {}
    exec(python_source(policy), names)  # noqa: S102 - our own text, written from a checked policy just above
    return names["decide"]


def zen_graph(policy: Policy) -> dict[str, Any]:
    """Return the decision graph: input, one decision table that collects what fires, output."""
    writer = Writer(policy, none="null", absent="==", present="!=")
    table = {
        "hitPolicy": "collect",
        "inputs": [{"id": "when", "name": "when"}],
        "outputs": [{"id": "rule", "name": "rule", "field": "rule"}],
        "rules": [
            {"_id": instance.id, "when": writer.rule(instance), "rule": json.dumps(instance.id)}
            for instance in policy.instances
        ],
    }
    place = {"x": 0, "y": 0}
    nodes = [
        {"id": "input", "type": "inputNode", "name": "facts", "position": place},
        {"id": "table", "type": "decisionTableNode", "name": policy.name, "position": place, "content": table},
        {"id": "output", "type": "outputNode", "name": "fired", "position": place},
    ]
    edges = [
        {"id": f"{source}-{target}", "sourceId": source, "targetId": target, "type": "edge"}
        for source, target in (("input", "table"), ("table", "output"))
    ]
    return {"nodes": nodes, "edges": edges}


def zen_decide(policy: Policy) -> Any:
    """Return the evaluator on zen-engine.

    Raises:
        NotMeasured: it is not installed.
    """
    need("zen-engine")
    decision = import_module("zen").ZenEngine().create_decision(json.dumps(zen_graph(policy)))
    severities = {instance.id: policy.outcomes.index(instance.outcome) for instance in policy.instances}
    outcomes = (*policy.outcomes, policy.otherwise)

    def decide(row: Row) -> tuple[str, set[str]]:
        fired = {hit["rule"] for hit in decision.evaluate(row)["result"]}
        return outcomes[min((severities[name] for name in fired), default=len(policy.outcomes))], fired

    return decide


def check(policy: Policy, days: list[Snapshot], decide: Any) -> None:
    """See to it that an evaluator gives the interpreter's rules on every day.

    Raises:
        NotMeasured: it does not.
    """
    for number, (day, row) in enumerate(zip(days, rows(policy, days), strict=True)):
        outcome, fired = decide(row)
        expected = interpreted(policy, day)
        if (outcome, fired) != (expected[0], set(expected[1])):
            raise NotMeasured(f"day {number}: {outcome} {sorted(fired)}, the interpreter gives {expected}")


def python_figures(inputs: Inputs) -> list[Figure]:
    """Measure the plain evaluator."""
    return _figures(inputs, "plain Python, one `if` a rule", python_decide(inputs.action))


def zen_figures(inputs: Inputs) -> list[Figure]:
    """Measure zen-engine."""
    return _figures(inputs, "zen-engine, a decision table", zen_decide(inputs.action))


def _figures(inputs: Inputs, name: str, decide: Any) -> list[Figure]:
    policy, days = inputs.action, snapshots(inputs)
    check(policy, days, decide)
    table = rows(policy, days)
    following = cycle(table)
    note = f"the same rules fired on all {len(days):,} days; {_LEFT_OUT}"
    one = timed(lambda: decide(next(following)), repeats=inputs.scale.verdicts, warm_up=WARM_UP)
    every = timed(partial(_all, decide, table), repeats=inputs.scale.replays)
    return [
        one.figure(f"{name}: whole action policy", ours=False, note=note),
        every.figure(f"{name}: {len(table):,} days", ours=False, note="decided only; nothing read, checked or counted"),
    ]


def _all(decide: Any, table: list[Row]) -> int:
    return len([decide(row) for row in table])
