"""Paper evidence: written by a paper ledger, verified by writing it again; whatever was claimed is refused."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.clock import DAY_MS, HOUR_MS, iso
from engine.drill import VARIABLE
from engine.errors import DataError, LedgerError, UsageError
from engine.ledger import Event, Ledger, VerdictRecord
from engine.ledger.rows import sha256_of
from engine.live.paper import started_beside
from engine.live.stage_evidence import verify_file, write_evidence
from engine.operations.stages.evidence import _canonical
from engine.verdict import canonical
from tests.operations.stages.staging import RULES, bundle, launched, start_ms, traded

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 33
PUBLIC = {"data": None, "klines": "klines", "seed": None, "speed": 1.0}


def decided(ledger: Ledger, at_ms: int, config_sha256: str) -> None:
    policy = bundle().policies["action"].sha256
    ledger.append(VerdictRecord(f"V-{at_ms}", at_ms, "action", "KEEP", policy, config_sha256, "0", "{}"))


def compared(ledger: Ledger, at_ms: int, *, bars: int = 720, percent: float = 99.5) -> None:
    sleeves = {symbol: {"compared": bars, "matched": bars - 1} for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")}
    said = {
        "from_ms": at_ms - bars * HOUR_MS, "to_ms": at_ms, "percent": percent, "sleeves": sleeves,
        "config_sha256": bundle().config_sha256,
    }  # fmt: skip
    ledger.append(Event(f"consistency-{iso(at_ms)}", at_ms, "consistency", "signals", canonical(said)))


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """A paper ledger of 33 days on the venue's public prices."""
    path, from_ms = tmp_path / "paper.db", start_ms(DAYS)
    with launched(path, kind="paper", stage=0, capital_usd=10_000.0, at_ms=from_ms) as ledger:
        traded(ledger, 10_000.0, from_ms, DAYS * 24)
        for day in range(1, DAYS + 1):
            decided(ledger, from_ms + day * DAY_MS, bundle().config_sha256)
        compared(ledger, from_ms + DAYS * DAY_MS)
    started_beside(path).write_text(json.dumps({"prices": PUBLIC, "pid": 1}))
    return path


@pytest.mark.requirement("R060")
def test_R056_R059_R063_A59_what_a_paper_ledger_proves_is_written_verified_and_known_to_real_moneys(
    paper: Path, tmp_path: Path
) -> None:
    file, real = tmp_path / "paper_state.json", tmp_path / "live.db"
    write_evidence(paper, file)
    said = json.loads(file.read_text())
    navs = np.array([nav for at_ms, nav in said["hourly_nav"] if at_ms % DAY_MS == 0])
    returns = (navs[1:] / navs[:-1] - 1)[-30:]
    assert said["facts"]["sharpe_30d"] == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(365))
    assert (said["days"], said["config_sha256"], len(said["hourly_nav"])) == (DAYS, bundle().config_sha256, 33 * 24 + 1)
    assert said["facts"]["signal_consistency"] == 99.5
    verify_file(real, RULES, file, paper)
    with Ledger.open(real, read_only=True) as ledger:
        (event,) = ledger.events("paper_evidence")
        assert event.subject == bundle().config_sha256
        known = json.loads(event.document)
        assert (known["facts"], known["sha256"]) == (said["facts"], sha256_of(file.read_text()))


def test_a_ledger_from_the_future_learns_of_no_evidence(paper: Path, tmp_path: Path) -> None:
    file, real = tmp_path / "paper_state.json", tmp_path / "live.db"
    write_evidence(paper, file)
    with launched(real, kind="live", stage=1, capital_usd=5_000.0, at_ms=start_ms(-1)) as ledger:
        with pytest.raises(UsageError, match="the clock here says"):
            verify_file(real, RULES, file, paper)
        assert not ledger.events("paper_evidence")


def alter(said: dict[str, Any]) -> None:
    said["facts"]["sharpe_30d"] = 2.5


