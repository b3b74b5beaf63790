"""What `status` shows, word for word: a desk that works, and one of which nearly everything is lost."""

from __future__ import annotations

from dataclasses import replace

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS, parse_time
from engine.execution.reconcile import Difference, Kind
from engine.live.heartbeat import Heartbeat
from engine.live.lock import Holder
from engine.live.service_sign import ChildSign, ServiceSign
from engine.live.status import AtVenue, GuardSays, Holding, InLedger, Standing, Status
from engine.live.status_text import status_text

NOW_MS = parse_time("2026-03-01T12:00:30Z")
BAR_MS = NOW_MS - NOW_MS % HOUR_MS

BOOKS = InLedger(
    kind="live",
    launched_ms=BAR_MS - 100 * HOUR_MS,
    stage=2,
    cap_usd=25_000.0,
    exposure=0.5,
    entries_allowed=True,
    paused_since_ms=None,
    waiting=("SCALE_UP of `stage 3`, 1 of 2 signatures",),
    equity_usd=24_310.5,
    marked_ms=BAR_MS,
    last_bar_ms=BAR_MS,
    verdict_id="action-20260301T120000Z",
    outcome="REDUCE",
    verdict_ms=BAR_MS,
)
VENUE = AtVenue(
    at_ms=NOW_MS,
    positions=(Holding("BTCUSDT", 0.012, 60_000.0, 61_000.0, 12.0, 31_000.0),),
    standing=(
        Standing("order", "sgb-1", "ETHUSDT", -1, 0.5, 3_100.0),
        Standing("stop", "sgs-1", "BTCUSDT", -1, None, 57_500.0),
    ),
    wallet_usd=24_298.5,
)
BEAT = Heartbeat(
    pid=71,
    mode="real",
    what="run",
    state="running",
    at_ms=NOW_MS,
    real_ms=NOW_MS,
    last_bar_ms=BAR_MS,
    next_bar_ms=BAR_MS + HOUR_MS,
    outcome="REDUCE",
    equity_usd=24_310.5,
    halted=False,
    doubts=("the risk guard says nothing",),
    unheard="",
)
SERVICE = ServiceSign(
    pid=70,
    what="serve",
    real_ms=NOW_MS,
    digest="d",
    children=(
        ChildSign("runner", 71, "up", BAR_MS, 0),
        ChildSign("guard", None, "waiting", BAR_MS, 2, "exit 1"),
    ),
)
WORKING = Status(
    mode="real",
    ledger="reports/ledger.db",
    where="api.example",
    runner=Holder(71, "run", BAR_MS),
    heartbeat=BEAT,
    heartbeat_age_ms=4 * SECOND_MS,
    permitted=True,
    permit={"by": "alice", "reason": "launch", "at": "2026-02-25T08:00:00Z"},
    books=BOOKS,
    guard=GuardSays("REDUCE_ONLY", 40 * SECOND_MS, holds=True, doing="entries are blocked"),
    venue=VENUE,
    differences=(),
    service=Holder(70, "serve", BAR_MS),
    kept=SERVICE,
    kept_age_ms=2 * SECOND_MS,
)

SHOWN = """\
real account at api.example, ledger reports/ledger.db
runner   `run`, process 71, since 2026-03-01T12:00:00Z; last sign of life 4 s ago (running)
service  `serve`, process 70, since 2026-03-01T12:00:00Z; runner up, guard waiting (died 2 times, the last: exit 1); last sign of life 2 s ago
halt     no: launch, by alice 2026-02-25T08:00:00Z; but: the risk guard says nothing
guard    REDUCE_ONLY, 40 s ago; entries are blocked
venue    $24,298.50 in the wallet, 2026-03-01T12:00:30Z
         BTCUSDT  +0.012000 at 60,000.00, mark 61,000.00, +$12.00, liquidation 31,000.00
         1 order
           ETHUSDT  sell 0.500000 at 3,100.00  `sgb-1`
         1 stop
           BTCUSDT  sell all that is held at 57,500.00  `sgs-1`
         the ledger agrees
bounds   stage 2, cap $25,000, exposure 0.5, entries allowed
equity   $24,310.50 at 2026-03-01T12:00:00Z
verdict  REDUCE of 2026-03-01T12:00:00Z, action-20260301T120000Z
bar      2026-03-01T12:00:00Z, 30 s ago
waits    SCALE_UP of `stage 3`, 1 of 2 signatures: `stagegate approvals`"""  # noqa: E501 - as it is shown

LOST = """\
real account, ledger reports/ledger.db
runner   not running; last sign of life 3 h ago (running)
         nothing is decided, and stops are kept by the venue alone
service  NOT RUNNING, last sign of life 5 m ago: nobody starts again what dies, `stagegate serve`
halt     HALTED: nothing adds risk; a signed restart lifts it, `stagegate incident list`
guard    says nothing about this ledger: `stagegate risk-guard` watches it
venue    unknown: see below
bounds   stage 2, cap $25,000, exposure 0.5, entries blocked, PAUSED since 2026-03-01T12:00:00Z
equity   $24,310.50 at 2026-03-01T12:00:00Z
verdict  none yet
bar      none yet
unknown  what the venue holds is not known: it did not answer within 5 s"""


def test_R112_a_working_desk_is_shown_with_what_the_venue_holds_and_what_is_in_force() -> None:
    assert status_text(WORKING) == SHOWN


def test_R167_what_is_dead_or_unknown_is_said_and_what_to_do_about_it() -> None:
    lost = replace(
        WORKING,
        where="",
        runner=None,
        heartbeat_age_ms=3 * HOUR_MS,
        permitted=False,
        guard=None,
        venue=None,
        differences=None,
        unknown=("what the venue holds is not known: it did not answer within 5 s",),
        service=None,
        kept_age_ms=5 * MINUTE_MS,
        books=replace(
            BOOKS, paused_since_ms=BAR_MS, entries_allowed=False, last_bar_ms=None, verdict_id="", waiting=()
        ),
    )
    assert status_text(lost) == LOST


def test_what_differs_is_shown_and_a_halt_by_hand_names_what_lifts_it() -> None:
    off = replace(
        WORKING,
        permitted=False,
        guard=GuardSays("FLATTEN_ALL", 7 * MINUTE_MS, holds=False, doing=""),
        venue=replace(VENUE, positions=(), standing=()),
        differences=(Difference(Kind.POSITION, "BTCUSDT", "0", "0.012"),),
    )
    shown = status_text(off).split("\n")
    assert "halt     HALTED: nothing adds risk; `stagegate resume` lifts it" in shown
    assert "guard    FLATTEN_ALL, 7 m ago, too old to mean anything" in shown
    assert "         flat: no position" in shown
    assert "         DIFFERS  BTCUSDT: position, the venue has 0, the ledger 0.012" in shown
