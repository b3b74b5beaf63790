"""Laws of loading: order, style and comments change nothing; a wrong value is a ConfigError, never a traceback."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cerberus import Validator
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import FrozenConfig, load_config
from engine.config.schema import CONFIG as SCHEMA
from engine.errors import ConfigError
from engine.fits import fits

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "prod_candidate_R1.yaml"
DATA: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
CONFIG = load_config(SHIPPED)

Path_ = tuple[str | int, ...]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws") / "R1.yaml"


def loaded(file: Path, text: str) -> FrozenConfig:
    file.write_text(text, encoding="utf-8")
    return load_config(file)


def leaves(value: Any, at: Path_ = ()) -> list[tuple[Path_, Any]]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in leaves(item, (*at, key))]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*at, index))]
    return [(at, value)]


def changed(path: Path_, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    target: Any = data
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return data


def dotted(path: Path_) -> str:
    return re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in path))


LEAVES = leaves(DATA)
NUMBERS = [path for path, value in LEAVES if isinstance(value, int | float) and not isinstance(value, bool)]
FLAGS = [path for path, value in LEAVES if isinstance(value, bool)]
WORDS = [path for path, value in LEAVES if isinstance(value, str) and path[0] != "notification"]

numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=True, allow_infinity=True)
# YAML cannot carry every code point; what it can is enough.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=60)
nested = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
blocks = st.lists(nested, max_size=3) | st.dictionaries(texts, nested, max_size=3)


@st.composite
def wrong_types(draw: st.DrawFn) -> tuple[Path_, Any]:
    kind = draw(st.sampled_from(["number", "flag", "word"]))
    if kind == "number":
        return draw(st.sampled_from(NUMBERS)), draw(texts | st.booleans() | st.none() | blocks)
    if kind == "flag":
        return draw(st.sampled_from(FLAGS)), draw(texts | numbers | st.none() | blocks)
    path = draw(st.sampled_from(WORDS))
    return path, draw(numbers | st.booleans() | blocks)


def assert_readable(refused: ConfigError, file: Path) -> None:
    assert refused.problems
    for problem in refused.problems:
        assert re.fullmatch(re.escape(str(file)) + r":\d+:\d+", problem.where)
        assert len(str(problem).splitlines()) == (2 if problem.help else 1)
        assert problem.problem.isprintable()


@settings(max_examples=150, deadline=None)
@given(wrong_types())
def test_a_scalar_of_a_wrong_type_is_named(file: Path, change: tuple[Path_, Any]) -> None:
    path, value = change
    with pytest.raises(ConfigError) as refused:
        loaded(file, yaml.safe_dump(changed(path, value), allow_unicode=True))
    assert_readable(refused.value, file)
    assert any(f"`{dotted(path)}`" in problem.problem for problem in refused.value.problems)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([path for path, _ in LEAVES]), st.integers(1, 5), nested)
def test_anything_anywhere_loads_or_is_a_config_error(file: Path, path: Path_, depth: int, value: Any) -> None:
    text = yaml.safe_dump(changed(path[:depth], value), allow_unicode=True)
    try:
        config = loaded(file, text)
    except ConfigError as refused:
        assert_readable(refused, file)
    else:
        assert set(config.ensemble.strategies) == set(config.market.symbols)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from([float("nan"), float("inf"), -float("inf")]))
def test_a_number_that_is_not_finite_is_named(file: Path, path: Path_, value: float) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(file, yaml.safe_dump(changed(path, value)))
    (problem,) = (problem for problem in refused.value.problems if f"`{dotted(path)}`" in problem.problem)
    assert problem.code == "not-finite"


@st.composite
def respelt(draw: st.DrawFn, value: Any) -> Any:
    """Return the same value with its keys in another order and its numbers in another spelling."""
    if isinstance(value, dict):
        return {key: draw(respelt(value[key])) for key in draw(st.permutations(list(value)))}
    if isinstance(value, list):
        return [draw(respelt(item)) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        return value
    return draw(st.sampled_from([int(value), float(value)]))


@settings(max_examples=40, deadline=None)
@given(
    data=respelt(DATA),
    flow=st.sampled_from([None, True, False]),
    quote=st.sampled_from(["", "'", '"']),
    remark=texts,
)
def test_another_order_style_and_other_comments_load_the_same(
    file: Path, data: dict[str, Any], *, flow: bool | None, quote: str, remark: str
) -> None:
    text = yaml.safe_dump(data, sort_keys=False, default_flow_style=flow, width=10_000)
    text = re.sub(r"\b(ISOLATED|ONE_WAY|next_open|tsmom_ema)\b", lambda word: quote + word[0] + quote, text)
    comment = " ".join(remark.split())
    if flow is not True:
        text = "\n".join(f"{line}   # {comment}" for line in text.splitlines())
    config = loaded(file, f"# {comment}\n---\n{text}\n# end\n")
    assert dataclasses.replace(config, path=CONFIG.path, sha256=CONFIG.sha256) == CONFIG
    assert config.sha256 != CONFIG.sha256


PLAUSIBLE: list[Any] = [
    None,
    True,
    -1,
    1,
    5.5,
    math.nan,
    "",
    "1h",
    "fixed",
    "BTC-1",
    "2022-01-01",
    "${A}",
    "${",
    {},
    [],
]


def test_a_right_file_needs_no_cerberus() -> None:
    assert fits(DATA, SCHEMA, require_all=True)


def test_the_quick_check_passes_only_what_cerberus_passes() -> None:
    places = dict.fromkeys(path[:depth] for path, _ in LEAVES for depth in range(1, len(path) + 1))
    documents = [changed(path, value) for path in places for value in PLAUSIBLE]
    documents += [{key: value for key, value in DATA.items() if key != dropped} for dropped in DATA]
    documents += [changed((*path[:-1], "extra"), 1) for path in places if isinstance(path[-1], str)]
    passed = [data for data in documents if fits(data, SCHEMA, require_all=True)]
    assert len(passed) > len(places), "much else is right as well"
    validator = Validator(SCHEMA, require_all=True)
    for data in passed:
        assert validator.validate(data, normalize=False), validator.errors
