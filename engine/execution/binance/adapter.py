"""Binance USDⓈ-M futures as a `Venue`: the half that changes something. The docstrings of `Venue` say what is meant."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import Problem, StagegateError
from engine.execution.binance import payloads
from engine.execution.binance.asking import Answer, error_of
from engine.execution.binance.client import calling, present_call
from engine.execution.binance.outcomes import ABSENT_CODES, ALREADY_SO_CODES, DUPLICATE_CODES, Failure, Kind, outcome_of
from engine.execution.binance.questions import Questions
from engine.execution.venue import Accepted, OrderKind, OrderState, StopState, Unknown, VenueUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator

    from engine.execution.binance.absence import Denials
    from engine.execution.binance.client import Call
    from engine.execution.binance.streams import Streams
    from engine.execution.venue import OrderRequest, Outcome, StopRequest, VenueEvent


FoundState = TypeVar("FoundState", OrderState, StopState)

RISING_PATIENCE_S = 1.0  # an order that adds risk is not worth a longer wait for allowance: its price moves on
ASK_AGAIN_S = 0.5


@dataclass(frozen=True)
class BinanceVenue(Questions):
    """One account; see `connection.connect`.

    Attributes:
        denials: when a missing order is proved missing.
        streams: the supervised connections.
        may_add_risk: asked just before an order that is not reduce-only is written to the connection.
    """

    denials: Denials
    streams: Streams
    may_add_risk: Callable[[], bool]

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Let what is sent within use the allowance kept for reducing."""
        with calling(_urgently()):
            yield

    async def place(self, request: OrderRequest) -> Outcome:
        """Send an order; a reducing one may use the reserve and needs no permit."""
        params: dict[str, Any] = {
            "symbol": request.symbol,
            "side": payloads.side_text(request.side),
            "type": request.kind.value,
            "quantity": format(request.qty, "f"),
            "newClientOrderId": request.client_id,
            "newOrderRespType": "RESULT",
        }
        if request.kind is OrderKind.LIMIT:
            if request.price is None:
                raise ValueError("a limit order has a price")
            params |= {"price": format(request.price, "f"), "timeInForce": "GTC"}
        if request.reduce_only:
            params["reduceOnly"] = "true"
            call = _urgently()
        else:

            def permitted() -> bool:
                until_ms = request.add_until_ms  # asked again at the socket: a machine may have slept before it
                return self.may_add_risk() and (until_ms is None or self.asker.clock.now_ms() <= until_ms)

            call = replace(present_call(), permitted=permitted, patience_s=RISING_PATIENCE_S)
        return await self._send(
            request.client_id,
            self.asker.client.futures_create_order,
            payloads.order_state,
            call,
            lambda: self.order(request.symbol, request.client_id),
            **params,
        )

    async def place_stop(self, request: StopRequest) -> Outcome:
        """Leave a stop, as an algo order; its id is `clientAlgoId`: the library drops any other."""
        params: dict[str, Any] = {
            "symbol": request.symbol,
            "side": payloads.side_text(request.side),
            "type": "STOP_MARKET",
            "triggerPrice": format(request.trigger_price, "f"),
            "workingType": "CONTRACT_PRICE",
            "clientAlgoId": request.client_id,
        }
        if request.close_position == (request.qty is not None):
            raise ValueError("a stop has either a quantity or closes the position")
        if request.qty is None:
            params["closePosition"] = "true"
        else:
            params |= {"quantity": format(request.qty, "f"), "reduceOnly": "true"}
        return await self._send(
            request.client_id,
            self.asker.client.futures_create_algo_order,
            payloads.stop_state,
            _urgently(),
            lambda: self.stop(request.client_id),
            **params,
        )

    async def order(self, symbol: str, client_id: str) -> OrderState | None:
        """Ask for an order."""
        method = self.asker.client.futures_get_order
        got = await self.asker.tried(method, payloads.order_state, symbol=symbol, origClientOrderId=client_id)
        return self._found(f"order `{client_id}`", client_id, got)

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        """Ask for an order by its number."""
        method = self.asker.client.futures_get_order
        got = await self.asker.tried(method, payloads.order_state, symbol=symbol, orderId=venue_id)
        if isinstance(got, Answer):
            return got.value.client_id
        if got.kind is Kind.REFUSED and got.code in ABSENT_CODES:
            return None
        raise error_of(f"order {venue_id} of `{symbol}`", got)

    async def stop(self, client_id: str) -> StopState | None:
        """Ask for a stop."""
        method = self.asker.client.futures_get_algo_order
        got = await self.asker.tried(method, payloads.stop_state, clientAlgoId=client_id)
        return self._found(f"stop `{client_id}`", client_id, got)

    async def cancel(self, symbol: str, client_id: str) -> Outcome:
        """Cancel an order; may always use the reserve."""
        method = self.asker.client.futures_cancel_order
        params = {"symbol": symbol, "origClientOrderId": client_id}
        got = await self.asker.in_step(method, payloads.order_state, _urgently(), **params)
        return Accepted(got.value) if isinstance(got, Answer) else outcome_of(got)

    async def cancel_stop(self, client_id: str) -> Outcome:
        """Cancel a stop; the venue's reference has an answer without the stop in it, then it is asked for."""
        method = self.asker.client.futures_cancel_algo_order

        def read(answer: Any) -> StopState | None:
            return payloads.stop_state(answer) if "algoStatus" in answer else None

        got = await self.asker.in_step(method, read, _urgently(), clientAlgoId=client_id)
        if isinstance(got, Failure):
            return outcome_of(got)
        if got.value is not None:
            return Accepted(got.value)
        found = await _looked_up(lambda: self.stop(client_id))
        if found is not None and found.status.ended:
            return Accepted(found)
        return Unknown("the venue takes the cancel, but does not show it yet")

    async def cancel_all(self, symbol: str) -> None:
        """Cancel the ordinary orders; that there are none is success."""
        method = self.asker.client.futures_cancel_all_open_orders
        await self._tell(f"the orders of `{symbol}`", method, ABSENT_CODES, symbol=symbol)

    async def cancel_all_stops(self, symbol: str) -> None:
        """Cancel the algo orders; that there are none is success."""
        method = self.asker.client.futures_cancel_all_algo_open_orders
        await self._tell(f"the stops of `{symbol}`", method, ABSENT_CODES, symbol=symbol)

    async def countdown(self, symbol: str, after_ms: int) -> None:
        """Wind up the dead-man timer."""
        method = self.asker.client.futures_countdown_cancel_all
        await self._tell(f"the countdown of `{symbol}`", method, symbol=symbol, countdownTime=after_ms)

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage."""
        method = self.asker.client.futures_change_leverage
        await self._tell(f"the leverage of `{symbol}`", method, symbol=symbol, leverage=leverage)

    async def set_margin_type(self, symbol: str, margin_type: str) -> None:
        """Set the margin type; the venue calls it an error (−4046) when it is so already."""
        method = self.asker.client.futures_change_margin_type
        what = f"the margin type of `{symbol}`"
        await self._tell(what, method, ALREADY_SO_CODES, symbol=symbol, marginType=margin_type)

    async def set_one_way_mode(self) -> None:
        """Set one-way mode; the venue calls it an error (−4059) when it is so already."""
        method = self.asker.client.futures_change_position_mode
        await self._tell("the position mode", method, ALREADY_SO_CODES, dualSidePosition="false")

    def events(self) -> AsyncIterator[VenueEvent]:
        """Yield the events of the supervised streams."""
        return self.streams.events()

    async def close(self) -> None:
        """Close the streams, then the connections for requests."""
        await self.streams.close()
        await self.asker.client.close_connection()

    async def _send(
        self,
        client_id: str,
        method: Callable[..., Awaitable[Any]],
        read: Callable[[Any], FoundState],
        call: Call,
        lookup: Callable[[], Awaitable[FoundState | None]],
        **params: Any,
    ) -> Outcome:
        try:
            got = await self.asker.in_step(method, read, call, **params)
        finally:
            self.denials.sent(client_id)  # when it gave up, not when it began: it may have waited for allowance
        if isinstance(got, Answer):
            return Accepted(got.value)
        if got.code not in DUPLICATE_CODES:
            return outcome_of(got)
        found = await _looked_up(lookup)
        return Accepted(found) if found is not None else Unknown("the venue has this id, but does not show it yet")

    def _found(self, what: str, client_id: str, got: Answer[FoundState] | Failure) -> FoundState | None:
        """Return the state; None when its absence is proved."""
        if isinstance(got, Answer):
            self.denials.seen(client_id)
            return got.value
        if not (got.kind is Kind.REFUSED and got.code in ABSENT_CODES):
            raise error_of(what, got)
        if self.denials.proven(client_id):
            return None
        problem = Problem(
            "unavailable", what, "the venue does not know it yet, which proves nothing yet", "it is asked again"
        )
        raise VenueUnavailable(problem, ASK_AGAIN_S)

    async def _tell(
        self, what: str, method: Callable[..., Awaitable[Any]], fine: Collection[int] = (), **params: Any
    ) -> None:
        """Tell the venue something that may be told twice; codes in `fine` say that it is so already."""
        got = await self.asker.tried(method, lambda _answer: None, **params)
        if isinstance(got, Failure) and not (got.kind is Kind.REFUSED and got.code in fine):
            raise error_of(what, got)


def _urgently() -> Call:
    return replace(present_call(), urgent=True)


async def _looked_up(lookup: Callable[[], Awaitable[FoundState | None]]) -> FoundState | None:
    try:
        return await lookup()
    except StagegateError:  # whoever sent it queries again: the outcome is unknown
        return None
