"""What the risk guard makes of books, marks and positions: facts, and by both engines the real policy's outcome."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.bounds import initial_posture
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, parse_time
from engine.errors import UsageError
from engine.execution.venue import Balance, Position
from engine.metrics import YOUNG
from engine.policy.facts import MISSING, OK, Fact
from engine.policy.load import parse_policy
from engine.policy.worker import Worker
from engine.risk_guard.books import Books
from engine.risk_guard.equity import EquityMark, Reading
from engine.risk_guard.facts import Watch, guard_facts, value_of
from engine.risk_guard.mind import Judgement, Mind
from tests.risk_guard.guarding import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.live.decision_file import GuardDecision
    from engine.policy.decide import Engine

LAUNCH_MS = parse_time("2022-11-01")
NOW_MS = parse_time("2022-11-09T14:30:00Z")
LEDGER = Path("ledger.db")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Worker(bundle().policies["risk_guard"]) as worker:
        yield worker


def books(navs: list[float] | None = None, **more: Any) -> Books:
    """Hourly marks from the launch on, the last at 14:00; 1 unit is worth what `navs` ends with."""
    hours = (NOW_MS - LAUNCH_MS) // HOUR_MS
    values = np.ones(hours + 1)
    if navs:
        values[-len(navs) :] = navs
    given: dict[str, Any] = {
        "launched_ms": LAUNCH_MS,
        "posture": initial_posture(2, 10_000.0, LAUNCH_MS),
        "opened_ms": LAUNCH_MS,
        "idle_usd": 0.0,
        "other_fees_usd": 0.0,
        "units": 10_000.0,
        "mark_ms": LAUNCH_MS + np.arange(hours + 1, dtype=np.int64) * HOUR_MS,
        "nav": values,
        "guard_mark_ms": None,
        "guard_nav": 0.0,
        "guard_peak": 0.0,
        "posted": {},
        "forced": (),
        "outages": (),
        "transfers": {},
        "cost_drag": YOUNG,
        "halted_ms": None,
        "resumed_ms": None,
        "held_ms": None,
        "spared": False,
        **more,
    }
    return Books(**given)


def mark(nav: float, at_ms: int = NOW_MS, gross_usd: float = 9_000.0) -> EquityMark:
    return EquityMark(at_ms, nav * 10_000.0, nav, gross_usd)


def watch(own: EquityMark | None, **more: Any) -> Watch:
    given: dict[str, Any] = {"reading": None, "prices": {}, "permitted": True, "outages": 0, **more}
    return Watch(NOW_MS, own, **given)


def facts_of(known: Books | None, own: EquityMark | None, peak: float = 0.0, **more: Any) -> dict[str, Fact]:
    value = None if known is None else value_of(known, own, peak, NOW_MS)
    return guard_facts(known, value, watch(own, **more))


def mind(engine: Engine, before: GuardDecision | None = None) -> Mind:
    policy = bundle().policies["risk_guard"]
    return Mind(policy, engine, {"bundle": "b", "config": "c"}, "test", ledger=LEDGER, valid_ms=60_000, before=before)


def judged(engine: Engine, known: Books | None, own: EquityMark | None, peak: float = 0.0, **more: Any) -> Judgement:
    value = None if known is None else value_of(known, own, peak, NOW_MS)
    facts = guard_facts(known, value, watch(own, **more))
    return mind(engine).judge(facts, known, value, NOW_MS)


EDGES: list[tuple[str, Books, EquityMark | None, float, dict[str, Any], str, list[str]]] = [
    ("well", books(), mark(1.0), 0.0, {}, "CLEAR", []),
    ("12 % below the peak", books([1.0]), mark(0.88), 0.0, {}, "FLATTEN_ALL", ["hard_stop_return"]),
    ("at 12 % of a higher peak", books(), mark(1.1), 1.25, {}, "CLEAR", []),
    ("beyond 12 % of a higher peak", books(), mark(1.09999), 1.25, {}, "FLATTEN_ALL", ["hard_stop_drawdown"]),
    ("at -10 %", books(), mark(0.9), 0.0, {}, "CLEAR", []),
    ("beyond -10 %", books(), mark(0.89999), 0.0, {}, "FLATTEN_ALL", ["hard_stop_return"]),
    ("equity 5 min old", books(), mark(1.0, NOW_MS - 5 * MINUTE_MS), 0.0, {}, "CLEAR", []),
    ("older", books(), mark(1.0, NOW_MS - 5 * MINUTE_MS - SECOND_MS), 0.0, {}, "REDUCE_ONLY", ["equity_late"]),
    ("three outages", books(), mark(1.0), 0.0, {"outages": 3}, "CLEAR", []),
    ("four", books(), mark(1.0), 0.0, {"outages": 4}, "REDUCE_ONLY", ["api_outages"]),
    ("halted", books(), mark(1.0), 0.0, {"permitted": False}, "FLATTEN_ALL", ["kill_switch"]),
    ("liquidated", books(), mark(1.0), 0.0, {"forced": (("BTCUSDT", NOW_MS),)}, "FLATTEN_ALL", ["liquidation"]),
    ("more than all is lost", books(), mark(-0.5), 0.0, {}, "FLATTEN_ALL", ["hard_stop_drawdown", "hard_stop_return"]),
]


@pytest.mark.parametrize("case", EDGES, ids=[case[0] for case in EDGES])
def test_R155_R156_R159_each_threshold_at_under_and_over_it(engine: Engine, case: tuple[Any, ...]) -> None:
    _, known, own, peak, more, outcome, fired = case
    decision = judged(engine, known, own, peak, **more).decision
    assert (decision.outcome, list(decision.fired), decision.trusted) == (outcome, fired, True)
    assert decision.closes is (outcome == "FLATTEN_ALL")
    assert decision.entries_blocked is (outcome != "CLEAR")


@pytest.mark.parametrize(
    ("age_ms", "fired"), [(DAY_MS, ["equity_late"]), (DAY_MS + MINUTE_MS, ["equity_lost", "equity_late"])]
)
def test_A28_an_equity_of_which_nobody_knew_for_a_day_closes_everything(
    engine: Engine, age_ms: int, fired: list[str]
) -> None:
    whole = books()
    early = whole.mark_ms <= NOW_MS - age_ms - HOUR_MS
    known = replace(whole, mark_ms=whole.mark_ms[early], nav=whole.nav[early])
    assert list(judged(engine, known, mark(1.0, NOW_MS - age_ms)).decision.fired) == fired


def test_nothing_known_blocks_entries_and_closes_nothing(engine: Engine) -> None:
    decision = judged(engine, None, None, permitted=False).decision
    assert (decision.outcome, list(decision.fired)) == ("REDUCE_ONLY", ["equity_late"])
    unmarked = judged(engine, books(mark_ms=np.empty(0, np.int64), nav=np.empty(0)), None).decision
    assert (unmarked.outcome, unmarked.equity) == ("REDUCE_ONLY", {})


def test_A05_the_peak_is_the_highest_that_runner_or_guard_ever_saw_since_the_epoch() -> None:
    assert value_of(books([1.2, 1.0]), mark(1.0), 0.0, NOW_MS).peak == 1.2  # type: ignore[union-attr] # it is marked
    assert value_of(books(guard_peak=1.3), mark(1.0), 0.0, NOW_MS).peak == 1.3  # type: ignore[union-attr] # the same
    assert value_of(books(), mark(1.0), 1.4, NOW_MS).peak == 1.4  # type: ignore[union-attr] # the same
    restarted = books(
        posture=initial_posture(1, 5_000.0, NOW_MS - HOUR_MS), mark_ms=np.array([NOW_MS - HOUR_MS]), nav=np.array([0.5])
    )
    found = value_of(restarted, mark(0.49), 0.0, NOW_MS)
    assert found is not None
    assert found.peak == 0.5
    assert found.drawdown == pytest.approx(0.02)
    older = value_of(restarted, mark(0.1, NOW_MS - 2 * HOUR_MS), 0.0, NOW_MS)
    assert older is not None
    assert older.nav == 0.5, "a mark of before the restart says nothing"


def test_the_newest_mark_counts_whoever_made_it_and_an_own_fresh_one_whatever_the_clocks_say() -> None:
    at_close = parse_time("2022-11-09T14:00:00Z")
    runner = value_of(books([0.95]), mark(0.9, at_close - MINUTE_MS), 0.0, NOW_MS)
    assert runner is not None
    assert (runner.at_ms, runner.nav) == (at_close, 0.95)
    set_back = at_close - 3 * SECOND_MS  # the machine's time was set back: the runner's mark lies ahead
    own = value_of(books([0.95]), mark(0.9, set_back), 0.0, set_back + SECOND_MS)
    assert own is not None
    assert (own.at_ms, own.nav) == (set_back, 0.9)


def test_the_return_of_the_day_is_against_midnight() -> None:
    navs = [2.0, *[1.9] * 14]  # 00:00 to 14:00
    assert facts_of(books(navs), mark(1.8))["return_1d"].value == pytest.approx(-10.0)
    young = books(navs, posture=initial_posture(2, 10_000.0, parse_time("2022-11-09T01:00:00Z")))
    assert facts_of(young, mark(1.8))["return_1d"].status == "young"


def held(qty: str, mark_price: str, liquidation: str | None) -> Reading:
    price = None if liquidation is None else Decimal(liquidation)
    position = Position("BTCUSDT", Decimal(qty), Decimal(20_000), Decimal(mark_price), Decimal(0), price)
    balance = Balance(Decimal(10_000), Decimal(10_000), Decimal(10_000))
    return Reading(NOW_MS, balance, {"BTCUSDT": position})


def test_distance_to_liquidation_and_the_loss_in_a_gap() -> None:
    reading = held("0.5", "20000", "14000")
    facts = facts_of(books(), mark(1.0), reading=reading, prices={"BTCUSDT": Decimal(17_500)})
    assert facts["liquidation_distance"].value == pytest.approx(20.0)  # of 17,500 down to 14,000
    assert facts["gap_loss"].value == pytest.approx(27.0)  # 30 % of 9,000 over 10,000
    safe = facts_of(books(), mark(1.0), reading=held("0.5", "20000", None))
    assert (safe["liquidation_distance"].status, safe["liquidation_distance"].value) == (MISSING, None)


def test_A76_a_halt_is_answered_by_the_restart_and_by_nothing_else() -> None:
    def pulled(**more: Any) -> object:
        return facts_of(books(**more), mark(1.0), permitted=False)["kill_switch"].value

    epoch_ms = parse_time("2022-11-08")
    restarted = initial_posture(1, 5_000.0, epoch_ms)
    assert pulled() is True
    assert pulled(posture=restarted, halted_ms=epoch_ms - HOUR_MS) is False, "signed; the permit is still to come"
    assert pulled(posture=replace(restarted, paused_since_ms=epoch_ms + 1)) is True
    assert pulled(posture=restarted, halted_ms=epoch_ms + HOUR_MS) is True, "halted again since"
    assert pulled(posture=restarted, resumed_ms=epoch_ms + HOUR_MS) is True, "the permit came, and went again"
    assert facts_of(None, None, permitted=False)["kill_switch"].status == MISSING, "nothing was launched"


def test_A82_a_halt_that_leaves_what_stands_is_no_kill_switch_until_somebody_closes_or_goes_on() -> None:
    def pulled(**more: Any) -> object:
        return facts_of(books(**more), mark(1.0), permitted=False)["kill_switch"].value

    held_ms = books().posture.epoch_ms + HOUR_MS
    assert pulled(held_ms=held_ms) is False
    assert pulled(held_ms=held_ms, resumed_ms=held_ms - 1, halted_ms=held_ms - 1) is False
    assert pulled(held_ms=held_ms, halted_ms=held_ms) is True, "a closing has begun"
    assert pulled(held_ms=held_ms, resumed_ms=held_ms) is True, "the permit came, and went again"
    assert pulled(held_ms=books().posture.epoch_ms) is True, "of before the restart"


def test_a_liquidation_that_stream_history_and_ledger_tell_of_is_one() -> None:
    forced = (("BTCUSDT", NOW_MS - HOUR_MS), ("ETHUSDT", NOW_MS - HOUR_MS))
    told = (("BTCUSDT", NOW_MS - HOUR_MS + SECOND_MS), ("BTCUSDT", NOW_MS - DAY_MS))
    assert facts_of(books(forced=forced), mark(1.0), forced=told)["liquidations_24h"].value == 2
    epoch_ms = NOW_MS - 30 * MINUTE_MS
    later = books(
        forced=forced, posture=initial_posture(1, 5_000.0, epoch_ms), mark_ms=np.array([epoch_ms]), nav=np.ones(1)
    )
    assert facts_of(later, mark(1.0))["liquidations_24h"].value == 0, "before the restart"


def test_A20_what_the_guard_does_not_compute_comes_from_the_ledgers_last_facts() -> None:
    old = {
        "sharpe_20d": Fact("sharpe_20d", 0.7, OK, NOW_MS - HOUR_MS),
        "drawdown": Fact("drawdown", 1.0, OK, NOW_MS - HOUR_MS),
    }
    facts = facts_of(books(posted=old), None)
    assert facts["sharpe_20d"] == old["sharpe_20d"]
    nothing = facts_of(books(posted=old, mark_ms=np.empty(0, np.int64), nav=np.empty(0)), None)
    assert (nothing["drawdown"].status, nothing["drawdown"].value) == (MISSING, None), (
        "its own view, also where it has none"
    )


def test_R162_an_outcome_that_lasts_keeps_its_id_also_over_a_restart_of_the_guard(engine: Engine) -> None:
    known, own = books(), mark(0.8)
    value = value_of(known, own, 0.0, NOW_MS)

    def judge(by: Mind, now_ms: int) -> Judgement:
        return by.judge(guard_facts(known, value, replace(watch(own), now_ms=now_ms)), known, value, now_ms)

    first = mind(engine)
    begun = judge(first, NOW_MS)
    rows = first.take(begun)
    assert begun.changed
    assert [type(row).__name__ for row in rows] == ["FactsSnapshot", "VerdictRecord", "Event"]
    again = judge(first, NOW_MS + SECOND_MS)
    assert not again.changed
    assert first.take(again) == ()
    assert (again.decision.decision_id, again.decision.since_ms) == (begun.decision.decision_id, NOW_MS)
    hourly = first.take(judge(first, NOW_MS + HOUR_MS))
    assert [type(row).__name__ for row in hourly] == ["FactsSnapshot", "VerdictRecord"]
    anew = judge(mind(engine, before=again.decision), NOW_MS + MINUTE_MS)
    assert not anew.changed
    assert anew.decision.decision_id == begun.decision.decision_id


def test_the_moment_of_a_verdict_is_never_a_bars_and_never_taken_twice(engine: Engine) -> None:
    by, close_ms = mind(engine), parse_time("2022-11-10")
    value = value_of(books(), mark(1.0), 0.0, NOW_MS)
    moments = []
    for nav in (1.0, 0.8, 1.0, 0.8):
        own = mark(nav, close_ms)
        judgement = by.judge(
            guard_facts(books(), value_of(books(), own, 0.0, close_ms), replace(watch(own), now_ms=close_ms)),
            books(),
            value,
            close_ms,
        )
        by.take(judgement)
        moments.append(judgement.verdict.at_ms)
    assert moments == [close_ms + 1, close_ms + 2, close_ms + 3, close_ms + 4]


def test_a_policy_that_counts_days_is_refused(engine: Engine) -> None:
    policy = bundle().policies["risk_guard"]
    text = policy.text.replace('when: {liquidations_24h: "> 0"}', 'when: {liquidations_24h: "> 0"}\n    for: 2 days')
    timed = parse_policy(text.encode(), "risk_guard.yaml", policy.vocabulary)
    with pytest.raises(UsageError, match="looks at the moment alone, and `liquidation` would count days"):
        Mind(timed, engine, {}, "test", ledger=LEDGER, valid_ms=1)
