"""A recorded verdict as a reader sees it: parsed from its canonical JSON, with nothing decided again."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from engine.errors import LedgerError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.ledger import VerdictRecord

TRUE = "TRUE"
FALSE = "FALSE"
UNKNOWN = "UNKNOWN"
_MOST_DIGITS = 40  # no fact is as large; arithmetic with more would not be exact


@dataclass(frozen=True)
class Condition:
    """One comparison of a rule: `value` is None where the fact is unknown, `margin` is how far off the threshold is."""

    fact: str
    value: str | None
    unit: str
    test: str
    truth: str
    margin: str | None


@dataclass(frozen=True)
class Streak:
    """How many complete UTC days a rule's condition has held, how many it needs, and of how many (None: in a row)."""

    days: int
    needed: int
    of: int | None = None


@dataclass(frozen=True)
class Rule:
    """One rule of the policy as the verdict judged it."""

    id: str
    outcome: str
    truth: str
    refs: tuple[str, ...]
    because: str
    conditions: tuple[Condition, ...]
    streak: Streak | None

    @property
    def failing(self) -> tuple[Condition, ...]:
        """The conditions that are not true."""
        return tuple(condition for condition in self.conditions if condition.truth != TRUE)


@dataclass(frozen=True)
class UnknownFact:
    """A fact that had no value, and why: young, stale, missing or invalid."""

    fact: str
    status: str


@dataclass(frozen=True)
class Verdict:
    """What one verdict says.

    Attributes:
        verdict_id: such as ``V20221109-1400-action``.
        at_ms: the instant it was given for, UTC milliseconds.
        outcome: one of the policy's outcomes.
        fired: ids of the rules that fired, in the policy's order.
        agree: whether both engines fired the same rules; None where one gave no answer.
        fault: what went wrong with an engine; None where nothing did.
        rules: every rule that was judged.
        bands: fact -> green, yellow, red or unknown.
        effects: the outcome's effects that the policy declares, under the names of `engine.policy.effects.Effects`.
        exposure: the multiplier in force when the verdict was given, before its effects.
    """

    verdict_id: str
    at_ms: int
    policy: str
    outcome: str
    fired: tuple[str, ...]
    agree: bool | None
    fault: str | None
    rules: Sequence[Rule]
    bands: Mapping[str, str]
    unknown: tuple[UnknownFact, ...]
    effects: Mapping[str, Any]
    flags: tuple[str, ...]
    hashes: Mapping[str, str]
    engine_version: str
    stage: int | None
    exposure: float | None
    cap_usd: float | None
    equity_usd: float | None

    def rule(self, rule_id: str) -> Rule | None:
        """Return the rule of this id, if it was judged."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    @property
    def engines(self) -> str:
        """What the two engines made of it, in words."""
        if self.fault is not None:
            return f"the interpreter decided ALONE, engine fault: {self.fault}"
        return "both engines agree" if self.agree else "the engines DISAGREE, the more severe outcome stands"

    @property
    def decisive(self) -> tuple[Rule, ...]:
        """The fired rules that asked for the verdict's outcome, in the policy's order."""
        fired = set(self.fired)
        return tuple(rule for rule in self.rules if rule.id in fired and rule.outcome == self.outcome)

    @property
    def minor(self) -> tuple[Rule, ...]:
        """The fired rules that asked for another outcome than the one that won."""
        fired = set(self.fired)
        return tuple(rule for rule in self.rules if rule.id in fired and rule.outcome != self.outcome)


def parse_verdict(document: str | Mapping[str, Any]) -> Verdict:
    """Return the verdict of a canonical JSON document.

    Args:
        document: the text as recorded, or the mapping it parses to.

    Raises:
        LedgerError: the document is no JSON object, or lacks a part.
    """
    found = _shallow(document)
    return replace(found, rules=tuple(found.rules))


class RecordedVerdicts(Sequence[Verdict]):
    """Recorded verdicts of one policy, oldest first; each is parsed when it is looked at, its rules when they are.

    A running desk records one an hour, 9,000 a year: a report looks closely at few of them.
    """

    def __init__(self, records: Sequence[VerdictRecord]) -> None:
        self.records = records
        self._parsed: dict[int, Verdict] = {}

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, place: int) -> Verdict: ...
    @overload
    def __getitem__(self, place: slice) -> RecordedVerdicts: ...

    def __getitem__(self, place: int | slice) -> Verdict | RecordedVerdicts:
        if isinstance(place, slice):
            return RecordedVerdicts(self.records[place])
        at = range(len(self.records))[place]
        if at not in self._parsed:
            self._parsed[at] = _shallow(self.records[at].document)
        return self._parsed[at]

    def since(self, from_ms: int) -> RecordedVerdicts:
        """Return those after an instant."""
        return self[bisect_right(self.records, from_ms, key=lambda record: record.at_ms) :]

    def doubtful(self) -> tuple[Verdict, ...]:
        """Return those on which the engines did not agree, or one failed."""
        return tuple(
            verdict
            for place, record in enumerate(self.records)
            if not _sure(record.document)
            for verdict in (self[place],)
            if verdict.agree is not True or verdict.fault is not None
        )


class _Rules(Sequence[Rule]):
    """The rules of one verdict, parsed on first sight."""

    def __init__(self, data: Sequence[Mapping[str, Any]]) -> None:
        self._data = data

    @cached_property
    def _found(self) -> tuple[Rule, ...]:
        with _readable():
            return tuple(_rule(rule) for rule in self._data)

    def __len__(self) -> int:
        return len(self._data)

    @overload
    def __getitem__(self, place: int) -> Rule: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Rule]: ...

    def __getitem__(self, place: int | slice) -> Rule | Sequence[Rule]:
        return self._found[place]


def _sure(document: str) -> bool:
    """Return whether both engines agreed, by the canonical form's first and fault's place; False: look closely."""
    return document.startswith('{"agree":true,') and '"fault":null,"fired":[' in document


def _shallow(document: str | Mapping[str, Any]) -> Verdict:
    """Return a verdict whose rules are parsed when they are looked at."""
    with _readable():
        return _verdict(json.loads(document) if isinstance(document, str) else document)


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what a document of another form leads to into words."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as failure:
        detail = (
            f"it has no `{failure.args[0]}`" if isinstance(failure, KeyError) else "it is not of this version's form"
        )
        raise LedgerError(
            Problem(
                "verdict-document",
                "verdicts",
                f"a recorded verdict cannot be read: {detail}",
                "read the ledger with the version that wrote it, or restore it from a backup",
            )
        ) from None


def _flags(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words shown beside the outcome: its own, and those of the rules that fired."""
    own = data["effects"].get("flag")
    return tuple(dict.fromkeys(map(str, [*([own] if own else []), *data.get("flags", ())])))


