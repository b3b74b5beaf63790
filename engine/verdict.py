"""Facts and policy become a verdict: decided by both engines, explained to the last leaf, recorded, replayable.

A verdict is a value: the same facts and policy give the same bytes. What it was decided on (the facts of the moment,
the days before, the texts of policy, vocabulary, bundle and configuration) is in the ledger beside it, so any past
verdict can be replayed and must come out equal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, MINUTE_MS, iso
from engine.ledger.rows import FactsSnapshot, StoredDocument, VerdictRecord, sha256_of
from engine.policy.derive import History
from engine.policy.effects import Effects
from engine.policy.explain import Explainer
from engine.policy.facts import OK
from engine.policy.interpreter import colour
from engine.posted import facts_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.ledger.rows import Row
    from engine.policy.bundle import Bundle
    from engine.policy.decide import Decision, Engine
    from engine.policy.facts import Facts
    from engine.policy.model import Band, Policy, Snapshot


_NOTHING = vars(Effects())


@dataclass(frozen=True)
class Situation:
    """What a verdict says of the desk beside its reasons: stage, exposure and cap before it acts, risk equity."""

    stage: int
    exposure: float
    cap_usd: float
    equity_usd: float | None


@dataclass(frozen=True)
class Verdict:
    """One verdict; its record is written out only when it is asked for.

    Attributes:
        explainer: of the policy that decided.
        at_ms: the moment it is about.
        posted: the facts as they were posted, whatever the policy's vocabulary makes of them.
        facts: validated against the vocabulary, as decided on.
        snapshot: the same as both engines read them, with the streaks.
        decision: of both engines.
        situation: of the desk.
        streaks_since_ms: days that began before it count in no streak (A34).
        chain: one hash of the facts of all days before, in order.
        chained: whether the facts of the moment are in it already.
        recorded_hashes: of bundle, configuration, policy and vocabulary.
        engine_version: of the program that decided.
    """

    explainer: Explainer
    at_ms: int
    posted: Facts
    facts: Facts
    snapshot: Snapshot
    decision: Decision
    situation: Situation
    streaks_since_ms: int | None
    chain: str
    chained: bool
    recorded_hashes: Mapping[str, str]
    engine_version: str

    @property
    def policy(self) -> Policy:
        """What decided."""
        return self.explainer.policy

    @property
    def outcome(self) -> str:
        """What the policy decides."""
        return self.decision.outcome

    @cached_property
    def facts_text(self) -> str:
        """The facts as posted: canonical JSON."""
        return facts_document(self.posted)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Of everything it was decided with and on; of the facts: the days before and those of the moment."""
        facts = self.chain if self.chained else _chained(self.chain, self.facts_text)
        return {**self.recorded_hashes, "facts": facts}

    @cached_property
    def verdict_id(self) -> str:
        """``V20221109-1400-action-3fa9c1``: moment, policy, and six digits of what it was decided on."""
        return f"V{_stamp(self.at_ms)}-{self.policy.name}-{sha256_of(canonical(self.hashes))[:6]}"

    @cached_property
    def document(self) -> str:
        """The verdict as recorded: canonical JSON."""
        policy, decision, facts = self.policy, self.decision, self.facts
        flags = (policy.by_id[name].effects.flag for name in decision.fired)
        unknown = [{"fact": name, "status": facts[name].status} for name in policy.facts if facts[name].status != OK]
        return canonical(
            {
                "verdict_id": self.verdict_id,
                "at_ms": self.at_ms,
                "policy": policy.name,
                "outcome": decision.outcome,
                "fired": list(decision.fired),
                "agree": decision.agree,
                "fault": decision.fault,
                "traces": _traces(decision),
                "rules": self.explainer.plain(self.snapshot),
                "bands": {fact: _colour(band, self.snapshot) for fact, band in policy.bands.items()},
                "unknown": unknown,
                "effects": _declared(policy.effects[decision.outcome]),
                "flags": sorted({flag for flag in flags if flag}),
                "hashes": self.hashes,
                "engine_version": self.engine_version,
                "streaks_since_ms": self.streaks_since_ms,
                **vars(self.situation),
            }
        )

    def rows(self) -> list[Row]:
        """Return what the ledger keeps: the facts it was decided on, and the verdict itself."""
        record = VerdictRecord(
            self.verdict_id,
            self.at_ms,
            self.policy.name,
            self.outcome,
            self.hashes["policy"],
            self.hashes["config"],
            self.hashes["facts"],
            self.document,
        )
        day_close = self.at_ms % DAY_MS == 0
        return [FactsSnapshot.of(self.at_ms, self.facts_text, day_close=day_close), record]


