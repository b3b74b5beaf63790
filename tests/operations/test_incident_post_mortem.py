"""The post-mortem of SOP §6: prefilled from the ledger, filled in by people, and refused while a part is empty."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.errors import UsageError
from engine.ledger import Event
from engine.ledger.rows import Mark
from engine.operations.incidents.book import STEP, STEPS
from engine.operations.incidents.caretaker import tick
from engine.operations.incidents.closing import close
from engine.operations.incidents.impact import impact
from engine.operations.incidents.post_mortem import HumanPart, missing, read
from engine.verdict import canonical
from tests.operations.incident_kit import FRONT, T0_MS, WRITTEN, Desk, flow, marked, paused_desk, suite_ran

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).parent / "golden/post_mortem.md"
INC = "INC-20240510-01"
NOW_MS = T0_MS + 6 * HOUR_MS

ACCOUNT = {"at_ms": T0_MS + 301_000, "at": "2024-05-10T14:05:01Z", "positions": [], "orders": [], "stops": []}
FOUND = {
    "T+0": {
        "alert": "N1",
        "flat": {"verified_ms": T0_MS + 1_800, "in_time": True, "steps": {}, "begun_ms": T0_MS, "by": "PAUSE"},
    },
    "T+5": {"account": {**ACCOUNT, "wallet_usd": "15437.5", "margin_usd": "15437.5", "available_usd": "15437.5"}},
    "T+15": {
        "copy": {
            "path": "reports/incidents/20240510_1415_trading.db",
            "events": 9,
            "audit_sha256": "ab12" * 16,
            "audit": "holds",
        },
        "snapshot": "reports/incidents/20240510_1415_INC-20240510-01_venue.json",
        "report": ["reports/prod_reports/daily/2024-05-10.md"],
        "post_mortem": "reports/incidents/INC-20240510-01.md",
    },
    "T+30": {"alert": "N2", "log": "reports/incidents/incident_log.md", "post_mortem": "…"},
}


def stepped(desk: Desk) -> None:
    """Record that all four steps were carried out in time."""
    for step in STEPS:
        at_ms = T0_MS + int(step.removeprefix("T+")) * MINUTE_MS + SECOND_MS
        document = canonical({"step": step, "found": FOUND[step], "problems": []})
        desk.ledger.append(Event(f"{INC}-{step}-done", at_ms, STEP, INC, document))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk that was paused, with everything done but what people write."""
    made = paused_desk(tmp_path)
    stepped(made)
    tick(made.ledger, INC, "screenshot", "alice", T0_MS + 20 * MINUTE_MS)
    marked(made, NOW_MS)
    suite_ran(made, NOW_MS)
    yield made
    made.ledger.close()


def write(desk: Desk, front: str = FRONT) -> Path:
    """Fill in the head of the post-mortem as a person would."""
    path = desk.papers.post_mortem(desk.ledger, INC, NOW_MS)
    text = path.read_text()
    path.write_text(front + text[text.index("---\n", 4) + 4 :])
    return path


