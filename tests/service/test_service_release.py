"""Bundles that change under a running service, and candidates that decide beside it."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import HOUR_MS, SimulatedClock
from engine.errors import ConfigError, Problem, StagegateError, UsageError
from engine.history import SHADOW_VERDICT, shadow_verdicts
from engine.inquiry import ALLOW, replay
from engine.launch.signed import BUNDLE
from engine.launch_word import LAUNCH
from engine.ledger import VerdictRecord
from engine.live.connection import Mode
from engine.operations.approvals import approve, tallies
from engine.policy.bundle import load_bundle
from engine.policy_review.history import history_difference
from engine.service.book import ServiceBook
from engine.service.candidate import Candidate, check_candidate
from engine.service.duty import Duty
from engine.service.kept import kept, kept_before, releases_beside
from engine.service.serve import in_force
from engine.service.tree import ServeRequest
from engine.service.turnover import Turnover, prove
from engine.verdict import canonical
from tests.operations.incident_kit import RULES, T0_MS, Desk, bundle, paused_desk, people

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ledger.rows import Row
    from engine.policy.bundle import Bundle

ROOT = RULES.parents[1]
ACTION = "policies/action.yaml"
WIDER = ('{drawdown: "> $hard_stop_drawdown"}', '{drawdown: "> 14%"}')


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """A checkout's bundle, to be edited."""
    for name in ("config", "policies"):
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name)
    return tmp_path / "checkout/config/prod_scale_rules_R1.yaml"


def edit(rules: Path, *change: str) -> None:
    path = rules.parents[1] / ACTION
    text = path.read_text(encoding="utf-8")
    old, new = change or WIDER
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@dataclass
class Watched:
    """A turnover and everything that it does."""

    desk: Desk
    turnover: Turnover
    taken: list[Bundle] = field(default_factory=list)
    guarded: int = 0

    def write(self, rows: Sequence[Row]) -> None:
        self.desk.ledger.append(rows)

    async def guard(self) -> None:
        self.guarded += 1

    def look(self) -> None:
        asyncio.run(self.turnover.look())

    @property
    def told(self) -> list[str]:
        alerts = [Alert.from_row(event) for event in self.desk.ledger.events(QUEUED)]
        return [dict(alert.lines)["why"] for alert in alerts if "bundle" in alert.what]


def watched(folder: Path, rules: Path, mode: Mode, signers: Path) -> Watched:
    desk = paused_desk(folder)
    clock = SimulatedClock(T0_MS + HOUR_MS)
    found: list[Watched] = []

    async def guard() -> None:
        await found[0].guard()

    class Late:
        def write(self, rows: Sequence[Row]) -> None:
            found[0].write(rows)

    in_force = kept(load_bundle(rules), desk.ledger.path)

    def take(one: Bundle) -> None:
        found[0].taken.append(one)

    book = ServiceBook(Late(), clock, lambda _: None)
    turnover = Turnover(rules, desk.ledger.path, signers, mode, clock, in_force, take, guard, book)
    found.append(Watched(desk, turnover))
    return found[0]


def test_on_paper_a_changed_bundle_takes_over_once_and_a_broken_one_is_told_once(tmp_path: Path, edited: Path) -> None:
    seen = watched(tmp_path, edited, Mode.PAPER, tmp_path / "nobody")
    seen.look()
    assert not seen.taken
    edit(edited, WIDER[0], '{drawdown: "> twelve"}')
    seen.look()
    seen.look()
    assert not seen.taken
    assert len(seen.told) == 1
    edit(edited, '{drawdown: "> twelve"}', WIDER[1])
    seen.look()
    seen.look()
    assert [one.digest for one in seen.taken] == [load_bundle(edited).digest]


def test_a_release_that_cannot_be_put_in_force_is_told_and_tried_again(tmp_path: Path, edited: Path) -> None:
    seen = watched(tmp_path, edited, Mode.PAPER, tmp_path / "nobody")
    before, taken = seen.turnover.in_force, seen.turnover.take

    def full(_: Bundle) -> None:
        raise ConfigError(Problem("release", "copy", "no space left on the device", "free the disk"))

    edit(edited)
    seen.turnover.take = full
    seen.look()
    seen.look()
    assert seen.turnover.in_force is before
    assert seen.told == ["copy: no space left on the device"]
    seen.turnover.take = taken
    seen.look()
    assert [one.digest for one in seen.taken] == [load_bundle(edited).digest]


