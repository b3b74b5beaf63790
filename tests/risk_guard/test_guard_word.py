"""What the guard says reaches the desk: the fact, the block of entries, the flatten; of an old epoch it is nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.book import AccountBook
from engine.bounds import Change, initial_posture
from engine.clock import HOUR_MS, SimulatedClock, parse_time
from engine.execution.flattened import VERIFIED, FlattenReport
from engine.facts import Assumptions, FactSource, GuardWord, Standing
from engine.governor import Governor, Past
from engine.live.decision_file import DecisionFiles, GuardDecision, GuardWatch, named
from engine.policy.facts import MISSING, OK
from engine.policy.worker import Worker
from engine.rehearsal.approvals import ApproveAll
from engine.risk_guard.follower import GuardFollower, note_flattened
from engine.verdict import Judge
from tests.risk_guard.guarding import SYMBOLS, bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.policy.decide import Engine

LAUNCH_MS = parse_time("2022-11-09")
NOW_MS = LAUNCH_MS + 10 * HOUR_MS
FLATTEN = GuardWord("FLATTEN_ALL", NOW_MS - 1_000, LAUNCH_MS, entries_blocked=True, closes=True, decision_id="V7")
REDUCE = replace(FLATTEN, outcome="REDUCE_ONLY", closes=False)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Worker(bundle().policies["action"]) as worker:
        yield worker


class Account:
    equity_usd = 10_000.0

    def flow(self, at_ms: int, amount_usd: float, reason: str) -> None:
        raise AssertionError((at_ms, amount_usd, reason))


def desk(engine: Engine, word: GuardWord | None) -> tuple[Governor, list[Change]]:
    book = AccountBook(SYMBOLS)
    for hour in range(11):
        book.mark(LAUNCH_MS + hour * HOUR_MS, 10_000.0, 1.0, dict.fromkeys(SYMBOLS, 0.0))
    policies = bundle().policies
    changes: list[Change] = []
    governor = Governor(
        Judge(policies["action"], engine, {"bundle": "b", "config": "c"}, "test"),
        policies["stages"],
        FactSource(book, book, Assumptions(3.0, 1e-4)),
        Account(),
        ApproveAll(),
        Past(initial_posture(2, 10_000.0, LAUNCH_MS), LAUNCH_MS),
        lambda _, change: changes.append(change),
        lambda: word,
    )
    return governor, changes


def fact(word: GuardWord | None, epoch_ms: int = LAUNCH_MS, now_ms: int = NOW_MS) -> Any:
    book = AccountBook(SYMBOLS)
    standing = Standing(2, 1.0, epoch_ms, LAUNCH_MS, flat=False, guard=word)
    found = FactSource(book, book, Assumptions(3.0, 1e-4)).at(now_ms, standing)["risk_guard"]
    return found.value, found.status, found.as_of_ms


def test_R157_the_fact_is_the_guards_last_word_with_its_age() -> None:
    assert fact(FLATTEN) == ("FLATTEN_ALL", OK, NOW_MS - 1_000)
    assert fact(None) == (None, MISSING, NOW_MS)
    assert fact(FLATTEN, now_ms=NOW_MS - 5_000) == ("FLATTEN_ALL", OK, NOW_MS - 5_000), "said after the bar's close"
    assert fact(FLATTEN, epoch_ms=NOW_MS)[1] == MISSING, "it was about the time before the restart"


def test_R157_FLATTEN_ALL_pauses_the_desk_and_an_old_word_does_nothing(engine: Engine) -> None:
    governor, _ = desk(engine, FLATTEN)
    assert governor.decide(NOW_MS).outcome == "PAUSE"
    assert governor.posture.paused_since_ms == NOW_MS
    old = replace(FLATTEN, at_ms=NOW_MS - 301_000)  # the vocabulary's max_age is 5 minutes
    assert desk(engine, old)[0].decide(NOW_MS).outcome == "KEEP"


def test_REDUCE_ONLY_blocks_entries_and_no_more(engine: Engine) -> None:
    governor, _ = desk(engine, REDUCE)
    assert governor.decide(NOW_MS).outcome == "KEEP"
    assert not governor.entries_allowed
    assert governor.posture.entries_allowed, "the block ends with the guard's word"
    assert desk(engine, None)[0].entries_allowed
    assert desk(engine, replace(REDUCE, epoch_ms=NOW_MS))[0].entries_allowed


def decision_of(word: GuardWord, ledger: Path) -> GuardDecision:
    return GuardDecision(
        word.decision_id, named(ledger), word.outcome, word.at_ms, word.at_ms, word.at_ms + 60_000, word.epoch_ms,
        entries_blocked=word.entries_blocked, closes=word.closes, because=("the drawdown is beyond the hard stop",),
    )  # fmt: skip


def test_R162_the_runner_acknowledges_and_carries_out_each_decision_once(tmp_path: Path, engine: Engine) -> None:
    ledger, files, clock = tmp_path / "ledger.db", DecisionFiles(tmp_path), SimulatedClock(NOW_MS)
    governor, changes = desk(engine, None)
    reasons: list[str] = []

    async def close(reason: str) -> FlattenReport:
        found = files.acknowledged()
        assert found is not None, "before anything is closed"
        assert found.decision_id == "V7"
        reasons.append(reason)
        return FlattenReport(reason, NOW_MS, {VERIFIED: NOW_MS + 100}, (), (), {}, "")

    def told(decision: GuardDecision, report: FlattenReport) -> None:
        note_flattened(governor, bundle().policies["risk_guard"], decision, report)

    follower = GuardFollower(GuardWatch(files, ledger, clock), clock, "runner", close, told)

    async def act() -> None:
        files.write(decision_of(REDUCE, ledger))
        assert await follower.look() is None
        files.write(decision_of(FLATTEN, ledger))
        report = await follower.look()
        assert report is not None
        assert report.flat
        assert await follower.look() is None
        files.write(replace(decision_of(FLATTEN, ledger), decision_id="V8", ledger="another"))
        assert await follower.look() is None

    asyncio.run(act())
    assert reasons == ["FLATTEN_ALL V7"]
    assert governor.posture.paused_since_ms == NOW_MS
    assert [change.kind for change in changes][:2] == ["flatten", "approval_requested"]
    before = len(changes)
    told(decision_of(FLATTEN, ledger), FlattenReport("x", NOW_MS, {}, (), (), {}, ""))
    assert len(changes) == before, "a desk that is paused stays as it is"