def test_R190_R191_R192_R193_R194_R195_R200_R201_R202_the_post_mortem_is_prefilled_from_the_ledger(desk: Desk) -> None:
    path = write(desk)
    closed, again = close(desk.ledger, INC, desk.papers, "alice", NOW_MS + MINUTE_MS)
    assert (again, closed.state) == (path, "closed")
    text = re.sub(r"(V2024\d+-\d+-action)-[0-9a-f]{6}", r"\1-xxxxxx", path.read_text())
    text = re.sub(r"ledger, [0-9a-f]{12}:", "ledger, xxxxxxxxxxxx:", text)
    if os.environ.get("STAGEGATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_R193_R200_the_loss_leaves_cash_flows_out(desk: Desk) -> None:
    flow(desk, T0_MS - HOUR_MS // 2, 1_000.0)
    found = impact(desk.ledger, desk.found(), NOW_MS)
    assert found.anomaly_ms == T0_MS - HOUR_MS  # the REDUCE of the bar before belongs to it
    assert found.before is not None
    assert found.after is not None
    before = desk.ledger.last_mark("risk", T0_MS - 2 * HOUR_MS)
    held = desk.ledger.last_mark("risk", T0_MS - 1)
    breach, flat = desk.ledger.last_mark("risk", T0_MS), desk.ledger.last_mark("risk", T0_MS + HOUR_MS)
    assert before is not None
    assert held is not None
    assert breach is not None
    assert flat is not None
    assert found.pnl_usd == pytest.approx(flat.equity_usd - before.equity_usd - 1_000)
    assert found.until == "flat"
    assert found.before.balance_usd == pytest.approx(before.equity_usd + 1_000)  # the wallet began with 16,000
    peak = desk.ledger.marks("risk").nav.max()
    assert found.after.max_drawdown == pytest.approx(1 - breach.nav / peak)
    assert found.before.drawdown == pytest.approx(1 - before.nav / peak)
    assert found.gross_usd == pytest.approx(held.gross_usd)
    assert found.cap_usd == 15_000


def guard_mark(desk: Desk, at_ms: int, equity_usd: float, gross_usd: float) -> None:
    """Mark the account as the risk guard does, each minute."""
    last = desk.ledger.last_mark("risk", at_ms)
    assert last is not None
    nav = equity_usd / last.units
    desk.ledger.append([Mark("guard", at_ms, equity_usd, nav, last.units, 1.0, last.cap_usd, gross_usd)])


def test_R193_R200_within_the_hour_the_risk_guards_marks_tell_what_was_held_and_lost(tmp_path: Path) -> None:
    desk = paused_desk(tmp_path)
    stepped(desk)
    anomaly_ms, flat_ms = T0_MS - HOUR_MS, T0_MS + 1_800
    guard_mark(desk, anomaly_ms - 30 * SECOND_MS, 14_000.0, 9_000.0)
    guard_mark(desk, T0_MS - 30 * SECOND_MS, 13_000.0, 8_000.0)
    now_ms = T0_MS + 5 * MINUTE_MS
    before = impact(desk.ledger, desk.found(), now_ms)
    assert before.pnl_usd is None  # nobody has marked since it was flat: not known, never 0
    assert before.gross_usd == 8_000.0
    guard_mark(desk, flat_ms + MINUTE_MS, 12_990.0, 0.0)
    found = impact(desk.ledger, desk.found(), now_ms)
    assert found.pnl_usd == pytest.approx(12_990.0 - 14_000.0)
    assert found.before is not None
    assert found.after is not None
    assert (found.before.equity_usd, found.after.equity_usd) == (14_000.0, 12_990.0)
    peak = desk.ledger.marks("risk").nav.max()
    last = desk.ledger.last_mark("risk")
    assert last is not None
    assert found.after.drawdown == pytest.approx(1 - 12_990.0 / last.units / peak)
    desk.ledger.close()


PARTS = {
    "author": "R190",
    "root_cause": "R196",
    "cause": "R196",
    "root_cause_identified": "R195",
    "resolution_deployed": "R195",
    "went_well": "R197",
    "went_wrong": "R198",
    "actions": "R199",
    "release": "R178",
}


@pytest.mark.parametrize("part", PARTS)
def test_R190_R195_R196_R197_R198_R199_R203_closing_is_refused_while_a_part_is_empty_and_names_it(
    desk: Desk, part: str
) -> None:
    lines = FRONT.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{part}:"))
    end = next(number for number, line in enumerate(lines) if number > start and not line.startswith(" "))
    write(desk, "".join([*lines[:start], *lines[end:]]))
    with pytest.raises(UsageError) as refused:
        close(desk.ledger, INC, desk.papers, "alice", NOW_MS)
    named = [problem for problem in refused.value.problems if problem.code != "untested"]
    assert [problem.problem for problem in named] == [f"`{part}` is empty"]
    assert named[0].where.endswith("INC-20240510-01.md")
    assert desk.found().closed is None
    assert desk.found().written is not None  # what was written is recorded all the same


def test_R196_a_placeholder_is_no_root_cause() -> None:
    for said in ("", "  ", "[Detailed description]", "?", "--", "??? -"):
        assert "root_cause" in dict(missing(dataclasses.replace(WRITTEN, root_cause=said)))
    assert missing(WRITTEN) == ()
    assert missing(dataclasses.replace(WRITTEN, cause="market", release="")) == ()
    assert dict(missing(HumanPart())).keys() == PARTS.keys() - {"release"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("cause: bug", "cause: weather"), "INC-20240510-01.md:4:8: error[cause]: `weather` is no cause"),
        (
            ("root_cause:", "rootcause:"),
            "3:1: error[unknown-key]: `rootcause` is no field\n  help: did you mean `root_cause`?",
        ),
        (("2024-05-10T16:00Z", "yesterday"), "`yesterday` is no date or time"),
        ((", owner: bob", ""), "a thing to do has no `owner`"),
        (("went_well:\n  - the book was flat in two seconds", "went_well: good"), "`went_well` is no list of texts"),
        (
            ("{item: size on equity, owner: bob, due: 2024-05-20, status: open}", "later"),
            "`actions` is no list of things",
        ),
        (("author: alice", "author: [a"), "not valid YAML"),
        (("2024-05-10T16:00Z", "2024-05-09"), "before the incident or in the future"),
        (("2024-05-10T19:00Z", "2024-06-10"), "before the incident or in the future"),
    ],
)
def test_R203_what_cannot_be_understood_is_refused_with_its_line(
    desk: Desk, change: tuple[str, str], said: str
) -> None:
    write(desk, FRONT.replace(*change))
    with pytest.raises(UsageError) as refused:
        close(desk.ledger, INC, desk.papers, "alice", NOW_MS)
    assert said in str(refused.value)


