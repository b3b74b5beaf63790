"""`incident`, `restart` and `rollback` as people call them."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import cli
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SystemClock
from engine.ledger import Ledger
from engine.live.connection import Announcement, announce, announced_beside
from engine.market.series import Market
from engine.operations.incidents.post_mortem import split
from engine.simulator.exchange import Exchange
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_paced
from strategies.bars import Bars
from tests.operations.incident_kit import (
    FRONT,
    T0_MS,
    Desk,
    bundle,
    launch_allowed,
    marked,
    opened_desk,
    paused_desk,
    people,
    suite_ran,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.clock import Clock

ROOT = Path(__file__).parents[2]
INC = "INC-20240510-01"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of work with the shipped bundle, into which reports are written."""
    for name in ("config", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGEGATE_LEDGER", str(tmp_path / "trading.db"))
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command and return its exit code and everything it said."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        heard = capsys.readouterr()
        return int(ended.value.code or 0), heard.out + heard.err

    return run


def rehearsal(here: Path) -> Desk:
    """A paused desk whose time stands still at its last mark, half an hour after the breach at the least."""
    desk = paused_desk(here)
    desk.ledger.set_meta(kind="rehearsal")
    marked(desk, T0_MS + 60 * MINUTE_MS)
    return desk


def test_R175_R190_list_and_show_say_what_happened_and_what_to_do(
    here: Path, said: Callable[..., tuple[int, str]]
) -> None:
    rehearsal(here).ledger.close()
    code, text = said("incident", "list")
    assert code == 0
    assert INC in text
    assert "CRITICAL" in text
    code, text = said("incident", "show", "20240510-01")
    assert code == 0
    told = "PAUSE: the drawdown is beyond the hard stop", "not tried yet", "to be ticked by a person"
    to_do = f"stagegate incident step {INC} T+5", "empty  author, root_cause", f"stagegate restart {INC}"
    for word in (*told, *to_do):
        assert word in text
    assert (here / f"reports/incidents/{INC}.md").exists()
    code, text = said("incident", "show", INC, "--json")
    shown = json.loads(text)
    assert (shown["incident_id"], shown["state"], shown["left"][-1]) == (INC, "open", "screenshot")
    assert said("incident", "list", "--ledger", here / "none.db")[0] == 1


def test_R168_R171_R176_a_step_is_carried_out_or_says_what_is_missing(
    here: Path, said: Callable[..., tuple[int, str]]
) -> None:
    desk = rehearsal(here)
    desk.event("incident", T0_MS - DAY_MS, "REDUCE", severity="HIGH")
    desk.ledger.close()
    assert said("incident", "step", INC, "T+0") == (0, "T+0 is done, 2024-05-10T15:00:00Z\n")
    code, text = said("incident", "step", INC)  # all that are due
    assert code == 1
    assert "T+5 is NOT done" in text
    assert "a rehearsal ledger has no account at a venue" in text
    assert "T+30 is done" in text
    assert (here / "reports/incidents/20240510_1500_trading.db").exists()
    assert (here / "reports/incidents/incident_log.md").exists()
    code, text = said("incident", "due")  # opens what nobody has opened yet
    assert code == 1
    assert "INC-20240509-01 T+0 is done" in text
    assert f"{INC} T+15 is NOT done" in text
    code, text = said("incident", "step", INC, "T+9")
    assert (code, "`T+9` is no step of an incident" in text) == (2, True)


@pytest.fixture
def venue(here: Path) -> Iterator[None]:
    """A simulated venue in a thread of its own, twenty minutes after the breach, announced to the ledger here."""
    times = T0_MS + np.arange(-2, 3, dtype=np.int64) * HOUR_MS
    ones = np.full(len(times), 60_000.0)
    bars = {symbol: Bars(symbol, times, ones, ones, ones, ones, ones) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")}
    start_ms, ready, over = T0_MS + 20 * MINUTE_MS, threading.Event(), threading.Event()
    exchange = Exchange(usual_spec(), RecordedPrices(Market(bars, bars, {}), seed=1), start_ms, seed=1)
    exchange.open_account("bot", "key", "secret", "15437.50")

    async def serve(clock: Clock) -> None:
        async with SimulatorServer(exchange, clock, repeat_s=None) as server:
            where = Announcement(
                server.rest_url, server.stream_url, "key", "secret", clock.now_ms(), SystemClock().now_ms()
            )
            announce(announced_beside(here / "trading.db"), where)
            ready.set()
            while not over.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=run_paced, args=(serve, start_ms, 1.0))
    thread.start()
    assert ready.wait(20)
    yield
    over.set()
    thread.join()


@pytest.mark.usefixtures("venue")
def test_R168_R170_R172_the_steps_ask_the_venue_in_its_own_time(
    here: Path, said: Callable[..., tuple[int, str]]
) -> None:
    paused_desk(here).ledger.close()
    code, text = said("incident", "step", INC)
    assert code == 0, text
    assert re.findall(r"(T\+\d+) is done, 2024-05-10T14:20", text) == ["T+0", "T+5", "T+15"]
    assert "0 positions, 0 orders" in " ".join(said("incident", "show", INC)[1].split())
    (snapshot,) = (here / "reports/incidents").glob("*_venue.json")
    assert json.loads(snapshot.read_text())["wallet_usd"] == "15437.50000000"


def test_R172_R197_R203_tick_and_close_refuse_what_is_missing_and_name_it(
    here: Path, said: Callable[..., tuple[int, str]]
) -> None:
    rehearsal(here).ledger.close()
    assert said("incident", "tick", INC, "screenshot")[0] == 2  # nobody is named
    code, text = said("incident", "tick", INC, "screenshot", "--by", "alice")
    assert (code, "by alice" in text) == (0, True)
    code, text = said("incident", "close", INC)
    assert code == 2
    assert "error[step]: T+5 is not done" in text
    assert "error[empty]: `went_well` is empty" in text
    assert "screenshot" not in text


def test_R194_open_by_hand(here: Path, said: Callable[..., tuple[int, str]]) -> None:
    with Ledger.open(here / "trading.db", create=True):
        pass
    code, text = said("incident", "open", "--because", "stale prices", "--severity", "HIGH", "--by", "alice")
    assert (code, "HIGH" in text, "stale prices" in text) == (0, True, True)
    assert said("incident", "open", "--because", "x", "--severity", "BAD")[0] == 2
    assert said("incident", "open")[0] == 2


def test_R180_R181_R183_restart_says_what_is_missing_asks_people_and_lets_it_go_on(
    here: Path, said: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    signers = people(here / "keys", "alice", "bob", "carol")
    with_signers = ("--signers", signers)
    desk = rehearsal(here)
    desk.ledger.close()
    code, text = said("restart", INC, *with_signers)
    assert code == 30
    assert "STAY_FLAT" in text
    assert "stage 2 at $10,000, from stage 3" in text
    assert "nobody has been asked" in text
    code, text = said("restart", INC, "--key", here / "keys/carol", "--json", *with_signers)
    decided = json.loads(text)
    assert {each["rule"] for each in decided["conditions"] if not each["holds"]} == {
        "post_mortem", "fix_tested", "regime", "launch_guard", "sign_off",
    }  # fmt: skip
    request = decided["request_id"]
    assert said("approve", request, "--key", here / "keys/carol", *with_signers)[0] == 2  # who asks does not sign
    path = here / f"reports/incidents/{INC}.md"
    front = FRONT.replace("T16:00Z", "T14:20Z").replace("T19:00Z", "T14:50Z")
    path.write_text(front + split(path.read_text())[1])
    desk = opened_desk(here, (here / "trading.db").read_bytes())
    for name in ("alice", "bob"):
        from engine.operations.approvals import approve  # noqa: PLC0415 - a rehearsal's time, not the machine's

        approve(desk.ledger, request, here / "keys" / name, signers, T0_MS + 60 * MINUTE_MS)
    suite_ran(desk, T0_MS + 60 * MINUTE_MS)
    launch_allowed(desk, T0_MS + 60 * MINUTE_MS, digest=digest_here(here))
    desk.ledger.close()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, text = said("restart", INC, *with_signers)
    assert (code, "granted" in text) == (1, False), text
    code, text = said("restart", INC, "--yes", *with_signers)
    assert code == 0, text
    assert "ALLOW_RESTART" in text
    assert "granted: the desk restarts at its next decision" in text
    boxes = path.read_text().partition("## Restart Decision")[2]
    assert "[ ]" not in boxes
    assert "Team sign-off: alice, bob" in boxes
    assert "Stage 2 at $10,000" in boxes


def digest_here(here: Path) -> str:
    from engine.policy.bundle import load_bundle  # noqa: PLC0415 - only here

    digest = load_bundle(here / "config/prod_scale_rules_R1.yaml").digest
    assert digest == bundle().digest  # where the files lie is no part of it
    return digest


def test_R185_R187_R188_rollback_lists_tags_and_refuses_a_tree_that_is_not_clean(
    here: Path, said: Callable[..., tuple[int, str]]
) -> None:
    tree = here / "tree"
    tree.mkdir()
    git = [shutil.which("git") or "", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(tree)]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"], ["tag", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    with Ledger.open(here / "trading.db", create=True):
        pass
    code, text = said("rollback", "--tree", tree)
    assert (code, "v1" in text, "not on record" in text) == (0, True, True)
    (tree / "stray.txt").write_text("x")
    code, text = said("rollback", "--to", "v1", "--tree", tree, "--yes")
    assert (code, "the tree is not clean: stray.txt" in text) == (2, True)
    assert said("rollback", "--to", "v1", "--tree", here, "--yes")[0] == 2
    assert SystemClock().now_ms() > T0_MS
