"""No decision hides in Python: the code is searched for the SOP's numbers and outcomes, in whatever form they stand.

Four ways to hide one: a comparison with a number of the SOP, whatever the value is called; a number beside something
that is called like a fact (compared, as a default, as a constant, in `min`, `max`, `clip`, a product or a mapping); a
name for such a number; a comparison with an outcome.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.policy.bundle import load_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml")
FILES = [
    ROOT / "cli.py",
    *(path for folder in ("engine", "strategies") for path in sorted((ROOT / folder).rglob("*.py"))),
]

# What such a number or outcome may stand for, file by file; each entry must still be needed.
ALLOWED: Mapping[tuple[str, str], str] = {
    ("engine/commands/rehearse.py", "stage = 3"): "where a rehearsal begins, unless it is told otherwise",
    ("engine/facts.py", "SHARPE_DAYS = 20"): "the definition of the fact sharpe_20d",
    ("engine/operations/stages/facts.py", "STAGE_SHARPE_DAYS = 14"): "the definition of the fact sharpe_14d",
    ("engine/reports/figures.py", "_SHARPE_RETURNS = 20"): "the same, drawn",
    ("engine/metrics/sleeves.py", "CONSISTENCY_BARS = 720"): "the definition of the fact signal_consistency",
    ("engine/metrics/sleeves.py", "compares 720"): "the same",
    ("engine/metrics/returns.py", "compares 1e-12"): "the definition of a Sharpe ratio: a flat series has none",
}

# Numbers of the SOP that mean nothing else in this program, as a person may write them.
TELLING = frozenset(
    {0.8, 1.2, 1.3, 0.12, 0.08, 12.0, 0.34, 0.33, 5_000, 10_000, 15_000, 0.98, 98, -0.3, -0.5, -10, -5, -3, -0.1, -0.05}
)
_MEANINGLESS = {0, 1, -1, 100, -100}
_DRAWN = ("engine/reports/", "engine/backtest/picture.py", "engine/market/synthetic.py")  # pictures, made-up prices
_LIKE_A_FACT = re.compile(
    r"(?:^|_)(?:drawdown|mdd|sharpe|sleeve|exposure|stage|cap|outages?|streak|episode|hard_stop|scale_up|consistency"
    r"|signers|approvals|cover|deviation|lifetime_loss)(?:_|$)"
)
_FACTS = frozenset(BUNDLE.vocabulary.facts)
_OUTCOMES = frozenset(outcome for policy in BUNDLE.policies.values() for outcome in policy.outcomes)
_LIMITING = {"min", "max", "clip", "where", "clamp", "minimum", "maximum"}


def number(node: ast.AST | None) -> float | None:
    """Return the number that an expression writes down, with its sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = number(node.operand)
        return None if value is None else -value
    is_number = isinstance(node, ast.Constant) and isinstance(node.value, int | float)
    return node.value if is_number and not isinstance(node.value, bool) else None  # type: ignore[union-attr]


def is_like_a_fact(name: str) -> bool:
    return name.lower() in _FACTS or bool(_LIKE_A_FACT.search(name.lower()))


def says_a_fact(*nodes: ast.AST) -> bool:
    """Return whether a name, an attribute or a text in an expression is called like a fact."""
    for one in (inner for node in nodes for inner in ast.walk(node)):
        said = getattr(one, "id", None) or getattr(one, "attr", None) or getattr(one, "value", None)
        if isinstance(said, str) and is_like_a_fact(said):
            return True
    return False


