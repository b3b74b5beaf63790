"""A drill: `--real` at a simulator, and two kinds of ledgers and stores that are never taken for each other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from engine.alerts.settings import AlertSettings
from engine.clock import MINUTE_MS, SystemClock
from engine.config.secret import Secret
from engine.drill import VARIABLE
from engine.errors import LedgerError, UsageError
from engine.execution.binance.client import Keys
from engine.ledger import Ledger
from engine.live import drill
from engine.live.account_time import clock_at, clock_of
from engine.live.connection import KEY, SECRET, Announcement, Connection, Mode, announce, announced_beside, connection
from engine.live.public import public_market
from engine.live.status import status

if TYPE_CHECKING:
    from pathlib import Path

REAL = {KEY: "SENTINEL-KEY", SECRET: "SENTINEL-SECRET"}
BEHIND_MS = 20 * MINUTE_MS


@pytest.fixture
def exercise(tmp_path: Path) -> dict[str, str]:
    """The environment of a drill; its venue's time is twenty minutes behind."""
    now_ms = SystemClock().now_ms()
    said = Announcement("http://127.0.0.1:1", "ws://127.0.0.1:1/", "its-key", "its-secret", now_ms - BEHIND_MS, now_ms)
    announce(announced_beside(tmp_path / "drill"), said)
    return {**REAL, VARIABLE: str(tmp_path / "drill")}


def a_ledger(path: Path, **meta: str) -> Path:
    with Ledger.open(path, create=True) as opened:
        opened.set_meta(**meta)
    return path


def test_in_a_drill_real_goes_to_the_simulator_with_the_environments_keys_and_says_so(
    tmp_path: Path, exercise: dict[str, str]
) -> None:
    found = connection(Mode.REAL, tmp_path / "new.db", exercise)
    assert found.where == "DRILL: simulator at http://127.0.0.1:1"
    assert (found.keys.api_key, found.is_drill, found.mode) == ("SENTINEL-KEY", True, Mode.REAL)
    named_whole = {**exercise, VARIABLE: f"{exercise[VARIABLE]}.exchange.json"}
    assert connection(Mode.REAL, tmp_path / "new.db", named_whole) == found
    outside = connection(Mode.REAL, tmp_path / "new.db", {**REAL, VARIABLE: "  "})
    assert (outside.announcement, outside.is_drill, outside.where) == (None, False, "Binance USDⓈ-M futures")


def test_a_drill_without_keys_or_without_its_simulator_is_refused(tmp_path: Path, exercise: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="BINANCE_API_SECRET: error\\[no-key\\]"):
        connection(Mode.REAL, tmp_path / "new.db", {**exercise, SECRET: ""})
    with pytest.raises(UsageError, match="no simulated exchange is announced"):
        connection(Mode.REAL, tmp_path / "new.db", {**exercise, VARIABLE: str(tmp_path / "other")})


def test_a_ledger_of_real_money_never_goes_to_the_simulator(tmp_path: Path, exercise: dict[str, str]) -> None:
    ledger = a_ledger(tmp_path / "live.db", kind="live")
    with pytest.raises(UsageError, match="this would go to the simulator"):
        connection(Mode.REAL, ledger, exercise)
    assert not connection(Mode.REAL, ledger, REAL).is_drill


def test_the_ledger_of_a_drill_never_goes_to_the_real_venue(tmp_path: Path, exercise: dict[str, str]) -> None:
    path = a_ledger(tmp_path / "live.db", kind="live", venue="drill")
    with pytest.raises(UsageError, match="this would go to the real venue"):
        connection(Mode.REAL, path, REAL)
    assert connection(Mode.REAL, path, exercise).is_drill


