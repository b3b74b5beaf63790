"""Reads a policy file: outcomes, parameters, bands, rules, effects, exit codes and stages."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import PolicyError
from engine.policy.conditions import ConditionReader
from engine.policy.effects import KEYS, Effects, parse_effects
from engine.policy.expansion import instances_of, not_true
from engine.policy.model import Band, Policy, Rule, Span, facts_of, in_band
from engine.policy.parameters import as_text, read_parameters
from engine.policy.quantity import nearest, quoted, shown
from engine.policy.regions import colour_region, intersection
from engine.policy.schema import POLICY, Findings, check_shape
from engine.policy.stagebook import StageReader

if TYPE_CHECKING:
    from engine.documents import Document, Key
    from engine.policy.model import Condition, FactSpec, Gap, Instance, Vocabulary

MAX_DAYS = 366

_REF = re.compile(r"\b[RA][0-9]{2,3}\b")
_SPAN = re.compile(r"([1-9][0-9]{0,3})(?: of ([1-9][0-9]{0,3}))? days?")
_NO = "no"
_RESERVED_EXITS = {1: "the command failed", 2: "the command was called wrongly"}


def read_policy(document: Document, vocabulary: Vocabulary) -> Policy:
    """Return the policy in a document.

    Raises:
        PolicyError: with every mistake of the file, by line.
    """
    reader = _PolicyReader(document, vocabulary)
    policy = reader.policy()
    if reader.findings.problems:
        raise PolicyError(reader.findings.in_order())
    return policy


class _PolicyReader:
    """One reading of one file; every part adds its mistakes to `findings` and returns what is sound."""

    def __init__(self, document: Document, vocabulary: Vocabulary) -> None:
        self.document = document
        self.vocabulary = vocabulary
        self.findings = Findings(document)
        check_shape(self.findings, POLICY)
        if self.findings.broken and () in self.findings.broken:
            raise PolicyError(self.findings.in_order())
        self.outcomes = self._outcomes()
        self.promotes = self._promotes()
        self.parameters, self.unsound = read_parameters(self.findings)
        self._shared_names()
        known = {**vocabulary.parameters, **self.parameters}
        self.conditions = ConditionReader(self.findings, vocabulary.facts, known, self.unsound)
        self.conditions.bands = self._bands()

    def policy(self) -> Policy:
        """Return the policy; worth nothing where there are findings."""
        otherwise = self._otherwise()
        stage_reader = StageReader(self.findings, self.conditions, self.outcomes)
        stages = stage_reader.read()
        rules = {**self._rules(), **stage_reader.rules}
        instances = tuple(one for rule in rules.values() for one in instances_of(rule, self.conditions.bands))
        self._check_use(instances, otherwise)
        text = self.findings.value
        return Policy(
            name=text("policy") or "",
            title=text("title") or "",
            vocabulary=self._whole_vocabulary(),
            outcomes=self.outcomes,
            otherwise=otherwise,
            promotes=self.promotes,
            parameters=self.parameters,
            bands=self.conditions.bands,
            rules=rules,
            instances=instances,
            effects=self._all_effects(),
            episodes=self._episodes(),
            exit_codes=self._exit_codes(),
            stages=stages,
            sha256=self.document.sha256,
            source=self.document.name,
            text=self.document.text,
        )

    def _whole_vocabulary(self) -> Vocabulary:
        """Return the vocabulary with the differences that comparisons of two facts read."""
        if len(self.conditions.facts) == len(self.vocabulary.facts):
            return self.vocabulary
        return replace(self.vocabulary, facts=self.conditions.facts)

    def _names(self, *path: str) -> list[str]:
        """Return the sound keys of the mapping at `path`."""
        return [name for name in self.findings.value(*path) or {} if self.findings.sound(*path, name)]

    def _outcomes(self) -> tuple[str, ...]:
        found = self.findings.value("outcomes") or []
        seen: set[str] = set()
        for index, name in enumerate(found):
            if str(name) in seen:
                self.findings.add(("outcomes", index), "duplicate", f"the outcome `{name}` is given twice", "keep one")
            seen.add(str(name))
        return tuple(name for index, name in enumerate(found) if self.findings.sound("outcomes", index))

    def _promotes(self) -> tuple[str, ...]:
        found = self.findings.value("promotes") or []
        for index, name in enumerate(found):
            self._check_outcome(("promotes", index), name)
        return tuple(str(name) for name in found)

    def _otherwise(self) -> str:
        name = self.findings.value("otherwise")
        if name is not None:
            self._check_outcome(("otherwise",), name)
        for key in ("outcomes", "otherwise", "effects", "exit"):
            if key not in self.document.data and self._has_rules():
                self.findings.add((), "missing", f"`{key}` is missing: a policy with rules needs it")
        if not {"rules", "stages"} & set(self.document.data):
            self.findings.add((), "missing", "there are neither `rules` nor `stages`")
        return name or ""

    def _has_rules(self) -> bool:
        stages = self.findings.value("stages") or {}
        ways = (way for name in stages for way in ("promote", "abort") if self.findings.sound("stages", name, way))
        return "rules" in self.document.data or any(ways)

    def _check_outcome(self, path: Key, name: Any, *, key: bool = False) -> None:
        unread = {path[0] for path in self.findings.broken}
        if isinstance(name, str) and name not in self.outcomes and "outcomes" not in unread:
            self.findings.add(
                path, "unknown-outcome", f"there is no outcome {quoted(name)}", nearest(name, self.outcomes), key=key
            )

    def _shared_names(self) -> None:
        """Report parameters that the vocabulary has as well: one name, one number."""
        for name in self.parameters:
            if name in self.vocabulary.parameters:
                problem = f"`{name}` is a parameter of the vocabulary"
                self.findings.add(("parameters", name), "duplicate", problem, "call it otherwise", key=True)

    def _bands(self) -> dict[str, Band]:
        bands = {}
        for name in self._names("bands"):
            path = ("bands", name)
            spec = self.vocabulary.facts.get(name)
            if spec is None:
                help_ = nearest(name, self.vocabulary.facts)
                self.findings.add(path, "unknown-fact", f"there is no fact {quoted(name)}", help_, key=True)
                continue
            colours = [
                self.conditions.compare((*path, colour), spec) if self.findings.sound(*path, colour) else None
                for colour in ("green", "red")
            ]
            if colours[0] and colours[1]:
                bands[name] = Band(name, colours[0], colours[1])
                self._check_band(bands[name], spec)
        return bands

    def _check_band(self, band: Band, spec: FactSpec) -> None:
        """Report a value that is green and red, and a colour that does not reach its end of the range."""
        path = ("bands", band.fact)
        green, red = (colour_region(band, colour, spec) for colour in ("green", "red"))
        both = intersection(green, red)
        if both:
            example = shown(spec, both[0][0])
            self.findings.add(
                path, "band-overlap", f"`{band.fact}` is green and red at {example}", "separate the two", key=True
            )
            return
        best, worst = (spec.low, spec.high) if spec.worse == "higher" else (spec.high, spec.low)
        if spec.worse == "neither" or not green or not red:
            return
        for colour, values, end, extreme in (("green", green, best, "best"), ("red", red, worst, "worst")):
            if len(values) != 1 or not values[0][0] <= end <= values[0][1]:
                problem = f"{colour} does not reach {shown(spec, end)}, the {extreme} value of `{band.fact}`"
                help_ = "values beyond would be yellow; compare with < <= > or >="
                self.findings.add((*path, colour), "band-gap", problem, help_)

    def _rules(self) -> dict[str, Rule]:
        rules: dict[str, Rule] = {}
        seen: dict[Any, str] = {}
        for name in self._names("rules"):
            rule = self._rule(name)
            if rule is None:
                continue
            rules[name] = rule
            same = (rule.outcome, rule.when, rule.span, rule.gap, rule.each_band, rule.effects, rule.episode)
            if same in seen:
                problem = f"`{name}` says the same as `{seen[same]}`"
                self.findings.add(("rules", name), "duplicate-rule", problem, "keep one of the two", key=True)
            seen.setdefault(same, name)
        return rules

    def _rule(self, name: str) -> Rule | None:
        path = ("rules", name)
        value = self.findings.value
        outcome = value(*path, "outcome")
        self._check_outcome((*path, "outcome"), outcome)
        each_band = self.document.data["rules"][name].get("each") is not None
        when, unless = self._condition(path, each_band=each_band)
        if each_band and when and not _reads_band(when):
            self.findings.add((*path, "each"), "each", "the condition does not read `band`", "write `{band: yellow}`")
        if each_band and not self.conditions.bands:
            self.findings.add((*path, "each"), "unknown-band", "this policy declares no bands")
        span = self._span(path)
        if value(*path, "gap") and not self.findings.sound(*path, "for"):
            self.findings.add((*path, "gap"), "gap", "`gap` means nothing without `for`", "remove it", key=True)
        default: Gap = "breaks" if outcome in self.promotes else "holds"
        episode = value(*path, "episode") or ""
        if episode and episode not in (value("episodes") or {}):
            known = nearest(episode, value("episodes") or {})
            self.findings.add((*path, "episode"), "unknown-episode", f"there is no episode {quoted(episode)}", known)
        effects = self._effects((*path, "effects"))
        if when is None or outcome is None:
            return None
        return Rule(
            name=name,
            outcome=outcome,
            when=when,
            span=span,
            gap=value(*path, "gap") or default,
            each_band=each_band,
            effects=effects,
            episode=episode,
            because=value(*path, "because") or "",
            refs=tuple(dict.fromkeys(_REF.findall(self.document.comment(path)))),
            where=self.document.where(path, key=True),
            unless=unless,
            severity=value(*path, "severity") or "",
            cure=value(*path, "cure") or "",
            enabled=value(*path, "enabled") != _NO,
        )

    def _condition(self, path: Key, *, each_band: bool) -> tuple[Condition | None, Condition | None]:
        """Return the condition that the engines read, and the one written with `unless`, if it was."""
        written = self.document.data["rules"][path[1]]
        given = [key for key in ("when", "unless") if key in written]
        if not given:
            self.findings.add(path, "missing", "`when` is missing", key=True)
        if len(given) > 1:
            problem = "a rule has `when` or `unless`, not both"
            self.findings.add((*path, "unless"), "two-keys", problem, "join the two with `all` under `when`", key=True)
        if given == ["unless"] and each_band:
            problem = "`unless` does not go with `each`"
            self.findings.add(
                (*path, "unless"), "each", problem, "write `when`, with `not` where it is needed", key=True
            )
            return None, None
        key = given[0] if given else "when"
        read = self.conditions.read((*path, key), each_band=each_band) if self.findings.sound(*path, key) else None
        if key == "unless" and read is not None:
            return not_true(read), read
        return read, None

    def _span(self, path: Key) -> Span | None:
        text = self.findings.value(*path, "for")
        if text is None:
            return None
        match = _SPAN.fullmatch(text)
        if match is None:
            self.findings.add((*path, "for"), "for", f"{quoted(text)} is no span", "write `4 days` or `3 of 5 days`")
            return None
        days, of = int(match[1]), int(match[2]) if match[2] else None
        if max(days, of or 0) > MAX_DAYS:
            self.findings.add((*path, "for"), "for", f"{quoted(text)} is longer than {MAX_DAYS} days")
        if of is not None and days > of:
            self.findings.add(
                (*path, "for"), "for", f"{days} of {of} days can never be", f"write `{of} of {days} days`"
            )
        return Span(days, of)

    def _check_use(self, instances: tuple[Instance, ...], otherwise: str) -> None:
        for name in self.parameters:
            if name not in self.conditions.used | self.unsound:
                self.findings.add(
                    ("parameters", name), "unused-parameter", f"no condition reads `${name}`", "remove it", key=True
                )
        asked = {instance.outcome for instance in instances} | {otherwise}
        broken = len(instances) == 0 or any(path[0] == "rules" for path in self.findings.broken if path)
        for index, name in enumerate(self.outcomes):
            if name not in asked and not broken and not self.findings.problems:
                self.findings.add(
                    ("outcomes", index), "unreachable", f"no rule asks for `{name}`", "add a rule or remove it"
                )

    def _effects(self, path: Key) -> Effects:
        values = self.findings.value(*path)
        effects, mistakes = parse_effects(values or {})
        for key, help_ in mistakes:
            if key in KEYS:
                self.findings.add(
                    (*path, key), "effect", f"{quoted(as_text(values[key]))} is no value of `{key}`", help_
                )
            else:
                self.findings.add(
                    (*path, key), "unknown-key", f"there is no effect {quoted(key)}", nearest(key, KEYS), key=True
                )
        return effects

    def _all_effects(self) -> dict[str, Effects]:
        declared = self._names("effects")
        for name in declared:
            self._check_outcome(("effects", name), name, key=True)
        if self.findings.sound("effects"):
            for name in self.outcomes:
                if name not in self.findings.value("effects"):
                    self.findings.add(
                        ("effects",), "missing", f"`effects` says nothing of `{name}`", f"add `{name}: {{}}`", key=True
                    )
        return {name: self._effects(("effects", name)) for name in declared}

    def _episodes(self) -> dict[str, Effects]:
        return {name: self._effects(("episodes", name)) for name in self._names("episodes")}

    def _exit_codes(self) -> dict[str, int]:
        codes = {name: self.findings.value("exit", name) for name in self._names("exit")}
        for name, code in codes.items():
            self._check_outcome(("exit", name), name, key=True)
            if code in _RESERVED_EXITS:
                self.findings.add(
                    ("exit", name), "exit-code", f"{code} says that {_RESERVED_EXITS[code]}", "take another"
                )
        if self.findings.sound("exit"):
            for name in self.outcomes:
                if name not in self.findings.value("exit"):
                    self.findings.add(
                        ("exit",), "missing", f"`exit` says nothing of `{name}`", "give every outcome a code", key=True
                    )
        shared = [code for code, count in Counter(codes.values()).items() if count > 1]
        for name, code in codes.items():
            if code in shared:
                self.findings.add(("exit", name), "exit-code", f"{code} stands for two outcomes", "give each its own")
        return codes


def _reads_band(condition: Condition) -> bool:
    return in_band(condition, "?") != condition and "?" in facts_of(in_band(condition, "?"))
