"""CSV files: every form that is read, every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import HOUR_MS, iso, parse_time
from engine.errors import DataError
from engine.market.cells import split_cells
from engine.market.columns import Layout, Source, _read_carefully, _read_fast, read_columns
from engine.market.csvfiles import load_directory, read_directory, read_file
from engine.market.series import FundingRates
from strategies.bars import Bars

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "open_time,open,high,low,close,volume\n"
ROWS = [
    "2024-01-01T00:00:00Z,100.0,101.5,99.0,100.5,12.25\n",
    "2024-01-01T01:00:00Z,100.5,102.0,100.0,101.0,3.0\n",
    "2024-01-01T02:00:00Z,101.0,101.0,100.25,100.75,0.0\n",
    "2024-01-01T03:00:00Z,100.75,103.0,100.75,102.5,8e-05\n",
]
GOOD = HEADER + "".join(ROWS)
FUNDING = "funding_time,funding_rate\n2024-01-01T00:00:00Z,0.0001\n2024-01-01T08:00:00Z,-2.5e-05\n"
START_MS = parse_time("2024-01-01")


def written(folder: Path, text: str | bytes, name: str = "BTCUSDT-1h.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def bars_of(path: Path) -> Bars:
    data = read_file(path).data
    assert isinstance(data, Bars)
    return data


def same(left: Bars, right: Bars) -> bool:
    names = ("open_time_ms", "open", "high", "low", "close", "volume")
    return left.symbol == right.symbol and all(np.array_equal(getattr(left, n), getattr(right, n)) for n in names)


def test_the_shared_form_is_read_exactly(tmp_path: Path) -> None:
    file = read_file(written(tmp_path, GOOD))
    bars = bars_of(written(tmp_path, GOOD))
    assert (file.kind, file.rows, file.duplicates, file.shuffled) == ("last", 4, 0, False)
    assert bars.symbol == "BTCUSDT"
    assert bars.open_time_ms.tolist() == [START_MS + hour * HOUR_MS for hour in range(4)]
    assert bars.open_time_ms.dtype == np.int64
    assert bars.high.tolist() == [101.5, 102.0, 101.0, 103.0]
    assert bars.volume.tolist() == [12.25, 3.0, 0.0, 8e-05]


def columns_turned(text: str) -> str:
    return "\n".join(",".join(reversed(line.split(","))) for line in text.splitlines()) + "\n"


def epoch_times(text: str) -> str:
    head, *rows = text.splitlines()
    cells = [row.split(",") for row in rows]
    return "\n".join([head, *(",".join([str(parse_time(first)), *rest]) for first, *rest in cells)]) + "\n"


@pytest.mark.parametrize(
    "spelling",
    [
        columns_turned(GOOD),
        epoch_times(GOOD),
        columns_turned(epoch_times(GOOD)),
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("T", " ").replace("Z", ""),
        GOOD.replace("Z", "+00:00"),
        GOOD.replace(",", " , "),
        GOOD.replace("12.25", "12.25\n\n") + "\n\n",
        HEADER + "".join(f'"{row[:20]}"{row[20:]}' for row in ROWS),
        HEADER.replace("volume", "volume,market") + "".join(row.replace("\n", ",perp\n") for row in ROWS),
        HEADER.upper() + "".join(ROWS),
        HEADER + "".join(reversed(ROWS)),
        HEADER + "".join(ROWS) + ROWS[1] + ROWS[1],
    ],
    ids=range(14),
)
def test_every_spelling_of_the_same_bars_is_read_alike(tmp_path: Path, spelling: str) -> None:
    expected = bars_of(written(tmp_path, GOOD))
    assert same(bars_of(written(tmp_path, spelling)), expected)
    assert same(bars_of(written(tmp_path, gzip.compress(spelling.encode()), "BTCUSDT.csv.gz")), expected)


def archive_row(row: str) -> str:
    first, *rest = row.strip().split(",")
    at = parse_time(first)
    return ",".join([str(at), *rest, str(at + HOUR_MS - 1), "1234.5", "60", "1.5", "700.25", "0"]) + "\n"


ARCHIVE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore\n"
)


@pytest.mark.parametrize("header", ["", ARCHIVE_HEADER])
def test_the_venues_archive_of_twelve_columns_is_read(tmp_path: Path, header: str) -> None:
    path = written(tmp_path, header + "".join(map(archive_row, ROWS)), "BTCUSDT-1h-2024-01.csv")
    assert same(bars_of(path), bars_of(written(tmp_path, GOOD)))


def test_the_venues_archive_of_mark_prices_is_known_by_its_lack_of_volume(tmp_path: Path) -> None:
    rows = [archive_row(",".join([*row.split(",")[:5], "0"])) for row in ROWS]
    assert read_file(written(tmp_path, "".join(rows))).kind == "mark"


def test_mark_prices_have_no_volume(tmp_path: Path) -> None:
    text = "".join(line.rsplit(",", 1)[0] + "\n" for line in GOOD.splitlines())
    file = read_file(written(tmp_path, text))
    assert file.kind == "mark"
    assert bars_of(written(tmp_path, text)).volume.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    "text",
    [
        FUNDING,
        FUNDING.replace("00:00Z", "00:00.017Z"),
        "calc_time,funding_interval_hours,last_funding_rate\n1704067200005,8,0.00010000\n1704096000000,8,-0.00002500\n",
        "funding_rate,funding_time\n-0.000025,2024-01-01T08:00:00Z\n0.0001,2024-01-01T00:00:00Z\n",
    ],
)
def test_funding_is_read_and_floored_to_the_hour(tmp_path: Path, text: str) -> None:
    file = read_file(written(tmp_path, text, "SOLUSDT.csv"))
    assert isinstance(file.data, FundingRates)
    assert (file.kind, file.data.symbol) == ("funding", "SOLUSDT")
    assert file.data.time_ms.tolist() == [START_MS, START_MS + 8 * HOUR_MS]
    assert file.data.rate.tolist() == [0.0001, -2.5e-05]


def test_shuffled_and_repeated_rows_are_told(tmp_path: Path) -> None:
    file = read_file(written(tmp_path, HEADER + ROWS[2] + ROWS[0] + ROWS[2] + ROWS[1]))
    assert (file.rows, file.duplicates, file.shuffled, len(file.data)) == (4, 1, True, 3)


def bad_row(row: str) -> str:
    return HEADER + ROWS[0] + ROWS[1] + row


@pytest.mark.parametrize(
    ("text", "code", "where", "words"),
    [
        ("", "empty", "", "the file is empty"),
        (" \n\n", "empty", "", "the file is empty"),
        (HEADER, "empty", "", "no row"),
        (GOOD[:-1], "cut-off", ":5", "does not end"),
        (GOOD[:-30] + "\n", "bad-row", ":5", "columns, 6 were expected"),
        (GOOD[: len(GOOD) // 2], "cut-off", ":3", "does not end"),
        (bad_row(ROWS[2].replace("100.25", "NaN")), "not-a-number", ":4", "`low` is `NaN`"),
        (bad_row(ROWS[2].replace("100.25", "")), "not-a-number", ":4", "`low` is empty"),
        (bad_row(ROWS[2].replace("100.25", "inf")), "not-a-number", ":4", "`low` is `inf`"),
        (bad_row(ROWS[2].replace("100.25", "1_00.25")), "not-a-number", ":4", "`low` is `1_00.25`"),
        (bad_row(ROWS[2].replace("100.25", "100.2.5")), "not-a-number", ":4", "`low` is `100.2.5`"),
        (bad_row(ROWS[2].replace("0.0\n", "n/a\n")), "not-a-number", ":4", "`volume` is `n/a`"),
        (bad_row(ROWS[2].replace(",0.0\n", ",0.0,7\n")), "bad-row", ":4", "7 columns, 6 were expected"),
        (bad_row(ROWS[2].replace(",0.0\n", "\n") + ROWS[3].replace(",8e", ",8,8e")), "bad-row", ":4", "5 columns"),
        (bad_row("yesterday,1,1,1,1,1\n"), "bad-time", ":4", "`yesterday` is no time"),
        (bad_row("2024-02-30T00:00:00Z,1,1,1,1,1\n"), "bad-time", ":4", "is no time"),
        (bad_row("2024-13-01T00:00:00Z,1,1,1,1,1\n"), "bad-time", ":4", "is no time"),
        (bad_row("2024-01-01T24:00:01Z,1,1,1,1,1\n"), "bad-time", ":4", "is no time"),
        (bad_row("1970-01-01T00:00:00Z,1,1,1,1,1\n"), "bad-time", ":4", "outside 2009 to 2100"),
        (bad_row("1704074400,1,1,1,1,1\n"), "bad-time", ":4", "outside 2009 to 2100"),
        (bad_row("2024-01-01T02:15:00Z,1,1,1,1,1\n"), "not-hourly", ":4", "hourly bars were expected"),
        (bad_row("2024-01-01T02:00:00Z,0,1,0,1,1\n"), "impossible", ":4", "`open` is 0"),
        (bad_row("2024-01-01T02:00:00Z,-1,1,-1,1,1\n"), "impossible", ":4", "`open` is -1"),
        (bad_row("2024-01-01T02:00:00Z,5,4,6,5,1\n"), "impossible", ":4", "`high` 4 is below `low` 6"),
        (bad_row("2024-01-01T02:00:00Z,7,6,4,5,1\n"), "impossible", ":4", "`open` 7 lies outside"),
        (bad_row("2024-01-01T02:00:00Z,5,6,4,3.5,1\n"), "impossible", ":4", "`close` 3.5 lies outside"),
        (bad_row("2024-01-01T02:00:00Z,5,6,4,5,-1\n"), "impossible", ":4", "`volume` is -1"),
        (bad_row(ROWS[1].replace("3.0", "4.0")), "contradiction", ":4", "here and on line 3 with other values"),
        (HEADER.replace("close", "clse") + ROWS[0], "bad-header", ":1", "`clse` is no known column"),
        (HEADER.replace(",volume", ",open") + ROWS[0], "bad-header", ":1", "`open` stands twice"),
        ("open_time,open,high,low,volume\n1,1,1,1,1\n", "bad-header", ":1", "`close` is missing"),
        ("hello\nworld\n", "bad-header", ":1", "`hello` is no known column"),
        ("".join(ROWS), "bad-header", ":1", "is no known column"),
        ("\x00\x01\x02\xff\n", "bad-header", ":1", "is no known column"),
        (FUNDING.replace("0.0001", "1.0"), "impossible", ":2", "a funding rate of 1"),
        (FUNDING.replace("0.0001", "x"), "not-a-number", ":2", "`funding_rate` is `x`"),
        (FUNDING.replace("T08:", "T00:"), "contradiction", ":3", "on line 2"),
        (FUNDING[:-1], "cut-off", ":3", "does not end"),
    ],
)
def test_a_broken_file_is_one_message_with_the_line(
    tmp_path: Path, text: str, code: str, where: str, words: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_file(path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == (code, f"{path}{where}")
    assert words in problem.problem
    assert "\n" not in problem.problem
    if code in {"cut-off", "bad-header", "empty", "contradiction"}:
        assert problem.help


def test_the_number_of_impossible_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the first of 3 such rows"):
        read_file(written(tmp_path, HEADER + "".join(row.replace(",1", ",-1", 1) for row in ROWS[:3]) + ROWS[3]))


def test_line_numbers_count_blank_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_file(written(tmp_path, HEADER + "\n\n" + ROWS[0] + "\n" + ROWS[1].replace("100.5", "-100.5")))
    assert caught.value.problems[0].where.endswith(":6")


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("BTCUSDT.csv", text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (gzip.compress(GOOD.encode())[:-20], "cut-off"),
        (gzip.compress(GOOD.encode())[:40], "cut-off"),
        (gzip.compress(GOOD.encode())[:20] + b"garbage" * 20, "bad-gzip"),
        (gzip.compress(GOOD.encode()) + b"tail", "bad-gzip"),
        (gzip.compress(b""), "empty"),
        (zipped(GOOD), "zip"),
    ],
    ids=["cut", "cut-early", "garbage", "tail", "empty", "zip"],  # the bytes hold the time
)
def test_a_broken_archive_is_one_message(tmp_path: Path, raw: bytes, code: str) -> None:
    with pytest.raises(DataError) as caught:
        read_file(written(tmp_path, raw, "BTCUSDT.csv.gz"))
    assert [problem.code for problem in caught.value.problems] == [code]


def test_a_missing_file_a_folder_and_a_nameless_file_are_told(tmp_path: Path) -> None:
    for path, code in (
        (tmp_path / "BTCUSDT.csv", "no-file"),
        (tmp_path, "unreadable"),
        (written(tmp_path, GOOD, "prices.csv"), "no-symbol"),
    ):
        with pytest.raises(DataError) as caught:
            read_file(path)
        assert caught.value.problems[0].code == code


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("BTCUSDT-1h.csv", "BTCUSDT"), ("SOLUSDT.csv.gz", "SOLUSDT"), ("1000PEPEUSDT_2024.csv", "1000PEPEUSDT")],
)
def test_the_symbol_is_the_beginning_of_the_name(tmp_path: Path, name: str, symbol: str) -> None:
    assert read_file(written(tmp_path, GOOD, name)).data.symbol == symbol
    assert read_file(written(tmp_path, GOOD, name), symbol="ETHUSDT").data.symbol == "ETHUSDT"


def test_a_file_of_another_kind_than_wanted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds funding rates, bars were expected"):
        read_file(written(tmp_path, FUNDING), kind="last")
    with pytest.raises(DataError, match="holds bars, funding rates were expected"):
        read_file(written(tmp_path, GOOD), kind="funding")


def market_folder(folder: Path) -> Path:
    for name, text in {
        "klines/BTCUSDT-1h.csv": GOOD,
        "klines/SOLUSDT-1h.csv": GOOD,
        "klines_mark/BTCUSDT-1h.csv": "".join(line.rsplit(",", 1)[0] + "\n" for line in GOOD.splitlines()),
        "funding/BTCUSDT.csv": FUNDING,
        "klines_composite/SOLUSDT-1h.csv": HEADER + ROWS[0],
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_folder_is_read_and_what_is_not_there_is_absent(tmp_path: Path) -> None:
    market = load_directory(market_folder(tmp_path), ["SOLUSDT", "BTCUSDT"])
    assert market.symbols == ("SOLUSDT", "BTCUSDT")
    assert (list(market.mark), list(market.funding)) == (["BTCUSDT"], ["BTCUSDT"])
    assert [file.kind for file in read_directory(tmp_path, ["BTCUSDT"])] == ["last", "mark", "funding"]


def test_another_folder_of_prices_falls_back_to_klines(tmp_path: Path) -> None:
    market = load_directory(market_folder(tmp_path), ["BTCUSDT", "SOLUSDT"], klines="klines_composite")
    assert (len(market.bars["BTCUSDT"]), len(market.bars["SOLUSDT"])) == (4, 1)


def test_what_a_folder_lacks_is_told(tmp_path: Path) -> None:
    market_folder(tmp_path)
    for symbols, klines, code in (
        (["ETHUSDT"], "klines", "no-bars"),
        (["BTCUSDT"], "candles", "no-folder"),
    ):
        with pytest.raises(DataError) as caught:
            load_directory(tmp_path, symbols, klines=klines)
        assert caught.value.problems[0].code == code
    written(tmp_path / "klines", gzip.compress(GOOD.encode()), "BTCUSDT.csv.gz")
    with pytest.raises(DataError, match=r"`BTCUSDT-1h\.csv` and `BTCUSDT\.csv\.gz` both hold `BTCUSDT`"):
        load_directory(tmp_path, ["BTCUSDT"])


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(0, 10**6, places=8).map(str),
    st.integers(-(10**18), 10**18).map(str),
    st.sampled_from(["", ".5", "5.", "+1", "-0", "1e5", "1e400", " 7 ", "1_0", "nan", "0x1", "--1", ".", "1.2.3", "٣"]),
)
STAMPS = st.one_of(
    st.integers(1_230_768_000, 4_102_444_799).map(lambda seconds: iso(seconds * 1000)),
    st.integers(1_230_768_000_000, 4_102_444_799_999).map(str),
    st.sampled_from(["2024-02-29T23:59:59Z", "2023-02-29T00:00:00Z", "2024-00-10T00:00:00Z", "1e12", "5", "x"]),
)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(STAMPS, NUMBERS, NUMBERS), min_size=1, max_size=6), turned=st.booleans())
def test_the_fast_reader_reads_what_the_careful_one_reads_or_declines(
    rows: list[tuple[str, str, str]], *, turned: bool
) -> None:
    order = (2, 1, 0) if turned else (0, 1, 2)
    raw = "".join(",".join(row[place] for place in order) + "\n" for row in rows).encode()
    layout = Layout(3, order.index(0), {"a": order.index(1), "b": order.index(2)}, 0)
    fast = _read_fast(raw, layout)
    try:
        careful = _read_carefully(Source("x", raw, layout))
    except DataError:
        assert fast is None
        return
    both = read_columns(Source("x", raw, layout))
    for columns in (both, *([fast] if fast else [])):
        assert np.array_equal(columns.time_ms, careful.time_ms)
        assert all(np.array_equal(columns.numbers[name], careful.numbers[name]) for name in "ab")


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.decimals(min_value="0.00000001", max_value=10**7, places=8).map(str), min_size=1, max_size=20)
)
def test_prices_are_read_fast_and_to_the_last_bit(values: list[str]) -> None:
    raw = "".join(f"2024-01-01T00:00:00Z,{value}\n" for value in values).encode()
    fast = _read_fast(raw, Layout(2, 0, {"a": 1}, 0))
    assert fast is not None
    assert fast.numbers["a"].tolist() == [float(value) for value in values]


@pytest.mark.parametrize(
    "text",
    [
        "0.12345678901234567",
        "0.30000000000000004",
        "9007199254740993",
        "123456789012345.678",
        "0.1",
        "99999999999999.9",
    ],
)
def test_a_number_of_many_digits_is_read_to_the_last_bit(text: str) -> None:
    fast = _read_fast(f"2024-01-01T00:00:00Z,{text}\n".encode(), Layout(2, 0, {"a": 1}, 0))
    assert fast is not None
    assert fast.numbers["a"].tolist() == [float(text)]


@pytest.mark.parametrize("raw", [b"1,2\n3,4,5,6\n", b"1,2,3\n\n4,5,6\n", b"1,2,3\n4,5\n", b"1,2,3", b""])
def test_rows_of_uneven_width_are_left_to_the_careful_reader(raw: bytes) -> None:
    assert split_cells(raw, width=3, skip=0) is None
    assert split_cells(b"1,2,3\n4,5,6\n", width=3, skip=0) is not None
