"""What a runner shows: a line a bar, and a bar in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import SECOND_MS, iso
from engine.reports.numbers import UNKNOWN, age, count, number, usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.runner.bar import BarView, SleeveView
    from engine.runner.dry import DryRun
    from engine.runner.open import Post


def start_text(post: Post) -> str:
    """Return what a run begins with, in one line."""
    governor, permit = post.desk.governor, post.permit
    posture, connection = governor.posture, post.place.connection
    offset_ms = post.venue.asker.clock.offset_ms
    parts = [
        f"{connection.mode} account at {connection.where}",
        f"ledger {post.ledger.path}",
        f"stage {posture.stage}, cap {usd(posture.cap_usd, 0)}, exposure {posture.exposure:g}",
        f"equity {usd(post.desk.account.equity_usd)}",
    ]
    parts += [] if permit.granted else ["HALTED: nothing adds risk until `stagegate resume`"]
    parts += [f"in doubt: {', '.join(sorted(permit.doubts))}"] if permit.doubts else []
    if abs(offset_ms) > SECOND_MS:
        parts.append(f"this clock is {abs(offset_ms):,} ms off the venue's, which is kept to")
    return "; ".join(parts)


def dry_text(dry: DryRun) -> str:
    """Return a dry run in full."""
    lines = [bar_text(dry.bar)]
    if dry.late:
        lines.append(f"late     that was {age(dry.age_ms)} ago: a run now would only reduce (A74)")
    lines += [
        f"DIFFERS  {one.subject}: {one.kind}, the venue has {one.venue}, the ledger {one.ledger}"
        for one in dry.differences
    ]
    lines += [f"FAIL     {each}" for each in dry.wrong] or ["dry run  fine: nothing was sent, nothing was recorded"]
    return "\n".join(lines)


def bar_line(view: BarView) -> str:
    """Return a bar in one line."""
    orders = [f"{one.symbol} {one.order} {one.status}".strip() for one in view.sleeves if one.order]
    parts = [view.outcome or "launched", f"equity {usd(view.equity_usd)}"]
    parts += orders or ["no orders"]
    parts += ["halted"] * view.halted
    parts += [f"the venue did not answer: {view.unheard[0]}"] if view.unheard else []
    parts += [f"no signal: {', '.join(view.without_signal)}"] if view.without_signal else []
    return f"{iso(view.close_ms)}  {'; '.join(parts)}"


def bar_text(view: BarView) -> str:
    """Return a bar in full: what each sleeve wants, what is sent, what is not and why, and its stop."""
    entries = "allowed" if view.entries_allowed else "blocked"
    head = [
        f"bar      {iso(view.close_ms)}",
        f"verdict  {view.outcome or 'none yet: nothing has been at risk'}  {view.verdict_id}".rstrip(),
        f"bounds   exposure {view.exposure:g}, cap {usd(view.cap_usd, 0)}, entries {entries}"
        + (", halted: nothing adds risk" if view.halted else ""),
        f"equity   {usd(view.equity_usd)}",
    ]
    sleeves = [line for one in view.sleeves for line in _sleeve_lines(one)]
    tail = [f"venue    did not answer: {each}" for each in view.unheard]
    tail += [f"stop     {each}" for each in view.protection]
    return "\n".join([*head, *sleeves, *tail])


def _sleeve_lines(one: SleeveView) -> Iterable[str]:
    signal = "no signal" if one.position is None else f"position {number(one.position, 4, signed=True)}"
    target = UNKNOWN if one.target_usd is None else usd(one.target_usd, signed=True)
    yield f"{one.symbol:<8} {signal}, target {target}, held {number(one.held_qty, 6, signed=True)}"
    if one.order:
        yield f"         order    {one.order}{f'  ({one.status})' * bool(one.status)}"
    for each in one.not_sent:
        yield f"         not sent {each}"
    yield f"         stop     {one.stop}"


def signals_text(without: Iterable[str]) -> str:
    """Return that symbols gave no target."""
    names = list(without)
    return f"{count(len(names), 'symbol')} without a target: {', '.join(names)}"
