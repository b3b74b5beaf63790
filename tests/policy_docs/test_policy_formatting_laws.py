"""`policy fmt`, any file: nothing is lost, nothing changes its meaning, and a second run has nothing to do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.documents import parse_document
from engine.errors import PolicyError
from engine.policy.layout.formatting import format_text
from engine.policy.load import load_vocabulary, parse_policy

if TYPE_CHECKING:
    from engine.policy.model import Policy

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [*sorted((ROOT / "policies").rglob("*.yaml")), ROOT / "config" / "prod_scale_rules_R1.yaml"]


def formatted(text: str) -> str:
    return format_text(text.encode(), "a.yaml").after


# text, whether it can be written without quotes in a block, and in braces
TEXTS = [
    ("plain", True, True),
    ("two words, and a comma", True, False),
    ("> 12%", False, False),
    ("-5%", True, True),
    ("x1.5", True, True),
    ("5 days", True, True),
    ("yes", True, True),
    ("null", False, False),
    ("12", False, False),
    ("0x10", True, True),
    ("1e5", False, False),
    ("2022-11-09", True, True),
    ("", False, False),
    ("  padded ", False, False),
    ("colon: inside", False, False),
    ("hash # inside", False, False),
    ("hash# inside", True, True),
    ('it\'s "quoted"', True, True),
    ("back\\slash", True, True),
    ("tab\there", False, False),
    ("two\nlines", False, False),
    ("two lines and an end\nhere\n", False, False),
    ("  indented\n\n\nlines \n\n", False, False),
    ("[not, a list]", False, False),
    ("one of [A, B]", True, False),
    ("§3.2 √365 − ÷ …", True, True),
    ("\u00a0\u2003odd\u200bspaces\x07", False, False),
    ("long " * 40 + "text", True, True),
    ("long: " * 40 + "text", False, False),
    ("w" * 150, True, True),
    ("- dash", False, False),
    ("end:", False, False),
    ("...", False, False),
    ("---", False, False),
    ("~", False, False),
    ("a: b, {c}", False, False),
]
OTHERS: list[Any] = [None, True, False, 0, 3, -7, 0.5, 1e-7, 10000]
NAMES = ["a", "b_1", "c", "outcome", "when", "because", "for", "each", "value", "green", "title", "x y", "no", "12"]

Data = dict[str, Any] | list[Any] | str | float | bool | None


def data(depth: int) -> st.SearchStrategy[Data]:
    leaf = st.one_of(st.sampled_from(TEXTS).map(lambda one: one[0]), st.sampled_from(OTHERS))
    if depth == 0:
        return leaf
    inner = data(depth - 1)
    return st.one_of(
        leaf,
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    )


CONDITIONS = st.lists(
    st.sampled_from([{"a": "> 12%"}, {"b_1": "plain"}, {"all": [{"c": "-5%"}]}]), min_size=1, max_size=3
)
STAGE = st.fixed_dictionaries(
    {"cap": st.just("5 days")},
    optional={
        "min_days": st.just(14),
        "promote": st.fixed_dictionaries({"to": st.just(2)}, optional={"approvals": st.just(2), "all": CONDITIONS}),
        "abort": st.fixed_dictionaries({"to": st.just(0)}, optional={"flatten": st.just("yes"), "any": CONDITIONS}),
    },
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    document: dict[str, Any] = {draw(st.sampled_from(["policy", "bundle", "vocabulary", "tests"])): draw(data(2))}
    sections = ["rules", "bands", "effects", "parameters", "facts", "tests", "defaults", "exit", "stages", "policies"]
    for name in draw(st.lists(st.sampled_from(sections), max_size=4, unique=True)):
        stages = st.dictionaries(st.sampled_from(["0", "1"]), STAGE)
        document.setdefault(name, draw(st.one_of(data(3), stages) if name == "stages" else data(3)))
    return document


class Scribbler:
    """Writes a document as badly as YAML allows: any style, any indentation, comments and empty lines anywhere."""

    def __init__(self, dice: Any) -> None:
        self.dice = dice
        self.count = 0
        self.plain = {text: (block, flow) for text, block, flow in TEXTS}

    def chance(self, of: int = 4) -> bool:
        return bool(self.dice.randrange(of) == 0)

    def pick(self, *options: str) -> str:
        return str(self.dice.choice(options))

    def number(self, *options: int) -> int:
        return int(self.dice.choice(options))

    def may_be_plain(self, text: str, *, flow: bool) -> bool:
        if text in self.plain:
            return self.plain[text][1 if flow else 0]
        return re.fullmatch(r"[A-Za-z][\w -]*\w", text) is not None

    def remark(self) -> str:
        self.count += 1
        return f"#{self.pick(' ', '', '  ')}c{self.count} R{self.number(100, 200)}"

    def end(self) -> str:
        """Return the end of a line: with or without a comment, and lines that say nothing."""
        text = f"{' ' * self.number(1, 2, 7, 30)}{self.remark()}\n" if self.chance() else self.pick("\n", " \n", "\n")
        while self.chance(6):
            text += self.pick("\n", "   \n", f"{' ' * self.dice.randrange(10)}{self.remark()}\n")
        return text

    def document(self, value: dict[str, Any]) -> str:
        start = self.end().lstrip() if self.chance() else self.pick("", "", "---\n", "\n\n", "%YAML 1.2\n---\n")
        return start + self.block(value, 0).lstrip("\n")

    def block(self, value: Any, indent: int) -> str:
        """Return lines of a collection, ended."""
        lines = []
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            head = f"{self.key(str(key))}:" if isinstance(value, dict) else "-"
            lines.append(" " * indent + head + self.after(inner, indent, is_item=isinstance(value, list)))
        return "".join(lines)

    def after(self, value: Any, indent: int, *, is_item: bool) -> str:
        """Return what follows a key's colon or a dash, ended."""
        if isinstance(value, dict | list) and value and not self.chance():
            step = self.number(0, 2) if isinstance(value, list) and not is_item else self.number(1, 2, 4)
            if is_item and self.chance(2):
                gap = self.number(1, 3)
                return " " * gap + self.block(value, indent + 1 + gap).lstrip(" ")
            return self.end() + self.block(value, indent + step)
        if isinstance(value, str) and "\n" not in value and self.may_be_plain(value, flow=False) and self.chance(6):
            return f" {self.pick('>-', '|-')}\n{' ' * (indent + 3)}{value}\n"
        text = self.scalar(value, flow=False) if not isinstance(value, dict | list) else self.flow(value, indent + 3)
        if value is None and text == "":
            return self.end()
        before = self.end() + " " * (indent + 2) if self.chance(8) else " " * self.number(1, 4)
        return before + text + self.end()

    def flow(self, value: Any, indent: int) -> str:
        """Return a value in braces or brackets, on one line or many."""
        if not isinstance(value, dict | list):
            return self.scalar(value, flow=True)

        def space() -> str:
            return self.end() + " " * indent if self.chance(8) else self.pick("", " ", "  ")

        opening, closing = "{}" if isinstance(value, dict) else "[]"
        parts = []
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            head = f"{self.key(str(key))}: " if isinstance(value, dict) else ""
            parts.append(space() + head + self.flow(inner, indent + 2) + space())
        return opening + ",".join(parts) + (space() if not parts else "") + closing

    def key(self, key: str) -> str:
        return self.pick(key, key, f'"{key}"', f"'{key}'")

    def scalar(self, value: Any, *, flow: bool) -> str:
        if not isinstance(value, str):
            if value is None:
                return self.pick("null", "~") if flow else self.pick("null", "~", "")
            return json.dumps(value) if isinstance(value, bool) else repr(value)
        styles = ["double"]
        if "\n" not in value and value.isprintable():
            styles.append("single")
        if self.may_be_plain(value, flow=flow):
            styles.append("plain")
        style = self.pick(*styles)
        if style == "double":
            return json.dumps(value)
        return "'" + value.replace("'", "''") + "'" if style == "single" else value


