"""The shipped bundle, and both engines for each of its policies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import DAY_MS, HOUR_MS
from engine.policy.bundle import load_bundle
from engine.policy.derive import derive
from engine.policy.durable import DurableEngine
from engine.policy.facts import Fact, validated_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.policy.bundle import Bundle
    from engine.policy.decide import Decision

ROOT = Path(__file__).resolve().parents[2]
NOW_MS = 20_000 * DAY_MS + HOUR_MS


@dataclass(frozen=True)
class Desk:
    """The shipped bundle with both engines at hand."""

    bundle: Bundle
    engines: Mapping[str, DurableEngine]

    def decide(self, name: str, facts: Mapping[str, Any]) -> Decision:
        """Return the decision on facts; a value in angle brackets, such as ``<young>``, is a status."""
        policy = self.bundle.policies[name]
        unknown = set(facts) - set(policy.vocabulary.facts)
        assert not unknown, f"no such facts: {unknown}"
        posted = []
        for fact, value in facts.items():
            status = value[1:-1] if isinstance(value, str) and value.startswith("<") else "ok"
            posted.append(Fact(fact, value if status == "ok" else None, status, NOW_MS))  # type: ignore[arg-type]
        valid = validated_all(posted, policy.vocabulary, NOW_MS)
        spoilt = {fact for fact, value in facts.items() if valid[fact].status == "invalid" and value != "<invalid>"}
        assert not spoilt, f"the vocabulary refuses {spoilt}"
        decision = self.engines[name].decide(derive(policy, valid, [], NOW_MS))
        assert decision.trusted, decision
        return decision


@pytest.fixture(scope="session")
def desk() -> Desk:
    bundle = load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml")
    return Desk(bundle, {name: DurableEngine(policy) for name, policy in bundle.policies.items()})
