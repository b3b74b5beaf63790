"""The client library's defects (1.0.37), each covered; over real loopback sockets, in virtual time."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import traceback
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from engine.clock import HOUR_MS
from engine.errors import VenueError
from engine.execution.binance.absence import PROOF_MS
from engine.execution.binance.client import ANSWER_TIMEOUT_S, RECV_WINDOW_MS, Keys
from engine.execution.venue import (
    NOT_SENT,
    Accepted,
    OrderKind,
    OrderRequest,
    Rejected,
    StopRequest,
    Unknown,
    Venue,
    VenueRefused,
    VenueUnavailable,
)
from engine.timeline import run_virtual
from tests.execution.scripted import KEY, SECRET, Says, adapter_at, refuses, scripted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from tests.execution.scripted import ScriptedVenue

START_MS = 1_700_000_400_000
ACCOUNT = {"assets": [{"asset": "USDT", "walletBalance": "1", "marginBalance": "1", "availableBalance": "1"}]}
ORDER = "POST /fapi/v1/order"
MARKET = OrderRequest("sg-1", "BTCUSDT", 1, Decimal("0.010"), OrderKind.MARKET)
CLOSING = OrderRequest("sg-2", "BTCUSDT", -1, Decimal("0.010"), OrderKind.MARKET, reduce_only=True)
STOP = StopRequest("sg-3", "BTCUSDT", -1, Decimal("30000.0"), qty=Decimal("0.010"))
ORDER_ROW = {
    "orderId": 7, "symbol": "BTCUSDT", "status": "FILLED", "clientOrderId": "sg-1", "price": "0", "origQty": "0.010",
    "executedQty": "0.010", "type": "MARKET", "reduceOnly": False, "side": "BUY", "updateTime": START_MS,
}  # fmt: skip
STOP_ROW = {
    "algoId": 9, "clientAlgoId": "sg-3", "symbol": "BTCUSDT", "side": "SELL", "algoStatus": "NEW", "quantity": "0.010",
    "triggerPrice": "30000.0", "closePosition": False, "updateTime": START_MS,
}  # fmt: skip


def play(
    act: Callable[[BinanceVenue, ScriptedVenue, Clock], Awaitable[None]],
    script: dict[str, list[Says]] | None = None,
    *,
    ahead_ms: int = 0,
    permit: Callable[[], bool] = lambda: True,
) -> None:
    """Run `act` with the adapter connected to a scripted venue, in virtual time."""

    async def main(clock: Clock) -> None:
        async with (
            scripted(clock, script, ahead_ms=ahead_ms) as there,
            adapter_at(there, clock, permit=permit) as venue,
        ):
            await act(venue, there, clock)

    run_virtual(main, START_MS)


def test_the_adapter_is_a_venue() -> None:
    async def act(venue: BinanceVenue, _there: ScriptedVenue, _clock: Clock) -> None:
        whole: Venue = venue
        assert whole is venue

    play(act)


def test_every_address_is_ours_sapi_included() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        assert (await venue.permissions()).futures
        assert there.seen[-1].path == "/sapi/v1/account/apiRestrictions"
        own = {name: value for name, value in vars(venue.asker.client).items() if name in {"API_URL", "FUTURES_URL"}}
        assert all(value.startswith(there.rest_url) for value in own.values())

    rights = {"enableFutures": True, "enableWithdrawals": False, "ipRestrict": True}
    play(act, {"GET /sapi/v1/account/apiRestrictions": [Says(rights)]})


@pytest.mark.parametrize("ahead_ms", [-5_000, 5_000])
def test_requests_are_stamped_with_the_futures_venues_time_and_signed(ahead_ms: int) -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, clock: Clock) -> None:
        await asyncio.sleep(1_000)  # of virtual time: the machine's clock stands still
        await venue.positions()
        seen = there.seen[-1]
        assert abs(int(seen.params["timestamp"]) - clock.now_ms() - ahead_ms) <= 500
        assert seen.params["recvWindow"] == str(RECV_WINDOW_MS)
        plain = {name: value for name, value in seen.params.items() if name != "signature"}
        text = urlencode(sorted(plain.items()))
        assert seen.params["signature"] == hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        assert there.told("GET /fapi/v1/time")
        assert not there.told("GET /api/v3/time", "GET /api/v3/ping")  # never the spot venue's

    play(act, {"GET /fapi/v3/positionRisk": [Says([])]}, ahead_ms=ahead_ms)


def test_a_refused_timestamp_is_measured_again_and_the_order_sent_once_more() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, clock: Clock) -> None:
        there.ahead_ms = 9_000
        assert isinstance(await venue.place(MARKET), Accepted)
        first, second = there.told(ORDER)
        assert first.params["newClientOrderId"] == second.params["newClientOrderId"] == "sg-1"
        assert abs(int(second.params["timestamp"]) - clock.now_ms() - 9_000) <= 500

    play(act, {ORDER: [refuses(-1021), Says(ORDER_ROW)]})


def test_a_clock_that_cannot_be_set_right_rejects_the_order_and_sends_it_no_third_time() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        outcome = await venue.place(MARKET)
        assert isinstance(outcome, Rejected)
        assert outcome.code == -1021
        assert len(there.told(ORDER)) == 2

    play(act, {ORDER: [refuses(-1021)]})


def test_an_order_answer_may_lack_the_average_price() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        outcome = await venue.place(MARKET)
        assert isinstance(outcome, Accepted)
        assert (outcome.state.client_id, outcome.state.status) == ("sg-1", "FILLED")
        assert there.seen[-1].params["quantity"] == "0.010"

    play(act, {ORDER: [Says(ORDER_ROW)]})


def test_a_stop_goes_to_the_algo_endpoint_under_its_own_id() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        assert isinstance(await venue.place_stop(STOP), Accepted)
        assert isinstance(
            await venue.place_stop(StopRequest("sg-4", "BTCUSDT", -1, Decimal(1), close_position=True)), Accepted
        )
        one, whole = there.told("POST /fapi/v1/algoOrder")
        assert one.params["clientAlgoId"] == "sg-3"
        how = {"type": "STOP_MARKET", "triggerPrice": "30000.0", "workingType": "CONTRACT_PRICE", "reduceOnly": "true"}
        assert how.items() <= one.params.items()
        assert whole.params["closePosition"] == "true"
        assert not {"reduceOnly", "quantity"} & whole.params.keys()
        assert not there.told(ORDER)

    play(act, {"POST /fapi/v1/algoOrder": [Says(STOP_ROW)]})


def test_the_library_still_drops_a_stops_order_id() -> None:
    """What `place_stop` works around; when this fails, the library has changed and the work-around may go."""

    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        await venue.asker.client.futures_create_order(symbol="BTCUSDT", type="STOP_MARKET", newClientOrderId="mine")
        params = there.seen[-1].params
        assert "newClientOrderId" not in params
        assert params["clientAlgoId"] != "mine"

    play(act, {"POST /fapi/v1/algoOrder": [Says(STOP_ROW)]})


@pytest.mark.parametrize(
    "answer",
    [
        Says("<html>Service Unavailable</html>", 503),
        Says("not json at all", 200),
        Says([1, 2], 200),
        refuses(-1007, 408),
        refuses(-1006),
        Says(drop=True),
        Says(ORDER_ROW, hang_s=ANSWER_TIMEOUT_S + 1),
    ],
    ids=["503", "no json", "no order", "-1007", "-1006", "dropped", "timeout"],
)
def test_an_order_without_a_proof_is_unknown_and_sent_once(answer: Says) -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, clock: Clock) -> None:
        assert isinstance(await venue.place(MARKET), Unknown)
        assert len(there.told(ORDER)) == 1
        assert clock.now_ms() - START_MS <= (ANSWER_TIMEOUT_S + 1) * 1_000

    play(act, {ORDER: [answer]})


def test_a_duplicate_id_is_queried_not_rejected() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        outcome = await venue.place(MARKET)
        assert isinstance(outcome, Accepted)
        assert outcome.state.venue_id == "7"
        assert there.seen[-1].params["origClientOrderId"] == "sg-1"
        assert isinstance(await venue.place_stop(STOP), Unknown)  # not visible yet: nothing is concluded

    play(
        act,
        {
            ORDER: [refuses(-4116)],
            "GET /fapi/v1/order": [Says(ORDER_ROW)],
            "POST /fapi/v1/algoOrder": [refuses(-20132)],
            "GET /fapi/v1/algoOrder": [refuses(-2013)],
        },
    )


@pytest.mark.parametrize("code", [-2022, -2019, -4164, -1111, -4400, -4015, -4061, -1008])
def test_a_refused_order_is_rejected_with_the_venues_code(code: int) -> None:
    async def act(venue: BinanceVenue, _there: ScriptedVenue, _clock: Clock) -> None:
        outcome = await venue.place(CLOSING)
        assert isinstance(outcome, Rejected)
        assert outcome.code == code

    play(act, {ORDER: [refuses(code, 503 if code == -1008 else 400)]})


def test_a_missing_order_is_believed_only_when_it_can_no_longer_come_to_be() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, clock: Clock) -> None:
        assert isinstance(await venue.place(MARKET), Unknown)
        sent_ms = clock.now_ms()
        while clock.now_ms() - sent_ms < PROOF_MS:
            with pytest.raises(VenueUnavailable) as failure:
                await venue.order("BTCUSDT", "sg-1")
            assert failure.value.retry_after_s is not None
            await asyncio.sleep(1)
        assert await venue.order("BTCUSDT", "sg-1") is None
        with pytest.raises(VenueUnavailable):  # of another process: counts from the first denial
            await venue.stop("unheard of")
        there.script["GET /fapi/v1/order"] = [Says(ORDER_ROW)]
        assert (await venue.order("BTCUSDT", "sg-1")) is not None

    script = {ORDER: [Says(drop=True)]}
    play(act, {**script, "GET /fapi/v1/order": [refuses(-2013)], "GET /fapi/v1/algoOrder": [refuses(-2013)]})


def test_the_proof_counts_from_the_last_sending_though_the_id_was_denied_before() -> None:
    async def act(venue: BinanceVenue, _there: ScriptedVenue, _clock: Clock) -> None:
        with pytest.raises(VenueUnavailable):
            await venue.order("BTCUSDT", "sg-2")  # before it was ever sent, as at a restart
        await asyncio.sleep(PROOF_MS / 1_000 + 1)
        assert isinstance(await venue.place(CLOSING), Unknown)
        with pytest.raises(VenueUnavailable):
            await venue.order("BTCUSDT", "sg-2")

    play(act, {ORDER: [Says(drop=True)], "GET /fapi/v1/order": [refuses(-2013)]})


def test_the_clock_is_measured_by_the_quicker_of_two_answers() -> None:
    async def act(venue: BinanceVenue, _there: ScriptedVenue, _clock: Clock) -> None:
        assert venue.asker.clock.offset_ms == 5_000

    slow, quick = Says({"serverTime": START_MS + 5_000}, hang_s=1.0), Says({"serverTime": START_MS + 6_000})
    play(act, {"GET /fapi/v1/time": [slow, quick]})


def test_the_venues_own_rate_limit_is_taken_over() -> None:
    async def act(venue: BinanceVenue, _there: ScriptedVenue, _clock: Clock) -> None:
        assert await venue.filters() == {}
        assert venue.limiter.limit == 6_000

    weights = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6_000}
    play(act, {"GET /fapi/v1/exchangeInfo": [Says({"rateLimits": [weights], "symbols": []})]})


@pytest.mark.parametrize("name", ["positions", "open_orders", "open_stops", "balance", "mark_prices", "filters"])
@pytest.mark.parametrize(
    "answer",
    [Says("down", 503), Says("{}", 200), Says(drop=True), Says([{"symbol": "BTCUSDT"}])],
    ids=["503", "empty", "dropped", "unreadable"],
)
def test_a_question_without_an_answer_is_never_answered(name: str, answer: Says) -> None:
    paths = {
        "positions": "v3/positionRisk", "open_orders": "v1/openOrders", "open_stops": "v1/openAlgoOrders",
        "balance": "v2/account", "mark_prices": "v1/premiumIndex", "filters": "v1/exchangeInfo",
    }  # fmt: skip

    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        question: Callable[[], Awaitable[Any]] = getattr(venue, name)
        with pytest.raises(VenueUnavailable):
            await question()
        assert len(there.told(f"GET /fapi/{paths[name]}")) >= 3  # asked again before giving up

    play(act, {f"GET /fapi/{paths[name]}": [answer]})


def test_a_position_held_long_and_short_apart_is_refused() -> None:
    row = {"symbol": "BTCUSDT", "positionAmt": "1", "positionSide": "LONG"}

    async def act(venue: BinanceVenue, _there: ScriptedVenue, _clock: Clock) -> None:
        with pytest.raises(VenueRefused, match="hedge mode"):
            await venue.positions()

    play(act, {"GET /fapi/v3/positionRisk": [Says([row])]})


def test_after_a_429_questions_wait_and_after_a_long_ban_they_do_not() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, clock: Clock) -> None:
        began_ms = clock.now_ms()
        assert await venue.positions() == {}
        assert clock.now_ms() - began_ms >= 7_000
        with pytest.raises(VenueUnavailable) as banned:
            await venue.balance()
        assert banned.value.retry_after_s is not None
        assert 299 <= banned.value.retry_after_s <= 300
        count = len(there.seen)
        for request in (MARKET, CLOSING):
            outcome = await venue.place(request)
            assert isinstance(outcome, Rejected)
            assert outcome.code == NOT_SENT
        assert len(there.seen) == count  # a request during a ban prolongs it

    play(
        act,
        {
            "GET /fapi/v3/positionRisk": [refuses(-1003, 429, Retry_After="7"), Says([])],
            "GET /fapi/v2/account": [refuses(-1003, 418, Retry_After="300")],
        },
    )


def test_the_reserve_is_left_to_reducing() -> None:
    async def act(venue: BinanceVenue, _there: ScriptedVenue, clock: Clock) -> None:
        await venue.balance()  # 2,000 of 2,400 used
        began_ms = clock.now_ms()
        with venue.urgent():
            await venue.positions()
        assert isinstance(await venue.place(CLOSING), Accepted)
        assert clock.now_ms() - began_ms < 1_000
        outcome = await venue.place(MARKET)
        assert isinstance(outcome, Rejected)
        assert outcome.code == NOT_SENT
        await venue.positions()  # waits for the next minute
        assert clock.now_ms() // 60_000 > began_ms // 60_000

    heavy = {"X-MBX-USED-WEIGHT-1M": "2000"}
    play(
        act,
        {
            "GET /fapi/v2/account": [Says(ACCOUNT, headers=heavy)],
            "GET /fapi/v3/positionRisk": [Says([], headers=heavy)],
            ORDER: [Says(ORDER_ROW, headers=heavy)],
        },
    )


def test_A74_an_order_that_adds_is_too_old_at_the_socket_too() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, clock: Clock) -> None:
        now_ms = clock.now_ms()
        late = await venue.place(replace(MARKET, add_until_ms=now_ms - 1))
        assert isinstance(late, Rejected)
        assert late.code == NOT_SENT
        assert isinstance(await venue.place(replace(CLOSING, add_until_ms=now_ms - 1)), Accepted)
        assert isinstance(await venue.place(replace(MARKET, add_until_ms=now_ms + 60_000)), Accepted)
        assert len(there.told(ORDER)) == 2

    play(act, {ORDER: [Says(ORDER_ROW)]})


def test_without_a_permit_only_reducing_orders_leave() -> None:
    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        outcome = await venue.place(MARKET)
        assert isinstance(outcome, Rejected)
        assert outcome.code == NOT_SENT
        assert isinstance(await venue.place(CLOSING), Accepted)
        assert [seen.params["newClientOrderId"] for seen in there.told(ORDER)] == ["sg-2"]

    play(act, {ORDER: [Says(ORDER_ROW)]}, permit=lambda: False)


def test_the_permit_is_asked_for_when_the_connection_stands() -> None:
    """Connecting takes time: a permit revoked meanwhile holds the order back."""
    asked: list[bool] = []

    def revoked_while_connecting() -> bool:
        asked.append(not asked)
        return asked[-1]

    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        outcome = await venue.place(MARKET)
        assert isinstance(outcome, Rejected)
        assert asked == [True, False]
        assert not there.told(ORDER)

    play(act, {ORDER: [Says(ORDER_ROW)]}, permit=revoked_while_connecting)


def test_success_in_disguise_and_nothing_to_cancel() -> None:
    async def act(venue: BinanceVenue, _there: ScriptedVenue, _clock: Clock) -> None:
        await venue.set_margin_type("BTCUSDT", "ISOLATED")
        await venue.set_one_way_mode()
        await venue.cancel_all("BTCUSDT")
        await venue.cancel_all_stops("BTCUSDT")
        with pytest.raises(VenueRefused) as refused:
            await venue.set_leverage("BTCUSDT", 3)
        assert refused.value.code == -4028
        outcome = await venue.cancel("BTCUSDT", "sg-1")
        assert isinstance(outcome, Rejected)
        assert outcome.code == -2011

    play(
        act,
        {
            "POST /fapi/v1/marginType": [refuses(-4046)],
            "POST /fapi/v1/positionSide/dual": [refuses(-4059)],
            "DELETE /fapi/v1/allOpenOrders": [refuses(-2011)],
            "DELETE /fapi/v1/algoOpenOrders": [Says({"code": 200, "msg": "done"})],
            "DELETE /fapi/v1/order": [refuses(-2011)],
            "POST /fapi/v1/leverage": [refuses(-4028)],
        },
    )


def test_a_cancelled_stop_is_confirmed_whatever_the_answer_shows() -> None:
    gone = {**STOP_ROW, "algoStatus": "CANCELED"}
    short = {"algoId": 9, "clientAlgoId": "sg-3", "code": "200", "msg": "success"}

    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        assert isinstance(await venue.cancel_stop("sg-3"), Accepted)
        assert not there.told("GET /fapi/v1/algoOrder")
        assert isinstance(await venue.cancel_stop("sg-3"), Unknown)  # shown as standing still
        outcome = await venue.cancel_stop("sg-3")
        assert isinstance(outcome, Accepted)
        assert outcome.state.status.ended

    play(
        act,
        {
            "DELETE /fapi/v1/algoOrder": [Says(gone), Says(short)],
            "GET /fapi/v1/algoOrder": [Says(STOP_ROW), Says(gone)],
        },
    )


def test_only_closed_bars_are_bars() -> None:
    hour = START_MS - START_MS % HOUR_MS
    rows = [
        [at, "10", "12", "9", "11", "5", at + HOUR_MS - 1, "0", 1, "0", "0", "0"]
        for at in (hour - 2 * HOUR_MS, hour - HOUR_MS)
    ]

    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        bars = await venue.closed_bars("BTCUSDT", hour - 2 * HOUR_MS)
        assert bars.open_time_ms.tolist() == [hour - 2 * HOUR_MS, hour - HOUR_MS]
        assert int(there.seen[-1].params["endTime"]) == hour  # the running one shows that the one before is closed
        marks = await venue.closed_bars("BTCUSDT", hour - 2 * HOUR_MS, mark=True)
        assert marks.volume.tolist() == [0.0, 0.0]
        there.script["GET /fapi/v1/klines"] = [Says([*rows, [hour, *rows[0][1:]]])]
        assert len(await venue.closed_bars("BTCUSDT", hour - 2 * HOUR_MS)) == 2
        there.script["GET /fapi/v1/klines"] = [Says([*rows, [hour + HOUR_MS, *rows[0][1:]]])]
        with pytest.raises(VenueUnavailable, match="cannot be read"):
            await venue.closed_bars("BTCUSDT", hour - 2 * HOUR_MS)
        assert len(await venue.closed_bars("BTCUSDT", hour)) == 0

    play(act, {"GET /fapi/v1/klines": [Says(rows)], "GET /fapi/v1/markPriceKlines": [Says(rows)]})


def test_a_wrong_key_is_said_plainly_and_no_secret_is_ever_shown(caplog: pytest.LogCaptureFixture) -> None:
    shown: list[str] = []
    answers = [
        refuses(-2015, 401), Says("<html>oops</html>", 503), Says(drop=True), Says("no json"), Says([{}]),
        Says([], hang_s=9), refuses(-1003, 418, Retry_After="300"),
    ]  # fmt: skip

    async def act(venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        shown.extend([repr(venue), str(Keys(KEY, SECRET)), repr(venue.asker.client), repr(venue.streams)])
        for answer in answers:
            for path in ("GET /fapi/v3/positionRisk", ORDER):
                there.script[path] = [answer]
            shown.append(repr(await venue.place(MARKET)))
            with pytest.raises(VenueError) as failed:
                await venue.positions()
            shown.append("".join(traceback.format_exception(failed.value)) + repr(vars(failed.value)))
            assert failed.value.__context__ is None

    caplog.set_level(logging.DEBUG)
    play(act)
    everything = "\n".join(shown) + caplog.text
    assert "key-refused" in everything
    assert KEY not in everything
    assert SECRET not in everything
    assert "signature" not in everything
