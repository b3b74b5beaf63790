"""State on disk: what a killed simulator knows when it starts again."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import SystemClock
from engine.errors import DataError, UsageError
from engine.simulator.exchange import Exchange
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.simulator.standalone import SimulateRequest, simulate
from engine.simulator.state import Origin, StateFile
from engine.timeline import run_virtual
from tests.simulator.serving import START_MS, Play, calm_market, client_of, new_exchange, sockets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.clock import Clock

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = Origin("calm", START_MS, START_MS, 1.0)


def test_a_killed_server_goes_on_where_its_last_answer_left_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"

    async def first(clock: Clock) -> None:
        exchange = new_exchange()
        with StateFile(path) as file:
            async with SimulatorServer(
                exchange, clock, repeat_s=None, changed=lambda: file.write(ORIGIN, exchange.to_json())
            ) as server:
                client = client_of(server, clock)
                on = Play(clock, exchange, server, client, sockets_of(client, server))
                await on.market_order("one", qty="0.02")
                limit = {"type": "LIMIT", "price": "19100", "timeInForce": "GTC", "newClientOrderId": "resting"}
                await client.futures_create_order(symbol="BTCUSDT", side="BUY", quantity="0.01", **limit)
                await client.futures_countdown_cancel_all(symbol="BTCUSDT", countdownTime=600_000)
                kept.append(path.read_bytes())
                await asyncio.sleep(7_200)
                lived.append(exchange.to_json())
                await client.close_connection()

    async def second(clock: Clock) -> None:
        origin, state = StateFile(path).read() or (None, None)
        assert origin == ORIGIN
        assert state is not None
        exchange = Exchange.from_json(state, RecordedPrices(calm_market(), seed=3))
        async with SimulatorServer(exchange, clock, repeat_s=None):
            lived.append(exchange.to_json())

    kept: list[bytes] = []
    lived: list[Any] = []
    run_virtual(first, START_MS)
    path.write_bytes(kept[0])  # what a kill −9 right after the last answer leaves on disk
    run_virtual(second, START_MS + 7_200_000)
    before, after = ({key: value for key, value in one.items() if key != "user_events"} for one in lived)
    assert after == before


def test_time_goes_on_while_the_simulator_is_down() -> None:
    assert Origin("calm", START_MS, 5_000, 60.0).simulated_ms(7_000) == START_MS + 120_000


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 1}'])
def test_what_is_no_state_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"error\[broken\]"):
        StateFile(path).read()


def test_a_state_serves_one_simulator_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with StateFile(path), pytest.raises(DataError, match=r"error\[locked\]"):
        StateFile(path).__enter__()
    with StateFile(path):
        pass


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    StateFile(path).write(ORIGIN, {})
    path.write_text(path.read_text().replace('"version":1', '"version":2'))
    with pytest.raises(DataError, match="of version 2, 1 was expected"):
        StateFile(path).read()


def test_only_its_owner_reads_a_state(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "state.json"
    with StateFile(path) as file:
        assert file.read() is None
        file.write(ORIGIN, {"a": 1})
        file.write(ORIGIN, {"a": 2})
        assert file.read() == (ORIGIN, {"a": 2})
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in path.parent.iterdir()) == ["state.json", "state.json.lock"]


def test_a_full_disk_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "state.json.next").mkdir()
    with StateFile(tmp_path / "state.json") as file, pytest.raises(DataError, match=r"error\[unwritable\]"):
        file.write(ORIGIN, {})


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (SimulateRequest(speed=0), "not above 0"),
        (SimulateRequest(live=True, speed=2), "at their own speed"),
    ],
)
def test_what_cannot_be_simulated_is_refused(request_: SimulateRequest, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        simulate(request_, SystemClock(), lambda _: None)


def test_a_port_that_is_taken_is_an_error_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="cannot listen"):
        simulate(SimulateRequest(port=taken.getsockname()[1], days=1), SystemClock(), lambda _: None)


def test_a_state_belongs_to_its_prices(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    StateFile(path).write(Origin("synthetic, seed 1, 9 days", START_MS, START_MS, 1.0), {})
    with pytest.raises(DataError, match="synthetic, seed 1, 9 days"):
        simulate(SimulateRequest(state=path, seed=2), SystemClock(), lambda _: None)


@contextmanager
def started(state: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start the command; lend the process and what it says once it serves; kill −9 ends it."""
    command = [sys.executable, "cli.py", "simulate-exchange", "--port", "0", "--days", "1", "--json"]
    with subprocess.Popen([*command, "--state", str(state)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline()]
            while lines[-1].rstrip() != "}":
                assert lines[-1], "the command ended"
                lines.append(process.stdout.readline())
            yield process, json.loads("".join(lines))
        finally:
            process.kill()


async def says(served: dict[str, Any], *, buy: bool) -> list[str]:
    """Return what python-binance sees through the machine's own sockets: the position, the order's status."""
    from binance import AsyncClient  # noqa: PLC0415 - heavy

    places = {"FUTURES_URL": f"{served['rest_url']}/fapi"}
    client = type("Client", (AsyncClient,), places)(served["api_key"], served["api_secret"])
    asked_ms = SystemClock().now_ms()
    client.timestamp_offset = (await client.futures_time())["serverTime"] - asked_ms
    if buy:
        order = {"side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "before"}
        await client.futures_create_order(symbol="BTCUSDT", **order)
    rows = await client.futures_position_information(symbol="BTCUSDT")
    found = await client.futures_get_order(symbol="BTCUSDT", origClientOrderId="before")
    await client.close_connection()
    return [rows[0]["positionAmt"], found["status"]]


def test_the_command_survives_kill_9_and_ends_on_sigterm(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with started(state) as (_, served):
        assert not served["resumed"]
        assert asyncio.run(says(served, buy=True)) == ["0.010", "FILLED"]
    with started(state) as (process, again):
        assert again["resumed"]
        assert again["now_ms"] > served["now_ms"]
        assert asyncio.run(says(again, buy=False)) == ["0.010", "FILLED"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
