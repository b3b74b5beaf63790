"""The shipped policies, and small ones made of text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.policy.load import load_policy, load_vocabulary, parse_policy, parse_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy.model import Policy, Vocabulary

ROOT = Path(__file__).resolve().parents[2]

SMALL_VOCABULARY = """
vocabulary: small
facts:
  x: {title: x, unit: ratio, worse: higher, range: [-100, 100], resolution: 0.01, max_age: 1 hour, from: a test}
  y: {title: y, unit: percent, worse: lower, range: [-100, 100], resolution: 0.1, max_age: 1 hour, from: a test}
  n: {title: n, unit: count, worse: higher, range: [0, 1000], resolution: 1, max_age: 1 hour, from: a test}
  up: {title: up, unit: flag, worse: neither, max_age: 1 hour, from: a test}
  mode:
    title: mode
    unit: one of [CLEAR, REDUCE_ONLY, FLATTEN_ALL]
    worse: neither
    max_age: 1 hour
    from: a test
"""

SMALL_FRAME = """
policy: small
title: a policy made by a test
outcomes: [STOP, RISE, KEEP]
otherwise: KEEP
promotes: [RISE]
effects: {STOP: {exposure: 0}, RISE: {cap: "x2"}, KEEP: {}}
exit: {KEEP: 0, RISE: 10, STOP: 30}
"""


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return load_vocabulary(ROOT / "policies" / "facts.yaml")


@pytest.fixture(scope="session")
def action(vocabulary: Vocabulary) -> Policy:
    return load_policy(ROOT / "policies" / "action.yaml", vocabulary)


@pytest.fixture(scope="session")
def stages(vocabulary: Vocabulary) -> Policy:
    return load_policy(ROOT / "policies" / "stages.yaml", vocabulary)


@pytest.fixture(scope="session")
def small() -> Vocabulary:
    return parse_vocabulary(SMALL_VOCABULARY.encode(), "small.yaml")


@pytest.fixture(scope="session")
def small_policy(small: Vocabulary) -> Callable[[str], Policy]:
    """Return a function from the text below the frame (bands, rules) to a policy on x, y, n, up and mode."""

    def policy(text: str) -> Policy:
        return parse_policy((SMALL_FRAME + text).encode(), "small.yaml", small)

    return policy
