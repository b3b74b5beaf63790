"""The shipped bundle and its tests, and a small policy that uses every part of the language."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.policy.bundle import load_bundle
from engine.policy.load import parse_policy, parse_vocabulary
from engine.policy.testing.run import run_policy_tests

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy, Vocabulary
    from engine.policy.testing.run import TestRun

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "policies" / "tests"

VOCABULARY = """
vocabulary: tiny
facts:
  x: {title: x, unit: ratio, worse: higher, range: [-10, 10], resolution: 0.1, max_age: 1 hour, from: a test}
  y: {title: y, unit: percent, worse: lower, range: [-100, 100], resolution: 0.5, max_age: 1 hour, from: a test}
  z: {title: z, unit: percent, worse: lower, range: [-100, 100], resolution: 0.1, max_age: 1 hour, from: a test}
  n: {title: n, unit: count, worse: higher, range: [0, 5], resolution: 1, max_age: 1 hour, from: a test}
  age: {title: age, unit: minutes, worse: higher, range: [0, 9000], resolution: 0.01, max_age: 1 hour, from: a test}
  up: {title: up, unit: flag, worse: neither, max_age: 1 hour, from: a test}
  mode: {title: mode, unit: "one of [CLEAR, REDUCE_ONLY, FLATTEN]", worse: neither, max_age: 1 hour, from: a test}
"""

POLICY = """
policy: tiny
title: every part of the language
outcomes: [STOP, CUT, RISE, KEEP]
otherwise: KEEP
promotes: [RISE]
parameters:
  floor: {value: "-5%", range: ["-50%", "0%"], about: a threshold with a name}
bands:
  x: {green: "< 1", red: "> 2"}
  y: {green: "> 0%", red: "< $floor"}
rules:
  stop_mode: {outcome: STOP, when: {mode: "= FLATTEN"}, because: a word}
  stop_both: {outcome: STOP, when: {all: [{x: "> 3"}, {not: {up: "= yes"}}]}, because: both}
  cut_fact: {outcome: CUT, when: {y: "< z"}, because: one fact against another}
  cut_unless: {outcome: CUT, unless: {n: "<= 2"}, severity: HARD, because: not known to be few}
  cut_window: {outcome: CUT, when: {y: "< $floor"}, for: 2 of 4 days, because: often}
  cut_yellow: {outcome: CUT, each: band, when: {band: yellow}, for: 3 days, because: long}
  cut_held: {outcome: CUT, when: {x: "> 2.5"}, for: 2 days, gap: counts, episode: data, because: a gap counts}
  rise: {outcome: RISE, when: {all: [{n: "= 0"}, {every_band: green}]}, for: 3 days, because: all is well}
  late: {outcome: KEEP, when: {any: [{age: "> 5 minutes"}, {age: unknown}]}, effects: {entries: blocked}, because: late}
  opt_in: {outcome: STOP, enabled: no, when: {x: "> 8"}, because: off}
effects:
  STOP: {exposure: 0, until: restart, approvals: 2, incident: CRITICAL, alert: page}
  CUT: {exposure: 0.5, once_per: episode, recovery: 5 days}
  RISE: {cap: "x1.5", at_most: once per 30 days}
  KEEP: {}
episodes:
  data: {recovery: 15 minutes}
exit: {KEEP: 0, RISE: 10, CUT: 20, STOP: 30}
"""

GREEN = "{x: 0, y: 1%, z: 0%, n: 1, age: 1 minutes, up: yes, mode: CLEAR}"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml")


@pytest.fixture(scope="session")
def shipped(bundle: Bundle) -> TestRun:
    """The shipped tests, run by the interpreter."""
    return run_policy_tests(bundle, [TESTS])


@pytest.fixture(scope="session")
def tiny_vocabulary() -> Vocabulary:
    return parse_vocabulary(VOCABULARY.encode(), "tiny-facts.yaml")


@pytest.fixture(scope="session")
def tiny(tiny_vocabulary: Vocabulary) -> Policy:
    return parse_policy(POLICY.encode(), "tiny.yaml", tiny_vocabulary)


@pytest.fixture
def case_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a file of tests of the tiny policy: `tests` below the defaults."""

    def write(tests: str, *, name: str = "tiny.yaml", head: str = f"policy: tiny\ndefaults: {GREEN}\n") -> Path:
        path = tmp_path / name
        path.write_text(f"{head}tests:\n{tests}", encoding="utf-8")
        return path

    return write
