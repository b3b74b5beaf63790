"""The days of a history on which two policies differ, counted by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, iso
from engine.errors import LedgerError, UsageError
from engine.ledger import Ledger
from engine.policy_review.diff import diff_report
from engine.policy_review.rehearsals import period_of
from engine.policy_review.replay import replay_report
from engine.policy_review.text import diff_text, policy_replay_text
from engine.reports.plain import plain
from tests.policy_review.conftest import RULES, START_MS, write_history

if TYPE_CHECKING:
    from pathlib import Path

    from tests.policy_review.conftest import Repository

#            1    2    3     4     5     6     7    8     9    10
DRAWDOWNS = [1.0, 9.5, 11.0, 11.5, 12.5, 11.2, 9.0, None, 9.5, 10.0]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write_history(tmp_path / "paper.db", list(DRAWDOWNS))


def day(number: int) -> str:
    return iso(START_MS + (number - 1) * DAY_MS)[:10]


def test_the_days_that_differ_their_reasons_and_their_counts(repository: Repository, ledger: Path) -> None:
    repository.edit("facts.yaml", '"12%"', '"11.2%"')  # PAUSE above 11.2 %: days 4 and 5, not day 6
    report = diff_report("main", str(RULES), ledger, rules=RULES)
    assert report.history is not None
    (stretch,) = report.history.stretches
    assert (stretch.change, stretch.days, iso(stretch.first_ms)[:10]) == ("REDUCE → PAUSE", 1, day(4))
    assert stretch.reasons == ("`hard_stop` fires: the drawdown is beyond the hard stop",)
    assert report.history.counts == {"REDUCE → PAUSE": 1}
    assert (report.history.days, report.history.changed_days, report.history.softer_days) == (10, 1, 0)
    assert not report.softened


@pytest.mark.parametrize("kind", ["live", "paper", "rehearsal"])
def test_any_ledger_is_a_history_also_while_it_is_written_to(repository: Repository, tmp_path: Path, kind: str) -> None:
    repository.edit("facts.yaml", '"12%"', '"11.2%"')
    path = write_history(tmp_path / f"{kind}.db", list(DRAWDOWNS), kind=kind)
    with Ledger.open(path) as writing:
        writing.set_meta(busy="yes")
        report = diff_report("main", str(RULES), path, rules=RULES)
    assert report.history is not None
    assert (report.history.kind, report.history.counts) == (kind, {"REDUCE → PAUSE": 1})
    assert f"({kind})" in diff_text(report)


def test_a_softer_band_is_softer_on_the_days_it_touches(repository: Repository, ledger: Path) -> None:
    repository.edit("action.yaml", 'red: "> 10%"', 'red: "> 11.4%"')
    report = diff_report("main", str(RULES), ledger, rules=RULES)
    assert report.history is not None
    found = [
        (iso(one.first_ms)[:10], iso(one.last_ms)[:10], one.change, one.softer) for one in report.history.stretches
    ]
    # day 3 was red and is the second yellow day; day 6 was red and begins a yellow streak, so day 9 is its third
    assert found == [
        (day(3), day(3), "REDUCE → KEEP", True),
        (day(6), day(6), "REDUCE → KEEP", True),
        (day(9), day(9), "KEEP → REDUCE", False),
    ]
    reasons = [one.reasons for one in report.history.stretches]
    assert reasons[0] == reasons[1] == ("`drawdown_red` no longer fires: the drawdown is red",)
    assert reasons[2] == ("`yellow_too_long[drawdown]` fires: the band has been yellow for too long",)
    assert report.softened
    text = diff_text(report)
    assert "3 of 10 days differ: 2 days REDUCE → KEEP, 1 day KEEP → REDUCE; 2 days softer" in " ".join(text.split())
    assert all(len(line) <= 80 for line in text.splitlines() if str(ledger) not in line)
    document = plain(report)
    assert json.loads(json.dumps(document)) == document
    assert document["history"]["softer_days"] == 2
    assert document["softened"] is True


def test_what_a_history_never_visits(repository: Repository, ledger: Path) -> None:
    repository.edit("action.yaml", "title: A small policy", "title: Another")
    history = diff_report("main", str(RULES), ledger, rules=RULES).history
    assert history is not None
    assert history.stretches == ()
    # stage has no value on any day; the two rules about the equity and the Sharpe ratio never fire
    assert set(history.never_fired) == {"equity_lost", "sharpe_low", "equity_stale", "scale_up", "late"}
    assert history.never_known == ("stage",)


def test_the_same_history_has_the_same_hash_and_another_another(repository: Repository, tmp_path: Path) -> None:
    del repository
    paths = [write_history(tmp_path / f"{name}.db", [1.0, last]) for name, last in (("a", 2.0), ("b", 2.0), ("c", 3.0))]
    hashes = []
    for path in paths:
        history = diff_report("main", "HEAD", path, rules=RULES).history
        assert history is not None
        hashes.append(history.sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_empty_ledger_is_said(repository: Repository, tmp_path: Path) -> None:
    del repository
    with pytest.raises(LedgerError, match="the ledger holds no complete day"):
        diff_report("main", "HEAD", write_history(tmp_path / "empty.db", []), rules=RULES)


def test_two_kinds_are_not_compared(repository: Repository) -> None:
    del repository
    with pytest.raises(UsageError, match=r"is a bundle, .* a policy"):
        diff_report("main", "main:rules/action.yaml", None, rules=RULES)


def test_a_replay_counts_days_and_compares_with_another(repository: Repository, ledger: Path) -> None:
    repository.edit("facts.yaml", '"12%"', '"11.2%"')
    report = replay_report(ledger, str(RULES), rules=RULES, against="main")
    # 1, 2 green and yellow; 3, 6 red; 4, 5 beyond the stop; 7 yellow, 8 unknown, 9 yellow again, 10 its third
    assert report.replay.counts == {"PAUSE": 2, "REDUCE": 3, "SCALE_UP": 0, "KEEP": 5}
    assert report.against is not None
    assert report.against.counts == {"REDUCE → PAUSE": 1}
    text = policy_replay_text(report)
    assert "PAUSE         2 days   20.0 %   1 time, the longest 2 days" in text
    assert json.dumps(plain(report))


def test_only_a_rehearsal_can_be_rehearsed_again(repository: Repository, ledger: Path) -> None:
    del repository
    with pytest.raises(UsageError, match="a paper ledger cannot be rehearsed again"):
        replay_report(ledger, "main", rules=RULES, in_loop=True)


def test_a_rehearsal_of_recorded_prices_is_found_again_in_its_ledger(tmp_path: Path) -> None:
    path = tmp_path / "rehearsed.db"
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(
            kind="rehearsal",
            created_at_ms=START_MS,
            source="prices",
            from_ms=START_MS,
            to_ms=START_MS + 10 * DAY_MS,
            stage=2,
            command="stagegate rehearse --data prices --klines=klines_composite --approve none",
        )
    found = period_of(path)
    assert (found.data, found.klines, found.approve, found.stage, found.seed) == (
        "prices", "klines_composite", "none", 2, None,
    )  # fmt: skip
    assert (found.from_ms, found.to_ms) == (START_MS, START_MS + 10 * DAY_MS)
    assert found.title == "recorded prices of prices, 2024-03-01 to 2024-03-11, from stage 2, approvals: none"


def test_a_bundle_without_an_action_policy_cannot_be_replayed(repository: Repository, ledger: Path) -> None:
    del repository
    with pytest.raises(UsageError, match="holds no action policy"):
        replay_report(ledger, "main:rules/stages.yaml", rules=RULES)
