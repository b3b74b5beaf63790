"""The configuration's own limit of the drawdown, held against the policies: theirs must bind first (A07)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from engine.errors import ConfigError, Problem
from engine.policy.facts import OK, Fact, in_steps
from engine.policy.interpreter import fires
from engine.policy.model import facts_of

if TYPE_CHECKING:
    from engine.config import FrozenConfig
    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy

POLICIES = ("action", "risk_guard")
"""Those that close the book: at each bar's close, and at each mark."""

DRAWDOWN, PERCENT = "drawdown", 100.0


def require_backstop(config: FrozenConfig, bundle: Bundle) -> None:
    """Refuse a bundle under which a drawdown beyond ``risk.max_drawdown_pct`` would not close the book.

    The configuration's limit acts by this alone: as every release closes at or before it, nothing is left for it to do.

    Args:
        config: frozen.
        bundle: with the policies that close the book; one that it does not have is not asked.

    Raises:
        ConfigError: with every policy that would let such a drawdown stand.
    """
    limit = config.risk.max_drawdown_ratio
    problems = [
        Problem(
            "backstop",
            config.where("risk.max_drawdown_pct"),
            f"no rule of `{name}` closes the book at a drawdown beyond {PERCENT * limit:g} %",
            f"the hard stop of {bundle.policies[name].source} must lie at or below it",
        )
        for name in POLICIES
        if name in bundle.policies and not _closes_beyond(bundle.policies[name], limit)
    ]
    if problems:
        raise ConfigError(problems)


def _closes_beyond(policy: Policy, limit: float) -> bool:
    """Return whether a rule on the drawdown alone closes the book beyond a limit, at once."""
    spec = policy.vocabulary.facts[DRAWDOWN]
    at_limit = in_steps(Fact(DRAWDOWN, PERCENT * limit, OK, 0), spec)
    beyond = defaultdict[str, int | None](lambda: None, {DRAWDOWN: None if at_limit is None else at_limit + 1})
    return any(
        fires(instance, beyond, policy.bands)
        for instance in policy.instances
        if instance.rule.enabled
        and instance.rule.span is None
        and set(facts_of(instance.when)) == {DRAWDOWN}
        and policy.effects[instance.outcome].exposure == 0
    )
