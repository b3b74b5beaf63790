"""`policy fmt`: one layout, and the shipped files have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.documents import parse_document
from engine.errors import PolicyError, StagegateError
from engine.policy.layout import formatting
from engine.policy.layout.formatting import format_file, format_text
from engine.policy.layout.writer import WIDTH

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


LONG = ", ".join(["{drawdown: unknown}"] * 7)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (  # a comment that speaks of several rules speaks of each when they part
            f"rules: {{a: {{when: {{any: [{LONG}]}}}}, b: {{outcome: STOP}}}}  # R1\n",
            "rules:  # R1\n  a:  # R1\n    when:\n      any:\n"
            + "        - {drawdown: unknown}\n" * 7
            + "  b: {outcome: STOP}  # R1\n",
        ),
        (  # and one that does not speak of a rule is not put beside it
            "rules: {a: {outcome: STOP},  # R1\n  b: {outcome: STOP}}\n",
            "rules:  # R1\n  a: {outcome: STOP}  # R1\n  b: {outcome: STOP}\n",
        ),
        (
            "rules:  # R1\n  {a: {outcome: STOP}}\n",
            "rules:  # R1\n  a: {outcome: STOP}\n",
        ),
        (  # the ids of a promotion are those of all its conditions: they need not be repeated
            f"stages:\n  1:\n    promote: {{to: 2, all: [{LONG}]}}  # R1\n",
            "stages:\n  1:\n    promote:  # R1\n      to: 2\n      all:\n" + "        - {drawdown: unknown}\n" * 7,
        ),
        (
            "stages:\n  1:\n    abort:\n      any:\n        - {\n          drawdown: unknown}  # R1\n",
            "stages:\n  1:\n    abort:\n      any:\n        # R1\n        - drawdown: unknown\n",
        ),
        (
            "stages:\n  1:\n    abort:\n      any:\n        - drawdown:\n            unknown  # R1\n    cap: 5 usd\n",
            "stages:\n  1:\n    abort:\n      any:\n        - drawdown: unknown\n          # R1\n    cap: 5 usd\n",
        ),
        (
            "stages:\n  1:\n    min_days:\n      14  # R1\n    cap: 5 usd\n",
            "stages:\n  1:\n    min_days: 14\n    # R1\n    cap: 5 usd\n",
        ),
    ],
    ids=["shared", "parted", "above-braces", "promotion", "brace-after-dash", "value-below-key", "value-below-days"],
)
def test_an_id_stays_with_what_it_is_read_for(before: str, after: str) -> None:
    assert formatted(f"policy: a\n{before}") == f"policy: a\n{after}"


def test_an_id_beside_a_whole_file_in_braces_stays_with_its_rules() -> None:
    before = "{policy: a, rules: {b: {outcome: STOP}}}  # R1\n"
    column = before.index("#")
    assert formatted(before) == f"{'policy: a':<{column}}# R1\nrules:\n  b: {{outcome: STOP}}  # R1\n"


def test_comments_before_an_entry_keep_their_order() -> None:
    before = "policy: a\nrules:\n  a:\n    outcome: STOP\n# first\n    # second\neffects: {}\n"
    assert formatted(before) == "policy: a\nrules:\n  a:\n    outcome: STOP\n# first\n# second\neffects: {}\n"


def test_no_empty_line_opens_a_mapping() -> None:
    assert formatted("\n\npolicy: a\nrules:\n\n  a: {}\n\n\n\n  b: {}\n\n") == "policy: a\nrules:\n  a: {}\n\n  b: {}\n"


def test_values_that_would_not_fit_are_not_aligned() -> None:
    text = f"policy: a\nbands:\n  {'n' * 50}: {{green: a}}\n  m: {{green: {'g' * 70}}}\n"
    assert formatted(text) == text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("one\ntwo\n", "|\n  one\n  two"),
        ("one\n\n  two", "|-\n  one\n\n    two"),
        ("one\ntwo\n\n", '"one\\ntwo\\n\\n"'),
        ("one\ntwo \nthree", '"one\\ntwo \\nthree"'),
        (" one\ntwo", '" one\\ntwo"'),
        ("bell\a", '"bell\\x07"'),
        ("next\x85 line", '"next\\x85 line"'),
        ("far\u2028", '"far\\u2028"'),
        ("wide  " * 30 + "!", "wide  " * 30 + "!"),
        ("word" * 40, "word" * 40),
    ],
)
def test_texts_of_several_lines_and_odd_letters(text: str, spelled: str) -> None:
    assert formatted(f"policy: a\ntext: {json.dumps(text)}\n") == f"policy: a\ntext: {spelled}\n"


def test_line_ends_and_a_byte_order_mark_are_changes_too() -> None:
    text = b"policy: a\n"
    assert not format_text(text, "a.yaml").is_changed
    for raw in (b"policy: a\r\n", b"\xef\xbb\xbfpolicy: a\n", b"policy: a", b"policy: a\r"):
        result = format_text(raw, "a.yaml")
        assert result.is_changed
        assert result.after == "policy: a\n"
    mixed = b"policy: a  # b\r\r  # c\rtitle: d\r\n"
    assert format_text(mixed, "a.yaml").after == "policy: a  # b\n\n# c\ntitle: d\n"


def test_a_layout_that_says_something_else_never_reaches_a_file() -> None:
    before = parse_document(b"policy: a\nrules:\n  r: {}  # R155\n", "a.yaml")
    habits = formatting._habits(before)
    formatting._check_meaning(before, "policy: a\nrules:\n  r: {}   # R155, the hard stop\n", habits)
    for after in (
        "policy: b\nrules:\n  r: {}  # R155\n",
        "policy: a\nrules:\n  r: {}  # R156\n",
        "policy: a\n",
        "policy: [a\n",
    ):
        with pytest.raises(PolicyError, match="cannot be laid out safely"):
            formatting._check_meaning(before, after, habits)


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
