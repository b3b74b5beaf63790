"""Reads a policy file: outcomes, parameters, bands, rules, effects, exit codes and stages."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from engine.errors import PolicyError
from engine.policy.conditions import ConditionReader
from engine.policy.effects import KEYS, Effects, parse_effects
from engine.policy.model import Band, Instance, Parameter, Policy, Rule, Span, Stage, facts_of, in_band
from engine.policy.quantity import nearest, parse_quantity, plain, quoted, shown
from engine.policy.regions import colour_region, intersection
from engine.policy.schema import POLICY, Findings, check_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.documents import Document, Key
    from engine.policy.model import Condition, FactSpec, Gap, Vocabulary

MAX_DAYS = 366

_REF = re.compile(r"\b[RA][0-9]{2,3}\b")
_SPAN = re.compile(r"([1-9][0-9]{0,3})(?: of ([1-9][0-9]{0,3}))? days?")
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
        self.unsound: set[str] = set()
        self.parameters = self._parameters()
        self.conditions = ConditionReader(self.findings, vocabulary.facts, self.parameters, self.unsound)
        self.conditions.bands = self._bands()

    def policy(self) -> Policy:
        """Return the policy; worth nothing where there are findings."""
        otherwise = self._otherwise()
        rules, instances = self._rules()
        self._check_use(instances, otherwise)
        text = self.findings.value
        return Policy(
            name=text("policy") or "",
            title=text("title") or "",
            vocabulary=self.vocabulary,
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
            stages=self._stages(),
            sha256=self.document.sha256,
            source=self.document.name,
            text=self.document.text,
        )

    def _names(self, *path: str) -> list[str]:
        """Return the sound keys of the mapping at `path`."""
        return [name for name in self.findings.value(*path) or {} if self.findings.sound(*path, name)]

    def _outcomes(self) -> tuple[str, ...]:
        found = self.findings.value("outcomes") or []
        for index, name in enumerate(found):
            if name in found[:index]:
                self.findings.add(("outcomes", index), "duplicate", f"the outcome `{name}` is given twice", "keep one")
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
            if key not in self.document.data and "rules" in self.document.data:
                self.findings.add((), "missing", f"`{key}` is missing: a policy with rules needs it")
        if not {"rules", "stages"} & set(self.document.data):
            self.findings.add((), "missing", "there are neither `rules` nor `stages`")
        return name or ""

    def _check_outcome(self, path: Key, name: Any, *, key: bool = False) -> None:
        unread = {path[0] for path in self.findings.broken}
        if isinstance(name, str) and name not in self.outcomes and "outcomes" not in unread:
            self.findings.add(
                path, "unknown-outcome", f"there is no outcome {quoted(name)}", nearest(name, self.outcomes), key=key
            )

    def _parameters(self) -> dict[str, Parameter]:
        parameters = {}
        for name in self.findings.value("parameters") or {}:
            path = ("parameters", name)
            value, ends = self.findings.value(*path, "value"), self.findings.value(*path, "range")
            if value is None or ends is None or not all(self.findings.sound(*path, "range", end) for end in (0, 1)):
                self.unsound.add(name)
                continue
            texts = [_as_text(item) for item in (value, *ends)]
            quantities = [parse_quantity(text) for text in texts]
            places = [(*path, "value"), (*path, "range", 0), (*path, "range", 1)]
            for place, text, quantity in zip(places, texts, quantities, strict=True):
                if quantity is None:
                    self.findings.add(
                        place, "threshold", f"{quoted(text)} is not a number", "write digits, without an exponent"
                    )
            sound = [quantity for quantity in quantities if quantity]
            if len(sound) < len(quantities):
                self.unsound.add(name)
            elif len({quantity.suffix for quantity in sound}) > 1:
                problem = f"the value and the range of `{name}` have different units"
                self.findings.add(path, "unit", problem, key=True)
                self.unsound.add(name)
            elif not sound[1].number <= sound[0].number <= sound[2].number:
                problem = f"{quoted(texts[0])} is outside the range {texts[1]} to {texts[2]} of `{name}`"
                self.findings.add(places[0], "range", problem)
            parameters[name] = Parameter(name, texts[0], texts[1], texts[2], self.findings.value(*path, "about") or "")
        return parameters

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

    def _rules(self) -> tuple[dict[str, Rule], tuple[Instance, ...]]:
        rules: dict[str, Rule] = {}
        instances: list[Instance] = []
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
            instances += _instances(rule, self.conditions.bands)
        return rules, tuple(instances)

    def _rule(self, name: str) -> Rule | None:
        path = ("rules", name)
        value = self.findings.value
        outcome = value(*path, "outcome")
        self._check_outcome((*path, "outcome"), outcome)
        each_band = self.document.data["rules"][name].get("each") is not None
        when = (
            self.conditions.read((*path, "when"), each_band=each_band) if self.findings.sound(*path, "when") else None
        )
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
        )

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
                    (*path, key), "effect", f"{quoted(_as_text(values[key]))} is no value of `{key}`", help_
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

    def _stages(self) -> dict[int, Stage]:
        stages: dict[int, Stage] = {}
        names = self._names("stages")
        for name in names:
            path = ("stages", name)
            cap, days, restart = (self.findings.value(*path, key) for key in ("cap", "min_days", "restart_at"))
            quantity = parse_quantity(cap) if cap is not None else None
            if cap is not None and (quantity is None or quantity.suffix != "usd" or quantity.number < 0):
                self.findings.add((*path, "cap"), "unit", f"{quoted(cap)} is no amount in usd", "write `5000 usd`")
            if restart is None and int(name) > 0 and "restart_at" not in self.findings.document.data["stages"][name]:
                self.findings.add(
                    path, "missing", "`restart_at` is missing", "a restart leads to a lower stage", key=True
                )
            if restart is not None and not (str(restart) in names and restart < max(1, int(name))):
                self.findings.add(
                    (*path, "restart_at"), "stage", f"a restart out of stage {name} cannot lead to {restart}"
                )
            stages[int(name)] = Stage(int(name), quantity.number if quantity else Decimal(0), days or 0, restart or 0)
        if names and sorted(stages) != list(range(len(names))):
            self.findings.add(("stages",), "stage", "the stages are not numbered 0, 1, 2, …", key=True)
        return stages


def _instances(rule: Rule, bands: Mapping[str, Band]) -> list[Instance]:
    if not rule.each_band:
        return [Instance(rule.name, rule, "", rule.when)]
    return [Instance(f"{rule.name}[{fact}]", rule, fact, in_band(rule.when, fact)) for fact in bands]


def _reads_band(condition: Condition) -> bool:
    return in_band(condition, "?") != condition and "?" in facts_of(in_band(condition, "?"))


def _as_text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return plain(Decimal(repr(value)))
    return str(cast("object", value))
