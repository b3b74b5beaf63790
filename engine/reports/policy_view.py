"""What the reports say about a policy: band edges and hard stops to draw, outcomes by severity, titles of facts.

Everything is read from the policy, the vocabulary and the configuration that a verdict recorded in its ledger; no
threshold stands in this code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.documents import parse_document
from engine.errors import ConfigError, PolicyError
from engine.policy.load import parse_policy, parse_vocabulary
from engine.policy.model import Compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.ledger.queries import LedgerReader
    from engine.policy.model import FactSpec, Policy

_BPS_KEYS = ("fee_bps", "slippage_bps")


@dataclass(frozen=True)
class Limit:
    """One threshold of one fact.

    Attributes:
        kind: ``green``, ``red``, or ``stop`` for the most severe outcome's rules.
        operator: as the policy writes it.
        value: in the fact's unit.
        text: as the policy writes it, such as ``> 12%``.
    """

    kind: str
    operator: str
    value: float
    text: str


@dataclass(frozen=True)
class PolicyView:
    """A policy as the reports need it; an empty one stands for a ledger without a policy.

    Attributes:
        title: what people read.
        severity: outcomes, most severe first.
        promotes: outcomes that raise the risk.
        limits: fact -> its band's edges, then its hard stops.
        facts: fact -> title.
        units: fact -> unit.
        recovery_ms: kind of episode -> how long nothing may fire before it may end.
        episode_of: rule instance -> the kind of episode it keeps alive; rules that start none are absent.
    """

    title: str = ""
    severity: tuple[str, ...] = ()
    promotes: tuple[str, ...] = ()
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    recovery_ms: Mapping[str, int] = field(default_factory=dict)
    episode_of: Mapping[str, str] = field(default_factory=dict)

    def limit(self, fact: str, kind: str) -> Limit | None:
        """Return the fact's threshold of this kind; None where the policy has none."""
        return next((limit for limit in self.limits.get(fact, ()) if limit.kind == kind), None)

    @property
    def calm(self) -> str:
        """The least severe outcome; empty where there is no policy."""
        return self.severity[-1] if self.severity else ""


@dataclass(frozen=True)
class ConfigView:
    """What the reports need of the frozen configuration; empty where the ledger holds none.

    Attributes:
        weights: symbol -> share of the risk equity, a ratio.
        assumed_bps: ``fee_bps`` and ``slippage_bps``, each side, as configured.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    assumed_bps: Mapping[str, float] = field(default_factory=dict)


def policy_view(policy: Policy) -> PolicyView:
    """Return the view of a loaded policy."""
    facts = policy.vocabulary.facts
    limits: dict[str, list[Limit]] = {}
    for band in policy.bands.values():
        limits[band.fact] = [
            _limit("green", band.green, facts[band.fact]),
            _limit("red", band.red, facts[band.fact]),
        ]
    for instance in policy.instances:
        condition = instance.when
        if instance.outcome == policy.outcomes[0] and isinstance(condition, Compare):
            spec = facts[condition.fact]
            if not spec.choices:
                limits.setdefault(condition.fact, []).append(_limit("stop", condition, spec))
    kinds = {**policy.effects, **policy.episodes}
    return PolicyView(
        title=policy.title,
        severity=policy.outcomes,
        promotes=policy.promotes,
        limits={fact: tuple(found) for fact, found in limits.items()},
        facts={name: spec.title for name, spec in facts.items()},
        units={name: spec.unit for name, spec in facts.items()},
        recovery_ms={kind: effects.recovery_ms for kind, effects in kinds.items() if effects.recovery_ms is not None},
        episode_of={
            instance.id: instance.episode or instance.outcome
            for instance in policy.instances
            if policy.effects[instance.outcome].once_per_episode
        },
    )


def recorded_policy(reader: LedgerReader, hashes: Mapping[str, str]) -> PolicyView:
    """Return the view of the policy that a verdict recorded; an empty one where its text is not in the ledger.

    Args:
        reader: the ledger.
        hashes: the verdict's; ``policy`` and ``vocabulary`` are looked up.
    """
    try:
        policy = policy_of(reader, hashes)
    except PolicyError:
        return PolicyView()  # written in another version's language: the recorded verdict still tells its values
    return PolicyView() if policy is None else policy_view(policy)


def policy_of(reader: LedgerReader, hashes: Mapping[str, str]) -> Policy | None:
    """Return the policy that a verdict recorded; None where its text is not in the ledger.

    Args:
        reader: the ledger.
        hashes: the verdict's; ``policy`` and ``vocabulary`` are looked up.

    Raises:
        PolicyError: it is written in another version's language.
    """
    policy = reader.document(hashes.get("policy", ""))
    vocabulary = reader.document(hashes.get("vocabulary", ""))
    if policy is None or vocabulary is None:
        return None
    facts = parse_vocabulary(vocabulary.text.encode(), vocabulary.name)
    return parse_policy(policy.text.encode(), policy.name, facts)


def recorded_config(reader: LedgerReader, hashes: Mapping[str, str]) -> ConfigView:
    """Return what the verdict's configuration says of weights and costs; empty where the ledger does not hold it."""
    data = _recorded(reader, hashes.get("config", ""))
    weights = _mapping(_mapping(data.get("ensemble")).get("fixed_weights"))
    costs = _mapping(data.get("backtest"))
    return ConfigView(
        weights={str(symbol): float(weight) for symbol, weight in weights.items() if isinstance(weight, int | float)},
        assumed_bps={key: float(costs[key]) for key in _BPS_KEYS if isinstance(costs.get(key), int | float)},
    )


def recorded_release(reader: LedgerReader, hashes: Mapping[str, str]) -> str:
    """Return the name that the verdict's bundle gives itself, such as ``R1``; empty where it is not in the ledger."""
    name = _recorded(reader, hashes.get("bundle", "")).get("bundle", "")
    return name if isinstance(name, str) else ""


def _recorded(reader: LedgerReader, sha256: str) -> Mapping[str, Any]:
    stored = reader.document(sha256)
    if stored is None:
        return {}
    try:
        return _mapping(parse_document(stored.text.encode(), stored.name).data)
    except ConfigError:
        return {}  # no YAML of ours: the report says less, the verdict's hashes still name it


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _limit(kind: str, compare: Compare, spec: FactSpec) -> Limit:
    return Limit(kind, compare.operator, float(compare.steps * spec.resolution), compare.text)