def _verdict(data: Mapping[str, Any]) -> Verdict:
    return Verdict(
        verdict_id=str(data["verdict_id"]),
        at_ms=int(data["at_ms"]),
        policy=str(data["policy"]),
        outcome=str(data["outcome"]),
        fired=tuple(map(str, data["fired"])),
        agree=None if data.get("fault") is not None else bool(data["agree"]),
        fault=None if data.get("fault") is None else str(data["fault"]),
        rules=_Rules(data["rules"]),
        bands={str(fact): str(band) for fact, band in data["bands"].items()},
        unknown=tuple(UnknownFact(str(item["fact"]), str(item["status"])) for item in data["unknown"]),
        effects=dict(data["effects"]),
        flags=_flags(data),
        hashes={str(kind): str(sha256) for kind, sha256 in data["hashes"].items()},
        engine_version=str(data.get("engine_version", "")),
        stage=None if data.get("stage") is None else int(data["stage"]),
        exposure=_real(data.get("exposure")),
        cap_usd=_real(data.get("cap_usd")),
        equity_usd=_real(data.get("equity_usd")),
    )


def _rule(data: Mapping[str, Any]) -> Rule:
    streak = data.get("streak")
    return Rule(
        id=str(data["id"]),
        outcome=str(data["outcome"]),
        truth=str(data["truth"]),
        refs=tuple(map(str, data.get("refs", ()))),
        because=str(data.get("because", "")),
        conditions=tuple(_condition(condition) for condition in data["conditions"]),
        streak=None if streak is None else _streak(streak),
    )


def _streak(data: Mapping[str, Any]) -> Streak:
    of = data.get("of")
    return Streak(int(data["days"]), int(data["needed"]), None if of is None else int(of))


def _condition(data: Mapping[str, Any]) -> Condition:
    return Condition(
        fact=str(data["fact"]),
        value=_text(data.get("value")),
        unit=str(data.get("unit", "")),
        test=str(data["test"]),
        truth=str(data["truth"]),
        margin=_text(data.get("margin")),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _real(value: object) -> float | None:
    return None if value is None else float(str(value))


def exact(text: str | None) -> Decimal | None:
    """Return a decimal text as a number; None where it is absent or a word."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and value.adjusted() < _MOST_DIGITS else None