def claim(said: dict[str, Any]) -> None:
    """Alter it, and put it right: only the ledger shows it."""
    alter(said)
    said["sha256"] = sha256_of(_canonical({name: value for name, value in said.items() if name != "sha256"}))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (alter, "it was altered since"),
        (claim, "`facts` is not what paper.db proves"),
        (dict.clear, "no paper evidence"),
    ],
)
def test_R056_evidence_that_is_altered_or_claimed_is_refused(
    paper: Path, tmp_path: Path, change: Any, why: str
) -> None:
    file, real = tmp_path / "paper_state.json", tmp_path / "live.db"
    write_evidence(paper, file)
    said = json.loads(file.read_text())
    change(said)
    file.write_text(json.dumps(said, sort_keys=True, indent=2) + "\n")
    with pytest.raises(DataError, match=why):
        verify_file(real, RULES, file, paper)
    assert not real.exists()


def test_R056_a_paper_ledger_that_somebody_changed_proves_nothing(paper: Path, tmp_path: Path) -> None:
    file = tmp_path / "paper_state.json"
    write_evidence(paper, file)
    connection = sqlite3.connect(paper)
    triggers = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
    for name in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("UPDATE events SET document = replace(document, '99.5', '99.9') WHERE kind = 'consistency'")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError):
        verify_file(tmp_path / "live.db", RULES, file, paper)


@pytest.mark.parametrize(
    ("prices", "why"),
    [({**PUBLIC, "seed": 7}, "synthetic"), ({**PUBLIC, "data": "/prices"}, "recorded"), (None, "unknown")],
)
def test_R058_A60_paper_on_other_prices_than_the_venues_is_a_rehearsal(
    paper: Path, tmp_path: Path, prices: dict[str, Any] | None, why: str
) -> None:
    file = tmp_path / "paper_state.json"
    started_beside(paper).write_text(json.dumps({"prices": prices}))
    write_evidence(paper, file)
    with pytest.raises(DataError, match=why):
        verify_file(tmp_path / "live.db", RULES, file, paper)


def test_A59_only_days_of_this_configuration_count_and_marks_must_be_what_was_earned(
    paper: Path, tmp_path: Path
) -> None:
    file, from_ms = tmp_path / "paper_state.json", start_ms(DAYS)
    with Ledger.open(paper) as ledger:
        decided(ledger, from_ms + 5 * DAY_MS + HOUR_MS, "f" * 64)
    assert write_evidence(paper, file).document["days"] == DAYS - 6
    with Ledger.open(paper) as ledger:
        decided(ledger, from_ms + DAYS * DAY_MS + 1, "f" * 64)
    write_evidence(paper, file)
    with pytest.raises(DataError, match="it is of configuration ffffffff"):
        verify_file(tmp_path / "live.db", RULES, file, paper)
    with sqlite3.connect(paper) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(
            "UPDATE marks SET equity_usd = equity_usd + 5 WHERE account = 'risk' AND at_ms > ?",
            (from_ms + 32 * DAY_MS,),
        )
    with pytest.raises(DataError, match="not what its sleeves earned"):
        write_evidence(paper, file)


def test_R063_only_a_paper_account_makes_evidence(tmp_path: Path) -> None:
    with launched(tmp_path / "live.db", kind="live", stage=1, capital_usd=5_000.0, at_ms=start_ms(1)):
        pass
    with pytest.raises(UsageError, match="the ledger of a live rollout"):
        write_evidence(tmp_path / "live.db", tmp_path / "paper_state.json")


def test_R058_a_rehearsal_stands_in_for_paper_in_a_drill_and_its_ledger_is_marked_for_ever(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, practice, real = tmp_path / "paper_state.json", tmp_path / "practice.db", tmp_path / "live.db"
    started_beside(paper).write_text(json.dumps({"prices": {**PUBLIC, "seed": 7}}))
    with Ledger.open(paper) as ledger:
        ledger.set_meta(kind="rehearsal")
    with pytest.raises(UsageError, match="the ledger of a rehearsal rollout"):
        write_evidence(paper, file)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "drill"))
    write_evidence(paper, file)
    verify_file(practice, RULES, file, paper)
    with Ledger.open(practice, read_only=True) as ledger:
        assert len(ledger.events("paper_evidence")) == 1
        assert ledger.meta()["venue"] == "drill"
    with Ledger.open(real, create=True) as ledger:
        ledger.set_meta(kind="live")
    with pytest.raises(UsageError, match="it is the ledger of real money"):
        verify_file(real, RULES, file, paper)
