"""`policy fmt`: one layout, and the shipped files have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.documents import parse_document
from engine.errors import PolicyError, StagegateError
from engine.policy.formatting import format_file, format_text
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
    assert parse_document(after.encode(), "a.yaml").comment(("rules", "r")) == ""


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
