"""Stages in the terminal, in 80 columns: where the rollout stands, what is missing and how to get it."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from engine.clock import iso
from engine.reports.numbers import minute_text, number, usd
from engine.reports.tables import table
from engine.reports.terminal_tables import rich_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table as RichTable

    from engine.operations.approvals import Tally
    from engine.operations.stages.evidence import Evidence
    from engine.operations.stages.standing import Condition, StageStanding

_UNITS = {"percent": " %", "multiple": "\N{MULTIPLICATION SIGN}", "usd": " USD", "days": " days"}
_PLACES = 4
_WIDTH, _CURE_COLUMN = 80, 25


def stage_text(standing: StageStanding) -> str:
    """Return where a rollout stands."""
    lines = [_head(standing), *_now(standing)]
    if standing.to is not None:
        people = f"{standing.approvals} {'person' if standing.approvals == 1 else 'people'} must sign"
        lines += ["", f"to stage {standing.to} ({usd(standing.to_cap_usd, 0)}), all of it; {people}:"]
        lines += [_line(each, wanted=True) for each in standing.promote]
    if standing.abort_to is not None:
        lines += ["", f"back to stage {standing.abort_to}, by itself, on any of:"]
        lines += [_line(each, wanted=False) for each in standing.abort]
    if standing.missing:
        lines += ["", "missing, and how to get it:"]
        lines += [f"  {each.fact:<22} {each.cure}" for each in standing.missing]
    elif standing.to is not None and standing.kind == "live":
        lines += ["", "nothing is missing: `stagegate stage promote --key KEY` asks for it"]
    for tally in standing.requests:
        lines += ["", *_request(tally)]
    return _wrapped(lines)


def promotion_text(state: str, standing: StageStanding, verdict_id: str, request: Tally | None) -> str:
    """Return what `stage promote` came to."""
    to = standing.to
    lines = [
        f"{standing.outcome}  stage {standing.stage} to {to}: {state}",
        f"  why  stagegate verdict show {verdict_id}",
    ]
    if request is None:
        lines += [f"  {each.fact:<22} {_value(each)}, needed {each.test}\n    {each.cure}" for each in standing.missing]
    else:
        lines += _request(request)
    return _wrapped(lines)


def history_table(
    transitions: Sequence[tuple[int, int, int, float, float, Sequence[str], Sequence[str]]],
) -> RichTable | str:
    """Return every transition: time, from, to, cap, flow, on what grounds, who agreed."""
    if not transitions:
        return "no transition yet: the rollout is in the stage that it began in"
    rows = [
        (minute_text(at_ms), f"{start} \N{RIGHTWARDS ARROW} {to}", usd(cap, 0), usd(flow, 2, signed=True),
         ", ".join(because), ", ".join(people) or "itself")
        for at_ms, start, to, cap, flow, because, people in transitions
    ]  # fmt: skip
    return rich_table(table("=when | =stage | #cap | #flow | because | agreed", rows))


def evidence_text(evidence: Evidence, done: str) -> str:
    """Return what paper evidence says."""
    said, facts = evidence.document, evidence.document["facts"]
    return "\n".join(
        (
            f"paper evidence {done}: {said['days']} days of configuration {said['config_sha256'][:8]}…",
            f"  from      {said['from']} to {said['to']}, {said['ledger']}",
            f"  sharpe    30 days {number(facts['sharpe_30d'])}",
            f"  drawdown  largest of 30 days {number(facts['max_drawdown_30d'])} %",
            f"  signals   {number(facts['signal_consistency'])} % equal to the replay",
            f"  sha256    {evidence.sha256}",
        )
    )


def _wrapped(lines: Sequence[str]) -> str:
    """Return the lines, those that are too long broken between words, under where their text begins."""
    return "\n".join(part for line in lines for part in _parts(line))


def _parts(line: str) -> list[str]:
    if len(line) <= _WIDTH:
        return [line]
    indent = " " * (_CURE_COLUMN if line.startswith("  ") else 2)
    return wrap(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _head(standing: StageStanding) -> str:
    since = "nothing launched" if standing.since_ms is None else f"since {minute_text(standing.since_ms)}"
    days = "unknown" if standing.days is None else str(standing.days)
    return f"stage {standing.stage} · {standing.title} · day {days} of at least {standing.min_days} · {since}"


def _now(standing: StageStanding) -> list[str]:
    equity = "unknown" if standing.equity_usd is None else usd(standing.equity_usd)
    state = f"cap {usd(standing.cap_usd, 0)} · equity {equity} · exposure {number(standing.exposure)}"
    lines = [f"{standing.outcome}  {state}"]
    if standing.fired:
        lines.append(f"  because   {', '.join(standing.fired)}")
    if standing.paused_since_ms is not None:
        lines.append(f"  paused    since {iso(standing.paused_since_ms)}: a restart must be signed")
    if standing.kind == "paper":
        lines.append("  paper     stays at this stage; its evidence opens stage 1 on real money's ledger")
    lines.append(f"  runner    {standing.runner or 'none runs on this ledger'}")
    return lines


def _line(each: Condition, *, wanted: bool) -> str:
    """Return one condition: for a promotion whether it holds, for an abort how far away it is."""
    if each.holds is None:
        word = "?"
    elif wanted:
        word = "ok" if each.holds else "no"
    else:
        word = "NOW" if each.holds else "far"
    known = each.holds is not None and each.margin not in {None, "0"}
    margin = _shown(str(each.margin), each.unit) if known else ""
    away = f"{margin} {'to spare' if each.holds == wanted else 'missing' if wanted else 'beyond'}" if margin else ""
    return f"  {word:<4}{each.fact:<22} {_value(each):>14}  {each.test:<14} {away}".rstrip()


def _value(each: Condition) -> str:
    return each.status if each.value is None else _shown(each.value, each.unit)


def _shown(value: str, unit: str) -> str:
    whole, dot, places = value.partition(".")
    short = f"{whole}{dot}{places[:_PLACES]}" if dot else whole
    return f"{short}{_UNITS.get(unit, '')}"


def _request(tally: Tally) -> list[str]:
    request = tally.request
    names = ", ".join(signer.name for signer in tally.signers)
    signed = f"{len(tally.signers)} of {request.approvals}" + (f": {names}" if names else "")
    lines = [
        f"request {request.request_id}: {tally.state}",
        f"  asked by {request.asked_by} on {minute_text(request.asked_ms)}, until {minute_text(request.expires_ms)}",
        f"  signed   {signed}",
    ]
    if tally.state == "waiting":
        lines.append(f"  to sign  stagegate approve {request.request_id} --key KEY")
        lines.append(f"           by somebody else than {request.asked_by}; then `stagegate stage promote`")
    return lines
