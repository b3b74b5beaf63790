"""One moment is read once: between two looks at a clock time has passed, and a close would be a millisecond off."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


def arithmetic(tree: ast.AST) -> Iterator[ast.BinOp]:
    """The largest sums, differences and remainders of a file."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.BinOp):
            yield node
        else:
            yield from arithmetic(node)


def looks(expression: ast.AST) -> Counter[str]:
    """How often an expression reads each clock."""
    calls = (node for node in ast.walk(expression) if isinstance(node, ast.Call))
    return Counter(ast.unparse(call) for call in calls if ast.unparse(call).endswith(".now_ms()"))


def test_no_calculation_reads_a_clock_twice() -> None:
    assert looks(ast.parse("clock.now_ms() - clock.now_ms() % 5")) == {"clock.now_ms()": 2}
    files = sorted((ROOT / "engine").rglob("*.py"))
    assert len(files) > 300
    twice = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in files
        for node in arithmetic(ast.parse(file.read_text(encoding="utf-8")))
        if max(looks(node).values(), default=0) > 1
    ]
    assert twice == []
