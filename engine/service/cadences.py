"""Everything that the caretaker does, in two short lists: a new cadence is one line."""

from __future__ import annotations

import asyncio
import hashlib
import json
from functools import cache, partial
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.inquiry import ACTION, posture_at
from engine.ledger import Event, Ledger, sha256_of
from engine.operations.incidents.caretaker import Caretaker
from engine.operations.incidents.steps import Means
from engine.operations.reductions import lasting_pages
from engine.operations.reviews.book import DAILY, MONTHLY, WEEKLY, Written, written
from engine.operations.reviews.due import remind
from engine.operations.reviews.judging import POLICY
from engine.operations.reviews.periods import period_at
from engine.policy.bundle import load_bundle
from engine.reports.daily import write_daily_report
from engine.reports.incident_papers import IncidentPapers
from engine.reports.index_page import write_index
from engine.reports.review_writing import ReviewRequest, write_review_report
from engine.service.book import SERVICE
from engine.service.duty import Paper, Round
from engine.service.periods import day_at, month_at, week_at
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from engine.policy.model import Policy
    from engine.service.duty import Duty
    from engine.service.periods import Period
    from engine.service.settings import CaretakerTimes

BACKUP = "backup"


def rounds(times: CaretakerTimes) -> list[Round]:
    """Return what is done again and again for every account."""
    return [
        Round("incidents", times.incidents_every_s, look_after_incidents),
        Round("reviews", times.papers_every_s, remind_of_reviews),
        Round("reductions", times.papers_every_s, page_for_reductions),
    ]


def papers(times: CaretakerTimes) -> list[Paper]:
    """Return what is done once for each period."""
    reports = [(DAILY, day_at, write_daily), (WEEKLY, week_at, write_review), (MONTHLY, month_at, write_review)]
    return [
        *(
            Paper(f"{kind} report", at, partial(reported, kind), partial(write, kind), partial(possible, kind))
            for kind, at, write in reports
        ),
        Paper(BACKUP, day_at, backed_up, partial(back_up, times.backups_kept)),
    ]


async def look_after_incidents(duty: Duty) -> None:
    """Open the incidents that are demanded, and carry out every step that is due.

    Raises:
        StagegateError: the ledger cannot be written, or the log of incidents.
    """
    means = Means(duty.ledger, duty.clock, IncidentPapers(duty.report_dir), duty.venue, duty.unreached)
    await Caretaker(means).carry_out_due(duty.clock.now_ms())


async def remind_of_reviews(duty: Duty) -> None:
    """Tell people, once a day, of reports that are missing and reviews that nobody held.

    Raises:
        StagegateError: the ledger cannot be read or written, or the bundle is wrong.
    """
    remind(duty.ledger, _policy(duty.rules, POLICY), duty.clock.now_ms())


async def page_for_reductions(duty: Duty) -> None:
    """Page a person for each reduced exposure that lasts, as often as the policy says (A29); each page is one row.

    Raises:
        StagegateError: the ledger cannot be read or written, or the bundle is wrong.
    """
    now_ms = duty.clock.now_ms()
    if duty.ledger.meta().get("from_ms") is not None:
        pages = lasting_pages(posture_at(duty.ledger, now_ms), _policy(duty.rules, ACTION), now_ms)
        duty.ledger.append([alert.row() for alert in pages])


@cache
def _policy(rules: Path, name: str) -> Policy:
    """Return a policy; the release in force never changes under a caretaker, which is then started again."""
    return load_bundle(rules, only=(name,)).policies[name]


def reported(kind: str, ledger: Ledger) -> Collection[int]:
    """Return the ends of the periods that a kind of report was written for.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return {report.to_ms for report in written(ledger, kind)}


def possible(kind: str, period: Period, begun_ms: int) -> bool:
    """Return whether a rollout has lived long enough for such a report (A105)."""
    if kind == DAILY:
        return True
    try:
        period_at(kind, period.to_ms, begun_ms)
    except UsageError:
        return False
    return True


async def write_daily(kind: str, duty: Duty, period: Period) -> None:
    """Write the daily report of a day as of its end, and note it.

    Raises:
        LedgerError: the ledger cannot be read or written.
        ReportError: it cannot be written.
    """
    path = duty.ledger.path
    archived = await asyncio.to_thread(write_daily_report, path, duty.report_dir, at_ms=period.to_ms)
    page = next(one for one in archived.paths if one.suffix == ".html")
    text = page.with_suffix(".json").read_text(encoding="utf-8")
    now_ms = duty.clock.now_ms()
    report = Written(kind, period.name, period.from_ms, period.to_ms, sha256_of(text), str(page), now_ms)
    duty.ledger.append(report.row())
    write_index(duty.report_dir, duty.ledger)


async def write_review(kind: str, duty: Duty, period: Period) -> None:
    """Write the weekly or monthly report as of a period's end, with the review policy's verdict; it is noted with it.

    Raises:
        StagegateError: the ledger cannot be read or written, the bundle is wrong, or it cannot be written.
    """
    request = ReviewRequest(duty.ledger.path, duty.config, duty.rules, duty.report_dir, kind, duty.prices)
    await asyncio.to_thread(write_review_report, request, period.to_ms)


def backed_up(ledger: Ledger) -> Collection[int]:
    """Return the ends of the days for which a copy of the ledger was made.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    made = (event for event in ledger.events(SERVICE) if event.subject == BACKUP)
    return {json.loads(event.document)["to_ms"] for event in made}


async def back_up(keep: int, duty: Duty, period: Period) -> None:
    """Copy the ledger, checked, and remove the oldest copies beyond `keep` (A79).

    A copy of that name is of the same period, made before a crash: it stands.

    Raises:
        LedgerError: it cannot be copied.
    """
    target, sha256 = await asyncio.to_thread(_copied, duty.ledger.path, period.name, keep)
    document = canonical({"period": period.name, "to_ms": period.to_ms, "path": str(target), "sha256": sha256})
    name = f"{BACKUP}-{period.name}"
    duty.ledger.append(Event(name, duty.clock.now_ms(), SERVICE, BACKUP, document))


def _copied(path: Path, name: str, keep: int) -> tuple[Path, str]:
    folder = backups_beside(path)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{path.stem}-{name}{path.suffix}"
    if not target.exists():
        with Ledger.open(path, read_only=True) as ledger:
            ledger.backup(target)
    made: Sequence[Path] = sorted(folder.glob(f"{path.stem}-????-??-??{path.suffix}"))
    for old in made[:-keep]:
        old.unlink(missing_ok=True)
    with target.open("rb") as file:
        return target, hashlib.file_digest(file, "sha256").hexdigest()


def backups_beside(ledger: Path) -> Path:
    """Return the folder of a ledger's daily copies."""
    return ledger.with_name("backups")
