"""Questions to a ledger: the verdict now or at a time, the log, one verdict, and its replay.

On a rehearsal's ledger "now" is its last mark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.errors import LedgerError, Problem, UsageError
from engine.launch_word import LAUNCH
from engine.ledger import Ledger
from engine.ledger.rows import sha256_of
from engine.policy.bundle import load_bundle
from engine.policy.load import parse_policy, parse_vocabulary
from engine.posted import facts_from
from engine.verdict import Judge, Situation, bundle_documents, bundle_hashes
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.bounds import Posture
    from engine.clock import Clock
    from engine.facts import GuardWord, Standing
    from engine.ledger.rows import StoredDocument, VerdictRecord
    from engine.policy.bundle import Bundle
    from engine.policy.facts import Fact

RISK, SHADOW = "risk", "shadow"
ACTION, GUARD = "action", "risk_guard"
LIVE, ALLOW = "live", "ALLOW_LAUNCH"

_OF_THE_QUESTION = ("policy", "vocabulary", "facts")  # worked out anew; the others are of the release it stood in


@dataclass(frozen=True)
class Answer:
    """A recorded verdict and the exit code that its policy declares for its outcome."""

    record: VerdictRecord
    exit_code: int


@dataclass(frozen=True)
class Replay:
    """A verdict decided again from what the ledger holds.

    Attributes:
        record: as recorded.
        document: as it comes out now.
        difference: the first part that differs; empty where both are equal to the byte.
    """

    record: VerdictRecord
    document: str
    difference: str

    @property
    def identical(self) -> bool:
        """Whether it came out equal, byte for byte."""
        return self.record.document == self.document

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "verdict_id": self.record.verdict_id,
            "identical": self.identical,
            "difference": self.difference,
            "recorded_sha256": sha256_of(self.record.document),
            "replayed_sha256": sha256_of(self.document),
        }


def now_of(ledger: Ledger, clock: Clock) -> int:
    """Return the present on this ledger: the clock's, or of a rehearsal its last mark.

    Raises:
        LedgerError: a rehearsal without a mark.
    """
    if ledger.meta().get("kind") != "rehearsal":
        return clock.now_ms()
    mark = ledger.last_mark(RISK)
    if mark is None:
        problem = "the ledger of a rehearsal that never marked its equity"
        raise LedgerError(Problem("empty-ledger", str(ledger.path), problem, "run `stagegate rehearse` again"))
    return mark.at_ms


def verdict_at(
    path: Path,
    rules: Path,
    clock: Clock,
    at_ms: int | None = None,
    *,
    guard: Callable[[Bundle], GuardWord | None] = lambda _bundle: None,
) -> Answer:
    """Return the verdict at a time, decided and recorded if it is not in the ledger yet.

    Args:
        path: the ledger.
        rules: the bundle whose policy decides.
        clock: tells the present of a live ledger.
        at_ms: the time; None for now.
        guard: returns what the risk guard says now; of another time it is not asked.

    Raises:
        LedgerError: the ledger cannot be read or written, or holds nothing at that time.
        PolicyError: the bundle is wrong.
        UsageError: the time lies in the future; or nothing is recorded of it, and the bundle is not in force on this
            ledger.
    """
    bundle = load_bundle(rules, only=(ACTION,))
    policy = bundle.policies[ACTION]
    with Ledger.open(path) as ledger:
        now_ms = now_of(ledger, clock)
        moment_ms = now_ms if at_ms is None else at_ms
        if moment_ms > now_ms:  # recorded, it would make the ledger one from the future
            problem = f"{iso(moment_ms)} lies in the future: it is {iso(now_ms)} there"
            raise UsageError(Problem("future", "--at", problem, "ask for now, or for a time that has passed"))
        record = _recorded(ledger, bundle, moment_ms)
        if record is None:
            require_in_force(ledger, bundle)
            record = _decided(ledger, bundle, moment_ms, guard(bundle) if at_ms is None else None)
    return Answer(record, policy.exit_codes[record.outcome])


def is_in_force(ledger: Ledger, bundle: Bundle) -> bool:
    """Return whether a bundle may decide on a ledger: where its money is real, only one that was let into force (A90).

    That is what the launch guard allowed last, or what the desk itself decided by last; before both any may.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    if ledger.meta().get("kind") != LIVE:
        return True
    last = ledger.latest_verdict(policy=ACTION)
    allowed = [record for record in ledger.verdicts(policy=LAUNCH) if record.outcome == ALLOW]
    known = [record for record in (last, *allowed[-1:]) if record is not None]
    return not known or any(json.loads(one.document)["hashes"].get("digest") == bundle.digest for one in known)


