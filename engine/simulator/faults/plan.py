"""Which faults strike when: written by hand in a file, or drawn by a seed."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, hour_start, parse_time
from engine.documents import read_document
from engine.errors import ConfigError, Problem
from engine.simulator.faults.conditions import MANNERS, STREAMS
from engine.simulator.faults.kinds import KINDS
from engine.simulator.faults.model import Condition, Fault, Match, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from engine.documents import Document, Key

_UNITS_MS = {"d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS}
_AT_THE_HOUR = 0.5
_SPAN = re.compile(r"(?:\d+[dhms])+")
_WHOM = ("method", "path", "symbol", "event")
_WHEN = ("from", "until", "skip", "times", "chance")
_CHOICES = {"manner": MANNERS, "stream": STREAMS, "status": (418, 429), "code": (-1006, -1007)}
_FREE = {("reject_n_times", "code"), ("reject_n_times", "status")}


@dataclass(frozen=True)
class FaultPlan:
    """Rules and a seed; the same plan does the same to the same requests.

    Attributes:
        rules: in the order in which they come between request and answer, the first outermost.
        seed: of everything that the faults draw.
    """

    rules: tuple[Rule, ...] = ()
    seed: int = 0

    @classmethod
    def of(cls, *faults: Fault, seed: int = 0, **when: Any) -> FaultPlan:
        """Return a plan of faults with their usual rules; `when` holds fields of `Rule` for all of them."""
        return cls(tuple(_usual(fault, **when) for fault in faults), seed)

    @classmethod
    def drawn(cls, names: Iterable[str], seed: int, start_ms: int, end_ms: int) -> FaultPlan:
        """Return a plan in which each named fault strikes within [start_ms, end_ms), drawn by the seed; all end.

        Half of them begin just before a full hour: that is when bars close and orders are sent.

        Args:
            names: of `KINDS`; a name may come twice.
            seed: the same seed gives the same plan.
            start_ms: not before.
            end_ms: over by then.
        """
        rng = np.random.default_rng(seed)
        return cls(tuple(_drawn(KINDS[name], rng, start_ms, end_ms) for name in names), seed)

    @classmethod
    def read(cls, path: Path, start_ms: int) -> FaultPlan:
        """Read a fault file.

        Args:
            path: YAML: ``seed``, and ``faults``, a list; each names a ``fault`` with its parameters, whom it strikes
                (``method``, ``path``, ``symbol``, ``event``) and when (``from``, ``until``, ``skip``, ``times``,
                ``chance``).
            start_ms: what ``from: 2h30m`` counts from; a date or time stands for itself.

        Raises:
            ConfigError: the file cannot be read, or something in it is not known; all mistakes together.
        """
        document = read_document(path)
        reader = _Reader(document, start_ms)
        plan = reader.plan()
        if reader.problems:
            raise ConfigError(reader.problems)
        return plan


NONE = FaultPlan()


def _usual(fault: Fault, **when: Any) -> Rule:
    return Rule(fault, **{"match": fault.usual_match, "times": fault.usual_times, **when})


def _drawn(kind: type[Fault], rng: np.random.Generator, start_ms: int, end_ms: int) -> Rule:
    least_ms, most_ms = (span_s * SECOND_MS for span_s in kind.usual_span_s)
    span_ms = int(min(rng.uniform(least_ms, most_ms), end_ms - start_ms))
    from_ms = int(rng.integers(start_ms, max(end_ms - span_ms, start_ms + 1)))
    if rng.random() < _AT_THE_HOUR:
        from_ms = max(start_ms, hour_start(from_ms) - int(rng.integers(0, MINUTE_MS)))
    fault = kind.drawn(rng)
    chance = 1.0 if issubclass(kind, Condition) else float(rng.choice([0.3, 1.0]))
    if kind.usual_times is None:
        return _usual(fault, from_ms=from_ms, until_ms=from_ms + span_ms, chance=chance)
    return _usual(
        fault, from_ms=from_ms, until_ms=end_ms, times=int(rng.integers(1, kind.usual_times + 3)), chance=chance
    )


class _Reader:
    """Reads rules from a document and remembers what is wrong with it."""

    def __init__(self, document: Document, start_ms: int) -> None:
        self.document = document
        self.start_ms = start_ms
        self.problems: list[Problem] = []

    def plan(self) -> FaultPlan:
        data = self.document.data if isinstance(self.document.data, dict) else {}
        self.known((), data, ("seed", "faults"))
        seed = data.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool):
            self.wrong("seed", ("seed",), f"`{seed}` is no whole number", "write `seed: 7`")
        listed = data.get("faults")
        if not isinstance(listed, list):
            self.wrong("faults", (), "there is no list `faults`", "write `faults:` and under it `- fault: outage`")
            listed = []
        rules = [self.rule(("faults", place), entry) for place, entry in enumerate(listed)]
        return FaultPlan(tuple(rule for rule in rules if rule), seed if isinstance(seed, int) else 0)

    def rule(self, at: Key, entry: Any) -> Rule | None:
        name = entry.get("fault") if isinstance(entry, dict) else None
        kind = KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            near = get_close_matches(str(name), KINDS, n=1)
            help_ = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(KINDS)}"
            self.wrong("unknown-fault", (*at, "fault"), f"no fault is called `{name}`", help_)
            return None
        params = {field.name: field.default for field in fields(kind)}
        self.known(at, entry, ("fault", *_WHOM, *_WHEN, *params))
        given = {key: self.parameter((*at, key), kind, key, entry[key]) for key in params if key in entry}
        when = {
            "from_ms": self.moment((*at, "from"), entry.get("from")),
            "until_ms": self.moment((*at, "until"), entry.get("until")),
            "skip": self.number((*at, "skip"), entry.get("skip", 0), whole=True),
            "times": self.number((*at, "times"), entry.get("times", kind.usual_times), whole=True),
            "chance": self.number((*at, "chance"), entry.get("chance", 1.0), most=1.0),
        }
        return Rule(kind(**given), self.match(at, kind, entry), **when)

    def match(self, at: Key, kind: type[Fault], entry: Mapping[str, Any]) -> Match:
        usual = kind.usual_match
        given = {key: entry.get(key, getattr(usual, key)) for key in _WHOM}
        for key, value in given.items():
            if value is not None and not isinstance(value, str):
                self.wrong("text", (*at, key), f"`{value}` is no text", f"write `{key}: …`")
        return Match(**given)

    def parameter(self, at: Key, kind: type[Fault], key: str, value: Any) -> Any:
        default = next(field.default for field in fields(kind) if field.name == key)
        assert default is not MISSING, "every parameter of a fault has a usual value"
        choices = () if (kind.name, key) in _FREE else _CHOICES.get(key, ())
        if choices and value not in choices:
            expected = ", ".join(str(choice) for choice in choices)
            self.wrong("choice", at, f"`{value}` is none of {expected}", f"write `{key}: {choices[0]}`")
        elif isinstance(default, str) != isinstance(value, str):
            self.wrong("kind", at, f"`{value}` is no {'text' if isinstance(default, str) else 'number'}")
        elif not isinstance(default, str):
            negative = key in {"skew_s", "code"}
            return self.number(at, value, whole=isinstance(default, int), least=-1e9 if negative else 0)
        return value

    def number(self, at: Key, value: Any, *, whole: bool = False, least: float = 0, most: float = 1e9) -> Any:
        if value is None and at[-1] == "times":
            return None
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            noun = "whole number" if whole else "number"
            self.wrong("number", at, f"`{value}` is no {noun} from {least:g} to {most:g}")
            return 0
        return value

    def moment(self, at: Key, value: Any) -> int | None:
        if value is None:
            return None
        text = str(value)
        if _SPAN.fullmatch(text):
            return self.start_ms + sum(int(n) * _UNITS_MS[unit] for n, unit in re.findall(r"(\d+)([dhms])", text))
        try:
            return parse_time(text)
        except ValueError:
            help_ = "write a time such as 2022-11-09T14:00:00Z, or a span from the start such as `2h30m`"
            self.wrong("time", at, f"`{text}` is no time", help_)
            return None

    def known(self, at: Key, entry: Mapping[str, Any], names: Iterable[str]) -> None:
        allowed = list(names)
        for key in entry:
            if key not in allowed:
                near = get_close_matches(key, allowed, n=1)
                help_ = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(allowed)}"
                where = self.document.where((*at, key), key=True)
                self.problems.append(Problem("unknown-key", where, f"`{key}` is not known here", help_))

    def wrong(self, code: str, at: Key, problem: str, help_: str = "") -> None:
        self.problems.append(Problem(code, self.document.where(at), problem, help_))
