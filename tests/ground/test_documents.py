"""YAML documents: plain values that know where they stand; everything dangerous is refused with a place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.documents import MAX_BYTES, parse_document, read_document
from engine.errors import ConfigError, StagegateError

if TYPE_CHECKING:
    from pathlib import Path


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_document(text.encode(), "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("0.34", 0.34),
        ("yes", "yes"),  # YAML 1.2: only true and false are booleans
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ('"3"', "3"),
        ("'true'", "true"),
        ("2022-01-01", "2022-01-01"),  # dates stay text
        ("12:30:45", "12:30:45"),  # no base-60 numbers
        ("1_000", "1_000"),
        ("0o17", "0o17"),
        ("${TOKEN}", "${TOKEN}"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = parse_document(f"key: {text}\n".encode(), "f.yaml").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(parse_document(b"key: .nan", "f.yaml").data["key"])


def test_every_value_knows_its_line_and_column() -> None:
    document = parse_document(b"a: 1\nb:\n  c: [10, 20]   # R155 A04\n", "f.yaml")
    assert document.where(("b", "c", 1)) == "f.yaml:3:11"
    assert document.where(("b", "c"), key=True) == "f.yaml:3:3"
    assert document.where(("b", "nothing", "there")) == "f.yaml:3:3"
    assert document.comment(("b", "c")) == "R155 A04"
    assert document.comment(("a",)) == ""


@pytest.mark.parametrize(
    ("line", "comment"),
    [
        ('k: "12 # of them"  # R155', "R155"),
        ("k: 'it''s # one'   # R155", "R155"),
        ('k: "a \\" # b" # R155', "R155"),
        ("k: {x: \"a # b\", y: 'c # d'} # R155", "R155"),
        ("k: ['a # b', \"c # d\"] # R155 A04", "R155 A04"),
        ("k: the machine's clock # R155 isn't", "R155 isn't"),
        ("k: they said 'no # R155'", "R155'"),
        ("k: a#b \t# R155 # A04", "R155 # A04"),
        ('k: "a # b"', ""),
        ('k: "a # R155\n   b"', ""),
        ('"k # l": x # R155', "R155"),
        ("k: # R155\n  a: 1", "R155"),
    ],
)
def test_a_comment_is_what_no_quotes_hold(line: str, comment: str) -> None:
    document = parse_document(f"{line}\n".encode(), "f.yaml")
    assert document.comment(next(path for path in document.key_positions if len(path) == 1)) == comment


def test_the_comment_of_a_list_item_is_that_of_its_line() -> None:
    document = parse_document(b"a:\n  - {x: 'b # c'}  # R155\n  - [\"d # e\",\n     'f # g'] # A04\n", "f.yaml")
    assert [document.comment(("a", index)) for index in (0, 1)] == ["R155", ""]
    assert document.comment(("a", 1, 1)) == "A04"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1: error[duplicate-key]: `a` is given twice"),
        ("a: &x 1\nb: *x\n", "f.yaml:1:4: error[anchor]"),
        ("a: !!python/object:os.system x\n", "f.yaml:1:4: error[tag]"),
        ("a: !!binary x\n", "f.yaml:1:4: error[tag]"),
        ("? [1, 2]\n: x\n", "error[key]: a key must be plain text"),
        ("a: [1, 2\n", "error[yaml]: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: error[yaml]: not valid YAML: but found another document"),
        ("a: 1\n---\nb: &x 2\n", "f.yaml:3:4: error[anchor]"),
        ("a: 1\na: {b: [&x 1]}\n", "f.yaml:2:9: error[anchor]"),
        ("? [a, [&x b]]\n: 1\n", "f.yaml:1:8: error[anchor]"),
        ("", "f.yaml: error[empty]"),
        ("# only a comment\n", "f.yaml: error[empty]"),
        ("a: " + "9" * 5000, "error[number]: a number of 5000 digits"),
        ("[" * 100, "error[too-deep]"),
        ("\t- a", "error[yaml]"),
        ("- a\n" * 10_001, "f.yaml:10000:3: error[too-large]: more than 10,000 values"),
        ('"a\\e[2Jb": 1\n"a\\e[2Jb": 2', "f.yaml:2:1: error[duplicate-key]: `a\\x1b[2Jb` is given twice"),
    ],
)
def test_what_is_dangerous_or_broken_is_refused_with_its_place(text: str, expected: str) -> None:
    assert expected in refused(text)


def test_all_mistakes_of_a_file_come_together() -> None:
    message = refused("a: 1\na: 2\nb: 3\nb: 4\n")
    assert message.count("duplicate-key") == 2
    assert refused("a: 1\n" * 4000).count("duplicate-key") == 200, "nobody reads more"


def test_what_has_no_place_is_passed_over_whole() -> None:
    message = refused("? {x: 1, x: 2}\n: [{y: 1, y: 2}]\na: 1\na: [{z: 1, z: 2}, [3]]\nb: 4\nb: 5\n")
    assert [line.split(": ")[1] for line in message.splitlines() if "error" in line] == [
        "error[key]",
        "error[duplicate-key]",
        "error[duplicate-key]",
    ]


def test_a_yaml_bomb_is_never_expanded() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    assert "error[anchor]" in refused("\n".join(lines))


def test_an_oversized_file_is_not_parsed() -> None:
    assert "error[too-large]" in refused("# " + "x" * MAX_BYTES)


def test_missing_and_binary_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_document(tmp_path / "nothing.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match="byte 3 is not UTF-8"):
        read_document(binary)


def is_no_number(text: str) -> bool:
    """Return whether YAML 1.1, which the writer knows, and 1.2 agree that a text is none: `08` is one in 1.2 alone."""
    try:
        float(text)
    except ValueError:
        return True
    return False


VISIBLE = st.characters(codec="ascii", exclude_categories=["C"])
NAMES = st.text("abc", min_size=1, max_size=3)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="ascii", exclude_categories=["C"])).filter(is_no_number),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    text = yaml.safe_dump({"value": value}, default_flow_style=None)
    if "&" in text or "*" in text:
        return  # the writer made an anchor, which is refused by design
    found = parse_document(text.encode(), "f.yaml").data["value"]
    assert found == value


@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_a_clear_error(raw: bytes) -> None:
    message = "error["
    try:
        parse_document(raw, "f.yaml")
    except StagegateError as error:
        message = str(error)
    assert "error[" in message
