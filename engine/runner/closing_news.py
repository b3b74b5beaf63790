"""What people hear of a closing by the runner: everything that the risk guard does not tell them already."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.execution.flattened import Terms
from engine.execution.siderecord import SideRecord
from engine.inquiry import ACTION
from engine.live.closing import ClosingNews
from engine.risk_guard.aftermath import FLATTEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.execution.flattened import FlattenReport
    from engine.ledger import Ledger
    from engine.live.decision_file import GuardWatch
    from engine.live.opening import Hands, Release


def with_news(hands: Hands, ledger: Ledger, release: Release, guard: GuardWatch) -> Hands:
    """Return hands whose closings people hear of; the same where the bundle does not say how long one may take.

    Args:
        hands: of a desk.
        ledger: its memory.
        release: what it runs.
        guard: while its decision to close everything holds, it tells of the closing.
    """
    times = release.bundle.guard_times
    if times is None:
        return hands
    news = ClosingNews(times.flat_within_ms, _why(ledger, release, guard))

    def close_all(reason: str) -> asyncio.Future[FlattenReport]:
        terms = Terms(symbols=release.config.market.symbols, reason=reason)
        return asyncio.ensure_future(
            news.flatten(hands.venue, hands.permit, guard.clock, SideRecord(ledger.path), terms)
        )

    return replace(hands, flatten=close_all)


def _why(ledger: Ledger, release: Release, guard: GuardWatch) -> Callable[[str], str | None]:
    rules = release.bundle.policies[ACTION].by_id

    def why(reason: str) -> str | None:
        decision = guard.decision()
        if decision is not None and decision.closes:
            return None
        last = ledger.latest_verdict(policy=ACTION)
        if last is None or last.outcome != reason:
            return _noted(ledger, reason)
        fired = [name for name in json.loads(last.document)["fired"] if name in rules]
        return "; ".join([*(rules[name].rule.because for name in fired), f"stagegate verdict show {last.verdict_id}"])

    return why


def _noted(ledger: Ledger, reason: str) -> str:
    """Return why the book was closed before this, by somebody outside; empty where nobody noted it."""
    closed = ledger.events(FLATTEN)
    if not closed or closed[-1].subject != reason:
        return ""
    return str(json.loads(closed[-1].document).get("reason", ""))
