"""What a bundle says of execution: how long a decision holds, and the pinned file of the venue's limits."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import PolicyError
from engine.policy.bundle import Bundle, load_bundle
from engine.policy.difference.compare import difference
from tests.policy.test_policy_bundle import POLICY, VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "prod_scale_rules_R1.yaml"
LIMITS = b"symbols: {}\n"
SHA = hashlib.sha256(LIMITS).hexdigest()
BUNDLE = """bundle: T1
config: {path: limits.yaml, sha256: SHA}
vocabulary: facts.yaml
policies: {action: action.yaml}
execution: {rebalance_dead_band: 5%MORE}
reporting: {periods_per_year: 365, risk_free_rate: 0}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str], Bundle]:
    """Return a function that loads a small bundle with more keys in its block `execution`."""

    def load(more: str) -> Bundle:
        (tmp_path / "limits.yaml").write_bytes(LIMITS)
        (tmp_path / "facts.yaml").write_text(VOCABULARY)
        (tmp_path / "action.yaml").write_text(POLICY)
        path = tmp_path / "bundle.yaml"
        path.write_text(BUNDLE.replace("MORE", more).replace("SHA", SHA))
        return load_bundle(path)

    return load


def test_A74_A56_the_shipped_bundle_limits_decisions_to_five_minutes_and_pins_the_venues_limits() -> None:
    shipped = load_bundle(SHIPPED, only=("action",))
    assert shipped.decision_valid_ms == 5 * 60_000
    assert shipped.request_valid_ms == 30 * 86_400_000
    assert (shipped.promotion_valid_ms, shipped.adoption_valid_ms) == (7 * 86_400_000, 86_400_000)
    assert shipped.balance_tolerance_usd == 0.5
    assert shipped.filters is not None
    assert shipped.filters.sha256 == hashlib.sha256(shipped.filters.path.read_bytes()).hexdigest()
    assert shipped.filters.text == shipped.filters.path.read_text()


def test_A74_where_a_bundle_does_not_say_every_decision_is_too_old_to_add(loaded: Callable[[str], Bundle]) -> None:
    silent = loaded("")
    assert (silent.decision_valid_ms, silent.filters) == (0, None)
    assert (silent.promotion_valid_ms, silent.adoption_valid_ms) == (0, 0)
    assert (silent.request_valid_ms, silent.balance_tolerance_usd) == (0, 0.0)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (", decision_valid_for: 5", "type"),
        (", decision_valid_for: soon", "duration"),
        (", requests_valid_for: soon", "duration"),
        (", promotions_valid_for: soon", "duration"),
        (", adoptions_valid_for: 1", "type"),
        (", balance_tolerance_usd: -1", "number"),
        (", filters: {path: limits.yaml}", "filters-hash"),
        (", filters: {path: limits.yaml, sha256: b84a}", "filters-hash"),
        (f", filters: {{path: limits.yaml, sha256: {'f' * 64}}}", "filters-hash"),
        (", filters: {path: other.yaml, sha256: SHA}", "no-file"),
        (", filters: {sha256: SHA}", "missing"),
    ],
)
def test_a_mistake_is_refused_in_its_line(loaded: Callable[[str], Bundle], more: str, code: str) -> None:
    with pytest.raises(PolicyError) as caught:
        loaded(more)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert ":5:" in problem.where


def test_other_limits_are_a_change_of_the_bundle_another_folder_is_none(loaded: Callable[[str], Bundle]) -> None:
    pinned = loaded(", filters: {path: limits.yaml, sha256: SHA}")
    assert "filters" in [change.subject for change in difference(loaded(""), pinned).changes]
    assert pinned.filters is not None
    assert str(pinned.filters) == f"limits.yaml ({SHA[:8]}…)"
    elsewhere = replace(pinned, filters=replace(pinned.filters, path=Path("elsewhere") / "limits.yaml"))
    assert difference(elsewhere, pinned).changes == ()
