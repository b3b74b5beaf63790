"""What opens an incident, and what is the same one: read from the ledger's events alone."""

from __future__ import annotations

import json
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alerts.alert import QUEUED, Alert
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.errors import UsageError
from engine.ledger import Event, Fill, Ledger
from engine.operations.incidents.book import CLOSED, find, incidents
from engine.operations.incidents.opening import open_by_hand, open_demanded
from engine.reports.incident_papers import IncidentPapers
from engine.verdict import canonical
from tests.operations.incident_kit import T0_MS, Desk, new_desk, pause, paused_desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.ledger import VerdictRecord
    from engine.operations.incidents.book import Incident


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Ledger.open(tmp_path / "trading.db", create=True) as ledger:
        yield Desk(ledger, IncidentPapers(tmp_path / "reports"))


def told(every: tuple[Incident, ...]) -> list[tuple[str, str, str]]:
    return [(one.incident_id, one.severity, one.trigger) for one in every]


def test_R141_R190_R194_each_kind_of_trouble_opens_one_incident_with_its_severity(desk: Desk) -> None:
    desk.event("incident", T0_MS, "REDUCE", severity="HIGH", verdict_id="V1")
    desk.event("incident", T0_MS + HOUR_MS, "engines", severity="MEDIUM")
    desk.difference(T0_MS + 2 * HOUR_MS)
    desk.event("incident", T0_MS + DAY_MS, "PAUSE", severity="CRITICAL", verdict_id="V2")
    opened = desk.opened(T0_MS + DAY_MS + SECOND_MS)
    assert told(opened) == [
        ("INC-20240510-01", "HIGH", "REDUCE"),
        ("INC-20240510-02", "MEDIUM", "engines"),
        ("INC-20240510-03", "MEDIUM", "difference BTCUSDT"),
        ("INC-20240511-01", "CRITICAL", "PAUSE"),
    ]
    assert [one.opened_ms for one in opened[::3]] == [T0_MS, T0_MS + DAY_MS]  # the breach's mark (A86)
    assert "venue 0.1, ledger 0" in opened[2].why
    assert desk.opened(T0_MS + 2 * DAY_MS) == ()
    assert told(incidents(desk.ledger)) == told(opened)


def test_R161_R174_each_incident_is_told_once_as_loud_as_it_is_bad(desk: Desk) -> None:
    desk.event("incident", T0_MS, "PAUSE", severity="CRITICAL")
    desk.event("incident", T0_MS - HOUR_MS, "REDUCE", severity="HIGH")
    for _ in range(3):
        desk.opened(T0_MS + SECOND_MS)
    queued = [json.loads(row.document) for row in desk.ledger.events(QUEUED)]
    assert sorted((one["severity"], one["subject"]) for one in queued) == [
        ("CRITICAL", "INC-20240510-02"),
        ("HIGH", "INC-20240510-01"),
    ]
    assert all("stagegate incident show" in str(one["lines"]) for one in queued)


def test_R159_whoever_closes_the_book_it_is_one_incident_until_the_restart(desk: Desk) -> None:
    desk.event("incident", T0_MS, "FLATTEN_ALL", severity="CRITICAL", by="guard", decision_id="V9")
    desk.event("flatten_begun", T0_MS + SECOND_MS, "FLATTEN_ALL V9", symbols=[])
    desk.event("flatten", T0_MS + 2 * SECOND_MS, "FLATTEN_ALL", reason="a hard stop")
    desk.event("incident", T0_MS + HOUR_MS, "PAUSE", severity="CRITICAL", verdict_id="V3")
    desk.difference(T0_MS + HOUR_MS)  # what else happens while the book is closed belongs to it
    assert told(desk.opened(T0_MS + 2 * HOUR_MS)) == [("INC-20240510-01", "CRITICAL", "FLATTEN_ALL")]
    desk.event("restart", T0_MS + DAY_MS, "2", stage=2)
    desk.event("incident", T0_MS + DAY_MS + HOUR_MS, "PAUSE", severity="CRITICAL", verdict_id="V4")
    assert told(desk.opened(T0_MS + 2 * DAY_MS)) == [("INC-20240511-01", "CRITICAL", "PAUSE")]
    first, second = incidents(desk.ledger)
    assert (first.restarted_ms, first.state) == (T0_MS + DAY_MS, "restarted")
    assert (second.restarted_ms, second.state) == (None, "open")


