"""The stage policy in the loop: a governor on rehearsed days enters and leaves stages, and everything is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.backtest import Bounds
from engine.book import AccountBook
from engine.bounds import SCALE_UP, Change, Request, initial_posture
from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.facts import Assumptions, FactSource, GuardWord
from engine.governor import Governor, Past
from engine.live.stage_stand import InterpreterAlone
from engine.operations.stages.facts import AssumedCosts, StageFacts
from engine.operations.stages.papers import RehearsedPapers
from engine.operations.stages.rollout import Before, Rollout
from engine.operations.stages.tenure import Tenure
from engine.policy.decide import Decision
from engine.policy.facts import OK, Fact
from engine.rehearsal.approvals import ApproveAll, ApproveNone
from engine.verdict import Judge
from tests.operations.stages.staging import bundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.governor import Approvals
    from engine.policy.model import Snapshot

START = parse_time("2024-03-01")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
ACTION, STAGES = bundle().policies["action"], bundle().policies["stages"]


class Account:
    """Equity that a test sets, and the flows that came."""

    def __init__(self, equity_usd: float) -> None:
        self.equity_usd = equity_usd
        self.flows: list[float] = []

    def flow(self, at_ms: int, amount_usd: float, reason: str) -> None:
        del at_ms, reason
        self.flows.append(amount_usd)
        self.equity_usd += amount_usd


class Papers(RehearsedPapers):
    """Everything in order but what a test says otherwise."""

    def __init__(self, **said: object) -> None:
        self.said = said

    def facts(self, now_ms: int, stage: int, entered_ms: int) -> Iterable[Fact]:
        yield from super().facts(now_ms, stage, entered_ms)
        yield from (Fact(name, value, OK, now_ms) for name, value in self.said.items())  # type: ignore[arg-type]


class Desk:
    """A governor on marks that a test makes, hour by hour.

    Attributes:
        changes: everything that was recorded: time, kind, subject, detail.
    """

    def __init__(
        self, stage: int, approvals: Approvals, *, papers: Papers | None = None, engine: Any = None, paper: bool = False
    ) -> None:
        self.changes: list[tuple[int, str, str, dict[str, Any]]] = []
        self.book = AccountBook(SYMBOLS)
        cap_usd = float(STAGES.stages[stage].cap_usd) or 10_000.0
        self.account = Account(cap_usd)
        self.book.mark(START, cap_usd, 1.0, dict.fromkeys(SYMBOLS, 0.0))
        self.now_ms, self.nav = START, 1.0
        posture = initial_posture(stage, cap_usd, START)
        past = Past(posture, START, paper_usd=10_000.0 if paper else 0.0)
        facts = FactSource(self.book, self.book, Assumptions(3.0, 1e-4))
        judge = Judge(ACTION, InterpreterAlone(ACTION), {}, "test")
        self.guard: GuardWord | None = None
        self.governor = Governor(judge, STAGES, facts, self.account, approvals, past, self._record, lambda: self.guard)
        self.papers = papers or Papers(slippage_ratio=1.0, cost_ratio=1.0, positive_sleeves=3)
        rollout = Rollout(
            Judge(STAGES, engine or InterpreterAlone(STAGES), {}, "test"),
            StageFacts(self.book, self.book, AssumedCosts(5.0, 3.0, 1e-4), self.papers),
            Before(Tenure.of([(START, posture)])),
            paper=paper,
        )
        self.governor.rollout = rollout

    def _record(self, at_ms: int, change: Change) -> None:
        self.changes.append((at_ms, change.kind, change.subject, dict(change.detail)))

    def hours(self, count: int, gain: float = 0.0) -> None:
        """Let hours pass, in each of which a unit gains so much, by turns a little more and less."""
        for _ in range(count):
            self.jump(gain * (1.5 if (self.now_ms // DAY_MS) % 2 else 0.5))

    def jump(self, gain: float, *, marked: bool = True) -> None:
        """Let an hour pass in which a unit gains exactly so much."""
        self.now_ms += HOUR_MS
        self.nav *= 1 + gain
        self.account.equity_usd *= 1 + gain
        share = (self.nav - 1) * 1_000
        self.book.mark(self.now_ms, self.account.equity_usd, self.nav, dict.fromkeys(SYMBOLS, share))
        self.governor.decide(self.now_ms, marked=marked)

    def days(self, count: int, gain: float = 0.0) -> None:
        self.hours(24 * count, gain)

    def of(self, kind: str) -> list[tuple[int, str, dict[str, Any]]]:
        return [(at_ms, subject, detail) for at_ms, what, subject, detail in self.changes if what == kind]

    @property
    def standing(self) -> tuple[int, float, float]:
        posture = self.governor.posture
        return posture.stage, posture.cap_usd, posture.exposure


@pytest.mark.requirement("R102")
def test_R065_R086_A32_stages_are_entered_one_by_one_after_their_days_and_with_consent() -> None:
    desk = Desk(1, ApproveAll())
    desk.days(14, 1e-4)
    assert desk.standing == (1, 5_000.0, 1.0)
    assert [subject for _, subject, _ in desk.of("approval_requested")] == ["promote"]
    desk.days(1, 1e-4)  # the simulated team thinks for a day
    ((at_ms, subject, detail),) = desk.of("stage")
    assert (at_ms, subject, desk.standing) == (START + 15 * DAY_MS, "1->2", (2, 10_000.0, 1.0))
    assert desk.account.flows == [pytest.approx(detail["flow_usd"])]
    desk.days(15, 1e-4)  # 14 more days and 28 in all
    assert desk.standing == (3, 15_000.0, 1.0)
    assert [subject for _, subject, _ in desk.of("stage")] == ["1->2", "2->3"]
    assert len([one for one in desk.governor.of_stages() if one.outcome == "PROMOTE"]) >= 2


def test_A32_capital_moves_only_at_a_close_at_which_the_account_is_valued() -> None:
    desk = Desk(1, ApproveAll())
    desk.hours(15 * 24 - 1, 1e-4)
    desk.jump(1e-4, marked=False)  # the simulated team has agreed by now, but the desk's own equity is an hour old
    assert (desk.standing, desk.account.flows) == ((1, 5_000.0, 1.0), [])
    desk.hours(1, 1e-4)
    assert desk.standing == (2, 10_000.0, 1.0)


def test_A85_since_when_the_engines_are_distrusted_survives_a_death() -> None:
    desk = Desk(1, ApproveNone())
    desk.hours(1)
    blocked = replace(desk.governor.posture, entries_allowed=False)  # for another reason, an hour before
    desk.governor._put(blocked, desk.now_ms, (), {})
    distrusted_since = replace(blocked, distrusted_since_ms=desk.now_ms)
    desk.governor._put(distrusted_since, desk.now_ms, (), {})
    assert desk.of("posture")[-1][2]["distrusted_since_ms"] == desk.now_ms
    recorded = len(desk.of("posture"))
    desk.governor._put(distrusted_since, desk.now_ms, (), {})
    assert len(desk.of("posture")) == recorded  # what lasts is written once


def test_A32_nothing_is_entered_without_consent_and_it_is_asked_for_once() -> None:
    desk = Desk(1, ApproveNone())
    desk.days(16, 1e-4)
    assert desk.standing == (1, 5_000.0, 1.0)
    assert len(desk.of("approval_requested")) == 1
    assert [request.kind for request in desk.governor.posture.requests] == ["promote"]


@pytest.mark.parametrize("missing", [{"launch": "BLOCK_LAUNCH"}, {"weekly_review": False}, {"slippage_ratio": 1.31}])
def test_R079_R088_R089_consent_enters_nothing_while_a_condition_is_missing(missing: dict[str, object]) -> None:
    papers = Papers(**{"slippage_ratio": 1.0, **missing})
    desk = Desk(1, ApproveAll(), papers=papers)
    desk.days(15, 1e-4)
    assert desk.of("stage") == []
    papers.said = {"slippage_ratio": 1.0}
    desk.days(2, 1e-4)
    assert desk.standing[0] == 2


@pytest.mark.requirement("R083")
def test_R082_R084_A78_a_fourth_outage_ends_stage_1_within_the_hour_closed_and_only_reducing() -> None:
    desk = Desk(1, ApproveNone())
    desk.hours(30)
    desk.papers.said["api_issues_24h"] = 3
    desk.hours(1)
    assert desk.standing[0] == 1
    desk.papers.said["api_issues_24h"] = 4
    desk.hours(1)
    assert desk.standing == (0, 0.0, 0.0)
    posture = desk.governor.posture
    assert (posture.entries_allowed, desk.governor.closed_for) == (False, "ABORT")
    assert [severity["severity"] for _, _, severity in desk.of("incident")] == ["HIGH"]
    assert len(desk.of("flatten")) == 1
    assert Bounds(posture.exposure, posture.cap_usd, posture.entries_allowed).cap_usd == 0.0
    desk.hours(5)
    assert len(desk.of("stage")) == 1


@pytest.mark.requirement("R097")
def test_R100_A03_a_drawdown_of_more_than_ten_percent_takes_stage_2_to_5000_in_one_cut() -> None:
    desk = Desk(2, ApproveNone())
    desk.hours(40)
    desk.jump(0.1)
    desk.jump(-0.0999)
    assert desk.standing[0] == 2
    desk.jump(-0.001)
    assert desk.standing == (1, 5_000.0, 1.0)
    assert desk.account.equity_usd == pytest.approx(5_000.0)
    desk.hours(12)
    assert desk.standing == (1, 5_000.0, 1.0)


def test_R182_beyond_the_hard_stop_a_stage_2_desk_is_paused_and_restarts_at_stage_1() -> None:
    desk = Desk(2, ApproveAll())
    desk.hours(40)
    desk.jump(-0.13)
    assert (desk.standing[0], desk.standing[2], desk.governor.closed_for) == (2, 0.0, "PAUSE")
    desk.hours(25)
    assert desk.standing == (1, 5_000.0, 1.0)
    assert [subject for _, subject, _ in desk.of("stage")] == ["2->1"]
    assert [subject for _, subject, _ in desk.of("restart")] == ["1"]


def test_A55_a_second_scale_down_within_thirty_days_ends_stage_3() -> None:
    desk = Desk(3, ApproveAll(), papers=Papers(funding_drag=0.0))
    desk.days(2)
    for _ in range(2):
        assert desk.standing[0] == 3
        desk.jump(-0.06)  # red: return of 30 days
        desk.jump(0.07)
        desk.days(7)
    assert [subject for _, subject, _ in desk.of("episode_start")][:2] == ["REDUCE", "REDUCE"]
    ((at_ms, subject, detail),) = desk.of("stage")[:1]
    assert (subject, detail["because"]) == ("3->2", ["abort_3[scale_downs_30d]"])
    assert at_ms == desk.of("episode_start")[1][0]


def test_R058_a_paper_desk_stays_at_stage_0_and_restarts_there_with_its_simulated_money() -> None:
    desk = Desk(0, ApproveAll(), paper=True)
    desk.days(31, 1e-4)
    assert desk.of("stage") == []
    assert desk.of("approval_requested") == []
    assert any(one.outcome == "PROMOTE" for one in desk.governor.of_stages())  # it is known, and shown
    desk.jump(-0.13)
    assert desk.standing[2] == 0.0
    desk.hours(26)
    assert desk.standing[:2] == (0, 10_000.0)
    assert desk.governor.entries_allowed
    assert desk.account.equity_usd == pytest.approx(10_000.0)


class Doubtful:
    """An engine that gives no answer."""

    def decide(self, snapshot: Snapshot) -> Decision:
        sound = InterpreterAlone(STAGES).decide(snapshot)
        return Decision(sound.outcome, sound.fired, None, "no answer", None, sound.fired)


def test_engines_that_differ_promote_nothing_block_entries_and_open_one_incident() -> None:
    desk = Desk(1, ApproveAll(), engine=Doubtful())
    desk.days(16, 1e-4)
    assert desk.standing[0] == 1
    assert not desk.governor.entries_allowed
    assert [subject for _, subject, _ in desk.of("incident")] == ["engines"]
    desk.papers.said["api_issues_24h"] = 9  # an abort acts all the same
    desk.hours(1)
    assert desk.standing[0] == 0


def test_the_end_of_each_day_and_every_change_of_mind_is_recorded_at_an_instant_of_its_own() -> None:
    desk = Desk(1, ApproveNone())
    desk.days(3)
    desk.papers.said["api_issues_24h"] = 4
    desk.hours(2)
    kept = desk.governor.of_stages()
    midnights = [START + day * DAY_MS + 1 for day in (1, 2, 3)]
    first = START + HOUR_MS + 1
    assert [one.at_ms for one in kept] == [first, *midnights, START + 73 * HOUR_MS + 1, START + 74 * HOUR_MS + 1]
    assert [json.loads(one.document)["outcome"] for one in kept][-2:] == ["ABORT", "HOLD"]
    assert desk.governor.of_stages() == []


def test_approvals_carry_the_id_of_what_was_signed() -> None:
    class Signed(ApproveAll):
        def paper(self, request: Request) -> dict[str, Any]:
            return {"request_id": f"A-{request.kind}", "signers": ["bob"]}

    desk = Desk(1, Signed())
    desk.days(15, 1e-4)
    ((_, _, given),) = desk.of("approval_given")
    assert (given["request_id"], given["subject"]) == ("A-promote", "1->2")
    ((_, _, moved),) = desk.of("stage")
    assert moved["approvals"] == ["bob"]


def test_a_block_of_entries_is_in_the_posture_that_the_next_start_reads() -> None:
    """Who died under late equity came back with entries allowed, under the very verdict that blocks them."""
    desk = Desk(3, ApproveNone())
    desk.hours(3)
    begun = len(desk.of("posture"))
    desk.now_ms += HOUR_MS
    desk.governor.decide(desk.now_ms)  # no mark came
    for allowed in (False, True):
        assert desk.governor.entries_allowed is allowed
        at_ms, _, detail = desk.of("posture")[-1]
        assert (at_ms, detail) == (desk.now_ms, desk.governor.posture.to_json())
        desk.hours(1)
    assert len(desk.of("posture")) == begun + 2, "only where the bounds change"


class Signing:
    """People who sign a higher cap, once they do."""

    signed = False

    def given(self, requests: Sequence[Request], now_ms: int) -> tuple[Request, ...]:
        del now_ms
        return tuple(request for request in requests if self.signed and request.kind == SCALE_UP)

    def paper(self, request: Request) -> Mapping[str, Any]:
        del request
        return {"signers": ["alice", "bob"]}


@pytest.mark.parametrize("fall", [0.09, 0.115])
def test_A27_A34_a_higher_cap_that_people_signed_waits_for_a_verdict_that_wants_it(fall: float) -> None:
    people = Signing()
    desk = Desk(3, people)
    desk.days(20, 2e-4)
    posture = desk.governor.posture
    raising = Request(SCALE_UP, "SCALE_UP", desk.now_ms, 2)
    desk.governor.posture = replace(posture, requests=(*posture.requests, raising))
    people.signed = True
    desk.jump(-fall)  # in the hour of the last signature
    assert desk.governor.outcome == ("REDUCE" if fall > 0.1 else "KEEP")
    assert desk.governor.posture.cap_usd == posture.cap_usd
    assert SCALE_UP not in {request.kind for request in desk.governor.posture.requests}  # its days begin anew
    desk.jump(0.0)
    assert desk.governor.posture.cap_usd == posture.cap_usd