def require_in_force(ledger: Ledger, bundle: Bundle) -> None:
    """Refuse to decide anew by a bundle that is not in force: the desk reads what is recorded.

    Raises:
        UsageError: not-in-force.
        LedgerError: the ledger cannot be read.
    """
    if not is_in_force(ledger, bundle):
        problem = f"bundle {bundle.digest[:12]}… is not in force on this ledger of real money: nothing was recorded"
        help_ = "`stagegate policy replay` or `policy explain` show what it would say; `approvals` show what it lacks"
        raise UsageError(Problem("not-in-force", str(bundle.path), problem, help_))


def _recorded(ledger: Ledger, bundle: Bundle, at_ms: int) -> VerdictRecord | None:
    policy = bundle.policies[ACTION]
    expected = {**bundle_hashes(bundle), "policy": policy.sha256, "vocabulary": policy.vocabulary.sha256}
    for record in reversed(ledger.verdicts(at_ms, at_ms, policy=ACTION)):
        hashes = json.loads(record.document)["hashes"]
        if all(hashes.get(kind) == sha256 for kind, sha256 in expected.items()):
            return record
    return None


def _decided(ledger: Ledger, bundle: Bundle, at_ms: int, guard: GuardWord | None) -> VerdictRecord:
    from engine.book import worth_usd  # noqa: PLC0415 - keeps the answer that is already recorded fast
    from engine.policy.worker import Worker  # noqa: PLC0415 - the same

    equity_usd = worth_usd(ledger, at_ms)
    if equity_usd is None:
        problem = f"nothing was marked by {iso(at_ms)}"
        raise LedgerError(Problem("nothing-yet", str(ledger.path), problem, "ask for a later time"))
    posture = posture_at(ledger, at_ms)
    situation = Situation(posture.stage, posture.exposure, posture.cap_usd, equity_usd)
    with Worker(bundle.policies[ACTION]) as engine:
        judge = Judge(bundle.policies[ACTION], engine, bundle_hashes(bundle), version())
        _add_days(judge, ledger, at_ms)
        facts = facts_at(ledger, bundle, posture, at_ms, guard)
        verdict = judge.verdict(facts, at_ms, situation, streaks_since_ms=posture.streaks_since_ms)
    ledger.append([*bundle_documents(bundle), *verdict.rows()])
    return _existing(ledger, verdict.verdict_id)


def posture_at(ledger: Ledger, at_ms: int) -> Posture:
    """Return the bounds in force at a time, as the ledger remembers them.

    Raises:
        LedgerError: the ledger says nothing of them.
    """
    from engine.bounds import Posture  # noqa: PLC0415 - keeps the answer that is already recorded fast

    events = ledger.events("posture", to_ms=at_ms)
    if not events:
        problem = f"the ledger has no bounds in force at {iso(at_ms)}"
        raise LedgerError(Problem("no-posture", str(ledger.path), problem, "ask for a time after the launch"))
    return Posture.from_json(json.loads(events[-1].document))


def review_at(ledger: Ledger, at_ms: int) -> str | None:
    """Return how a desk stands to its reviews at a time: WITHIN, BREACH, or None where none was held (A99).

    A breach stands until a person has decided on it, whatever later reviews find. A rehearsal is its own replay:
    nothing deviates, and there is nobody to hold a review.
    """
    from engine.facts import BREACH, WITHIN  # noqa: PLC0415 - keeps the answer that is already recorded fast
    from engine.operations.reviews.standing import undecided_breach  # noqa: PLC0415 - the same

    if ledger.meta().get("kind") == "rehearsal":
        return WITHIN
    undecided = undecided_breach(ledger, BREACH, at_ms)
    return None if undecided is None else BREACH if undecided else WITHIN


def facts_at(
    ledger: Ledger, bundle: Bundle, posture: Posture, at_ms: int, guard: GuardWord | None = None
) -> dict[str, Fact]:
    """Return the facts at a time: as recorded at that very moment, else computed from the books.

    The desk marks the account as its bars close; between them the risk guard's newest mark tells what it is worth.

    Args:
        ledger: that they are of.
        bundle: with the configuration.
        posture: in force at that time.
        at_ms: the time.
        guard: what the risk guard said then; None: nothing that is known.
    """
    snapshot = ledger.facts_at(at_ms)
    if snapshot is not None and snapshot.at_ms == at_ms:
        return facts_from(snapshot.document)
    from engine.book import AccountBook, newest_mark  # noqa: PLC0415 - keeps the answer that is already recorded fast
    from engine.config import load_config  # noqa: PLC0415 - the same
    from engine.facts import Assumptions, FactSource  # noqa: PLC0415 - the same

    config = load_config(bundle.config_path)
    risk, shadow = (AccountBook.read(ledger, account, config.market.symbols, at_ms) for account in (RISK, SHADOW))
    newest = newest_mark(ledger, at_ms)
    if newest is not None and len(risk) and newest.at_ms > risk.at_ms[-1]:
        earned_usd = {symbol: risk.pnl_usd(symbol).item(-1) for symbol in risk.symbols}
        risk.mark(newest.at_ms, newest.equity_usd, newest.nav, earned_usd)
    backtest = config.backtest
    source = FactSource(risk, shadow, Assumptions(backtest.slippage_bps, backtest.funding_rate.default_rate_8h))
    return source.at(at_ms, _standing(ledger, posture, at_ms, guard))