def test_R165_a_flatten_by_hand_is_an_incident_although_no_policy_asked_for_it(desk: Desk) -> None:
    desk.event("flatten_begun", T0_MS, "by hand", symbols=[])
    (incident,) = desk.opened()
    assert (incident.severity, incident.why, incident.demands_flat) == ("CRITICAL", "by hand", True)


def test_A29_each_episode_of_reduction_is_an_incident_of_its_own(desk: Desk) -> None:
    desk.event("incident", T0_MS, "REDUCE", severity="HIGH")
    desk.event("incident", T0_MS + HOUR_MS, "REDUCE", severity="HIGH")  # another kind of episode, while the first runs
    desk.event("episode_end", T0_MS + DAY_MS, "REDUCE")
    desk.event("incident", T0_MS + 2 * DAY_MS, "REDUCE", severity="HIGH")
    assert [one.incident_id for one in desk.opened(T0_MS + 3 * DAY_MS)] == ["INC-20240510-01", "INC-20240512-01"]


def test_a_difference_that_lasts_is_one_incident_until_it_is_closed(desk: Desk) -> None:
    for minute in range(4):
        desk.difference(T0_MS + minute * MINUTE_MS)
        desk.opened(T0_MS + minute * MINUTE_MS + SECOND_MS)
    desk.difference(T0_MS, "ETHUSDT")
    desk.opened(T0_MS + HOUR_MS)
    names = ["difference BTCUSDT", "difference ETHUSDT"]
    assert [one.trigger for one in incidents(desk.ledger)] == names
    desk.event(CLOSED, T0_MS + HOUR_MS, "INC-20240510-01", by="alice")
    desk.difference(T0_MS + 2 * HOUR_MS)
    desk.opened(T0_MS + 3 * HOUR_MS)
    assert [one.trigger for one in incidents(desk.ledger)] == [*names, names[0]]


@pytest.mark.parametrize(("reason", "trigger"), [("forced", "order by force"), ("foreign", "order of somebody else")])
def test_an_order_that_nobody_here_sent_is_an_incident(desk: Desk, reason: str, trigger: str) -> None:
    fill = Fill("BTCUSDT-7", "risk", T0_MS, "BTCUSDT", -1, 0.1, 60_000.0, 60_000.0, "mark", 3.0, "venue-1", reason)
    desk.ledger.append(fill)
    desk.event("difference", T0_MS, "BTCUSDT-7", what="the venue closed by force", side=-1, qty=0.1, price=60_000.0)
    (incident,) = desk.opened()
    assert (incident.severity, incident.trigger) == ("MEDIUM", trigger)


def test_R194_a_person_opens_one_and_must_say_why(desk: Desk) -> None:
    incident = open_by_hand(desk.ledger, severity="HIGH", because=" stale prices ", by="alice", now_ms=T0_MS)
    assert (incident.incident_id, incident.severity, incident.why) == ("INC-20240510-01", "HIGH", "stale prices")
    assert desk.opened() == ()
    again = open_by_hand(desk.ledger, severity="MEDIUM", because="the same", by="bob", now_ms=T0_MS)
    assert again.incident_id == "INC-20240510-02"
    with pytest.raises(UsageError, match="does not say what happened"):
        open_by_hand(desk.ledger, severity="HIGH", because=" ", by="alice", now_ms=T0_MS)
    with pytest.raises(UsageError, match="`LOW` is no severity"):
        open_by_hand(desk.ledger, severity="LOW", because="x", by="alice", now_ms=T0_MS)
    with pytest.raises(UsageError, match="2 incidents have `INC-2024`"):
        find(desk.ledger, "INC-2024")
    with pytest.raises(UsageError, match="no incident has `INC-1999`"):
        find(desk.ledger, "INC-1999")


def test_R191_the_reason_of_a_verdict_stands_in_the_incident_with_value_and_threshold(tmp_path: Path) -> None:
    desk = paused_desk(tmp_path)
    incident = desk.found()
    assert incident.why == "the drawdown is beyond the hard stop: 12.5 % > 12 %"
    assert incident.verdict_id.startswith("V20240510-1400-action-")
    desk.ledger.close()