def test_a_bundle_with_which_no_guard_would_start_takes_nothing_over(tmp_path: Path, edited: Path) -> None:
    seen = watched(tmp_path, edited, Mode.PAPER, tmp_path / "nobody")
    path, before = edited.parents[1] / "policies/risk_guard.yaml", "    because: the venue was lost"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, f"    for: 2 days\n{before}", 1))
    seen.look()
    assert not seen.taken
    assert len(seen.told) == 1
    assert "would count days" in seen.told[0]
    with pytest.raises(UsageError, match="does not say how long the risk guard waits"):
        prove(replace(load_bundle(RULES), guard_times=None))


def test_A90_with_real_money_a_changed_bundle_takes_over_only_when_signed_by_enough_and_launched(
    tmp_path: Path, edited: Path
) -> None:
    signers = people(tmp_path / "keys", "alice", "bob")
    seen = watched(tmp_path, edited, Mode.REAL, signers)
    before = seen.turnover.in_force
    allowed(seen.desk, before)
    edit(edited)
    found = load_bundle(edited)
    for _ in range(3):
        seen.look()
    assert not seen.taken
    assert seen.told == [f"0 of 2 people have signed {found.digest[:4]}…"]
    now_ms = T0_MS + HOUR_MS
    (asked,) = [one.request for one in tallies(seen.desk.ledger, signers, now_ms) if one.request.action == BUNDLE]
    assert asked.subject == found.digest
    for name in ("alice", "bob"):
        assert not seen.guarded
        approve(seen.desk.ledger, asked.request_id, tmp_path / "keys" / name, signers, now_ms)
        seen.look()
        seen.look()
    assert seen.guarded == 1  # signed: the launch guard is asked, and not again each look
    assert not seen.taken
    assert "the launch guard does not allow it" in seen.told[-1]
    allowed(seen.desk, found)
    seen.look()
    assert [one.digest for one in seen.taken] == [found.digest]
    assert seen.turnover.in_force.digest == found.digest != before.digest


def allowed(desk: Desk, of: Bundle) -> None:
    """A launch verdict as the launch guard records it."""
    document = canonical({"hashes": {"digest": of.digest}})
    name = f"V-launch-{of.digest[:6]}"
    at_ms = T0_MS + HOUR_MS // 2 + len(desk.ledger.verdicts(policy=LAUNCH))
    desk.ledger.append(VerdictRecord(name, at_ms, LAUNCH, ALLOW, of.sha256, of.config_sha256, of.sha256, document))


def test_the_release_in_force_is_kept_whole_whatever_becomes_of_the_files(tmp_path: Path, edited: Path) -> None:
    ledger = tmp_path / "trading.db"
    named = load_bundle(edited)
    copy = kept(named, ledger)
    assert copy.digest == named.digest
    assert copy.path.is_relative_to(releases_beside(ledger))
    edit(edited)
    again = kept_before(ledger, named.digest, edited.name)
    assert again is not None
    assert again.digest == named.digest
    damaged = copy.path.parents[1] / ACTION
    damaged.write_text("nothing", encoding="utf-8")
    assert kept_before(ledger, named.digest, edited.name) is None
    edit(edited, WIDER[1], WIDER[0])
    assert kept(load_bundle(edited), ledger).digest == named.digest
    alerts = copy.path.with_name("alerts.yaml")
    assert not alerts.exists()
    edited.with_name("alerts.yaml").write_text("routes: {}", encoding="utf-8")
    assert alerts.read_text(encoding="utf-8") == "routes: {}"


