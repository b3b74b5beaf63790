"""`policy schema`: the schemas accept what the loader accepts, and refuse what is wrong in shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.documents import parse_document, read_document
from engine.errors import PolicyError, StagegateError
from engine.policy.bundle import load_bundle
from engine.policy.editor.schema import FOLDER, editor_settings, file_name, modeline, schema_files
from engine.policy.editor.shape import value
from engine.policy.effects import KEYS
from engine.policy.load import load_vocabulary, parse_policy
from engine.policy.schema import BUNDLE, POLICY, VOCABULARY
from engine.policy.testing.casefile import CASES

if TYPE_CHECKING:
    from engine.policy.model import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
FACTS = load_vocabulary(ROOT / "policies" / "facts.yaml")
SMALL = load_vocabulary(ROOT / "tests" / "policies" / "vocabulary.yaml")
BUNDLE_FILE = ROOT / "config" / "prod_scale_rules_R1.yaml"
SHIPPED = [*sorted((ROOT / "policies").rglob("*.yaml")), BUNDLE_FILE]
BAD = sorted((ROOT / "tests" / "policies" / "bad").glob("*.yaml"))
KINDS = {"bundle": "bundle", "tests": "policy-test", "policy": "policy", "vocabulary": "vocabulary"}

# Mistakes that only show when two places are seen together, or when values are counted or ordered.
OF_MEANING = {
    "always", "never", "shadowed", "band-gap", "band-overlap", "range", "resolution", "duplicate-rule", "each",
    "exit-code", "severity", "stage", "unknown-band", "unknown-episode", "unknown-outcome", "unknown-parameter",
    "unreachable", "unused-parameter", "too-many-conditions",
}  # fmt: skip
# Files with another mistake that a schema cannot see, and why.
EXCUSED = {
    "for_more_than_all": "two numbers are compared",
    "for_too_long": "a number is compared",
    "effects_missing": "the outcomes are listed elsewhere",
    "exit_missing": "the outcomes are listed elsewhere",
    "stage_without_the_outcome": "the outcomes are listed elsewhere",
    "parameter_nan": "JSON has no such number",
    "parameter_of_another_unit": "the unit of the parameter is written elsewhere",
    "parameter_units_differ": "three values are compared",
}


def schemas(vocabulary: Vocabulary) -> dict[str, dict[str, Any]]:
    files = schema_files(vocabulary)
    return {kind: json.loads(files[file_name(kind)]) for kind in ("policy", "vocabulary", "bundle", "policy-test")}


SHIPPED_SCHEMAS = schemas(FACTS)
SMALL_SCHEMAS = schemas(SMALL)
SHIPPED_CHECKS = {kind: Draft202012Validator(schema) for kind, schema in SHIPPED_SCHEMAS.items()}
SMALL_CHECKS = {kind: Draft202012Validator(schema) for kind, schema in SMALL_SCHEMAS.items()}


def kind_of(data: Any) -> str:
    keys = data if isinstance(data, dict) else {}
    return next((kind for mark, kind in KINDS.items() if mark in keys), "policy")


@pytest.mark.parametrize("kind", sorted(SHIPPED_SCHEMAS))
def test_a_schema_is_one_and_the_copy_in_the_repository_is_current(kind: str) -> None:
    Draft202012Validator.check_schema(SHIPPED_SCHEMAS[kind])
    stored = (ROOT / FOLDER / file_name(kind)).read_text(encoding="utf-8")
    assert stored == schema_files(FACTS)[file_name(kind)], "run `stagegate policy schema`"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_file_is_valid(path: Path) -> None:
    data = read_document(path).data
    errors = [error.message for error in SHIPPED_CHECKS[kind_of(data)].iter_errors(data)]
    assert not errors


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_file_that_is_wrong_in_shape_is_invalid(path: Path) -> None:
    try:
        data = read_document(path).data
    except StagegateError:
        return  # an editor says itself that it is no YAML
    codes = set(path.read_text(encoding="utf-8").splitlines()[0].split()[2::2])
    assert codes
    if SMALL_CHECKS[kind_of(data)].is_valid(data):
        assert codes <= OF_MEANING or path.stem in EXCUSED, f"the schema sees nothing of {codes}"


@pytest.mark.parametrize("stem", sorted(EXCUSED))
def test_no_file_is_excused_without_need(stem: str) -> None:
    data = read_document(ROOT / "tests" / "policies" / "bad" / f"{stem}.yaml").data
    assert SMALL_CHECKS[kind_of(data)].is_valid(data)


# ── comparisons: as the loader reads them ──

POLICY_TEXT = """
policy: one
title: one comparison
outcomes: [STOP, KEEP]
otherwise: KEEP
parameters: {{p: {{value: "5", range: ["1", "9"], about: "a number"}}}}
rules:
  r: {{outcome: STOP, when: {{{fact}: {text}}}, because: it must}}
  s: {{outcome: STOP, when: {{x: "> $p"}}, because: it must}}
