"""Reads what a policy test expects the policy to declare, into the words in which the policy declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.policy.effects import KEYS, parse_effects
from engine.policy.model import HARD, SOFT
from engine.policy.quantity import nearest, parse_quantity, plain, quoted
from engine.policy.testing.declared import NOTHING, Declared, by_name, effects_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.documents import Key
    from engine.policy.model import Policy
    from engine.policy.schema import Findings

_WHOLE = ("rule_effects", "checks", "promotes", "exit")
_STAGE_KEYS = ("cap", "min_days", "restart_at", "promote", "abort")
_WAY_KEYS = {"promote": ("to", "approvals"), "abort": ("to", "flatten")}


def read_declared(findings: Findings, at: Key, policy: Policy) -> list[Declared]:
    """Return the expectations in the section at `at`; mistakes are added to `findings`."""
    section = str(at[-1])
    value = findings.value(*at)
    kind = list if section == "promotes" else dict
    if not isinstance(value, kind):
        findings.add(at, "type", f"expected {'a list' if kind is list else 'a mapping'} here", _EXAMPLES[section])
        return []
    if section in _WHOLE:
        return [Declared(section, "", _READERS[section](findings, at, policy), findings.document.where(at, key=True))]
    names = _KNOWN[section](policy)
    found = []
    for name in value:
        if name not in names:
            problem = f"`{policy.name}` has nothing under `{section}` called {quoted(name)}"
            findings.add((*at, name), "unknown-name", problem, nearest(name, names), key=True)
        elif not isinstance(value[name], dict):
            findings.add((*at, name), "type", "expected a mapping here", _EXAMPLES[section])
        else:
            text = _READERS[section](findings, (*at, name), policy)
            found.append(Declared(section, name, text, findings.document.where((*at, name), key=True)))
    return found


def _read_effects(findings: Findings, at: Key, _policy: Policy) -> str:
    values = {key: value for key, value in findings.value(*at).items() if at[-2] != "episodes" or key != "rules"}
    effects, mistakes = parse_effects(values)
    for key, help_ in mistakes:
        known = key in KEYS
        problem = f"{quoted(values[key])} is no value of `{key}`" if known else f"there is no effect {quoted(key)}"
        findings.add((*at, key), "effect" if known else "unknown-key", problem, help_ if known else nearest(key, KEYS))
    return effects_text(effects)


def _read_rule_effects(findings: Findings, at: Key, policy: Policy) -> str:
    texts = {}
    for name, effects in findings.value(*at).items():
        if name not in policy.rules:
            help_ = nearest(name, policy.rules)
            findings.add((*at, name), "unknown-rule", f"`{policy.name}` has no rule {quoted(name)}", help_, key=True)
        elif not isinstance(effects, dict):
            findings.add((*at, name), "type", "expected a mapping here", _EXAMPLES["rule_effects"])
        else:
            texts[name] = _read_effects(findings, (*at, name), policy)
    return by_name(texts)


def _read_episode(findings: Findings, at: Key, policy: Policy) -> str:
    members = findings.value(*at).get("rules")
    if not isinstance(members, list) or not all(isinstance(name, str) for name in members):
        findings.add(at, "missing", "`rules` does not list the rules of the episode", "write `rules: [equity_stale]`")
        members = []
    for index, name in enumerate(members):
        if name not in policy.rules:
            help_ = nearest(name, policy.rules)
            findings.add((*at, "rules", index), "unknown-rule", f"`{policy.name}` has no rule {quoted(name)}", help_)
    return f"rules: [{', '.join(sorted(members))}], {_read_effects(findings, at, policy)}"


def _read_exit(findings: Findings, at: Key, policy: Policy) -> str:
    codes = findings.value(*at)
    for name, code in codes.items():
        if name not in policy.outcomes:
            help_ = nearest(name, policy.outcomes)
            findings.add((*at, name), "unknown-outcome", f"there is no outcome {quoted(name)}", help_, key=True)
        if isinstance(code, bool) or not isinstance(code, int):
            findings.add((*at, name), "type", f"{quoted(code)} is no exit code", "write a whole number")
    return ", ".join(f"{name}: {code}" for name, code in sorted(codes.items()))


def _read_promotes(findings: Findings, at: Key, policy: Policy) -> str:
    names = findings.value(*at)
    for index, name in enumerate(names):
        if name not in policy.outcomes:
            problem = f"there is no outcome {quoted(name)}"
            findings.add((*at, index), "unknown-outcome", problem, nearest(str(name), policy.outcomes))
    return ", ".join(sorted(map(str, names))) or NOTHING


def _read_checks(findings: Findings, at: Key, policy: Policy) -> str:
    texts: dict[str, str] = {}
    for kind, names in findings.value(*at).items():
        if kind not in {HARD, SOFT} or not isinstance(names, list):
            findings.add((*at, kind), "type", "expected lists of `HARD` and `SOFT` checks here", _EXAMPLES["checks"])
            continue
        for index, name in enumerate(names):
            if name not in policy.rules:
                help_ = nearest(str(name), policy.rules)
                findings.add((*at, kind, index), "unknown-rule", f"`{policy.name}` has no rule {quoted(name)}", help_)
        texts[kind] = ", ".join(sorted(map(str, names))) or NOTHING
    return by_name(texts)


def _read_stage(findings: Findings, at: Key, _policy: Policy) -> str:
    stage = findings.value(*at)
    ways = {key: stage[key] for key in _WAY_KEYS if isinstance(stage.get(key), dict)}
    for path, found, known in (
        (at, stage, _STAGE_KEYS),
        *(((*at, key), way, _WAY_KEYS[key]) for key, way in ways.items()),
    ):
        for key in found:
            if key not in known:
                findings.add((*path, key), "unknown-key", f"there is no key {quoted(key)} here", nearest(key, known))
    cap = parse_quantity(stage["cap"]) if isinstance(stage.get("cap"), str) else None
    if cap is None or cap.suffix != "usd":
        findings.add(at, "unit", "`cap` is no amount in usd", "write `cap: 5000 usd`")
        return ""
    days, restart = stage.get("min_days", 0), stage.get("restart_at", 0)
    text = f"cap: {plain(cap.number)} usd, min_days: {days}, restart_at: {restart}"
    if "promote" in ways:
        text += f", promote: {{to: {ways['promote'].get('to')}, approvals: {ways['promote'].get('approvals', 0)}}}"
    if "abort" in ways:
        text += f", abort: {{to: {ways['abort'].get('to')}, flatten: {ways['abort'].get('flatten', 'no')}}}"
    return text


_READERS: Mapping[str, Callable[[Findings, Key, Policy], str]] = {
    "effects": _read_effects,
    "rule_effects": _read_rule_effects,
    "episodes": _read_episode,
    "checks": _read_checks,
    "exit": _read_exit,
    "promotes": _read_promotes,
    "stages": _read_stage,
}
_KNOWN: Mapping[str, Callable[[Policy], tuple[str, ...]]] = {
    "effects": lambda policy: policy.outcomes,
    "episodes": lambda policy: tuple(policy.episodes),
    "stages": lambda policy: tuple(str(number) for number in policy.stages),
}
_EXAMPLES = {
    "effects": "write `effects: {PAUSE: {exposure: 0}}`",
    "rule_effects": "write `rule_effects: {yellow_review: {flag: REVIEW}}`, and every other rule has none",
    "episodes": "write `episodes: {data: {rules: [equity_stale], recovery: 15 minutes}}`",
    "checks": "write `checks: {HARD: [withdrawals_off], SOFT: [telegram]}`",
    "exit": "write `exit: {KEEP: 0, PAUSE: 30}`",
    "promotes": "write `promotes: [SCALE_UP]`",
    "stages": "write `stages: {1: {cap: 5000 usd, min_days: 14, restart_at: 0}}`",
}
