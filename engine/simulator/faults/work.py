"""A plan at work: counts what it has seen, draws, and remembers whom it struck."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engine.simulator.faults.model import MARKET_MESSAGES, Condition, MessageFault, RequestFault, Scene
from engine.timeline import sleep_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.simulator.exchange import Exchange
    from engine.simulator.faults.model import Controls, Payload, Rule
    from engine.simulator.faults.plan import FaultPlan
    from engine.simulator.requests import Answer, Asked


@dataclass(frozen=True)
class Strike:
    """One time that a fault struck: when, which, and whom (method and path, a message's kind, or nothing)."""

    at_ms: int
    fault: str
    whom: str = ""


class _Busy:
    """A rule with its counts and its own draws, so that no rule's draws depend on another's."""

    def __init__(self, rule: Rule, scene: Scene, strikes: list[Strike]) -> None:
        self.rule = rule
        self.scene = scene
        self._strikes = strikes
        self._seen = 0
        self._struck = 0

    def strikes(self, whom: str) -> bool:
        """Return whether what matched is struck; counts it."""
        rule, now_ms = self.rule, self.scene.clock.now_ms()
        if not rule.holds_at(now_ms) or (rule.times is not None and self._struck >= rule.times):
            return False
        self._seen += 1
        if self._seen <= rule.skip or (rule.chance < 1 and self.scene.rng.random() >= rule.chance):
            return False
        self._struck += 1
        self._strikes.append(Strike(now_ms, rule.fault.name, whom))
        return True


class FaultsAtWork:
    """What the server asks before it answers and before it tells.

    Args:
        plan: the rules.
        exchange: for faults that look at it or change it.
        clock: for rules with a time.
        controls: of the server.
    """

    def __init__(self, plan: FaultPlan, exchange: Exchange, clock: Clock, controls: Controls) -> None:
        self.strikes: list[Strike] = []
        rules = enumerate(plan.rules)
        scenes = (
            (rule, Scene(exchange, clock, controls, np.random.default_rng([plan.seed, place]))) for place, rule in rules
        )
        busy = [_Busy(rule, scene, self.strikes) for rule, scene in scenes]
        self._requests = [(one, one.rule.fault) for one in busy if isinstance(one.rule.fault, RequestFault)]
        self._messages = [(one, one.rule.fault) for one in busy if isinstance(one.rule.fault, MessageFault)]
        self._conditions = [(one, one.rule.fault) for one in busy if isinstance(one.rule.fault, Condition)]

    async def answer(self, asked: Asked, serve: Callable[[Asked], Awaitable[Answer]]) -> Answer:
        """Return the venue's answer, or what the faults make of it.

        Raises:
            HangUpError: the connection breaks instead.
        """
        proceed: Callable[[], Awaitable[Answer]] = partial(serve, asked)
        for busy, fault in reversed(self._requests):
            if busy.rule.match.request(asked) and busy.strikes(f"{asked.method} {asked.path}"):
                proceed = partial(fault.strike, asked, proceed, busy.scene)
        return await proceed()

    @property
    def strike_market(self) -> bool:
        """Whether a rule names messages of public streams; otherwise none of them has to be written to be known."""
        return any(busy.rule.match.event in MARKET_MESSAGES for busy, _ in self._messages)

    def deliveries(self, payload: Payload) -> list[tuple[float, Payload]]:
        """Return what is delivered of a message: seconds from now, and the message."""
        due = [(0.0, payload)]
        for busy, fault in self._messages:
            if busy.rule.match.message(payload) and busy.strikes(str(payload.get("e"))):
                rng = busy.scene.rng
                due = [(later + more, one) for later, said in due for more, one in fault.deliveries(said, rng)]
        return due

    async def hold_conditions(self) -> None:
        """Let every condition begin and end at its time; runs until all are over, or it is cancelled."""
        await asyncio.gather(*(self._hold(busy, fault) for busy, fault in self._conditions))

    async def _hold(self, busy: _Busy, fault: Condition) -> None:
        rule, clock = busy.rule, busy.scene.clock
        async with AsyncExitStack() as stack:
            await sleep_until(clock, rule.from_ms if rule.from_ms is not None else clock.now_ms())
            if not busy.strikes(""):
                return
            await stack.enter_async_context(fault.hold(busy.scene))
            if rule.until_ms is None:
                await asyncio.Event().wait()
            else:
                await sleep_until(clock, rule.until_ms)