class Judge:
    """Decides one policy at one moment after another, with both engines.

    Args:
        policy: what decides.
        engine: the production engine, loaded with the same policy.
        hashes: of bundle and configuration, as recorded beside those of the policy and its vocabulary.
        engine_version: of this program, as recorded.
    """

    def __init__(self, policy: Policy, engine: Engine, hashes: Mapping[str, str], engine_version: str) -> None:
        self.policy = policy
        self._engine = engine
        self._version = engine_version
        self._explainer = Explainer(policy)
        self._history = History(policy)
        self._chain = ""
        self._last_day_ms = 0
        self._hashes = {**hashes, "policy": policy.sha256, "vocabulary": policy.vocabulary.sha256}

    def verdict(
        self, posted: Facts, at_ms: int, situation: Situation, *, streaks_since_ms: int | None = None
    ) -> Verdict:
        """Return the verdict of the facts posted at `at_ms`.

        Args:
            posted: facts by name, not yet validated.
            at_ms: the moment.
            situation: of the desk, for the record.
            streaks_since_ms: days that began before it count in no streak (A34).
        """
        reading = self._history.read(posted, at_ms)
        snapshot = self._history.snapshot(reading, since_ms=streaks_since_ms)
        return Verdict(
            self._explainer,
            at_ms,
            posted,
            reading.facts,
            snapshot,
            self._engine.decide(snapshot),
            situation,
            streaks_since_ms,
            self._chain,
            at_ms == self._last_day_ms,
            self._hashes,
            self._version,
        )

    def add_day(self, at_ms: int, posted: Facts) -> None:
        """Take in the facts posted at the end of a complete day; later verdicts count it in their streaks."""
        self._history.end_day(self._history.read(posted, at_ms))
        self._chain = _chained(self._chain, facts_document(posted))
        self._last_day_ms = at_ms


def bundle_hashes(bundle: Bundle) -> dict[str, str]:
    """Return the hashes that every verdict under this bundle records."""
    return {"bundle": bundle.sha256, "config": bundle.config_sha256, "digest": bundle.digest}


def bundle_documents(bundle: Bundle) -> list[Row]:
    """Return the texts that a replay needs, stored once a ledger."""
    policies = [StoredDocument.of("policy", policy.source, policy.text) for policy in bundle.policies.values()]
    return [
        *policies,
        StoredDocument.of("vocabulary", bundle.vocabulary.source, bundle.vocabulary.text),
        StoredDocument.of("bundle", str(bundle.path), bundle.text),
        StoredDocument.of("config", str(bundle.config_path), bundle.config_text),
        *([StoredDocument.of("filters", str(bundle.filters.path), bundle.filters.text)] if bundle.filters else []),
    ]


def _chained(chain: str, facts: str) -> str:
    """Return one hash of everything decided on so far: the facts of each day in order."""
    return sha256_of(f"{chain}{facts}")


def canonical(document: Mapping[str, Any]) -> str:
    """Return JSON with sorted keys and no spaces: the same values give the same bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _stamp(at_ms: int) -> str:
    text = iso(at_ms)
    seconds = "" if at_ms % MINUTE_MS == 0 else text[17:]
    return f"{text[:4]}{text[5:7]}{text[8:10]}-{text[11:13]}{text[14:16]}{seconds}"


def _declared(effects: Effects) -> dict[str, Any]:
    """Return the effects that were declared, under the names of `Effects`."""
    return {key: value for key, value in vars(effects).items() if value != _NOTHING[key]}


def _colour(band: Band, snapshot: Snapshot) -> str:
    for name in ("green", "red", "yellow"):
        is_it = colour(snapshot.values, band, name)
        if is_it is None:
            return "unknown"
        if is_it:
            return name
    raise AssertionError(band)


def _traces(decision: Decision) -> dict[str, list[str] | None] | None:
    """Return what each engine fired, where they did not agree; None for the one that gave no answer."""
    if decision.trusted:
        return None
    durable = decision.durable_fired
    return {"durable": None if durable is None else list(durable), "interpreter": list(decision.interpreter_fired)}
