"""A rule's condition as a tree with value, threshold and truth at every leaf; what proves it, and what must turn.

A proof is minimal: with these conditions as they are the result stands whatever all others are, and none of them can be
left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Unknown

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.policy.explain import Leaf, Teller, TruthName
    from engine.policy.model import Condition

TRUE: TruthName = "TRUE"
FALSE: TruthName = "FALSE"
UNKNOWN: TruthName = "UNKNOWN"
_BOUND = re.compile(r"([<>])=? (-?[0-9.]+)")
_FAR = Decimal(1)  # how far off a condition without a margin is, as a share


@dataclass(frozen=True)
class Node:
    """A condition with everything below it: ``all`` or ``any`` of its parts, or one ``test``.

    `not` and bands are resolved: what is left asks for something.
    """

    kind: Literal["all", "any", "test"]
    truth: TruthName
    parts: tuple[Node, ...] = ()
    leaf: Leaf | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        if self.leaf is not None:
            return vars(self.leaf).copy()
        return {"kind": self.kind, "truth": self.truth, "parts": [part.to_json() for part in self.parts]}


def tree_of(teller: Teller, condition: Condition, *, asked: bool = True) -> Node:
    """Return the tree of a condition, or without `asked` of its contrary."""
    match condition:
        case Not(part):
            return tree_of(teller, part, asked=not asked)
        case AnyOf((one, Unknown() as unknown)) if asked:
            told = teller.leaves(condition, asked=True)
            if len(told) == 1:
                return Node("test", told[0].truth, leaf=told[0])
            return _joined("any", (tree_of(teller, one, asked=True), tree_of(teller, unknown, asked=True)))
        case All(parts):
            return _joined("all" if asked else "any", tuple(tree_of(teller, part, asked=asked) for part in parts))
        case AnyOf(parts):
            return _joined("any" if asked else "all", tuple(tree_of(teller, part, asked=asked) for part in parts))
        case Compare() | BandIs() | Unknown():
            nodes = tuple(Node("test", leaf.truth, leaf=leaf) for leaf in teller.leaves(condition, asked=asked))
            return nodes[0] if len(nodes) == 1 else _joined("all" if asked else "any", nodes)


def proof(node: Node, *, held: bool) -> tuple[Leaf, ...]:
    """Return a minimal set of conditions that alone make a true (or, without `held`, a false) node what it is."""
    found = list(dict.fromkeys(_proof(node, held=held)))
    for leaf in tuple(found):
        rest = [one for one in found if one != leaf]
        if _known_from(node, rest) == held:
            found = rest
    return tuple(found)


def must_turn(node: Node, *, held: bool, avoid: Collection[str] = ()) -> tuple[Leaf, ...]:
    """Return the fewest conditions that must come true for the node to (or, without `held`, end for it not to) be true.

    Of several sets as small, the one whose conditions are nearest to turning.

    Args:
        node: a condition.
        held: what it is to become.
        avoid: facts that stay as they are where there is a choice.
    """
    if (node.truth == TRUE) == held:
        return ()
    if node.leaf is not None:
        return (node.leaf,)
    parts = [must_turn(part, held=held, avoid=avoid) for part in node.parts if (part.truth == TRUE) != held]
    if (node.kind == "all") == held:
        return tuple(dict.fromkeys(leaf for part in parts for leaf in part))

    def key(leaves: tuple[Leaf, ...]) -> tuple[int, int, Decimal]:
        many, far = farness(leaves)
        return many, sum(leaf.fact in avoid for leaf in leaves), far

    return min(parts, key=key)


def _joined(kind: Literal["all", "any"], parts: tuple[Node, ...]) -> Node:
    return Node(kind, _kleene(kind, [part.truth for part in parts]), parts)


def _kleene(kind: str, truths: list[TruthName]) -> TruthName:
    decides = FALSE if kind == "all" else TRUE
    if decides in truths:
        return decides
    return UNKNOWN if UNKNOWN in truths else TRUE if kind == "all" else FALSE


def _proof(node: Node, *, held: bool) -> tuple[Leaf, ...]:
    if node.leaf is not None:
        return (node.leaf,)
    if (node.kind == "all") == held:
        return tuple(leaf for part in node.parts for leaf in _proof(part, held=held))
    wanted = TRUE if held else FALSE
    return min((_proof(part, held=held) for part in node.parts if part.truth == wanted), key=len)


def _known_from(node: Node, known: list[Leaf]) -> bool | None:
    """Return the truth of a node of which only some conditions are known."""

    def truth(one: Node) -> TruthName:
        if one.leaf is not None:
            return one.truth if one.leaf in known else UNKNOWN
        return _kleene(one.kind, [truth(part) for part in one.parts])

    return {TRUE: True, FALSE: False, UNKNOWN: None}[truth(node)]


def leaves_of(node: Node) -> tuple[Leaf, ...]:
    """Return the conditions of a tree, each once, in its order."""
    if node.leaf is not None:
        return (node.leaf,)
    return tuple(dict.fromkeys(leaf for part in node.parts for leaf in leaves_of(part)))


def farness(leaves: tuple[Leaf, ...]) -> tuple[int, Decimal]:
    """Return how far conditions are from turning, to be compared: how many they are, and the farthest one's share."""
    return len(leaves), max((_share(leaf) for leaf in leaves), default=Decimal(0))


def _share(leaf: Leaf) -> Decimal:
    """Return the margin as a share of value and margin together, to compare unlike facts."""
    if leaf.margin is None or leaf.value is None:
        return _FAR
    scale = abs(Decimal(leaf.value)) + Decimal(leaf.margin)
    return Decimal(leaf.margin) / scale if scale else Decimal(0)


def tightest(leaves: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
    """Return conditions without those that another one of the same fact implies: ``> 0.5`` beside ``> 0.8``."""
    bounds: dict[tuple[str, str], tuple[Decimal, Leaf]] = {}
    for leaf in leaves:
        match = _BOUND.match(leaf.test)
        if match:
            key, edge = (leaf.fact, match[1]), Decimal(match[2]) * (1 if match[1] == ">" else -1)
            if key not in bounds or edge > bounds[key][0]:
                bounds[key] = (edge, leaf)
    kept = {id(leaf) for _, leaf in bounds.values()}
    return tuple(leaf for leaf in leaves if id(leaf) in kept or not _BOUND.match(leaf.test))
