"""`policy fmt`: nothing is lost, nothing changes its meaning, and a second run has nothing to do."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.documents import parse_document
from engine.errors import PolicyError, StagegateError
from engine.policy.formatting import format_file, format_text
from engine.policy.load import load_policy, load_vocabulary, parse_policy
from engine.policy.yaml_layout import WIDTH

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [*sorted((ROOT / "policies").rglob("*.yaml")), ROOT / "config" / "prod_scale_rules_R1.yaml"]
BAD = sorted((ROOT / "tests" / "policies" / "bad").glob("*.yaml"))


def formatted(text: str) -> str:
    return format_text(text.encode(), "a.yaml").after


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shipped_file_is_formatted_already(path: Path) -> None:
    result = format_file(path)
    assert result.after == path.read_text(encoding="utf-8"), f"run `stagegate policy fmt {path.name}`\n{result.diff}"
    assert not result.is_changed
    assert not result.diff


def test_the_keys_of_a_rule_stand_in_one_order_with_their_comments() -> None:
    before = """\
policy: a
rules:
  first:  # R155
    # why
    because: it must
    effects: {flag: REVIEW}
    novel: 1

    for: 3 days   # so long
    when: {x: red}
    each: band
    outcome: STOP
"""
    after = """\
policy: a
rules:
  first:  # R155
    outcome: STOP
    each: band
    when: {x: red}

    for: 3 days   # so long
    effects: {flag: REVIEW}
    novel: 1
    # why
    because: it must
"""
    assert formatted(before) == after


def test_rules_and_outcomes_keep_their_places() -> None:
    text = "policy: a\noutcomes: [B, A]\nrules:\n  z:\n    outcome: B\n  a:\n    outcome: A\n"
    assert formatted(text) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("otherwise: 'KEEP'", "otherwise: KEEP"),
        ("when: {x: '> 12%'}", 'when: {x: "> 12%"}'),
        ("when: {mode: = CLEAR}", 'when: {mode: "= CLEAR"}'),
        ("cap: x1.5", 'cap: "x1.5"'),
        ("low: -5%", 'low: "-5%"'),
        ("low: -5", "low: -5"),
        ("low: 5%", "low: 5%"),
        ('for: "3 days"', "for: 3 days"),
        ('flag: "yes"', 'flag: "yes"'),
        ('number: "12"', 'number: "12"'),
        ('text: "a: b"', 'text: "a: b"'),
        ("when: { 'x' : red }", "when: {x: red}"),
        ("number: 0.50", "number: 0.50"),
        ("nothing: ~", "nothing: ~"),
        ("list: [ a,b ,c ]", "list: [a, b, c]"),
        ("list:\n- a\n-   b", "list:\n  - a\n  - b"),
        ("key:\n      deep: 1", "key:\n  deep: 1"),
        ("a: 1 # close", "a: 1  # close"),
        ("a: 1      #R155", "a: 1      # R155"),
    ],
)
def test_one_spelling(before: str, after: str) -> None:
    assert formatted(f"policy: a\n{before}") == f"policy: a\n{after}\n"


def test_texts_of_parameters_are_always_quoted() -> None:
    before = "policy: a\nparameters:\n  p: {about: what for, range: [0%, 9%], value: 5%}\n"
    after = 'policy: a\nparameters:\n  p: {value: "5%", range: ["0%", "9%"], about: "what for"}\n'
    assert formatted(before) == after


def test_bands_and_effects_are_aligned_and_comments_move_together() -> None:
    before = """\
policy: a
bands:
  short: {red: "< 0", green: "> 1"}           # R113
  much_longer_name: {green: "> 1", red: "< 0"}  # not of the column
  other: {green: "> 1", red: "< 0"}           # R114
effects: {STOP: {exposure: 0}}
"""
    after = """\
policy: a
bands:
  short:            {green: "> 1", red: "< 0"}  # R113
  much_longer_name: {green: "> 1", red: "< 0"}  # not of the column
  other:            {green: "> 1", red: "< 0"}  # R114
effects: {STOP: {exposure: 0}}
"""
    assert formatted(before) == after


def test_what_does_not_fit_on_its_line_is_written_in_lines() -> None:
    before = f"policy: a\nrules:\n  r:\n    when: {{any: [{', '.join(['{drawdown: unknown}'] * 6)}]}}  # R1\n"
    items = "        - {drawdown: unknown}\n" * 6
    assert formatted(before) == f"policy: a\nrules:\n  r:\n    when:  # R1\n      any:\n{items}"


def test_a_long_text_is_folded_and_every_line_fits() -> None:
    text = formatted(f"policy: a\nrules:\n  r:\n    because: {'word ' * 80}\n")
    lines = text.splitlines()
    assert lines[3] == "    because: >-"
    assert all(len(line) <= WIDTH for line in lines)
    assert len(lines[4]) > WIDTH - len(" word")


def test_a_comment_at_the_end_of_a_mapping_stays_in_it_and_one_before_the_next_rule_goes_with_that() -> None:
    text = """\