def test_status_says_drill_also_where_the_simulator_is_gone_and_never_of_real_money(
    tmp_path: Path, exercise: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def where(ledger: Path, environ: dict[str, str]) -> str:
        for name in (KEY, SECRET, VARIABLE):
            monkeypatch.setenv(name, environ.get(name, ""))
        return status(ledger, Mode.REAL, tmp_path).where

    live = a_ledger(tmp_path / "live.db", kind="live")
    practised = a_ledger(tmp_path / "practised.db", venue="drill")
    drill.mark_beside(practised).touch()
    gone = {**REAL, VARIABLE: str(tmp_path / "gone")}
    assert where(tmp_path / "new.db", gone) == "DRILL, not reached"
    assert where(practised, gone) == "DRILL, not reached"
    assert where(practised, REAL) == "DRILL, not reached"
    assert where(live, exercise) == ""
    assert where(live, {}) == ""


def test_connecting_marks_what_is_written_in_a_drill_and_nothing_else(tmp_path: Path, exercise: dict[str, str]) -> None:
    path = tmp_path / "live.db"
    with Ledger.open(path, create=True) as ledger:
        connection(Mode.REAL, path, REAL).mark(ledger)
        assert "venue" not in ledger.meta()
        announced = connection(Mode.REAL, path, exercise).announcement
        Connection(Mode.PAPER, Keys("key", "secret"), announced).mark(ledger)
        assert "venue" not in ledger.meta()
        connection(Mode.REAL, path, exercise).mark(ledger)
        assert ledger.meta()["venue"] == "drill"
    with pytest.raises(UsageError, match="it is the ledger of a drill"):
        connection(Mode.REAL, path, REAL)


def test_a_ledger_that_cannot_be_read_still_finds_its_venue(tmp_path: Path, exercise: dict[str, str]) -> None:
    """On that night a `flatten` with a variable left over from a drill must not report the simulator's empty book."""
    path = tmp_path / "live.db"
    path.write_bytes(b"no database at all" * 100)
    assert not connection(Mode.REAL, path, REAL).is_drill
    with pytest.raises(UsageError, match="this would go to the simulator"):
        connection(Mode.REAL, path, exercise)
    drill.mark_beside(path).touch()
    assert connection(Mode.REAL, path, exercise).is_drill
    with pytest.raises(UsageError, match="this would go to the real venue"):
        connection(Mode.REAL, path, REAL)


def test_a_drill_that_cannot_be_marked_is_none(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "live.db", create=True) as ledger:
        drill.mark_beside(ledger.path).mkdir()
        with pytest.raises(LedgerError, match="a drill cannot be marked"):
            drill.mark(ledger)
        assert "venue" not in ledger.meta()


def test_simulated_prices_and_real_ones_never_share_a_store(tmp_path: Path, exercise: dict[str, str]) -> None:
    store, real = tmp_path / "simulated.db", tmp_path / "real.db"
    found = public_market(store, exercise)
    assert (found.url, found.said) == (
        "http://127.0.0.1:1/fapi",
        "DRILL: prices of the simulator at http://127.0.0.1:1",
    )
    assert SystemClock().now_ms() - found.clock.now_ms() >= BEHIND_MS
    with pytest.raises(UsageError, match="it holds simulated prices of a drill"):
        public_market(store, {})
    real.touch()
    assert public_market(real, {}).url is None
    with pytest.raises(UsageError, match="it holds real prices"):
        public_market(real, exercise)


def test_the_time_of_an_account_is_that_of_its_venue(
    tmp_path: Path, exercise: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_ledger(tmp_path / "live.db", venue="drill")
    for name, value in exercise.items():
        monkeypatch.setenv(name, value)
    assert abs(SystemClock().now_ms() - clock_at(path).now_ms() - BEHIND_MS) < MINUTE_MS
    assert isinstance(clock_at(tmp_path / "none.db"), SystemClock)
    monkeypatch.delenv(VARIABLE)
    with Ledger.open(path) as ledger:
        assert isinstance(clock_of(ledger), SystemClock)  # it cannot be reached: whoever asks next will say why


def test_what_people_are_sent_in_a_drill_begins_with_the_word(exercise: dict[str, str]) -> None:
    settings = AlertSettings((), Secret("[PROD-R1]"))
    assert settings.prefix_in({}) == "[PROD-R1]"
    assert settings.prefix_in(exercise) == "DRILL [PROD-R1]"
    assert dataclasses.replace(settings, prefix=None).prefix_in(exercise) == "DRILL"


def test_who_asks_whose_ledger_it_is_leaves_no_file_beside_it(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "desk" / "live.db", kind="live")
    drill.check(path, drill=False)
    with pytest.raises(UsageError, match="it is the ledger of real money"):
        drill.check(path, drill=True)
    assert [each.name for each in path.parent.iterdir()] == ["live.db"]
