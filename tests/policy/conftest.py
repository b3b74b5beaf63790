"""The shipped policies, and small ones made of text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.policy.load import load_policy, load_vocabulary, parse_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy.model import Policy, Vocabulary

ROOT = Path(__file__).resolve().parents[2]

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
    return load_vocabulary(ROOT / "tests" / "policies" / "vocabulary.yaml")


@pytest.fixture(scope="session")
def small_policy(small: Vocabulary) -> Callable[[str], Policy]:
    """Return a function from what stands below the frame (bands, rules) to a policy on the small vocabulary."""

    def policy(text: str) -> Policy:
        return parse_policy((SMALL_FRAME + text).encode(), "small.yaml", small)

    return policy