DICE = st.randoms(use_true_random=True)
GENERATE = (Phase.generate,)  # dice cannot be shrunk


def remarks(text: str) -> set[str]:
    return set(re.findall(r"#\s*(c\d+ R\d+)$", text, re.MULTILINE))


def rule_ids(text: str) -> dict[str, set[str]]:
    """Return the ids that the comments give to rules, and to the ways out of stages and their conditions."""
    document = parse_document(text.encode(), "a.yaml", error=PolicyError)

    def ids(*lines: tuple[str | int, ...]) -> set[str]:
        return {found for line in lines for found in re.findall(r"R\d+", document.comment(line))}

    def below(value: Any, key: str) -> dict[str, Any]:
        inner = value.get(key) if isinstance(value, dict) else None
        return inner if isinstance(inner, dict) else {}

    found = {name: ids(("rules", name)) for name in below(document.data, "rules")}
    for name, stage in below(document.data, "stages").items():
        for way, join in (("promote", "all"), ("abort", "any")):
            path = ("stages", name, way)
            items = below(stage, way).get(join)
            around = [(*path[:2], "min_days"), path, (*path, "to"), (*path, "flatten")]
            found[f"{name} {way}"] = ids(*around)
            for index in range(len(items) if isinstance(items, list) else 0):
                found[f"{name} {way} {index}"] = ids((*path, join, index), *around)
    return found


@settings(max_examples=60, deadline=None, phases=GENERATE)
@given(documents(), DICE)
def test_formatting_keeps_values_comments_and_ids_and_is_done_after_one_run(value: dict[str, Any], dice: Any) -> None:
    text = Scribbler(dice).document(value)
    after = formatted(text)
    assert parse_document(after.encode(), "a.yaml").data == value
    assert remarks(after) == remarks(text)
    assert rule_ids(after) == rule_ids(text)
    assert formatted(after) == after
    assert "\n\n\n" not in after


@settings(max_examples=6, deadline=None, phases=GENERATE)
@given(st.sampled_from(SHIPPED), DICE)
def test_formatting_a_shipped_file_written_badly_leaves_the_same_policy(path: Path, dice: Any) -> None:
    value = parse_document(path.read_bytes(), path.name).data
    text = Scribbler(dice).document(value)
    after = formatted(text)
    assert json.dumps(parse_document(after.encode(), "a.yaml").data, sort_keys=True) == json.dumps(
        value, sort_keys=True
    )
    assert remarks(after) == remarks(text)
    assert rule_ids(after) == rule_ids(text)
    assert formatted(after) == after
    if {"rules", "stages"} & set(value):
        vocabulary = load_vocabulary(ROOT / "policies" / "facts.yaml")
        assert model(parse_policy(after.encode(), "a.yaml", vocabulary)) == model(
            parse_policy(text.encode(), "a.yaml", vocabulary)
        )


def model(policy: Policy) -> Policy:
    """Return what is compared: all that the file says, not its text and hash."""
    rules = {name: replace(rule, refs=tuple(sorted(rule.refs))) for name, rule in policy.rules.items()}
    return replace(policy, rules=rules, instances=(), sha256="", text="")
