"""Reads policy tests: days of facts, and what the policy must make of them.

```yaml
policy: action                     # of every test in the file that names no other
defaults: {sharpe_20d: 0.7, …}     # a day on which all is well; or the name of the file beside it that says so
tests:
  - name: ten good days, one gap
    facts: {sharpe_20d: "0.9x7 _ 0.9x10"}                        # the rest: as the defaults
    expect: {outcome: "KEEPx17 SCALE_UP", rules@18: [scale_up]}  # days count from 1
```

`expect` takes ``outcome`` (a series; ``_``: not looked at) and ``rules`` (exactly the rules that fire), for every day,
one (``@18``) or some (``@1-9``); and what no day shows, exactly as the policy must declare it: ``effects`` (by
outcome), ``rule_effects`` (of all rules that have any), ``episodes``, ``exit``, ``promotes``, ``checks`` (HARD and
SOFT), ``stages``. ``streaks_from: 4`` begins all streaks with day 4, ``switched_on: [rule]`` tests a rule that is off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.documents import read_document
from engine.errors import PolicyError, Problem
from engine.policy.quantity import nearest, quoted
from engine.policy.schema import NAME, Findings, check_shape
from engine.policy.testing.cases import Case, Suite, posted_facts
from engine.policy.testing.declarations import read_declared
from engine.policy.testing.declared import DECLARED
from engine.policy.testing.defaults import Defaults, common_length, read_series
from engine.policy.testing.expected import Daily, daily_keys, outcome_days, read_daily
from engine.policy.testing.series import MAX_DAYS
from engine.policy.testing.variants import switched

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.documents import Key
    from engine.policy.model import Policy
    from engine.policy.testing.declared import Declared
    from engine.policy.testing.series import Entry

_TEXT = {"type": "string", "required": True, "minlength": 1}
CASES: dict[str, Any] = {
    "policy": {"type": "string", "regex": NAME},
    "defaults": {"type": ["dict", "string"]},
    "tests": {
        "type": "list",
        "required": True,
        "minlength": 1,
        "schema": {
            "type": "dict",
            "schema": {
                "name": _TEXT,
                "policy": {"type": "string", "regex": NAME},
                "facts": {"type": "dict"},
                "days": {"type": "integer", "min": 1, "max": MAX_DAYS},
                "switched_on": {"type": "list", "schema": {"type": "string"}},
                "streaks_from": {"type": "integer", "min": 1, "max": MAX_DAYS},
                "expect": {"type": "dict", "required": True, "minlength": 1},
            },
        },
    },
}


def load_cases(paths: Iterable[Path], policies: Mapping[str, Policy]) -> Suite:
    """Return the tests in files.

    Args:
        paths: files, or folders of ``*.yaml``.
        policies: by name; what tests may be about.

    Raises:
        PolicyError: with every mistake of every file, by line.
    """
    cases: list[Case] = []
    defaults: dict[str, dict[str, Entry]] = {}
    problems: list[Problem] = []
    for path in _files(paths):
        try:
            reader = _CaseReader(path, policies)
            found = reader.cases()
        except PolicyError as error:
            problems += error.problems
            continue
        cases += found
        problems += reader.findings.in_order()
        for name in {case.policy for case in found}:
            defaults.setdefault(name, {}).update(reader.defaults.entries)
    if problems:
        raise PolicyError(list(dict.fromkeys(problems)))
    return Suite(tuple(cases), defaults)


def _files(paths: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not found:
            raise PolicyError(
                Problem("no-file", str(path), "there are no tests here", "tests are files named `*.yaml`")
            )
        files += found
    return list(dict.fromkeys(files))


class _CaseReader:
    """One reading of one file; mistakes are added to `findings`.

    Attributes:
        defaults: the day on which all is well.
    """

    def __init__(self, path: Path, policies: Mapping[str, Policy]) -> None:
        self.policies = policies
        self._missed: set[str] = set()
        self.findings = Findings(read_document(path, error=PolicyError))
        check_shape(self.findings, CASES)
        if () in self.findings.broken:
            raise PolicyError(self.findings.in_order())
        specs = next(iter(policies.values())).vocabulary.facts if policies else {}
        self.defaults = Defaults(self.findings, path.parent, specs)

    def cases(self) -> list[Case]:
        """Return the sound tests of the file."""
        found = self.findings.value("tests") or []
        cases: list[Case] = []
        for index in range(len(found)):
            case = self._case(("tests", index)) if self.findings.sound("tests", index) else None
            if case is None:
                continue
            if any((case.policy, case.name) == (other.policy, other.name) for other in cases):
                self.findings.add(
                    ("tests", index, "name"), "duplicate", f"{quoted(case.name)} is the name of two tests"
                )
            cases.append(case)
        return cases

    def _policy(self, path: Key) -> Policy | None:
        at = (*path, "policy") if self.findings.sound(*path, "policy") else ("policy",)
        name = self.findings.value(*at)
        if name is None:
            if not self.findings.broken & {at, ("policy",)}:
                self.findings.add(
                    path, "missing", "the test names no policy", "add `policy: action` here or at the top"
                )
            return None
        if name not in self.policies:
            help_ = nearest(name, self.policies)
            self.findings.add(at, "unknown-policy", f"the bundle has no policy {quoted(name)}", help_)
            return None
        return self.policies[name]

    def _case(self, path: Key) -> Case | None:
        before = len(self.findings.problems)
        written = self._policy(path)
        if written is None:
            return None
        switched_on = self._switched_on(written, path)
        policy = switched(written, switched_on)
        expect = self.findings.value(*path, "expect") or {}
        facts = self._facts(policy, path)
        daily = daily_keys(expect)
        declared = self._declared(policy, (*path, "expect"), [key for key in expect if key not in daily])
        days = self._length(policy, path, facts, daily)
        if days:
            self._check_known(policy, path, facts)
        outcomes, rules = read_daily(self.findings, (*path, "expect"), policy, daily.values(), days)
        if len(self.findings.problems) > before:
            return None
        return Case(
            name=self.findings.value(*path, "name"),
            policy=policy.name,
            file=self.findings.document.name,
            where=self.findings.document.where(path),
            facts={name: entries * days if len(entries) == 1 else entries for name, entries in facts.items()},
            outcomes=outcomes,
            rules=rules,
            declared=declared,
            streaks_from=self.findings.value(*path, "streaks_from"),
            switched_on=switched_on,
        )

    def _switched_on(self, policy: Policy, path: Key) -> frozenset[str]:
        names = self.findings.value(*path, "switched_on") or []
        off = [rule.name for rule in policy.rules.values() if not rule.enabled]
        for index, name in enumerate(names):
            if name not in off:
                problem = f"`{policy.name}` has no rule {quoted(name)} that is switched off"
                self.findings.add((*path, "switched_on", index), "unknown-rule", problem, nearest(name, off))
        return frozenset(names).intersection(off)

    def _facts(self, policy: Policy, path: Key) -> dict[str, tuple[Entry, ...]]:
        at = (*path, "facts")
        read = posted_facts(switched(policy, policy.rules))  # a rule that is off may be shown to do nothing
        green = self.defaults.entries
        facts: dict[str, tuple[Entry, ...]] = {name: (green[name],) for name in read if name in green}
        for name in self.findings.value(*at) or {}:
            if name not in read:
                problem = f"`{policy.name}` reads no fact {quoted(name)}"
                self.findings.add((*at, name), "unknown-fact", problem, nearest(name, read), key=True)
                continue
            series = read_series(self.findings, (*at, name), policy.vocabulary.facts[name])
            if series:
                facts[name] = series
        return facts

    def _check_known(self, policy: Policy, path: Key, facts: Mapping[str, tuple[Entry, ...]]) -> None:
        """Report facts of which nothing is said, each once a file: all its tests need the same default."""
        for name in posted_facts(policy):
            known = {*facts, *self.defaults.named, *self._missed}
            if name not in known and not self.findings.sound(*path, "facts", name):
                self._missed.add(name)
                problem = f"neither the defaults nor the test say what `{name}` is, and `{policy.name}` reads it"
                self.findings.add(path, "missing", problem, f"add `{name}` to `defaults`")

    def _declared(self, policy: Policy, at: Key, keys: Sequence[str]) -> tuple[Declared, ...]:
        declared: list[Declared] = []
        for key in keys:
            if key in DECLARED:
                declared += read_declared(self.findings, (*at, key), policy)
            else:
                known = ["outcome", "rules", "outcome@1", "rules@1", *DECLARED]
                self.findings.add(
                    (*at, key), "unknown-key", f"{quoted(key)} cannot be expected", nearest(key, known), key=True
                )
        return tuple(declared)

    def _length(
        self, policy: Policy, path: Key, facts: Mapping[str, tuple[Entry, ...]], daily: Mapping[str, Daily]
    ) -> int:
        """Return how many days the test plays: as long as its longest series; all others are as long, or one value."""
        lengths = {(*path, "facts", name): len(series) for name, series in facts.items() if len(series) > 1}
        given = self.findings.value(*path, "days")
        if given is not None:
            lengths = {(*path, "days"): given, **lengths}
        outcomes = (*path, "expect", "outcome")
        if "outcome" in daily and (length := outcome_days(self.findings, outcomes, policy)):
            lengths[outcomes] = length
        if not lengths:
            return 1 if daily else 0
        return common_length(self.findings, lengths)
