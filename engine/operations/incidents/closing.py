"""Closing an incident: only when nothing is left to do, to tick or to write; what is missing is named (R190–R203)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import iso
from engine.errors import Problem, UsageError
from engine.ledger import Event
from engine.operations.incidents.book import CLOSED, find
from engine.operations.incidents.post_mortem import MARKET, earliest, missing, read, record, untimely
from engine.operations.incidents.releases import fix_tested
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident
    from engine.operations.incidents.papers import Papers
    from engine.operations.incidents.post_mortem import HumanPart


def close(ledger: Ledger, incident_id: str, papers: Papers, by: str, now_ms: int) -> tuple[Incident, Path]:
    """Record what people wrote, and close the incident if nothing is missing.

    Args:
        ledger: open for writing.
        incident_id: of an open incident.
        papers: where the post-mortem lies.
        by: who closes it.
        now_ms: the time.

    Returns:
        The closed incident, and its post-mortem.

    Raises:
        UsageError: closed already, or everything that is missing, each with where it belongs.
        LedgerError: the ledger cannot be read or written.
    """
    incident = find(ledger, incident_id)
    if incident.closed is not None:
        problem = f"it was closed by {incident.closed.by} at {iso(incident.closed.at_ms)}"
        raise UsageError(Problem("closed", incident.incident_id, problem))
    path = papers.post_mortem(ledger, incident.incident_id, now_ms)
    human = read(path)
    record(ledger, incident, human, now_ms)
    problems = [*_undone(incident), *_unwritten(incident, human, path, now_ms), *_untested(ledger, incident, human)]
    if problems:
        raise UsageError(problems)
    name = f"{incident.incident_id}-{CLOSED}"
    ledger.append(Event(name, now_ms, CLOSED, incident.incident_id, canonical({"by": by})))
    papers.log(ledger)
    return find(ledger, incident.incident_id), papers.post_mortem(ledger, incident.incident_id, now_ms)


def _undone(incident: Incident) -> Iterator[Problem]:
    name = incident.incident_id
    for step in incident.left:
        record_ = incident.steps.get(step)
        why = "; ".join(record_.problems) if record_ else "nobody has carried it out"
        yield Problem("step", name, f"{step} is not done: {why}", f"`stagegate incident step {name} {step}`")
    for what in incident.unticked:
        help_ = f"`stagegate incident tick {name} {what} --by NAME --file PICTURE`"
        yield Problem("tick", name, f"nobody has ticked the {what}", help_)


def _unwritten(incident: Incident, human: HumanPart, path: Path, now_ms: int) -> Iterator[Problem]:
    for part, help_ in missing(human):
        yield Problem("empty", str(path), f"`{part}` is empty", f"write {help_}")
    earliest_ms = earliest(incident)
    for part, at_ms in untimely(human, incident, now_ms):
        problem = f"`{part}` is {iso(at_ms)}, before the incident or in the future"
        help_ = f"a time from {iso(earliest_ms)} to {iso(now_ms)}"
        yield Problem("time", str(path), problem, help_)


def _untested(ledger: Ledger, incident: Incident, human: HumanPart) -> Iterator[Problem]:
    """Yield what is missing of the fix: deployed and tested (R178), unless there is nothing to mend."""
    if human.cause and human.cause != MARKET and not fix_tested(ledger, incident, human.release):
        problem = f"no whole green test run of `{human.release}` is on record since the incident"
        yield Problem("untested", incident.incident_id, problem, "deploy it, then `stagegate incident test-fix`")