# of the file

policy: a
rules:
  one:
    outcome: STOP
    # at the end of one

  # above two
  two:
    outcome: STOP
# above effects
effects: {}
# the end
"""
    assert formatted(text) == text


def test_ids_behind_the_closing_brace_of_a_rule_do_not_become_ids_of_the_rule() -> None:
    before = 'policy: a\nrules:\n  r: {outcome: STOP,\n    when: {x: "> 1"}\n    }  # R155\n'
    after = formatted(before)
    assert after == 'policy: a\nrules:\n  r:\n    outcome: STOP\n    when: {x: "> 1"}\n    # R155\n'
    assert rule_ids(after) == {"r": set()}


def test_line_ends_and_a_byte_order_mark_are_changes_too() -> None:
    text = b"policy: a\n"
    assert not format_text(text, "a.yaml").is_changed
    for raw in (b"policy: a\r\n", b"\xef\xbb\xbfpolicy: a\n", b"policy: a", b"policy: a\r"):
        result = format_text(raw, "a.yaml")
        assert result.is_changed
        assert result.after == "policy: a\n"


def test_the_difference_is_shown() -> None:
    result = format_text(b"policy:   a", "policies/a.yaml")
    assert result.kind == "policy"
    assert result.diff.splitlines() == [
        "--- policies/a.yaml",
        "+++ policies/a.yaml (formatted)",
        "@@ -1 +1 @@",
        "-policy:   a",
        "\\ no newline at the end",
        "+policy: a",
    ]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"ensemble: {}", "a.yaml:1:1: error[kind]: this is no policy, vocabulary, bundle or policy test"),
        (b"- policy: a", "a.yaml:1:1: error[kind]: this is no policy, vocabulary, bundle or policy test"),
        (b"policy: [a", "a.yaml:2:1: error[yaml]: not valid YAML"),
        (
            b"policy: a\nb:\tc",
            "a.yaml:2:3: error[yaml]: not valid YAML: found character '\\t' that cannot start any token",
        ),
        (b"policy: &a b", "a.yaml:1:9: error[anchor]: anchors and aliases are not part of this language"),
        (
            b"policy: a\nb: c\xe2\x80\xa8",
            "a.yaml:2: error[line-break]: the character U+2028 breaks a line for some programs and not for others",
        ),
        (
            b"policy: a\n? " + b"k" * 1100 + b"\n: 1\n",
            "a.yaml: error[layout]: cannot be laid out safely: not valid YAML: could not find expected ':'",
        ),
    ],
    ids=["configuration", "list", "syntax", "tab", "anchor", "line-separator", "endless-key"],
)
def test_what_cannot_be_formatted_is_refused_with_a_reason(raw: bytes, message: str) -> None:
    with pytest.raises(PolicyError) as refused:
        format_text(raw, "a.yaml")
    assert str(refused.value).startswith(message)
    assert refused.value.problems[0].help


def test_the_frozen_configuration_is_not_formatted() -> None:
    with pytest.raises(PolicyError, match="no policy, vocabulary, bundle or policy test"):
        format_file(ROOT / "config" / "prod_candidate_R1.yaml")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_file_with_mistakes_is_formatted_all_the_same_unless_it_is_no_yaml(path: Path) -> None:
    try:
        before = parse_document(path.read_bytes(), path.name)
    except StagegateError:
        with pytest.raises(PolicyError):
            format_file(path)
        return
    try:
        result = format_file(path)
    except PolicyError as error:
        assert error.problems[0].code == "kind"  # noqa: PT017 - most of the files raise nothing
        return
    assert repr(parse_document(result.after.encode(), path.name).data) == repr(before.data) or path.stem.startswith(
        "each_"
    )
    assert not format_text(result.after.encode(), path.name).is_changed


# ── any file of the language ──

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


def remarks(text: str) -> Counter[str]:
    return Counter(re.findall(r"#\s*(c\d+ R\d+)$", text, re.MULTILINE))


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
    assert set(remarks(after)) == set(remarks(text))
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
    assert set(remarks(after)) == set(remarks(text))
    assert rule_ids(after) == rule_ids(text)
    assert formatted(after) == after
    if "rules" in value:
        vocabulary = load_vocabulary(ROOT / "policies" / "facts.yaml")
        model = load_policy(path, vocabulary)
        again = parse_policy(after.encode(), "a.yaml", vocabulary)
        assert [(rule.name, rule.when, rule.effects) for rule in again.rules.values()] == [
            (rule.name, rule.when, rule.effects) for rule in model.rules.values()
        ]
        assert (again.bands, again.effects, again.outcomes) == (model.bands, model.effects, model.outcomes)
