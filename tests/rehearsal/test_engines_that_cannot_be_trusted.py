"""Two engines in earnest: where they differ, or one fails, the more severe outcome stands, entries are blocked, an
incident is opened, and the ledger keeps what each of them said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import DAY_MS, HOUR_MS, iso, parse_time
from engine.config import load_config
from engine.ledger import Ledger
from engine.market.synthetic import synthetic_market
from engine.policy.bundle import load_bundle
from engine.policy.decide import decide
from engine.policy.durable import DurableEngine
from engine.policy.host import EngineFault
from engine.rehearsal.approvals import ApproveAll
from engine.rehearsal.loop import Plan, Rehearsal
from engine.reports.verdicts import parse_verdict
from engine.reports.why import why_text
from strategies.ensemble import make_sleeves
from tests.rehearsal.conftest import CONFIG, RULES

if TYPE_CHECKING:
    from engine.ledger.rows import VerdictRecord
    from engine.policy.decide import Decision
    from engine.policy.model import Policy, Snapshot

START = parse_time("2024-01-01")
DAYS = 2
MORE, SILENT = (START + hour * HOUR_MS for hour in (10, 30))


class Troubled:
    """durable-rules, but for an hour in which it says more, and two in which it says nothing."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sound = DurableEngine(policy)

    def decide(self, snapshot: Snapshot) -> Decision:
        return decide(self._policy, snapshot, self)

    def fired(self, snapshot: Snapshot) -> tuple[str, ...]:
        fired = self._sound.fired(snapshot)
        if snapshot.at_ms == MORE:
            return (*fired, "worst_sleeve")
        if SILENT <= snapshot.at_ms < SILENT + 2 * HOUR_MS:
            raise EngineFault("the engine gave no answer in 1000 ms")
        return fired


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    config, bundle = load_config(CONFIG), load_bundle(RULES)
    market = synthetic_market(7, start_ms=START, days=DAYS)
    symbols = config.market.symbols
    sleeves = make_sleeves(config.ensemble.strategies, market.bars, symbols, config.backtest.slippage_bps)
    plan = Plan(market, sleeves, config, bundle, START, START + DAYS * DAY_MS, 3, ApproveAll())
    opened = Ledger.open(tmp_path_factory.mktemp("troubled") / "ledger.db", create=True)
    opened.set_meta(kind="rehearsal", created_at_ms=START, from_ms=START, stage=3, seed=7, source="synthetic")
    Rehearsal(plan, opened, Troubled(bundle.policies["action"]), "0").run(lambda _: None)
    return opened


def verdict(ledger: Ledger, at_ms: int) -> tuple[VerdictRecord, dict[str, Any]]:
    [record] = ledger.verdicts(at_ms, at_ms)
    return record, json.loads(record.document)


def entries(ledger: Ledger, at_ms: int) -> str:
    return str(json.loads(ledger.events("bounds", to_ms=at_ms)[-1].document)["entries"])


def test_the_more_severe_outcome_stands_and_both_traces_are_kept(ledger: Ledger) -> None:
    record, more = verdict(ledger, MORE)
    assert record.outcome == "REDUCE", "one engine fired a rule that the other did not"
    assert (more["agree"], more["fault"]) == (False, None)
    interpreter = more["traces"]["interpreter"]
    assert more["traces"]["durable"] == [*interpreter, "worst_sleeve"]
    assert more["fired"] == [*interpreter, "worst_sleeve"]


def test_a_fault_leaves_the_interpreters_outcome_and_no_opinion_of_the_other(ledger: Ledger) -> None:
    record, silent = verdict(ledger, SILENT)
    assert (silent["agree"], silent["fault"]) == (None, "the engine gave no answer in 1000 ms")
    assert silent["traces"] == {"durable": None, "interpreter": silent["fired"]}
    text = why_text(parse_verdict(record.document))
    assert "the interpreter decided ALONE, engine fault: the engine gave no answer in 1000 ms" in " ".join(text.split())
    assert "DISAGREE" not in text
    assert "DISAGREE" in why_text(parse_verdict(verdict(ledger, MORE)[0].document))


def test_entries_are_blocked_until_the_engines_agree_again(ledger: Ledger) -> None:
    for at_ms in (MORE, SILENT, SILENT + HOUR_MS):
        assert entries(ledger, at_ms) == "blocked", iso(at_ms)
    for at_ms in (START, MORE - HOUR_MS, MORE + HOUR_MS, SILENT + 2 * HOUR_MS):
        assert entries(ledger, at_ms) == "allowed", iso(at_ms)


def test_one_incident_is_opened_for_as_long_as_it_lasts_and_names_its_verdict(ledger: Ledger) -> None:
    opened = [event for event in ledger.events("incident") if event.subject == "engines"]
    assert [event.at_ms for event in opened] == [MORE, SILENT]
    for event in opened:
        told = json.loads(event.document)
        assert told["severity"] == "MEDIUM"
        assert told["verdict_id"] == verdict(ledger, event.at_ms)[0].verdict_id
