"""What the desk carries out of the effects of each policy of a bundle; an effect that nobody carries out is refused.

A committee signs what it reads: an exposure that is declared where nothing acts on it would be a promise that is not
kept. Policies that were recorded stay readable: only a bundle is held to this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import Problem
from engine.policy.effects import KEYS
from engine.policy.model import PROMOTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.documents import Document, Key

_EVERY = frozenset(KEYS)
_SHOWN = frozenset({"flag"})
_OF_AN_EPISODE = frozenset({"page_every", "recovery", "approvals"})


@dataclass(frozen=True)
class Role:
    """What is carried out of one policy.

    Attributes:
        outcomes: effects of an outcome.
        rules: effects of a single rule.
        narrower: outcomes of which less is carried out, each with what is.
        needs: effect -> effects of which one must stand beside it.
        rules_out: effect -> the effect beside which it does nothing.
        closes_only: exposure is carried out where it is 0, which closes the book, and else not.
        some: effects that one outcome at least must have, each with what to do.
    """

    outcomes: frozenset[str]
    rules: frozenset[str] = _SHOWN
    narrower: Mapping[str, frozenset[str]] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules_out: Mapping[str, str] = field(default_factory=dict)
    closes_only: bool = False
    some: Mapping[str, str] = field(default_factory=dict)


ROLES: Mapping[str, Role] = {
    "launch": Role(_SHOWN | {"entries"}),
    "stages": Role(_SHOWN | {"incident", "alert"}, narrower={PROMOTE: _SHOWN | {"alert"}, "HOLD": _SHOWN}),
    "action": Role(
        _EVERY,
        rules=_SHOWN | {"entries"},
        needs={
            "exposure": ("once_per", "until"),
            "page_every": ("once_per",),
            "recovery": ("once_per",),
            "approvals": ("once_per", "cap", "until"),
            "at_most": ("cap",),
            "incident": ("once_per", "until"),
        },
        rules_out={"once_per": "until", "cap": "until"},
        some={"until": "write `until: restart` where it closes the book: aborts and adoptions act as it does"},
    ),
    "risk_guard": Role(
        _SHOWN | {"exposure", "entries", "incident", "alert", "until", "approvals"},
        rules=_SHOWN | {"entries"},
        needs={"until": ("exposure",), "approvals": ("exposure",)},
        closes_only=True,
    ),
    "restart": Role(_SHOWN | {"exposure", "entries"}, closes_only=True),
    "review": Role(_SHOWN | {"alert"}),
}
"""By the policy's name in the bundle."""


def role_problems(document: Document, policy: str) -> list[Problem]:
    """Return a problem for each effect of a sound policy file that nobody carries out, and for each that is missing.

    Args:
        document: the policy file.
        policy: its name in the bundle; nothing is known of others than `ROLES`.
    """
    role = ROLES.get(policy)
    if role is None:
        return []
    found = [*_of_outcomes(role, document.data), *_of_rules(role, document.data), *_of_episodes(document.data)]
    idle = [Problem("idle-effect", document.where(at, key=True), problem, help_) for at, problem, help_ in found]
    return [*idle, *_missing(role, document)]


def _of_outcomes(role: Role, data: Mapping[str, Any]) -> Iterator[tuple[Key, str, str]]:
    for name, effects in data["effects"].items():
        allowed = role.narrower.get(name, role.outcomes)
        for key, value in effects.items():
            at = ("effects", name, key)
            needed, beside = role.needs.get(key, ()), role.rules_out.get(key)
            if key not in allowed:
                yield at, f"nobody carries out `{key}` of `{name}`", _allowed(allowed)
            elif needed and not any(one in effects for one in needed):
                beside_it = " or ".join(f"`{one}`" for one in needed)
                yield at, f"`{key}` does nothing by itself", f"write {beside_it} beside it"
            elif beside in effects:
                yield at, f"`{key}` does nothing beside `{beside}`", "remove one of them"
            elif key == "exposure" and role.closes_only and value != 0:
                yield at, f"nobody carries out an exposure of {value}", "write `exposure: 0`: it closes every position"


def _missing(role: Role, document: Document) -> Iterator[Problem]:
    for effect, help_ in role.some.items():
        if not any(effect in effects for effects in document.data["effects"].values()):
            where = document.where(("effects",), key=True)
            yield Problem("missing-effect", where, f"no outcome has `{effect}`", help_)


def _of_rules(role: Role, data: Mapping[str, Any]) -> Iterator[tuple[Key, str, str]]:
    for name, rule in (data.get("rules") or {}).items():
        for key in rule.get("effects") or {}:
            if key not in role.rules:
                help_ = f"{_allowed(role.rules)}; what else is done stands under `effects`, by outcome"
                yield ("rules", name, "effects", key), f"nobody carries out `{key}` of a single rule", help_


def _of_episodes(data: Mapping[str, Any]) -> Iterator[tuple[Key, str, str]]:
    for name, effects in (data.get("episodes") or {}).items():
        for key in effects:
            if key not in _OF_AN_EPISODE:
                help_ = f"{_allowed(_OF_AN_EPISODE)}; the rest is its outcome's"
                yield ("episodes", name, key), f"nobody carries out `{key}` of an episode", help_


def _allowed(keys: frozenset[str]) -> str:
    """Return which effects do something, in the order in which they are declared."""
    names = [key for key in KEYS if key in keys]
    return f"only {', '.join(f'`{name}`' for name in names)} {'does' if len(names) == 1 else 'do'} something here"
