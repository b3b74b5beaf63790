"""Downloading through the real client from a venue on loopback; nobody waits, nothing leaves the machine."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS, SimulatedClock
from engine.errors import DataError, RejectedError, StagegateError, UnavailableError, VenueError
from engine.market.csvfiles import read_file
from engine.market.download import DownloadStep, DownloadSummary, download, missing_ranges
from engine.market.quality import check
from engine.market.store import load_market, writing
from engine.market.venue import connected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Fault:
    """What goes wrong with one request: a status, headers, or (status 0) a dropped connection."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"code": -1003, "msg": "Too many requests"}'


@dataclass
class Venue:
    """Prices of one symbol from `listed_ms` on, an hour each, and a settlement every eight hours.

    Attributes:
        now_ms: the venue's time; the bar that holds it is served too, unfinished, as the real venue does.
        faults: used up one a request, first the first.
        weight: reported as used in this minute.
        requests: (path, parameters) of every request, oldest first.
        holes: open times that were never traded.
    """

    listed_ms: int
    now_ms: int
    symbol: str = "BTCUSDT"
    faults: list[Fault | None] = field(default_factory=list)
    weight: int = 10
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    holes: set[int] = field(default_factory=set)
    url: str = ""

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        name = path.removeprefix("/fapi/v1/")
        if name == "time":
            return 200, {"serverTime": self.now_ms}
        if query.get("symbol") != self.symbol:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        start, end = int(query["startTime"]), int(query["endTime"])
        if name == "fundingRate":
            return 200, [
                {"symbol": self.symbol, "fundingTime": at + at // HOUR_MS % 17, "fundingRate": f"{self.rate(at):.8f}"}
                for at in self._times(start, end, 8 * HOUR_MS)
                if at + at // HOUR_MS % 17 >= start and at <= self.now_ms
            ][: min(int(query.get("limit", 100)), 1000)]
        if name not in {"klines", "markPriceKlines"} or query["interval"] != "1h":
            return 404, {"code": -5000, "msg": f"Path {path} is invalid"}
        limit = min(int(query.get("limit", 500)), 1500)
        times = [at for at in self._times(start, end, HOUR_MS) if at <= self.now_ms and at not in self.holes]
        return 200, [self.kline(at, mark=name == "markPriceKlines") for at in times[:limit]]

    def _times(self, start: int, end: int, step: int) -> range:
        first = max(self.listed_ms, start - 16)
        return range(-(-first // step) * step, end + 1, step)

    def price(self, at: int) -> float:
        return 20_000.0 + at // HOUR_MS % 997

    def rate(self, at: int) -> float:
        return (at // HOUR_MS % 41 - 20) * 1e-5

    def kline(self, at: int, *, mark: bool) -> list[Any]:
        price = self.price(at) + (0.5 if mark else 0.0)
        numbers = [f"{value:.2f}" for value in (price, price + 3, price - 2, price + 1)]
        volume = "3" if mark else "12.5"  # of a mark price the documentation says: ignore
        return [at, *numbers, volume, at + HOUR_MS - 1, "0", 60, "0", "0", "0"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    venue: Venue

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        self.venue.requests.append((parts.path, query))
        fault = self.venue.faults.pop(0) if self.venue.faults else None
        if fault is not None and fault.status == 0:
            self.close_connection = True
            return
        if fault is not None:
            status, body, headers = fault.status, fault.body, fault.headers
        else:
            status, answer = self.venue.answer(parts.path, query)
            body, headers = json.dumps(answer), {}
        raw = body.encode()
        self.send_response(status)
        for name, value in {"X-MBX-USED-WEIGHT-1M": str(self.venue.weight), **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay silent."""


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Venue]:
    """A venue at noon of 2024-03-01, listed on 2024-01-01."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = Venue(listed_ms=1_704_067_200_000, now_ms=1_709_294_400_000 + 90_000)
    handler = type("Handler", (_Handler,), {"venue": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/fapi"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


class Bench:
    """A store, a clock and a waiter that remembers instead of waiting."""

    def __init__(self, venue: Venue, path: Path) -> None:
        self.venue, self.path = venue, path
        self.clock = SimulatedClock(venue.now_ms)
        self.waits: list[float] = []
        self.steps: list[DownloadStep] = []

    def run(
        self, *, start_ms: int | None = None, end_ms: int | None = None, symbol: str = "BTCUSDT"
    ) -> DownloadSummary:
        return download(
            self.path,
            [symbol],
            start_ms=self.venue.listed_ms if start_ms is None else start_ms,
            end_ms=end_ms,
            clock=self.clock,
            wait=self.waits.append,
            url=self.venue.url,
            progress=self.steps.append,
        )


@pytest.fixture
def bench(venue: Venue, tmp_path: Path) -> Bench:
    return Bench(venue, tmp_path / "market.db")


def test_R038_a_download_brings_every_closed_bar_and_settlement(bench: Bench) -> None:
    # 260 days are five pages of 1,500 bars, which must join without a seam
    bench.venue.listed_ms -= 200 * DAY_MS
    summary = bench.run()
    market = load_market(bench.path, ["BTCUSDT"])
    hours = (bench.venue.now_ms - bench.venue.listed_ms) // HOUR_MS
    times = bench.venue.listed_ms + np.arange(hours) * HOUR_MS
    bars, mark, funding = market.bars["BTCUSDT"], market.mark["BTCUSDT"], market.funding["BTCUSDT"]
    assert np.array_equal(bars.open_time_ms, times)
    assert np.array_equal(bars.close, [bench.venue.price(int(at)) + 1 for at in times])
    assert np.array_equal(mark.open_time_ms, times)
    assert np.array_equal(mark.low, [bench.venue.price(int(at)) - 1.5 for at in times])
    assert bars.volume[0] == 12.5
    assert not mark.volume.any()
    settled = times[times % (8 * HOUR_MS) == 0]
    # the settlement of the present hour is known too, though its bar is not closed: the range ends at the last close
    assert np.array_equal(funding.time_ms, settled)
    assert np.allclose(funding.rate, [bench.venue.rate(int(at)) for at in settled], rtol=0, atol=1e-12)
    assert {(part.kind, part.inserted) for part in summary.series} == {
        ("last", hours),
        ("mark", hours),
        ("funding", len(settled)),
    }
    pages = [query for path, query in bench.venue.requests if path.endswith("/klines")]
    assert len(pages) == -(-hours // 1500)
    assert not [finding for finding in check(market).findings if finding.kind == "gap"]


def test_R012_only_futures_endpoints_are_asked(bench: Bench) -> None:
    bench.run()
    assert {path for path, _ in bench.venue.requests} == {
        "/fapi/v1/time",
        "/fapi/v1/klines",
        "/fapi/v1/markPriceKlines",
        "/fapi/v1/fundingRate",
    }


def test_the_unfinished_bar_is_never_stored(bench: Bench) -> None:
    bench.run()
    last = load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"].open_time_ms[-1]
    assert last + HOUR_MS <= bench.venue.now_ms < last + 2 * HOUR_MS


def test_a_clock_that_runs_ahead_does_not_make_an_unfinished_bar_look_closed(bench: Bench) -> None:
    bench.clock = SimulatedClock(bench.venue.now_ms + 5 * HOUR_MS)
    bench.run()
    last = load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"].open_time_ms[-1]
    assert last + HOUR_MS <= bench.venue.now_ms


def test_R038_the_next_run_asks_only_for_what_is_new(bench: Bench) -> None:
    bench.run()
    before = load_market(bench.path, ["BTCUSDT"])
    bench.venue.requests.clear()
    assert all(part.inserted == 0 for part in bench.run().series)
    asked_again = [path for path, _ in bench.venue.requests]
    assert asked_again == ["/fapi/v1/time", "/fapi/v1/fundingRate"], "the next settlement may have come"
    bench.venue.now_ms += 3 * HOUR_MS
    bench.clock.advance_to(bench.venue.now_ms)
    bench.venue.requests.clear()
    summary = bench.run()
    assert {part.kind: part.inserted for part in summary.series}["last"] == 3
    asked = [query for path, query in bench.venue.requests if path.endswith("/klines")]
    assert [int(query["startTime"]) for query in asked] == [int(before.bars["BTCUSDT"].open_time_ms[-1]) + HOUR_MS]
    assert int(asked[0]["limit"]) == 3


def test_R038_a_run_that_breaks_in_the_middle_is_carried_on(bench: Bench) -> None:
    bench.venue.listed_ms -= 200 * DAY_MS
    bench.venue.faults = [None, None, None, *[Fault(503, body="<html>down</html>")] * 4]
    with pytest.raises(UnavailableError) as caught:
        bench.run()
    assert caught.value.problems[0].code == "unavailable"
    assert "503" in str(caught.value)
    stored = len(load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"])
    assert stored == 3000, "two pages had come before the fault"
    bench.run()
    bars = load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"]
    assert np.array_equal(np.diff(bars.open_time_ms), np.full(len(bars) - 1, HOUR_MS))
    assert len(bars) == (bench.venue.now_ms - bench.venue.listed_ms) // HOUR_MS


def test_a_hole_in_the_middle_and_a_missing_beginning_are_filled(bench: Bench) -> None:
    bench.run()
    whole = load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"]
    other = bench.path.with_name("other.db")
    with writing(other) as store:
        store.upsert("last", whole.part(100, 300))
        store.upsert("last", whole.part(310, 320))
    bench.path = other
    bench.run()
    assert np.array_equal(load_market(other, ["BTCUSDT"]).bars["BTCUSDT"].open_time_ms, whole.open_time_ms)


def test_an_hour_that_was_never_traded_stays_a_gap(bench: Bench) -> None:
    hole = bench.venue.listed_ms + 50 * HOUR_MS
    bench.venue.holes = {hole}
    bench.run()
    bench.run()
    times = load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"].open_time_ms
    assert hole not in times
    assert len(times) == (bench.venue.now_ms - bench.venue.listed_ms) // HOUR_MS - 1


def test_a_symbol_listed_after_the_start_begins_where_it_begins(bench: Bench) -> None:
    bench.run(start_ms=bench.venue.listed_ms - 400 * DAY_MS)
    assert load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"].open_time_ms[0] == bench.venue.listed_ms


def test_settlements_of_several_pages_join_without_a_seam(bench: Bench) -> None:
    start, end = bench.venue.listed_ms, bench.venue.listed_ms + 800 * DAY_MS
    bench.venue.now_ms = end
    with connected(bench.clock, bench.waits.append, bench.venue.url) as public:
        pages = list(public.funding("BTCUSDT", start, end))
    assert [len(page) for page in pages] == [1000, 1000, 400]
    assert np.array_equal(np.concatenate([page.time_ms for page in pages]), np.arange(start, end, 8 * HOUR_MS))


def test_an_end_cuts(bench: Bench) -> None:
    for end_ms in (bench.venue.listed_ms + 30 * HOUR_MS, bench.venue.listed_ms + 30 * HOUR_MS + 59 * 60_000):
        bench.run(end_ms=end_ms)
        market = load_market(bench.path, ["BTCUSDT"])
        assert len(market.bars["BTCUSDT"]) == 30
        assert market.funding["BTCUSDT"].time_ms[-1] < bench.venue.listed_ms + 30 * HOUR_MS
    assert all(int(query["limit"]) > 0 for _, query in bench.venue.requests if query)


def test_too_many_requests_waits_as_long_as_the_venue_says(bench: Bench) -> None:
    bench.venue.faults = [None, Fault(429, {"Retry-After": "7"})]
    bench.run(end_ms=bench.venue.listed_ms + 30 * HOUR_MS)
    assert bench.waits == [7.0]
    assert len(load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"]) == 30


def test_a_ban_of_an_hour_is_an_error_at_once(bench: Bench) -> None:
    bench.venue.faults = [None, Fault(418, {"Retry-After": "3600"})]
    with pytest.raises(UnavailableError) as caught:
        bench.run()
    assert "3,600 s of silence" in str(caught.value)
    assert bench.waits == []


def test_a_dropped_connection_is_tried_again(bench: Bench) -> None:
    bench.venue.faults = [None, Fault(0), None, Fault(0)]
    bench.run(end_ms=bench.venue.listed_ms + 30 * HOUR_MS)
    assert bench.waits == [0.5, 0.5]
    market = load_market(bench.path, ["BTCUSDT"])
    assert len(market.bars["BTCUSDT"]) == len(market.mark["BTCUSDT"]) == 30


@pytest.mark.parametrize(("weight", "waits"), [(1919, []), (1920, [30.0])])
def test_the_allowance_of_a_minute_is_kept_to(bench: Bench, weight: int, waits: list[float]) -> None:
    # the venue's clock stands 90 s after the hour, so 30 s are left of its minute
    bench.venue.weight = weight
    bench.run(end_ms=bench.venue.listed_ms + HOUR_MS)
    assert bench.waits == waits * len(bench.venue.requests)


def test_an_unreachable_venue_is_one_clear_error_after_seconds(bench: Bench) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        bench.venue.url = f"http://127.0.0.1:{unused.getsockname()[1]}/fapi"
        with pytest.raises(UnavailableError) as caught:
            bench.run()
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("unavailable", bench.venue.url)
    assert problem.problem == "no answer after 4 attempts: connection refused"
    assert problem.help
    assert 1 < sum(bench.waits) < 10


def test_an_unknown_symbol_is_refused_once(bench: Bench) -> None:
    with pytest.raises(RejectedError) as caught:
        bench.run(symbol="BTCUSDX")
    assert "BTCUSDX" in str(caught.value)
    assert "-1121" in str(caught.value)
    assert bench.waits == []


@pytest.mark.parametrize(
    "body",
    [
        "<html>welcome</html>",
        '{"rows": 1}',
        "[[1, 2]]",
        '[[1704067200000, "1", "x", "1", "1", "1"]]',
        '[[1704067200000, "5", "4", "6", "5", "1"]]',
        '[[1704067200001, "5", "6", "4", "5", "1"]]',
        '[[1600000000000, "5", "6", "4", "5", "1"]]',
        '[[1704070800000, "5", "6", "4", "5", "1"], [1704067200000, "5", "6", "4", "5", "1"]]',
    ],
)
def test_nonsense_from_the_venue_is_never_stored(bench: Bench, body: str) -> None:
    bench.venue.faults = [None, *[Fault(200, body=body)] * 4]
    with pytest.raises(VenueError) as caught:
        bench.run()
    assert caught.value.problems[0].code == "nonsense"
    with pytest.raises(DataError):
        load_market(bench.path, ["BTCUSDT"])


@pytest.mark.parametrize(
    "body",
    ['{"a": 1}', '[{"fundingTime": 1704067200000}]', '[{"fundingTime": 1704067200000, "fundingRate": "2"}]'],
)
def test_nonsense_funding_is_never_stored(bench: Bench, body: str) -> None:
    bench.venue.faults = [None, None, None, Fault(200, body=body)]
    with pytest.raises(VenueError) as caught:
        bench.run(end_ms=bench.venue.listed_ms + 30 * HOUR_MS)
    assert caught.value.problems[0].code == "nonsense"
    assert "BTCUSDT" not in load_market(bench.path, ["BTCUSDT"]).funding


def test_a_venue_without_a_time_is_nonsense(bench: Bench) -> None:
    bench.venue.faults = [Fault(200, body="[]")]
    with pytest.raises(VenueError) as caught:
        bench.run()
    assert caught.value.problems[0].code == "nonsense"


def test_a_start_in_the_future_is_an_error(bench: Bench) -> None:
    with pytest.raises(DataError) as caught:
        bench.run(start_ms=bench.venue.now_ms)
    assert caught.value.problems[0].code == "no-range"


def test_R038_progress_goes_from_start_to_end_for_every_series(bench: Bench) -> None:
    bench.run()
    for kind in ("last", "mark", "funding"):
        steps = [step for step in bench.steps if step.kind == kind]
        assert [step.at_ms for step in steps] == sorted(step.at_ms for step in steps)
        assert steps[0].at_ms == steps[0].start_ms == bench.venue.listed_ms
        assert steps[-1].at_ms == steps[-1].end_ms
        assert steps[-1].rows > 0


def test_what_was_downloaded_equals_what_a_file_would_have_brought(bench: Bench, tmp_path: Path) -> None:
    bench.run(end_ms=bench.venue.listed_ms + 48 * HOUR_MS)
    lines = [
        ",".join(str(cell) for cell in bench.venue.kline(bench.venue.listed_ms + hour * HOUR_MS, mark=False))
        for hour in range(48)
    ]
    path = tmp_path / "BTCUSDT-1h-2024-01.csv"
    path.write_text("\n".join(lines) + "\n")
    ours, theirs = load_market(bench.path, ["BTCUSDT"]).bars["BTCUSDT"], read_file(path).data
    assert repr(ours) == repr(theirs)


def test_no_error_of_a_download_is_without_help(bench: Bench) -> None:
    bench.venue.faults = [Fault(500)] * 4
    with pytest.raises(StagegateError) as caught:
        bench.run()
    assert all(problem.help for problem in caught.value.problems)


@settings(max_examples=100, deadline=None)
@given(
    present=st.sets(st.integers(0, 40), max_size=30),
    start=st.integers(0, 40),
    length=st.integers(1, 30),
    inner=st.booleans(),
)
def test_missing_ranges_hold_exactly_the_missing_hours(
    present: set[int], start: int, length: int, *, inner: bool
) -> None:
    times = np.array(sorted(present), dtype=np.int64) * HOUR_MS
    ranges = missing_ranges(times, start * HOUR_MS, (start + length) * HOUR_MS, inner=inner)
    covered = {hour for begin, end in ranges for hour in range(begin // HOUR_MS, end // HOUR_MS)}
    wanted = set(range(start, start + length))
    known = present & wanted
    if inner or not known:
        assert covered == wanted - known
    else:
        assert covered == {hour for hour in wanted if hour < min(known) or hour > max(known)}
    assert all(begin < end for begin, end in ranges)