def _standing(ledger: Ledger, posture: Posture, at_ms: int, guard: GuardWord | None = None) -> Standing:
    from engine.facts import Standing  # noqa: PLC0415 - keeps the answer that is already recorded fast

    return Standing(
        stage=posture.stage,
        exposure=posture.exposure,
        epoch_ms=posture.epoch_ms,
        launched_ms=int(ledger.meta()["from_ms"]),
        flat=posture.flat,
        flattened_ms=tuple(event.at_ms for event in ledger.events("flatten", to_ms=at_ms)),
        review=review_at(ledger, at_ms),
        guard=guard,
    )


def _add_days(judge: Judge, ledger: Ledger, at_ms: int) -> None:
    """Give the judge every complete day before `at_ms`; the risk guard's policy looks at none (see `Mind`)."""
    if judge.policy.name == GUARD:
        return
    for snapshot in ledger.day_closes(-1, at_ms - 1):
        judge.add_day(snapshot.at_ms, facts_from(snapshot.document))


def verdict_log(path: Path, last: int | None, from_ms: int | None, to_ms: int | None) -> tuple[VerdictRecord, ...]:
    """Return recorded verdicts, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with Ledger.open(path, read_only=True) as ledger:
        return ledger.verdicts(from_ms, to_ms, last=last)


def verdict_record(path: Path, verdict_id: str) -> VerdictRecord:
    """Return one recorded verdict.

    Raises:
        LedgerError: there is none of this id, or the ledger cannot be read.
    """
    with Ledger.open(path, read_only=True) as ledger:
        return _existing(ledger, verdict_id)


def _existing(ledger: Ledger, verdict_id: str) -> VerdictRecord:
    record = ledger.verdict(verdict_id)
    if record is None:
        problem = f"there is no verdict `{verdict_id}`"
        raise LedgerError(Problem("no-verdict", str(ledger.path), problem, "`stagegate verdict log` lists them"))
    return record


def replay(path: Path, verdict_id: str) -> Replay:
    """Decide a recorded verdict again, with the texts and facts in the ledger and both engines.

    Raises:
        LedgerError: no such verdict, or what it was decided on is not in the ledger.
    """
    from engine.policy.worker import Worker  # noqa: PLC0415 - keeps the other questions fast

    with Ledger.open(path, read_only=True) as ledger:
        record = _existing(ledger, verdict_id)
        recorded = json.loads(record.document)
        vocabulary_text = _text(ledger, recorded, "vocabulary")
        vocabulary = parse_vocabulary(vocabulary_text.text.encode(), vocabulary_text.name)
        policy_text = _text(ledger, recorded, "policy")
        policy = parse_policy(policy_text.text.encode(), policy_text.name, vocabulary)
        snapshot = ledger.facts_at(record.at_ms)
        if snapshot is None or snapshot.at_ms != record.at_ms:
            problem = f"the facts of {iso(record.at_ms)} are not in the ledger"
            raise LedgerError(Problem("no-facts", str(path), problem, "restore the ledger from a backup"))
        hashes = {kind: sha256 for kind, sha256 in recorded["hashes"].items() if kind not in _OF_THE_QUESTION}
        situation = Situation(*(recorded[name] for name in ("stage", "exposure", "cap_usd", "equity_usd")))
        with Worker(policy) as engine:
            judge = Judge(policy, engine, hashes, recorded["engine_version"])
            _add_days(judge, ledger, record.at_ms)
            again = judge.verdict(
                facts_from(snapshot.document), record.at_ms, situation, streaks_since_ms=recorded["streaks_since_ms"]
            )
    return Replay(record, again.document, _difference(recorded, json.loads(again.document)))


def _text(ledger: Ledger, recorded: Mapping[str, Any], kind: str) -> StoredDocument:
    sha256 = recorded["hashes"][kind]
    document = ledger.document(sha256)
    if document is None:
        problem = f"the {kind} with hash {sha256[:12]}… is not in the ledger"
        raise LedgerError(Problem("no-document", str(ledger.path), problem, "restore the ledger from a backup"))
    return document


def _difference(recorded: Mapping[str, Any], again: Mapping[str, Any]) -> str:
    for key in sorted(recorded.keys() | again.keys()):
        if recorded.get(key) != again.get(key):
            return key
    return ""