def test_R176_R203_an_incident_with_steps_undone_is_not_closed(tmp_path: Path) -> None:
    desk = paused_desk(tmp_path)
    with pytest.raises(UsageError) as refused:
        close(desk.ledger, INC, desk.papers, "alice", NOW_MS)
    said = [problem.problem for problem in refused.value.problems]
    assert said[:4] == [f"{step} is not done: nobody has carried it out" for step in STEPS]
    assert said[4] == "nobody has ticked the screenshot"
    assert said[5:] == [f"`{part}` is empty" for part in PARTS if part != "release"]
    desk.ledger.close()


@pytest.mark.parametrize(
    "run", [{"green": False}, {"changed": ("a.py",)}, {"config_sha256": "b"}, {"tags": ("v0.1.0",)}]
)
def test_R178_R189_A104_a_fix_that_is_not_wholly_tested_does_not_close_a_bug(
    desk: Desk, run: dict[str, object]
) -> None:
    write(desk)
    suite_ran(desk, NOW_MS + 1, **run)
    with pytest.raises(UsageError, match="no whole green test run of `v0"):
        close(desk.ledger, INC, desk.papers, "alice", NOW_MS + 2)
    suite_ran(desk, NOW_MS + 3)
    assert close(desk.ledger, INC, desk.papers, "alice", NOW_MS + 4)[0].closed
    with pytest.raises(UsageError, match="it was closed by alice"):
        close(desk.ledger, INC, desk.papers, "bob", NOW_MS + DAY_MS)


def test_what_people_wrote_is_never_lost(desk: Desk) -> None:
    path = write(desk, FRONT.replace("author: alice", "author: alice   # on call"))
    head = path.read_text().split("<!--")[0]
    path.write_text(path.read_text() + "\nand by the way: it rained\n")
    desk.papers.post_mortem(desk.ledger, INC, NOW_MS)
    assert path.read_text().split("<!--")[0] == head
    kept = path.with_name("INC-20240510-01.edited.md")
    assert "it rained" in kept.read_text()
    assert "it rained" not in path.read_text()
    path.write_text("no head at all")
    with pytest.raises(UsageError, match="the fields at its head are gone"):
        read(path)
    desk.papers.post_mortem(desk.ledger, INC, NOW_MS)
    assert missing(read(path))
    assert path.with_name("INC-20240510-01.edited.2.md").read_text() == "no head at all"