@pytest.mark.parametrize(
    ("reason", "told"),
    [("exchange maintenance", "; told: exchange maintenance"), ("PAUSE", ""), ("", "")],
)
def test_R191_what_a_person_who_closes_the_book_says_stands_behind_the_verdict(
    tmp_path: Path, reason: str, told: str
) -> None:
    desk = new_desk(tmp_path)
    desk.event("flatten_begun", T0_MS - SECOND_MS, reason, symbols=[])
    pause(desk)
    (incident,) = incidents(desk.ledger)
    assert incident.why == f"the drawdown is beyond the hard stop: 12.5 % > 12 %{told}"
    desk.ledger.close()


def test_two_processes_that_look_at_once_open_one_incident(tmp_path: Path) -> None:
    desk = paused_desk(tmp_path)
    verdict_id = desk.found().verdict_id
    desk.event("restart", T0_MS + HOUR_MS, "2")
    desk.event("incident", T0_MS + DAY_MS, "PAUSE", severity="CRITICAL", verdict_id=verdict_id)

    def look(papers: IncidentPapers, now_ms: int) -> None:
        with Ledger.open(desk.ledger.path) as ledger:
            open_demanded(ledger, papers, now_ms)

    other = Thread(target=look, args=(desk.papers, T0_MS + 2 * DAY_MS + 1))

    class Slow(IncidentPapers):
        """Lets another process look while an incident is being opened."""

        def why(self, record: VerdictRecord) -> str:
            other.start()
            other.join(0.2)
            return super().why(record)

    look(Slow(desk.papers.report_dir), T0_MS + 2 * DAY_MS)
    other.join()
    assert [one.incident_id for one in incidents(desk.ledger)] == ["INC-20240510-01", "INC-20240511-01"]
    desk.ledger.close()


KINDS = ("PAUSE", "REDUCE", "engines", "difference", "restart", "episode_end")


@settings(max_examples=8)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 48)), max_size=8))
def test_it_makes_no_difference_how_often_and_when_it_is_looked(
    tmp_path_factory: pytest.TempPathFactory, happened: list[tuple[str, int]]
) -> None:
    """The incidents of one look at the end are those of a look after each event."""
    severity = {"PAUSE": "CRITICAL", "REDUCE": "HIGH", "engines": "MEDIUM"}
    found = []
    for often in (True, False):
        folder = tmp_path_factory.mktemp("looks")
        with Ledger.open(folder / "trading.db", create=True) as ledger:
            desk, at_ms = Desk(ledger, IncidentPapers(folder)), T0_MS
            ledger.set_meta(kind="rehearsal")  # does not wait for the disk
            for kind, hours in happened:
                at_ms += hours * HOUR_MS
                if kind == "difference":
                    desk.difference(at_ms)
                else:
                    detail = {"severity": severity[kind]} if kind in severity else {}
                    desk.event("incident" if kind in severity else kind, at_ms, kind, **detail)
                if often:
                    open_demanded(ledger, desk.papers, at_ms)
            open_demanded(ledger, desk.papers, at_ms + DAY_MS)
            found.append([(one.incident_id, one.key, one.opened_ms) for one in incidents(ledger)])
    assert found[0] == found[1]
    halts = [key for _, key, _ in found[0]].count("halt")
    assert halts <= 1 + [kind for kind, _ in happened].count("restart")


def test_an_incident_opened_by_hand_closes_nothing_says_so_and_covers_no_later_halt(tmp_path: Path) -> None:
    desk = new_desk(tmp_path)
    at_ms = T0_MS - 5 * DAY_MS
    by_hand = open_by_hand(desk.ledger, severity="CRITICAL", because="a rumour", by="ann", now_ms=at_ms)
    (alert,) = [Alert.from_row(row) for row in desk.ledger.events(QUEUED, from_ms=at_ms, to_ms=at_ms)]
    assert dict(alert.lines)["done"] == "nothing is closed by this: `stagegate flatten` closes everything"
    closed = canonical({"by": "ann"})
    desk.ledger.append(Event(f"{by_hand.incident_id}-closed", at_ms + HOUR_MS, CLOSED, by_hand.incident_id, closed))
    desk.difference(T0_MS - DAY_MS)
    assert len(desk.opened(T0_MS - DAY_MS + SECOND_MS)) == 1
    halted = pause(desk)
    assert (halted.severity, halted.opened_ms) == ("CRITICAL", T0_MS)
    desk.ledger.close()
