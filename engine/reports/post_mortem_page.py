"""The post-mortem of SOP §6: everything the ledger knows of an incident, and what people wrote at its head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import SECOND_MS, iso
from engine.launch_word import LAUNCH
from engine.operations.incidents.book import ACT, ASSESS, CONFIRM, SCREENSHOT, STEPS, TELL
from engine.operations.incidents.impact import impact
from engine.operations.incidents.post_mortem import MARKET, missing
from engine.operations.incidents.releases import fix_tested
from engine.reports.conditions import condition_text, telling
from engine.reports.numbers import UNKNOWN, age, day_text, number, percent, usd
from engine.reports.page import render
from engine.reports.tables import table
from engine.reports.verdicts import parse_verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident, StepRecord
    from engine.operations.incidents.impact import Impact, Numbers
    from engine.operations.incidents.post_mortem import HumanPart
    from engine.reports.tables import Table

EMPTY = "not written yet"
ALLOWED = "ALLOW_LAUNCH"

_PERCENT = 100.0
_ABOUT = {
    ACT: "people told, everything closed",
    CONFIRM: "venue looked at",
    ASSESS: "evidence kept",
    TELL: "team told",
}


@dataclass(frozen=True)
class Page:
    """What the template prints; every text is ready to be read."""

    incident_id: str
    day: str
    summary: tuple[tuple[str, str], ...]
    timeline: Table
    rules: Table
    no_rules: str
    root_cause: str
    went_well: tuple[str, ...]
    went_wrong: tuple[str, ...]
    actions: Table
    metrics: Table
    steps: Table
    evidence: tuple[tuple[str, str], ...]
    boxes: tuple[tuple[bool, str], ...]


def post_mortem_page(ledger: Ledger, incident: Incident, human: HumanPart, now_ms: int) -> str:
    """Return the generated part of a post-mortem, in Markdown.

    Args:
        ledger: what happened.
        incident: of which.
        human: what people wrote.
        now_ms: the time: an incident that is not over lasts until now.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    cost = impact(ledger, incident, now_ms)
    page = Page(
        incident_id=incident.incident_id,
        day=day_text(incident.opened_ms),
        summary=tuple(_summary(incident, cost)),
        timeline=_timeline(incident, cost, human),
        rules=_rules(ledger, incident),
        no_rules=f"No verdict stands behind it: {incident.why}",
        root_cause=human.root_cause or EMPTY,
        went_well=human.went_well or (EMPTY,),
        went_wrong=human.went_wrong or (EMPTY,),
        actions=_actions(human),
        metrics=_metrics(cost),
        steps=steps_table(incident),
        evidence=tuple(_evidence(incident)),
        boxes=tuple(_boxes(ledger, incident, human)),
    )
    return render("post_mortem.md.j2", page=page)


def moment(at_ms: int | None) -> str:
    """Return an instant to the second.

    >>> moment(1667998802345), moment(None)
    ('2022-11-09 13:00:02 UTC', 'unknown')
    """
    return UNKNOWN if at_ms is None else f"{iso(at_ms)[:19].replace('T', ' ')} UTC"


def flat_after_text(incident: Incident) -> str:
    """Return how long after the breach the book was flat; nothing where it need not be.

    Three words that matter at night are never left out: it is not known to be flat.
    """
    if not incident.demands_flat:
        return ""
    record = incident.done(ACT)
    if record is None:
        return "NOT KNOWN FLAT"
    return f"{(record.found['flat']['verified_ms'] - incident.opened_ms) / SECOND_MS:.1f} s"


def steps_table(incident: Incident, time: Callable[[int], str] = moment) -> Table:
    """Return the steps with their times: due, done, and what is still wrong (R176); `time` says how a time is shown."""
    rows = []
    for step in STEPS:
        record = incident.steps.get(step)
        at = time(record.at_ms) if record is not None and record.done else ""
        rows.append((step, _ABOUT[step], time(incident.due_ms(step)), at, _done(incident, step, record)))
    for what in (SCREENSHOT,) if incident.demands_flat else ():
        tick = incident.ticks.get(what)
        told = ("", "to be ticked by a person") if tick is None else (time(tick.at_ms), f"by {tick.by}")
        rows.append((what, "of the position page", time(incident.due_ms(what)), *told))
    return table("=step | what | =due | =done | found", rows)


def _done(incident: Incident, step: str, record: StepRecord | None) -> str:
    if record is None:
        return "not tried yet"
    return _found(incident, step, record.found) if record.done else "; ".join(record.problems)


def _found(incident: Incident, step: str, found: Mapping[str, Any]) -> str:
    if step == ACT:
        late = "" if found["flat"].get("in_time", True) else ", LATE"
        return f"flat {flat_after_text(incident)} after the breach{late}" if incident.demands_flat else "alert queued"
    if step == CONFIRM:
        seen = found["account"]
        standing = len(seen["orders"]) + len(seen["stops"])
        return f"{len(seen['positions'])} positions, {standing} orders and stops, {usd(float(seen['margin_usd']))}"
    return "database, venue, daily report" if step == ASSESS else "summary and log"


