"""Every mistake in a policy file: its code, its place, and what the reader is told; all mistakes of a file at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import PolicyError
from engine.policy.load import load_policy, load_vocabulary, parse_policy, parse_vocabulary

if TYPE_CHECKING:
    from engine.policy.model import Vocabulary

FOLDER = Path(__file__).resolve().parents[1] / "policies"
ROOT = FOLDER.parents[1]
BAD = sorted((FOLDER / "bad").glob("*.yaml"))


@pytest.fixture(scope="module")
def facts() -> Vocabulary:
    return load_vocabulary(FOLDER / "vocabulary.yaml")


def refused(raw: bytes, name: str, facts: Vocabulary | None) -> PolicyError | None:
    """Return what is wrong with a policy, or (without facts) with a vocabulary; anything but a PolicyError escapes."""
    try:
        if facts is None:
            parse_vocabulary(raw, name)
        else:
            parse_policy(raw, name, facts)
    except PolicyError as error:
        return error
    return None


def mistakes(raw: bytes, name: str, facts: Vocabulary) -> PolicyError:
    error = refused(raw, name, None if b"\nvocabulary:" in raw else facts)
    assert error is not None, "the file was read"
    return error


@pytest.mark.parametrize("path", BAD, ids=[path.stem for path in BAD])
def test_a_bad_file_says_what_and_where(path: Path, facts: Vocabulary) -> None:
    raw = path.read_bytes()
    expected = raw.decode().splitlines()[0].removeprefix("# expect: ").split()
    error = mistakes(raw, path.name, facts)
    found = [(problem.code, problem.where.removeprefix(f"{path.name}:")) for problem in error.problems]
    assert found == list(zip(expected[::2], expected[1::2], strict=True))
    assert f"{error}\n" == path.with_suffix(".txt").read_text(), "the message beside the file is another"


def test_the_bad_files_are_there() -> None:
    assert len(BAD) > 90


def test_messages_follow_the_wording_of_the_house(facts: Vocabulary) -> None:
    for path in BAD:
        for problem in mistakes(path.read_bytes(), path.name, facts).problems:
            for text in (problem.problem, problem.help):
                assert not text.endswith("."), text
                assert "\n" not in text, text
                assert "None" not in text, text
                assert "<class" not in text, text
            assert problem.problem[0].islower() or not problem.problem[0].isalpha(), problem.problem


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path, facts: Vocabulary, name: str) -> None:
    with pytest.raises(PolicyError, match=r"no-file|unreadable"):
        load_policy(tmp_path / name, facts)


@pytest.mark.parametrize("raw", [b"", b"# nothing\n", b"\xff\xfe", b"x" * 1_000_001, b"~", b"3"])
def test_files_without_a_policy_are_refused(raw: bytes, facts: Vocabulary) -> None:
    with pytest.raises(PolicyError):
        parse_policy(raw, "f.yaml", facts)
    with pytest.raises(PolicyError):
        parse_vocabulary(raw, "f.yaml")


def test_reading_stops_after_200_mistakes(facts: Vocabulary) -> None:
    raw = b"policy: many\n" + b"".join(b"k%d: 1\n" % number for number in range(4000))
    error = mistakes(raw, "many.yaml", facts)
    assert len(error.problems) == 201
    assert str(error.problems[-1]) == "many.yaml: error[too-many]: reading stopped after 200 mistakes"
    assert [problem.where for problem in error.problems[:2]] == ["many.yaml:2:1", "many.yaml:3:1"]


SHIPPED = (ROOT / "policies" / "action.yaml").read_text()
PIECES = [
    "",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "> 12%",
    "all",
    "~",
    "\t",
    "&a ",
    "*a",
    "!!int ",
    "1e9",
    "$x",
    "\n",
    " #",
    "0",
    "é",
    "\x00",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, len(SHIPPED)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4
    )
)
def test_a_mutated_policy_is_read_or_refused_never_a_traceback(
    vocabulary: Vocabulary, edits: list[tuple[int, int, str]]
) -> None:
    text = SHIPPED
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    error = refused(text.encode(), "mutated.yaml", vocabulary)
    assert error is None or all(problem.where.startswith("mutated.yaml") for problem in error.problems)


VOCABULARY = (ROOT / "policies" / "facts.yaml").read_text()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(VOCABULARY)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4
    )
)
def test_a_mutated_vocabulary_is_read_or_refused_never_a_traceback(edits: list[tuple[int, int, str]]) -> None:
    text = VOCABULARY
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    error = refused(text.encode(), "mutated.yaml", None)
    assert error is None or all(problem.where.startswith("mutated.yaml") for problem in error.problems)


@st.composite
def structures(draw: st.DrawFn) -> object:
    """Return a value of YAML's shapes with the language's words in it."""
    words = st.sampled_from(
        ["x", "y", "n", "all", "any", "not", "band", "red", "unknown", "> 1", "> 5%", "= 3", "$p", "3 days", "STOP"]
    )
    leaves = words | st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=True)
    value: object = draw(
        st.recursive(
            leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
        )
    )
    return value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        [
            "outcomes",
            "otherwise",
            "promotes",
            "parameters",
            "bands",
            "rules",
            "effects",
            "episodes",
            "exit",
            "stages",
            "when",
            "for",
            "each",
        ]
    ),
    structures(),
)
def test_any_value_at_any_key_is_read_or_refused(facts: Vocabulary, key: str, value: object) -> None:
    import yaml  # noqa: PLC0415 - only this test writes YAML

    rule = {"outcome": "STOP", "when": {"x": "> 1"}, "because": "it must"}
    policy: dict[str, object] = {
        "policy": "made",
        "title": "made",
        "outcomes": ["STOP", "KEEP"],
        "otherwise": "KEEP",
        "bands": {"y": {"green": "> 5%", "red": "< 0%"}},
        "rules": {"stop": rule},
        "effects": {"STOP": {}, "KEEP": {}},
        "exit": {"STOP": 30, "KEEP": 0},
    }
    if key in {"when", "for", "each"}:
        rule[key] = value  # type: ignore[assignment]
    else:
        policy[key] = value
    error = refused(yaml.safe_dump(policy).encode(), "made.yaml", facts)
    assert error is None or error.problems