def bound(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield names with the values that they are bound to: constants, defaults, keywords, keys of a mapping."""
    match node:
        case ast.Assign(targets, value):
            yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))
            yield from ((target.attr, value) for target in targets if isinstance(target, ast.Attribute))
        case ast.AnnAssign(target=ast.Name(name), value=value) if value is not None:
            yield name, value
        case ast.keyword(arg=str(name), value=value):
            yield name, value
        case ast.Dict(keys, values):
            yield from (
                (key.value, value)
                for key, value in zip(keys, values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            )
        case ast.FunctionDef(args=given) | ast.AsyncFunctionDef(args=given) | ast.Lambda(args=given):
            positional = [*given.posonlyargs, *given.args][-len(given.defaults) or len(given.args) + 1 :]
            pairs = [
                *zip(positional, given.defaults, strict=True),
                *zip(given.kwonlyargs, given.kw_defaults, strict=True),
            ]
            yield from ((argument.arg, default) for argument, default in pairs if default is not None)


def hidden(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and description of each number or outcome of a policy that a Python file hides."""
    nodes = list(ast.walk(ast.parse(text)))
    named = {name: value for node in nodes for name, inner in bound(node) if (value := number(inner)) is not None}
    for node in nodes:
        for name, inner in bound(node):
            value = number(inner)
            if value is not None and value not in _MEANINGLESS and is_like_a_fact(name):
                yield inner.lineno, f"{name} = {value}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Compare):
            yield from compared(node, named)
        else:
            yield from worked_with(node)


def compared(node: ast.Compare, named: Mapping[str, float]) -> Iterator[tuple[int, str]]:
    sides = [node.left, *node.comparators]
    written = [value for side in sides if (value := number(side)) is not None]
    through = [named[side.id] for side in sides if isinstance(side, ast.Name) and side.id in named]
    numbers = [value for value in (*written, *through) if value not in _MEANINGLESS and says_a_fact(*sides)]
    numbers += [value for value in written if value in TELLING]
    numbers += [value for value in through if value in TELLING and not float(value).is_integer()]
    yield from ((node.lineno, f"compares {value:g}") for value in dict.fromkeys(numbers))
    for one in (inner for side in sides for inner in ast.walk(side)):
        if isinstance(one, ast.Constant) and one.value in _OUTCOMES:
            yield node.lineno, f"decides on {one.value}"


def worked_with(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.MatchValue(ast.Constant(str(outcome))) if outcome in _OUTCOMES:
            yield node.lineno, f"decides on {outcome}"
        case ast.BinOp(left, ast.Mult(), right) if says_a_fact(left, right):
            values = [number(left), number(right)]
            yield from (
                (node.lineno, f"multiplies by {v:g}") for v in values if v is not None and v not in _MEANINGLESS
            )
        case ast.Call(called, arguments) if getattr(called, "id", getattr(called, "attr", "")) in _LIMITING:
            values = [number(one) for one in arguments] if says_a_fact(*arguments) else []
            yield from ((node.lineno, f"limits to {v:g}") for v in values if v is not None and v not in _MEANINGLESS)


@pytest.mark.requirement("R142")
def test_R142_no_number_and_no_outcome_of_a_policy_hides_in_python() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), what): line
        for path in FILES
        for line, what in hidden(path.read_text(encoding="utf-8"))
        if not (what.startswith("multiplies") and path.relative_to(ROOT).as_posix().startswith(_DRAWN))
    }
    assert {f"{file}:{line}: {what}" for (file, what), line in found.items() if (file, what) not in ALLOWED} == set()
    assert set(ALLOWED) <= set(found), "an exception that is needed no more"


LAZY = [
    "def stop(loss): return loss > 0.12",
    "LIMIT = 0.12\ndef stop(loss): return loss > LIMIT",
    "def stop(loss, limit=-0.5): return limit > loss",
    "stop = lambda ratio, *, most=1.3: ratio <= most",
    "MAX_DRAWDOWN = 15",
    "class Limits:\n    hard_stop: float = 11.0",
    "def reduce(drawdown): return drawdown >= 0.07",
    "def ready(facts): return facts['slippage_ratio'] <= 1.25",
    "def ready(desk): return desk.stage >= 2 and desk.days_in_stage > 13",
    "def scaled(cap_usd): return cap_usd * 1.5",
    "def cut(exposure): return min(exposure, 0.5)",
    "import numpy as np\ncut = lambda sharpe_20d: np.clip(sharpe_20d, -2, 2)",
    "limits = {'drawdown': 0.11, 'stage': 2}",
    "check(approvals=2)",
    "def act(outcome): return outcome == 'PAUSE'",
    "def act(outcome): return outcome in {'REDUCE', 'SCALE_UP'}",
    "def act(outcome):\n    match outcome:\n        case 'FLATTEN_ALL':\n            return 0",
]


@pytest.mark.parametrize("text", LAZY)
def test_what_a_hurried_person_would_write_is_found(text: str) -> None:
    assert list(hidden(text)) != []


@pytest.mark.parametrize(
    "text",
    [
        "def part(nav, peak): return 1 - nav / peak",
        "def percent(drawdown): return drawdown * 100",
        "def known(sharpe): return sharpe is not None and sharpe > 0",
        "WINDOW = 30\ndef whole(days): return days >= WINDOW",
        "def asked(outcome, policy): return outcome == policy.otherwise",
    ],
)
def test_what_is_no_decision_is_left_alone(text: str) -> None:
    assert list(hidden(text)) == []
