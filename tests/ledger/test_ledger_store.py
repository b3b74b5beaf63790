"""Appending and asking: every table, idempotence, refusals, transactions."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import LedgerError
from engine.ledger import (
    CashFlow,
    Event,
    FactsSnapshot,
    Fill,
    FundingPayment,
    Intent,
    Ledger,
    Mark,
    Marks,
    OrderUpdate,
    Parent,
    SleeveMark,
    SleeveMarks,
    StoredDocument,
    VerdictRecord,
    sha256_of,
)
from engine.ledger.tables import TABLES as SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.ledger import Row

HOUR = 3_600_000

MARK = Mark("risk", HOUR, 15_000.0, 1.0, 15_000.0, 1.0, 15_000.0, 9_000.0, 0)
SLEEVE = SleeveMark("risk", HOUR, "BTCUSDT", 0.12, 20_000.0, -3.5, 0.7)
FILL = Fill("f1", "risk", HOUR, "BTCUSDT", 1, 0.12, 20_006.0, 20_000.0, "bar_open", 1.2, "p1", "rebalance")
PAYMENT = FundingPayment("n1", "risk", HOUR, "BTCUSDT", 0.12, 20_000.0, 1e-4, 8.0, -0.24, assumed=True)
FLOW = CashFlow("c1", "risk", HOUR, -500.0, "withdrawal", "asked for")
FACTS = FactsSnapshot.of(HOUR, '{"drawdown":[0.01,"ok",3600000]}', day_close=True)
VERDICT = VerdictRecord("v1", HOUR, "action", "KEEP", "p" * 64, "c" * 64, FACTS.sha256, '{"outcome":"KEEP"}')
DOCUMENT = StoredDocument.of("policy", "policies/action.yaml", "policy: action\n")
EVENT = Event("e1", HOUR, "approval", "SCALE_UP", '{"by":"ann"}')
PARENT = Parent("p1", "risk", HOUR, HOUR, "BTCUSDT", 1, 0.12, 2_400.0, 20_000.0, "bar_open", "entry", "v1")
INTENT = Intent("p1-0", "p1", HOUR, "BTCUSDT", "LIMIT", 1, 0.12, 20_000.0, reduce_only=False, attempt=0)
UPDATE = OrderUpdate("p1-0/FILLED/0.12", "p1-0", HOUR, "FILLED", 0.12, 20_006.0, "77", ended=True)
ORDERS = (PARENT, INTENT, UPDATE)
EVERY: tuple[Row, ...] = (MARK, SLEEVE, FILL, PAYMENT, FLOW, FACTS, VERDICT, DOCUMENT, EVENT, *ORDERS)
TABLES = (
    *("marks", "sleeve_marks", "fills", "funding", "cash_flows", "facts", "verdicts", "documents", "events"),
    *("parents", "intents", "order_updates"),
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        opened.set_meta(kind="rehearsal", created_at_ms=0)
        yield opened


def everything(ledger: Ledger) -> list[Any]:
    found: list[Any] = [ledger.last_mark("risk"), *ledger.last_sleeve_marks("risk")]
    found += [*ledger.fills("risk"), *ledger.funding("risk"), *ledger.cash_flows("risk")]
    found += [ledger.facts_at(), ledger.latest_verdict(), ledger.document(DOCUMENT.sha256), *ledger.events()]
    return [*found, *ledger.parents("risk"), *ledger.intents_of("p1"), *ledger.updates_of("p1-0")]


def raw(ledger: Ledger) -> sqlite3.Connection:
    """Return another connection, as a person with the sqlite3 shell would have."""
    return sqlite3.connect(ledger.path, isolation_level=None)


def test_every_row_comes_back_as_it_was(ledger: Ledger) -> None:
    assert ledger.append(EVERY) == 12
    assert everything(ledger) == list(EVERY)
    assert ledger.counts() == dict.fromkeys(sorted(TABLES), 1)
    ledger.close()
    with Ledger.open(ledger.path, read_only=True) as again:
        assert everything(again) == list(EVERY)


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
number = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
price = st.floats(5e-324, 1e308)
instants = st.integers(-(2**63), 2**63 - 1)


@given(
    st.builds(
        Fill,
        st.just("id"),
        st.just("risk"),
        instants,
        text,
        st.sampled_from([-1, 1]),
        price,
        price,
        price,
        st.sampled_from(["bar_open", "stop", "mark"]),
        number,
        text,
        text,
    ),
    st.builds(
        FundingPayment,
        st.just("id"),
        st.just("risk"),
        instants,
        text,
        number,
        price,
        number,
        price,
        number,
        st.booleans(),
    ),
    st.builds(Event, st.just("id"), instants, text, text, text),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_valid_row_survives_to_the_last_bit(
    ledger: Ledger, fill: Fill, payment: FundingPayment, event: Event
) -> None:
    with contextlib.suppress(_Undone), ledger.transaction():
        ledger.append([fill, payment, event])
        for row in (fill, payment, event):
            spec = SPECS[type(row)]
            (found,) = ledger._rows(f"SELECT {', '.join(spec.columns)} FROM {spec.name}")  # noqa: S608 - own names
            assert spec.from_sql(found) == row
        raise _Undone


class _Undone(Exception):  # noqa: N818 - leaves the transaction without a trace
    pass


def test_numpy_scalars_are_stored_as_numbers(ledger: Ledger) -> None:
    ledger.append(replace(MARK, at_ms=np.int64(7), nav=np.float64(1.5), estimated_marks=np.int64(2)))  # type: ignore[arg-type]
    assert ledger.last_mark("risk") == replace(MARK, at_ms=7, nav=1.5, estimated_marks=2)


# append-only


def test_the_same_row_again_changes_nothing(ledger: Ledger) -> None:
    assert ledger.append(EVERY) == 12
    assert ledger.append(EVERY) == 0
    assert ledger.append([*EVERY, replace(EVENT, event_id="e2")]) == 1
    assert sum(ledger.counts().values()) == 13


CHANGED: tuple[tuple[Row, str], ...] = (
    (replace(MARK, nav=1.5), "nav"),
    (replace(SLEEVE, position=None), "position"),
    (replace(FILL, price=20_007.0), "price"),
    (replace(PAYMENT, assumed=False), "assumed"),
    (replace(FLOW, reason="other"), "reason"),
    (FactsSnapshot.of(HOUR, "{}", day_close=True), "sha256, document"),
    (replace(VERDICT, outcome="PAUSE"), "outcome"),
    (replace(EVENT, document="{}"), "document"),
    (replace(PARENT, verdict_id=None), "verdict_id"),
    (replace(INTENT, qty=0.13), "qty"),
    (replace(UPDATE, filled_qty=0.1), "filled_qty"),
)


@pytest.mark.parametrize(("row", "differs"), CHANGED, ids=lambda value: type(value).__name__)
def test_the_same_key_with_other_content_is_a_conflict_and_nothing_of_its_group_stays(
    ledger: Ledger, row: Row, differs: str
) -> None:
    ledger.append(EVERY)
    with pytest.raises(LedgerError) as caught:
        ledger.append([replace(EVENT, event_id="e2"), row])
    (problem,) = caught.value.problems
    assert problem.code == "conflict"
    assert problem.problem.endswith(f"is recorded already with another {differs}")
    assert everything(ledger) == list(EVERY)


def test_the_same_text_under_another_name_is_no_conflict(ledger: Ledger) -> None:
    ledger.append(DOCUMENT)
    assert ledger.append(replace(DOCUMENT, name="copy.yaml")) == 0
    assert ledger.document(DOCUMENT.sha256) == DOCUMENT


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "sql", ["UPDATE {t} SET {c} = {c}", "DELETE FROM {t}", "INSERT OR REPLACE INTO {t} SELECT * FROM {t}"]
)
def test_no_table_lets_a_row_be_changed_deleted_or_replaced(ledger: Ledger, table: str, sql: str) -> None:
    ledger.append(EVERY)
    other = raw(ledger)
    column = other.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchone()[0]  # noqa: S608 - the names above
    with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        other.execute(sql.format(t=table, c=column))
    other.close()
    assert everything(ledger) == list(EVERY)


INVALID: tuple[Row, ...] = (
    replace(MARK, equity_usd=float("nan")),
    replace(MARK, nav=float("inf")),
    replace(MARK, units=-1.0),
    replace(MARK, gross_usd=float("-inf")),
    replace(SLEEVE, position=1.01),
    replace(SLEEVE, pnl_usd=float("nan")),
    replace(SLEEVE, mark_price=0.0),
    replace(FILL, side=0),
    replace(FILL, qty=-0.1),
    replace(FILL, ref_kind="guess"),
    replace(FILL, price=float("inf")),
    replace(PAYMENT, hours=0.0),
    replace(PAYMENT, amount_usd=float("nan")),
    replace(FLOW, kind="gift"),
    replace(FACTS, sha256="0" * 64),
    replace(DOCUMENT, text="policy: other\n"),
    replace(PARENT, ref_kind="guess"),
    replace(INTENT, client_id="x" * 37),
    replace(UPDATE, avg_price=0.0),
)


@pytest.mark.parametrize("row", INVALID, ids=[f"{type(row).__name__}{index}" for index, row in enumerate(INVALID)])
def test_an_invalid_row_is_refused_by_name(ledger: Ledger, row: Row) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger.append([EVENT, row])
    assert caught.value.problems[0].code == "invalid-row"
    assert sum(ledger.counts().values()) == 0


def test_no_signal_is_stored_as_unknown(ledger: Ledger) -> None:
    ledger.append([replace(SLEEVE, position=None), replace(SLEEVE, at_ms=2 * HOUR, position=float("nan"))])
    assert [row[0] for row in raw(ledger).execute("SELECT position FROM sleeve_marks")] == [None, None]
    assert np.isnan(ledger.sleeve_marks("risk")["BTCUSDT"].position).all()
    assert ledger.last_sleeve_marks("risk")[0].position is None


def test_one_update_told_by_a_stream_and_by_a_query_is_one_row(ledger: Ledger) -> None:
    ledger.append(UPDATE)
    assert ledger.append(replace(UPDATE, at_ms=2 * HOUR, detail="heard again", avg_price=None)) == 0
    assert ledger.updates_of("p1-0") == (UPDATE,)


# transactions


def test_a_group_is_written_whole_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.transaction():  # noqa: PT012 - the block is what is tested
        ledger.append(EVERY)
        assert sum(ledger.counts().values()) == 12
        raise RuntimeError
    assert sum(ledger.counts().values()) == 0
    with ledger.transaction():
        ledger.append(MARK)
        ledger.append(SLEEVE)
    assert sum(ledger.counts().values()) == 2


def test_ctrl_c_in_a_group_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(KeyboardInterrupt), ledger.transaction():  # noqa: PT012 - the block is what is tested
        ledger.append(MARK)
        raise KeyboardInterrupt
    assert ledger.append(MARK) == 1


def test_a_refused_append_inside_a_group_undoes_only_itself(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.append(MARK)
        with pytest.raises(LedgerError, match="conflict"):
            ledger.append([SLEEVE, replace(MARK, nav=2.0)])
        ledger.append(EVENT)
    assert {name: count for name, count in ledger.counts().items() if count} == {"marks": 1, "events": 1}


def test_others_see_a_group_only_when_it_is_committed(ledger: Ledger) -> None:
    with Ledger.open(ledger.path, read_only=True) as reader:
        with ledger.transaction():
            ledger.append(MARK)
            assert reader.last_mark("risk") is None
        assert reader.last_mark("risk") == MARK


# columns


def test_columns_in_columns_out(ledger: Ledger) -> None:
    at = HOUR * np.arange(1, 200, dtype=np.int64)
    values = np.random.default_rng(1).uniform(0.1, 2.0, (6, len(at)))
    marks = Marks(at, values[0], values[1], values[2], values[3], values[4], values[5], at % 3)
    position = np.where(at % 7 == 0, np.nan, values[0] - 1)
    sleeve = SleeveMarks(at, values[0], values[1], -values[2], position)
    assert ledger.append_marks("shadow", marks) == 199
    assert ledger.append_sleeve_marks("shadow", "ETHUSDT", sleeve) == 199
    assert ledger.append_marks("shadow", marks) == 0
    assert ledger.append_sleeve_marks("shadow", "ETHUSDT", sleeve) == 0
    found = ledger.marks("shadow")
    assert len(found) == 199
    for name in Marks.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, name), getattr(marks, name))
        assert getattr(found, name).dtype == getattr(marks, name).dtype
    read = ledger.sleeve_marks("shadow")
    assert list(read) == ["ETHUSDT"]
    assert len(read["ETHUSDT"]) == 199
    for name in SleeveMarks.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read["ETHUSDT"], name), getattr(sleeve, name))
    row = ledger.last_mark("shadow", int(at[4]))
    assert row is not None
    assert astuple(row)[1:] == tuple(getattr(marks, name)[4] for name in Marks.__dataclass_fields__)


def test_a_mark_that_differs_in_one_column_is_a_conflict(ledger: Ledger) -> None:
    at = HOUR * np.arange(50, dtype=np.int64)
    ones = np.ones(50)
    ledger.append_marks("risk", Marks(at, ones, ones, ones, ones, ones, ones, at * 0))
    other = ones.copy()
    other[31] = 1.0 + 2**-52
    with pytest.raises(LedgerError, match=f"`marks` risk, {31 * HOUR} is recorded already with another nav"):
        ledger.append_marks("risk", Marks(at, ones, other, ones, ones, ones, ones, at * 0))


def test_nothing_comes_out_of_nothing(ledger: Ledger) -> None:
    assert ledger.append([]) == 0
    marks = ledger.marks("risk")
    assert len(marks) == 0
    assert marks.at_ms.dtype == np.int64
    assert marks.nav.dtype == np.float64
    assert ledger.sleeve_marks("risk") == {}
    assert ledger.symbols("risk") == ()
    assert (ledger.last_mark("risk"), ledger.last_sleeve_marks("risk")) == (None, ())
    assert (ledger.facts_at(), ledger.latest_verdict(), ledger.verdict("v"), ledger.document("d")) == (None,) * 4
    assert (ledger.fills("risk"), ledger.day_closes(5), ledger.verdicts(), ledger.events()) == ((),) * 4


# questions


def test_states_are_cut_inclusively_and_happenings_before_the_instant(ledger: Ledger) -> None:
    for hour in (1, 2, 3):
        at = hour * HOUR
        ledger.append(
            [replace(MARK, at_ms=at), replace(SLEEVE, at_ms=at), replace(EVENT, event_id=f"e{hour}", at_ms=at)]
        )
        ledger.append(
            [
                replace(FILL, fill_id=f"f{hour}", at_ms=at),
                replace(PAYMENT, payment_id=f"n{hour}", at_ms=at),
                replace(FLOW, flow_id=f"c{hour}", at_ms=at),
            ]
        )
    cut = (HOUR + 1, 3 * HOUR)
    assert ledger.marks("risk", *cut).at_ms.tolist() == [2 * HOUR, 3 * HOUR]
    assert ledger.sleeve_marks("risk", *cut)["BTCUSDT"].at_ms.tolist() == [2 * HOUR, 3 * HOUR]
    assert [event.event_id for event in ledger.events(None, *cut)] == ["e2", "e3"]
    assert [fill.fill_id for fill in ledger.fills("risk", *cut)] == ["f2"]
    assert [payment.payment_id for payment in ledger.funding("risk", *cut)] == ["n2"]
    assert [flow.flow_id for flow in ledger.cash_flows("risk", *cut)] == ["c2"]
    assert [fill.fill_id for fill in ledger.fills("risk", 2 * HOUR)] == ["f2", "f3"]


def test_accounts_never_mix(ledger: Ledger) -> None:
    ledger.append([*EVERY, replace(MARK, account="shadow", nav=9.0), replace(FILL, account="shadow", fill_id="f9")])
    ledger.append(replace(SLEEVE, account="shadow", symbol="SOLUSDT"))
    assert ledger.marks("risk").nav.tolist() == [1.0]
    assert ledger.marks("shadow").nav.tolist() == [9.0]
    assert [fill.fill_id for fill in ledger.fills("shadow")] == ["f9"]
    assert (ledger.symbols("risk"), ledger.symbols("shadow")) == (("BTCUSDT",), ("SOLUSDT",))
    assert (ledger.funding("shadow"), ledger.cash_flows("shadow")) == ((), ())


def test_the_latest_at_or_before(ledger: Ledger) -> None:
    snapshots = [FactsSnapshot.of(at, f"[{at}]", day_close=at % 2 == 0) for at in range(1, 11)]
    ledger.append(snapshots)
    assert ledger.facts_at() == snapshots[-1]
    assert ledger.facts_at(5) == snapshots[4]
    assert ledger.facts_at(0) is None
    assert [snapshot.at_ms for snapshot in ledger.day_closes(3)] == [6, 8, 10]
    assert [snapshot.at_ms for snapshot in ledger.day_closes(3, 7)] == [2, 4, 6]
    assert [snapshot.at_ms for snapshot in ledger.day_closes(9, 5)] == [2, 4]
    ledger.append([replace(MARK, at_ms=at) for at in (5, 6)])
    assert [getattr(ledger.last_mark("risk", at), "at_ms", None) for at in (4, 5, 9)] == [None, 5, 6]
    ledger.append([replace(SLEEVE, at_ms=at, symbol=symbol) for at in (5, 6) for symbol in ("SOLUSDT", "BTCUSDT")])
    assert [(mark.at_ms, mark.symbol) for mark in ledger.last_sleeve_marks("risk", 5)] == [
        (5, "BTCUSDT"),
        (5, "SOLUSDT"),
    ]


def test_the_log_of_verdicts(ledger: Ledger) -> None:
    rows = [
        replace(VERDICT, verdict_id=f"v{n}", at_ms=n // 2, policy="action" if n % 3 else "launch")
        for n in range(10, 0, -1)
    ]
    ledger.append(rows)
    log = [verdict.verdict_id for verdict in ledger.verdicts()]
    assert log == ["v1", "v3", "v2", "v5", "v4", "v7", "v6", "v9", "v8", "v10"]  # by time, then as appended
    assert [verdict.verdict_id for verdict in ledger.verdicts(last=2)] == ["v8", "v10"]
    assert [verdict.verdict_id for verdict in ledger.verdicts(2, 3)] == ["v5", "v4", "v7", "v6"]
    assert [verdict.verdict_id for verdict in ledger.verdicts(policy="launch")] == ["v3", "v6", "v9"]
    latest, launch = ledger.latest_verdict(3), ledger.latest_verdict(3, policy="launch")
    assert latest is not None
    assert launch is not None
    assert (latest.verdict_id, launch.verdict_id) == ("v6", "v6")
    assert ledger.latest_verdict(-1) is None
    assert ledger.verdict("v7") == rows[3]


def test_events_by_kind_in_the_order_they_were_written(ledger: Ledger) -> None:
    kinds = ["epoch", "approval", "flatten", "approval"]
    ledger.append([Event(f"e{9 - n}", 5, kind, "s") for n, kind in enumerate(kinds)])
    assert [event.event_id for event in ledger.events()] == ["e9", "e8", "e7", "e6"]
    assert [event.event_id for event in ledger.events("approval")] == ["e8", "e6"]
    assert ledger.events("approval", to_ms=4) == ()


# the ledger itself


def test_meta_may_change_and_decides_how_long_a_commit_waits(ledger: Ledger) -> None:
    assert ledger.meta() == {"kind": "rehearsal", "created_at_ms": "0"}
    assert ledger._rows("PRAGMA synchronous") == [(1,)]
    ledger.set_meta(kind="live", seed=7)
    assert ledger.meta() == {"kind": "live", "created_at_ms": "0", "seed": "7"}
    assert ledger._rows("PRAGMA synchronous") == [(2,)]
    ledger.close()
    with Ledger.open(ledger.path) as again:
        assert again._rows("PRAGMA synchronous") == [(2,)]
        assert again._rows("PRAGMA journal_mode") == [("wal",)]


def test_a_kind_that_is_none_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="`demo` is no kind of ledger"):
        ledger.set_meta(kind="demo")


def test_the_hash_is_of_the_utf8_bytes() -> None:
    import hashlib  # noqa: PLC0415 - the oracle of one test

    assert sha256_of("naïve ✓") == hashlib.sha256("naïve ✓".encode()).hexdigest()
    assert StoredDocument.of("k", "n", "x").sha256 == sha256_of("x")


def test_asking_and_appending_import_no_pandas(ledger: Ledger) -> None:
    ledger.append(EVERY)
    code = f"""
import sys
from engine.ledger import Event, Ledger
with Ledger.open({str(ledger.path)!r}) as ledger:
    ledger.append(Event("e2", 1, "k", "s"))
    ledger.marks("risk"), ledger.sleeve_marks("risk"), ledger.latest_verdict(), ledger.day_closes(5)
print(sorted({{"pandas", "sqlite_utils", "matplotlib"}} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert len(ledger.events()) == 2


def test_the_newest_entry_of_a_desk_is_not_what_a_risk_guard_decided(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        ledger.append(VERDICT)
        ledger.append(replace(VERDICT, verdict_id="v2", at_ms=9 * HOUR, policy="risk_guard"))
        assert ledger.newest_ms() == HOUR