def test_A90_a_start_on_files_that_may_not_run_goes_on_with_the_release_that_was_allowed(
    tmp_path: Path, edited: Path
) -> None:
    desk, said = paused_desk(tmp_path), list[str]()
    config = edited.with_name("prod_candidate_R1.yaml")
    path, nobody = desk.ledger.path, tmp_path / "nobody"
    request = ServeRequest(config, edited, path, Mode.REAL, nobody, nobody, nobody)
    with pytest.raises(UsageError, match="no launch is on record"):
        in_force(request, desk.ledger, said.append)
    before = load_bundle(edited)
    allowed(desk, before)
    first = in_force(request, desk.ledger, said.append)
    assert first.digest == before.digest
    assert not said
    own = kept(first, path)  # as a service does once nothing speaks against it
    assert kept(own, path) is own
    edit(edited)
    assert in_force(request, desk.ledger, said.append).digest == before.digest
    assert "allowed another release than the files here" in said[0]
    config.write_text("market: nonsense", encoding="utf-8")
    assert in_force(request, desk.ledger, said.append).digest == before.digest
    shutil.rmtree(releases_beside(path))
    with pytest.raises(StagegateError):
        in_force(request, desk.ledger, said.append)


def shadowing(desk: Desk, candidate: Bundle, at_ms: int) -> Duty:
    return Duty(desk.ledger, SimulatedClock(at_ms), bundle().config_path, candidate.path, Path(), lambda _: None)  # type: ignore[arg-type, return-value] # nothing is replayed


def test_a_candidate_decides_on_the_same_facts_is_kept_apart_and_shown_by_policy_diff(
    tmp_path: Path, edited: Path
) -> None:
    desk = paused_desk(tmp_path)
    edit(edited)
    candidate = load_bundle(edited)
    verdicts = desk.ledger.verdicts()
    record = [one for one in verdicts if one.policy == "action"][-1]
    assert record.outcome == "PAUSE"
    with Candidate(candidate) as shadow:
        asyncio.run(shadow.follow(shadowing(desk, candidate, T0_MS)))
        asyncio.run(shadow.follow(shadowing(desk, candidate, T0_MS + HOUR_MS)))
    with Candidate(candidate) as shadow:  # as after a crash
        asyncio.run(shadow.follow(shadowing(desk, candidate, T0_MS + HOUR_MS)))
    assert desk.ledger.verdicts() == verdicts
    assert desk.ledger.latest_verdict() == verdicts[-1]
    (found,) = shadow_verdicts(desk.ledger, candidate.policies["action"].sha256)
    assert (found.outcome, found.production, found.at_ms) == ("REDUCE", "PAUSE", T0_MS)
    assert not shadow_verdicts(desk.ledger, bundle().policies["action"].sha256)
    (event,) = desk.ledger.events(SHADOW_VERDICT)
    assert event.subject == candidate.digest
    assert json.loads(event.document)["agree"] is True
    assert replay(desk.ledger.path, record.verdict_id).identical
    desk.ledger.verify()
    day_close(desk)
    told = history_difference(bundle().policies, candidate.policies, desk.ledger.path)
    assert told.shadow == (found,)
    assert told.shadow_counts == {"PAUSE → REDUCE": 1}


def day_close(desk: Desk) -> None:
    """A complete day's facts, so that there is a history."""
    snapshot = desk.ledger.facts_at(T0_MS)
    assert snapshot is not None
    midnight = T0_MS - T0_MS % (24 * HOUR_MS)
    desk.ledger.append(replace(snapshot, at_ms=midnight, day_close=True))


def test_what_was_decided_before_the_candidate_came_is_not_its_business(tmp_path: Path, edited: Path) -> None:
    desk = paused_desk(tmp_path)
    edit(edited)
    candidate = load_bundle(edited)
    with Candidate(candidate) as shadow:
        asyncio.run(shadow.follow(shadowing(desk, candidate, T0_MS + HOUR_MS)))
    assert not desk.ledger.events(SHADOW_VERDICT)


def test_a_candidate_that_is_in_force_or_trades_another_configuration_is_refused(edited: Path) -> None:
    with pytest.raises(UsageError, match="is the one in force"):
        check_candidate(load_bundle(edited), bundle())
    edit(edited)
    with pytest.raises(UsageError, match="another configuration"):
        check_candidate(replace(load_bundle(edited), config_sha256="0" * 64), bundle())
