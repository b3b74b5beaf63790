"""The compiler from the typed model to durable-rules, and the engine in this process.

Emitted are negation normal forms of `and`, `or` and `input operator whole number`, each comparison joined with its
input's known-flag: that is exactly Kleene's True. Bands become comparisons; a rule with a span becomes one comparison
of its counted days. Rules are packed into rulesets of at most `MAX_LEAVES` leaves, for the engine loses matches (error
303, depending on the data) above 64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import PolicyError, Problem
from engine.policy.decide import Decision, decide
from engine.policy.fault import HEARTBEAT, EngineFault
from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.policy.model import Band, Condition, Instance, Operator, Policy, Snapshot

MAX_LEAVES = 60
_LAST = 1_000_000  # the engine runs actions by rising `pri`
_NAMES = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte", "!=": "$neq"}
_OPPOSITE: dict[Operator, Operator] = {">": "<=", "<=": ">", "<": ">=", ">=": "<", "=": "!=", "!=": "="}


@dataclass(frozen=True)
class Compiled:
    """A policy in the engine's form.

    Attributes:
        shards: for `RulesHost`; plain JSON values.
        inputs: the snapshot's keys in the order of posting.
        ids: the ids of the rules; rule ``r3`` of a shard is ``ids[3]``.
    """

    shards: tuple[Mapping[str, Any], ...]
    inputs: tuple[str, ...]
    ids: tuple[str, ...]

    def values(self, snapshot: Snapshot) -> list[int | None]:
        """Return the snapshot's numbers in the order of posting."""
        return [snapshot.values[name] for name in self.inputs]

    def fired(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the ids of fired rules in the policy's order.

        Raises:
            EngineFault: a name that was never given to the engine.
        """
        try:
            numbers = sorted({int(name.removeprefix("r")) for name in names})
            return tuple(self.ids[number] for number in numbers)
        except (ValueError, IndexError, AttributeError):
            raise EngineFault("the engine names rules that do not exist") from None


class DurableEngine:
    """durable-rules in this process, for tests and replays; a crash or a hang of its C code is one of this process."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        from engine.policy.host import RulesHost  # noqa: PLC0415 - the engine itself: compiling does not need it

        self._compiled = compile_policy(policy)
        self._host = RulesHost(self._compiled.shards)

    def decide(self, snapshot: Snapshot) -> Decision:
        """Return the decision of both engines; a fault of this one is part of it."""
        return decide(self.policy, snapshot, self)

    def fired(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the ids of the rules that fire, in the policy's order; raises EngineFault as `Production` says."""
        return self._compiled.fired(self._host.fire(self._compiled.values(snapshot)))


# A condition on its way to the engine: a leaf is (kind, input number, operator, constant).
_Leaf = tuple[Literal["v", "k"], int, "Operator", int]


@dataclass(frozen=True)
class _Joined:
    connective: Literal["$and", "$or"]
    parts: tuple[_Expression, ...]


_Expression = _Leaf | _Joined


def compile_policy(policy: Policy) -> Compiled:
    """Return a policy in the engine's form.

    Raises:
        PolicyError: one rule alone has more leaves than the engine can be trusted with, or two names collide in the
            engine's 32-bit hash.
    """
    numbers = {name: number for number, name in enumerate(policy.inputs)}
    sizes, expressions = [], []
    for instance in policy.instances:
        expression = _rule(instance, numbers, policy.bands)
        sizes.append(_size(expression))
        expressions.append(expression)
        if sizes[-1] > MAX_LEAVES - 1:
            problem = f"`{instance.id}` has {sizes[-1]} comparisons for the engine, at most {MAX_LEAVES - 1} are safe"
            raise PolicyError(Problem("too-many-conditions", instance.rule.where, problem, "split the rule in two"))
    shards = []
    for members in _packed(sizes):
        rules: dict[str, Any] = {
            f"r{number}": {"all": [{"m": _emitted(expressions[number])}], "run": f"r{number}"} for number in members
        }
        rules[HEARTBEAT] = {"pri": _LAST, "all": [{"m": {HEARTBEAT: 1}}], "run": HEARTBEAT}
        read = sorted({leaf[1] for number in members for leaf in _leaves(expressions[number])})
        shards.append({"inputs": read, "rules": rules})
    check_names([HEARTBEAT, "sid", "id", "$s", *(f"{kind}{number}" for number in numbers.values() for kind in "vk")])
    return Compiled(tuple(shards), policy.inputs, tuple(instance.id for instance in policy.instances))


def _packed(sizes: Sequence[int]) -> list[list[int]]:
    """Return the numbers of the rules shard by shard, in order; one leaf of each shard is its heartbeat's."""
    shards: list[list[int]] = []
    room = 0
    for number, size in enumerate(sizes):
        if size > room:
            shards.append([])
            room = MAX_LEAVES - 1
        shards[-1].append(number)
        room -= size
    return shards


def _rule(instance: Instance, numbers: Mapping[str, int], bands: Mapping[str, Band]) -> _Expression:
    if instance.span is None:
        return _normal(instance.when, numbers, bands, asked=True)
    return _compared(Compare(instance.days_key, ">=", instance.span.days), numbers, asked=True)


def _normal(condition: Condition, numbers: Mapping[str, int], bands: Mapping[str, Band], *, asked: bool) -> _Expression:
    """Return the negation normal form that is true exactly where `condition` is `asked` (True or False), and known."""
    match condition:
        case Compare():
            return _compared(condition, numbers, asked=asked)
        case Unknown(fact):
            return ("k", numbers[fact], "=", 0 if asked else 1)
        case BandIs(fact, colour):
            return _coloured(bands[fact], colour, numbers, asked=asked)
        case Not(part):
            return _normal(part, numbers, bands, asked=not asked)
        case All(parts) | AnyOf(parts):
            conjunction = isinstance(condition, All) == asked
            inner = tuple(_normal(part, numbers, bands, asked=asked) for part in parts)
            return _joined("$and" if conjunction else "$or", inner)


def _compared(compare: Compare, numbers: Mapping[str, int], *, asked: bool) -> _Expression:
    number = numbers[compare.fact]
    operator = compare.operator if asked else _OPPOSITE[compare.operator]
    return _joined("$and", (("k", number, "=", 1), ("v", number, operator, compare.steps)))


def _coloured(band: Band, colour: str, numbers: Mapping[str, int], *, asked: bool) -> _Expression:
    if colour != "yellow":
        return _compared(band.green if colour == "green" else band.red, numbers, asked=asked)
    neither = (band.green, band.red)
    return _joined("$and" if asked else "$or", tuple(_compared(edge, numbers, asked=not asked) for edge in neither))


def _joined(connective: Literal["$and", "$or"], parts: tuple[_Expression, ...]) -> _Expression:
    """Join expressions; nested ones of the same kind are merged, repeated ones dropped."""
    flat: dict[_Expression, None] = {}
    for part in parts:
        merged = isinstance(part, _Joined) and part.connective == connective
        flat.update(dict.fromkeys(part.parts if merged and isinstance(part, _Joined) else (part,)))
    return next(iter(flat)) if len(flat) == 1 else _Joined(connective, tuple(flat))


def _leaves(expression: _Expression) -> list[_Leaf]:
    if isinstance(expression, _Joined):
        return [leaf for part in expression.parts for leaf in _leaves(part)]
    return [expression]


def _size(expression: _Expression) -> int:
    return len(_leaves(expression))


def _emitted(expression: _Expression) -> dict[str, Any]:
    if isinstance(expression, _Joined):
        return {expression.connective: [_emitted(part) for part in expression.parts]}
    kind, number, operator, constant = expression
    test = {f"{kind}{number}": constant}
    return test if operator == "=" else {_NAMES[operator]: test}


def name_hash(name: str) -> int:
    """Return the engine's hash of a name (FNV-1a, 32 bits): it knows properties by nothing else."""
    result = 2166136261
    for byte in name.encode():
        result = ((result ^ byte) * 16777619) & 0xFFFFFFFF
    return result


def check_names(names: Iterable[str]) -> None:
    """Refuse names that the engine would take for each other.

    Raises:
        PolicyError: two names have the same hash.
    """
    seen: dict[int, str] = {}
    for name in names:
        other = seen.setdefault(name_hash(name), name)
        if other != name:
            problem = f"the rules engine cannot tell `{other}` from `{name}`: their 32-bit hashes are equal"
            raise PolicyError(Problem("hash-collision", "", problem, "rename one of the two"))