def _summary(incident: Incident, cost: Impact) -> Iterator[tuple[str, str]]:
    yield "Trigger", f"{incident.trigger}: {incident.why}"
    end_ms = incident.ended_ms
    if end_ms is None:
        yield "Duration", f"{moment(incident.opened_ms)} → not over"
    else:
        yield "Duration", f"{moment(incident.opened_ms)} → {moment(end_ms)} ({age(end_ms - incident.opened_ms)})"
    at_risk = f"{usd(cost.gross_usd, 0)} held just before, of a {usd(cost.cap_usd, 0)} cap"
    span = f"from the first anomaly until {cost.until}"
    yield "Impact", f"P&L {usd(cost.pnl_usd, signed=True)} {span}; {at_risk}"
    yield "Severity", incident.severity


def _timeline(incident: Incident, cost: Impact, human: HumanPart) -> Table:
    """Return the five events of the template; the last two are for people to know (R195)."""
    act = incident.done(ACT)
    flat_ms = act.found["flat"].get("verified_ms") if act else None
    anomaly_ms = human.first_anomaly_ms if human.first_anomaly_ms is not None else cost.anomaly_ms
    closed = (_told(flat_ms), "Positions flattened") if incident.demands_flat else ("not demanded", "Positions kept")
    rows = [
        (_told(anomaly_ms), "First anomaly detected"),
        (_told(incident.opened_ms), f"Kill switch triggered: {incident.trigger}"),
        closed,
        (_told(human.root_cause_identified_ms), "Root cause identified"),
        (_told(human.resolution_deployed_ms), "Resolution deployed"),
    ]
    return table("=Time (UTC) | Event", rows)


def _told(at_ms: int | None) -> str:
    return EMPTY if at_ms is None else moment(at_ms).removesuffix(" UTC")


def _rules(ledger: Ledger, incident: Incident) -> Table:
    record = ledger.verdict(incident.verdict_id) if incident.verdict_id else None
    verdict = None if record is None else parse_verdict(record.document)
    fired = () if verdict is None else (*verdict.decisive, *verdict.minor)
    rows = [
        (rule.id, rule.outcome, "; ".join(condition_text(each) for each in telling(rule)), rule.because)
        for rule in fired
    ]
    return table("=rule | !asks for | value and threshold | because", rows)


def _actions(human: HumanPart) -> Table:
    names = ("item", "owner", "due", "status")
    rows = [tuple(str(action[name]) for name in names) for action in human.actions]
    return table("Item | Owner | =Due Date | Status", rows or [(EMPTY, "", "", "")])


def _metrics(cost: Impact) -> Table:
    """Return balance, drawdowns and Sharpe ratio before and after (R200–R202)."""
    shown: dict[str, Callable[[Numbers], str]] = {
        "As of": lambda one: moment(one.at_ms),
        "Account Balance": lambda one: usd(one.balance_usd),
        "Risk Equity": lambda one: usd(one.equity_usd),
        "Current Drawdown": lambda one: _ratio(one.drawdown),
        "Running MDD": lambda one: _ratio(one.max_drawdown),
        "20D Sharpe": lambda one: number(one.sharpe_20d, 2),
    }
    sides = (cost.before, cost.after)
    rows = [(name, *(UNKNOWN if one is None else show(one) for one in sides)) for name, show in shown.items()]
    return table("Metric | #Before Incident | #After Recovery", rows)


def _ratio(value: float | None) -> str:
    return UNKNOWN if value is None else percent(value * _PERCENT)


def _evidence(incident: Incident) -> Iterator[tuple[str, str]]:
    kept = incident.steps.get(ASSESS)
    found = kept.found if kept else {}
    if "copy" in found:
        copy = found["copy"]
        trail = f"audit trail {copy['audit_sha256'][:12]}… {copy['audit']}"
        yield "database", f"{copy['path']}, {copy['events']} events, {trail}"
    if "snapshot" in found:
        yield "venue", found["snapshot"]
    for path in found.get("report", ()):
        yield "daily report", path
    for tick in incident.ticks.values():
        yield tick.what, f"ticked by {tick.by} at {moment(tick.at_ms)} {tick.evidence.get('file', '')}".strip()
    if incident.verdict_id:
        yield "verdict", f"stagegate verdict show {incident.verdict_id}"


def _boxes(ledger: Ledger, incident: Incident, human: HumanPart) -> Iterator[tuple[bool, str]]:
    """Return the boxes of the restart, ticked by what stands in the ledger (R203)."""
    tested = fix_tested(ledger, incident, human.release)
    record = ledger.latest_verdict(policy=LAUNCH)
    launch = record.outcome if record is not None and record.at_ms >= incident.opened_ms else "not asked since"
    yield not missing(human) and (tested or human.cause == MARKET), "Root cause fixed"
    yield tested, "Tests passed"
    yield launch == ALLOWED, f"Launch guard: {launch}"
    given = incident.granted
    yield given is not None, f"Team sign-off: {', '.join(given.signers) if given else 'nobody yet'}"
    place = "not granted" if given is None else f"Stage {given.stage} at {usd(given.cap_usd, 0)}"
    yield given is not None, f"Restart stage: {place}"
