"""What bounds and signals lead to: the plan of a bar, what is recorded of it, and its orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bounds import Change
from engine.clock import HOUR_MS
from engine.execution.course import TRADING
from engine.execution.executor import parent_order
from engine.execution.planned import Decided, Plan, SleeveState
from engine.execution.planner import plan
from engine.live.account import RISK
from engine.portfolio import Bounds, SymbolFilters, Why
from strategies.sleeve import Ending

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.execution.executor import ParentResult
    from engine.execution.venue import VenueFilters
    from engine.live.desk_parts import Parts, Rules
    from engine.live.signals import Reading

RESTART = "sleeve_restart"
SKIPPED = "order_skipped"


class Trader:
    """Plans and sends the orders of one desk.

    Args:
        rules: what it trades by.
        parts: what it works with.
    """

    def __init__(self, rules: Rules, parts: Parts) -> None:
        self._rules = rules
        self._parts = parts
        self._filters: dict[str, VenueFilters] = {}
        self._refused: set[str] = set()

    async def read_filters(self) -> tuple[str, ...]:
        """Read the venue's limits anew; return the symbols that it takes no orders of.

        Of a symbol that is no longer listed the last limits stay: what is held must still be closed.

        Raises:
            VenueError: they cannot be read; the old ones stay.
        """
        found = await self._parts.venue.filters()
        self._filters |= found
        return tuple(one for one in self._rules.symbols if one not in found or found[one].status != TRADING)

    async def filters(self) -> dict[str, VenueFilters]:
        """Return the venue's limits as they were read last.

        Raises:
            VenueError: they were never read, and cannot be now.
        """
        if not self._filters:
            await self.read_filters()
        return self._filters

    def plan(
        self, bounds: Bounds, close_ms: int, *, sized: bool, untrimmed: Collection[str]
    ) -> tuple[Plan, dict[str, Reading]]:
        """Return what is to be ordered at a close, and what each sleeve said.

        Args:
            bounds: in force.
            close_ms: of the bar.
            sized: whether the equity is known now; without it nothing grows.
            untrimmed: symbols whose cut is still to be carried out.
        """
        parts = self._parts
        readings = parts.signals.read(parts.tape, {})
        held, targets = parts.account.qty, parts.ledger.last_targets(RISK)
        sleeves = []
        for symbol in self._rules.symbols:
            reading = readings.get(symbol)
            late = reading is None or reading.bar_ms + HOUR_MS != close_ms
            mark = parts.tape.mark_at(symbol, close_ms)
            sleeves.append(
                SleeveState(
                    symbol=symbol,
                    weight=self._rules.weights[symbol],
                    position=None if reading is None or late else reading.position,
                    close_price=None if reading is None or late else reading.close,
                    held_qty=held[symbol],
                    last_target_usd=targets.get(symbol, 0.0) if held[symbol] else 0.0,
                    filters=self._limits(symbol),
                    remembers=reading is not None and reading.remembers,
                    previous_position=None if reading is None else reading.position_before,
                    ending=Ending.NONE if reading is None else reading.ending,
                    mark_price=None if mark is None else mark[0],
                    trim=symbol in untrimmed,
                )
            )
        decided = Decided(
            age_ms=parts.clock.now_ms() - close_ms,
            valid_for_ms=self._rules.decision_valid_for_ms,
            halted=not parts.permit.present(),
        )
        equity_usd = parts.account.equity_usd if sized else None
        made = plan(sleeves, bounds=bounds, equity_usd=equity_usd, dead_band=self._rules.dead_band, decided=decided)
        return made, readings

    def tell(self, made: Plan, readings: Mapping[str, Reading], close_ms: int) -> None:
        """Record what is not sent for good, and which sleeves wait for a fresh signal.

        Raises:
            LedgerError: it cannot be recorded.
        """
        parts = self._parts
        for restart in made.restarts:
            bar_ms = readings[restart.symbol].bar_ms
            parts.signals.restart(restart.symbol, bar_ms)
            parts.events.record(close_ms, Change(RESTART, restart.symbol, {"bar_ms": bar_ms, "reason": restart.reason}))
        for left in made.not_sent:
            if left.code == Why.MINIMUM and left.symbol not in self._refused:
                self._refused.add(left.symbol)
                detail = {"reason": left.reason, "notional_usd": left.notional_usd}
                parts.events.record(close_ms, Change(SKIPPED, left.symbol, detail))
        self._refused -= {order.symbol for order in made.orders}
        parts.ledger.append(parts.events.take())

    async def execute(
        self, made: Plan, opens: Mapping[str, float], close_ms: int, verdict_id: str
    ) -> tuple[ParentResult, ...]:
        """Send the orders of a plan, and return what became of them.

        Args:
            made: the plan.
            opens: symbol -> the open of the bar they fill in, what their slippage is measured against.
            close_ms: of the bar that was decided on.
            verdict_id: whose bounds they obey; empty before the first verdict.

        Raises:
            LedgerError: an order could not be recorded; it was not sent.
        """
        if not made.orders:
            return ()
        orders = [
            parent_order(
                order,
                bar_ms=close_ms,
                ref_price=opens.get(order.symbol, self._last_close(order.symbol)),
                prefer_limit=self._rules.prefer_limit,
                add_until_ms=close_ms + self._rules.decision_valid_for_ms,
                verdict_id=verdict_id or None,
            )
            for order in made.orders
        ]
        return await self._parts.executor.execute(orders, await self.filters())

    def _last_close(self, symbol: str) -> float:
        bars = self._parts.tape.bars(symbol)
        assert bars is not None, "an order was planned without a bar"
        return float(bars.close[-1])

    def _limits(self, symbol: str) -> SymbolFilters | None:
        found = self._filters.get(symbol)
        if found is None:
            return None
        return SymbolFilters(
            step_size=float(found.step_size),
            min_qty=float(found.min_qty),
            min_notional_usd=float(found.min_notional_usd),
            tick_size=float(found.tick_size),
        )