effects: {{STOP: {{}}, KEEP: {{}}}}
exit: {{STOP: 30, KEEP: 0}}
"""
# What a schema cannot know of a comparison: the range, the steps, other comparisons, the unit of a parameter.
BEYOND = {
    "range",
    "resolution",
    "never",
    "always",
    "unknown-parameter",
    "unused-parameter",
    "duplicate-rule",
    "unknown-band",
}
PARTS = [
    [">", ">=", "<", "<=", "=", "!=", "==", "≥", "", "unknown", "red", " > "],
    ["", " ", "  "],
    [
        "5",
        "-5",
        "+1.5",
        "5.",
        ".5",
        "1e-2",
        "5,000",
        "",
        "CLEAR",
        "HEDGE",
        "yes",
        "true",
        "$p",
        "$P",
        "x",
        "y",
        "n",
        "m",
    ],
    ["", " ", "%", " %", "x", " x", "days", " days", " day", " usd", " bps", " minutes", " hours", "ms", "  %"],
]
COMPARISONS = st.builds("".join, st.tuples(*(st.sampled_from(part) for part in PARTS)))


def loader_codes(fact: str, text: Any) -> set[str]:
    raw = POLICY_TEXT.format(fact=fact, text=json.dumps(text)).encode()
    try:
        parse_policy(raw, "one.yaml", SMALL)
    except PolicyError as error:
        return {problem.code for problem in error.problems}
    return set()


@given(st.sampled_from(sorted(SMALL.facts)), COMPARISONS)
def test_a_comparison_is_valid_where_the_loader_can_read_it(fact: str, text: str) -> None:
    data = parse_document(POLICY_TEXT.format(fact=fact, text=json.dumps(text)).encode(), "one.yaml").data
    codes = loader_codes(fact, text)
    is_valid = SMALL_CHECKS["policy"].is_valid(data)
    if not codes:
        assert is_valid
    elif codes - BEYOND and not (text.strip().endswith("$p") and codes == {"unit"}):  # its unit is written elsewhere
        assert not is_valid, codes


@pytest.mark.parametrize("wrong", [5, 0.5, True, None, ["> 5"], {"> 5": 1}])
def test_a_comparison_is_text(wrong: Any) -> None:
    data = parse_document(POLICY_TEXT.format(fact="x", text=json.dumps(wrong)).encode(), "one.yaml").data
    assert loader_codes("x", wrong)
    assert not SMALL_CHECKS["policy"].is_valid(data)


# ── effects: as the executor's parser reads them ──

VALUES: list[Any] = [
    0, 1, 0.5, 1.5, -1, True, False, None, "", "blocked", "allowed", "x1.5", "x0", "x0.0", "x10", "1.5", "episode",
    "day", "5 days", "0 days", "1 hour", "5 weeks", "once per 30 days", "once per day", 2, 2.5, "restart", "never",
    "CRITICAL", "HIGH", "MEDIUM", "LOW", "page", "warn", "info", "REVIEW", "two words", [1], {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("key", sorted(KEYS))
def test_an_effect_is_valid_where_the_parser_reads_it(key: str) -> None:
    schema = SMALL_SCHEMAS["policy"]["$defs"]["effects"]
    validator = Draft202012Validator(schema)
    accepted = 0
    for given_value in VALUES:
        try:
            KEYS[key][1](given_value)
            is_read = True
        except ValueError:
            is_read = False
        accepted += is_read
        assert validator.is_valid({key: given_value}) == is_read, (key, given_value)
    assert accepted


# ── policy tests ──


@pytest.mark.parametrize(
    ("fact", "series", "is_valid"),
    [
        ("x", "0.9x7 _ 0.9x10", True),
        ("x", 0.9, True),
        ("x", "young", True),
        ("x", "0.5%", False),
        ("y", "1%x18", True),
        ("y", "1%..10%x10", True),
        ("y", 1, False),
        ("n", "0 1 2 1x3", True),
        ("m", "1.2x7", True),
        ("age", "24 hours", True),
        ("age", "61minutesx3 _", True),
        ("up", True, True),
        ("up", "yes nox3 _", True),
        ("up", "true", False),
        ("mode", "CLEARx2 FLATTEN_ALL stale", True),
        ("mode", "CLEAR HALT", False),
        ("no_fact", "1", False),
    ],
)
def test_a_series_of_a_policy_test(fact: str, series: Any, is_valid: bool) -> None:  # noqa: FBT001 - the expectation
    data = {"policy": "one", "tests": [{"name": "a", "facts": {fact: series}, "expect": {"outcome": "KEEP"}}]}
    assert SMALL_CHECKS["policy-test"].is_valid(data) == is_valid


@pytest.mark.parametrize(
    ("expect", "is_valid"),
    [
        ({"outcome": "KEEPx17 SCALE_UP"}, True),
        ({"outcome@3": "KEEP", "rules@1-9": ["scale_up"], "rules@18": []}, True),
        ({"outcome@0": "KEEP"}, False),
        ({"outcome": "keep"}, False),
        ({"rules": "scale_up"}, False),
        ({"effects": {"PAUSE": {"exposure": 0}}}, True),
        ({"surprise": 1}, False),
        ({}, False),
    ],
)
def test_an_expectation_of_a_policy_test(expect: dict[str, Any], is_valid: bool) -> None:  # noqa: FBT001 - the same
    data = {"policy": "one", "tests": [{"name": "a", "expect": expect}]}
    assert SMALL_CHECKS["policy-test"].is_valid(data) == is_valid


# ── for people who write them ──


def test_an_editor_can_complete_facts_and_is_told_what_they_are() -> None:
    condition = SHIPPED_SCHEMAS["policy"]["$defs"]["condition"]["properties"]
    assert set(FACTS.facts) <= set(condition)
    assert condition["drawdown"]["description"].startswith("current drawdown (percent; higher is worse): metrics")


def test_every_key_of_the_loader_is_in_the_schema() -> None:
    for kind, fields in (("policy", POLICY), ("vocabulary", VOCABULARY), ("bundle", BUNDLE), ("policy-test", CASES)):
        schema = SHIPPED_SCHEMAS[kind]
        assert set(schema["properties"]) == set(fields)
        assert set(schema.get("required", ())) == {name for name, rules in fields.items() if rules.get("required")}


def test_a_rule_of_the_loader_that_is_not_translated_is_not_forgotten() -> None:
    with pytest.raises(KeyError):
        value({"type": "string", "contains": "a"})
    with pytest.raises(KeyError):
        value({"type": "list", "items": [{"type": "string"}, {"type": "number"}]})


def test_the_settings_of_an_editor_name_files_that_exist() -> None:
    bundle = load_bundle(BUNDLE_FILE)
    settings = json.loads(editor_settings(bundle))["yaml.schemas"]
    named = [name for names in settings.values() for name in names if "*" not in name]
    assert sorted(named) == sorted(str(path.relative_to(ROOT)) for path in SHIPPED if path.parent.name != "tests")
    assert all((ROOT / schema).is_file() for schema in settings)
    assert modeline("policy-test", "../..").endswith("$schema=../../docs/schemas/policy-test.schema.json")
