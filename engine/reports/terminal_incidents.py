"""Incidents, restarts and releases in the terminal: one screen, what happened, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.clock import iso
from engine.operations.incidents.book import SCREENSHOT
from engine.reports.incident_papers import to_do_text
from engine.reports.numbers import usd, with_unit
from engine.reports.post_mortem_page import flat_after_text, moment, steps_table
from engine.reports.tables import table
from engine.reports.terminal_tables import rich_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Group
    from rich.table import Table as RichTable

    from engine.operations.incidents.book import Incident, StepRecord
    from engine.operations.incidents.releases import Release, SuiteRun
    from engine.operations.incidents.restarting import Reading, Restart
    from engine.operations.incidents.rollback import RolledBack, Tag


_TOLD = 3  # changed files


class ShownLike(Protocol):
    """An incident, where its post-mortem lies, and what that still lacks."""

    @property
    def incident(self) -> Incident: ...  # noqa: D102 - the names say it
    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def missing(self) -> tuple[str, ...]: ...  # noqa: D102


def incidents_table(every: Sequence[Incident]) -> RichTable | str:
    """Return all incidents, newest first."""
    rows = [
        (one.incident_id, one.severity, one.trigger, one.state, flat_after_text(one), to_do_text(one))
        for one in reversed(every)
    ]
    heads = "=incident | severity | trigger | state | flat after | to do"
    return rich_table(table(heads, rows)) if rows else "there was no incident"


def incident_text(shown: ShownLike) -> Group:
    """Return one incident: what happened, where its steps stand, and what to do."""
    from rich.console import Group  # noqa: PLC0415 - keeps the command line fast

    incident = shown.incident
    flat = flat_after_text(incident)
    head = [
        f"{incident.incident_id}  {incident.severity}  {incident.state}",
        f"  what   {incident.trigger}: {incident.why}",
        f"  T+0    {moment(incident.opened_ms)}" + (f", flat after {flat}" if flat else ""),
    ]
    if incident.verdict_id:
        head.append(f"  why    `stagegate verdict show {incident.verdict_id}`")
    return Group("\n".join(head), rich_table(steps_table(incident, _time)), "\n".join(_to_do(shown)))


def steps_text(records: Sequence[StepRecord]) -> str:
    """Return what came of steps."""
    lines = []
    for record in records:
        lines.append(f"{record.step} is {'done' if record.done else 'NOT done'}, {iso(record.at_ms)}")
        lines += [f"  {problem}" for problem in record.problems]
    return "\n".join(lines) or "nothing is due"


def due_text(tried: Sequence[tuple[str, StepRecord]]) -> str:
    """Return what came of everything that was due."""
    return "\n".join(f"{name} {steps_text([record])}" for name, record in tried) or "nothing is due"


def tested_text(tested: tuple[Release, SuiteRun]) -> str:
    """Return what the suite said of a release, and whether that lets a restart pass."""
    release, run = tested
    lines = [f"{release.commit[:12]} {', '.join(release.tags)}".rstrip(), _suite_line(run), _config_line(release)]
    if release.changed:
        lines.append(f"  tree    NOT clean, so this run counts for nothing: {', '.join(release.changed[:_TOLD])}")
    return "\n".join(lines)


def restart_question(restart: Restart) -> str:
    """Return what a person is asked before a restart."""
    return f"restart at stage {restart.stage} with {usd(restart.cap_usd, 0)}, one stage down: go on?"


def restored_text(restored: tuple[Path, Path | None]) -> str:
    """Return what came of restoring the frozen configuration."""
    config, kept = restored
    if kept is None:
        return f"{config} is as pinned, nothing was changed"
    return f"{config} is as committed and as pinned again; what stood there is kept as {kept}"


def restart_text(restart: Restart) -> Group:
    """Return the conditions of a restart with their cures, and what comes of them."""
    from rich.console import Group  # noqa: PLC0415 - keeps the command line fast

    rows = [
        (
            "ok" if each.holds else "FAIL",
            each.rule.replace("_", " "),
            ", ".join(_fact_text(fact) for fact in each.facts),
            "" if each.holds else each.cure,
        )
        for each in restart.conditions
    ]
    shown = rich_table(table("=holds | condition | as it is | cure", rows))
    return Group(shown, "\n".join(_restart_lines(restart)))


def rollback_text(done: RolledBack) -> str:
    """Return what a rollback came to."""
    release = done.release
    not_run = "  suite   not run: `stagegate incident test-fix` before a restart"
    lines = [
        f"{', '.join(release.tags)} {release.commit[:12]}  (was {done.before[:12]})",
        _config_line(release),
        not_run if done.run is None else _suite_line(done.run),
    ]
    if not done.recorded:
        lines.append("  record  none: there is no ledger here; name the account's with `--ledger` to have it recorded")
    return "\n".join(lines)


def tags_table(tags: Sequence[Tag]) -> RichTable | str:
    """Return the releases that one can go back to, newest first."""
    words = {True: "green", False: "RED", None: "not on record"}
    rows = [(tag.name, tag.commit[:12], words[tag.green]) for tag in tags]
    return rich_table(table("=tag | =commit | suite", rows)) if rows else "there is no tag"


def _time(at_ms: int) -> str:
    """Return the time alone: the day stands above."""
    return iso(at_ms)[11:19]


def _config_line(release: Release) -> str:
    config = "as pinned" if release.config_holds else "NOT as pinned: launch stays blocked"
    return f"  config  {release.config_sha256[:12]}… {config}"


def _suite_line(run: SuiteRun) -> str:
    return f"  suite   {'green' if run.green else 'RED'}: {run.said}"


def _to_do(shown: ShownLike) -> list[str]:
    incident, name = shown.incident, shown.incident.incident_id
    lines = [f"  post-mortem  {shown.path}"]
    if incident.closed is not None:
        return [*lines, f"  closed by {incident.closed.by}, {moment(incident.closed.at_ms)}"]
    lines += [f"  do     `stagegate incident step {name} {step}`" for step in incident.left]
    lines += [f"  do     photograph the position page; `stagegate incident tick {name} {SCREENSHOT}`"] * bool(
        incident.unticked
    )
    if shown.missing:
        lines.append(f"  empty  {', '.join(shown.missing)}")
    if incident.demands_flat and incident.restarted_ms is None:
        lines.append(f"  then   `stagegate restart {name}` says what a restart still needs")
    return [*lines, f"  then   `stagegate incident close {name}`"]


def _restart_lines(restart: Restart) -> list[str]:
    failing = sum(not each.holds for each in restart.conditions)
    there = f"stage {restart.stage} at {usd(restart.cap_usd, 0)}, from stage {restart.from_stage}"
    signed = ", ".join(restart.signers) or "nobody yet"
    lines = [f"{restart.outcome}  {restart.incident_id} · {there} · {restart.verdict_id}"]
    if not restart.trusted:
        lines.append("  the two engines DISAGREE: nothing restarts until they agree")
    if failing:
        lines.append(f"  {failing} of {len(restart.conditions)} conditions do not hold")
    ask = f"nobody has been asked: `stagegate restart {restart.incident_id} --key KEY` asks in your name"
    request = f"`stagegate approve {restart.request_id}`" if restart.request_id else ask
    lines += [f"  sign   {request}"] * (not restart.allowed)
    lines += [f"  signed {signed}"]
    if restart.granted:
        lines.append("  granted: the desk restarts at its next decision; then `stagegate resume` lifts the halt")
    return lines


def _fact_text(fact: Reading) -> str:
    value = fact.value
    shown = ("yes" if value else "no") if isinstance(value, bool) else fact.status if value is None else ""
    return f"{fact.name.replace('_', ' ')} {shown or with_unit(value, fact.unit)}"
