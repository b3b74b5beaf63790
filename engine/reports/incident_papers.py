"""What an incident leaves on disk: evidence, daily report, log and post-mortem, in ``<report_dir>/incidents``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError
from engine.operations.incidents.book import find, incidents
from engine.operations.incidents.post_mortem import HumanPart, blank, read, split
from engine.reports.archive import ReportError, archive, write_report
from engine.reports.conditions import sentence
from engine.reports.daily import write_daily_report
from engine.reports.page import render
from engine.reports.post_mortem_page import flat_after_text, moment, post_mortem_page
from engine.reports.tables import table
from engine.reports.verdicts import parse_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.ledger import Ledger, VerdictRecord
    from engine.operations.incidents.book import Incident
    from engine.reports.tables import Table

FOLDER = "incidents"
LOG = "incident_log.md"

_MARK = re.compile(r"<!-- written by stagegate from the ledger, ([0-9a-f]{12}): write above -->\n")


@dataclass(frozen=True)
class IncidentPapers:
    """The papers of one desk; see `engine.operations.incidents.papers.Papers`.

    Attributes:
        report_dir: `output.report_dir` of the configuration.
    """

    report_dir: Path

    @property
    def folder(self) -> Path:
        """Where everything of the incidents lies."""
        return self.report_dir / FOLDER

    def path_of(self, incident_id: str) -> Path:
        """Return where the post-mortem of an incident lies."""
        return self.folder / f"{incident_id}.md"

    def why(self, record: VerdictRecord) -> str:
        """Return the reason of a verdict in one sentence: rule, value, threshold."""
        return sentence(parse_verdict(record.document))

    def save(self, name: str, text: str) -> Path:
        """Write a new file into the folder, whole or not at all; never over another one.

        Raises:
            ReportError: it cannot be written.
        """
        stem, _, suffix = name.rpartition(".")
        return archive(self.folder, stem, {f".{suffix}": text}).paths[0]

    def daily(self, ledger: Path, at_ms: int) -> tuple[Path, ...]:
        """Write the daily report as of `at_ms`, and return its files.

        Raises:
            LedgerError: the ledger cannot be read.
            ReportError: it cannot be written.
        """
        return write_daily_report(ledger, self.report_dir, at_ms=at_ms).paths

    def log(self, ledger: Ledger) -> Path:
        """Write the log of all incidents anew (R175).

        Raises:
            LedgerError: the ledger cannot be read.
            ReportError: it cannot be written.
        """
        text = render("incident_log.md.j2", incidents=log_table(incidents(ledger)))
        return write_report(self.folder / LOG, text)

    def post_mortem(self, ledger: Ledger, incident_id: str, now_ms: int) -> Path:
        """Write the post-mortem of an incident anew; what people wrote at its head stays as it is, letter by letter.

        What they wrote elsewhere in it is kept in a copy beside it.

        Raises:
            LedgerError: the ledger cannot be read.
            ReportError: it cannot be written.
        """
        incident = find(ledger, incident_id)
        path = self.path_of(incident.incident_id)
        before = _text(path)
        front, rest = split(before)
        if before and not _is_ours(rest):
            self.save(f"{path.stem}.edited.md", before)
        body = post_mortem_page(ledger, incident, _human(path, front, incident), now_ms)
        digest = hashlib.sha256(body.encode()).hexdigest()[:12]
        mark = f"<!-- written by stagegate from the ledger, {digest}: write above -->\n"
        return write_report(path, f"{front or blank(incident)}\n{mark}\n{body}")


def log_table(every: Sequence[Incident]) -> Table:
    """Return the incidents, newest first, each with the name of its post-mortem."""
    rows = [
        (
            f"{incident.incident_id}.md",
            incident.severity,
            f"{incident.trigger}: {incident.why}",
            moment(incident.opened_ms),
            flat_after_text(incident),
            incident.state,
            "" if incident.ended_ms is None else moment(incident.ended_ms),
            to_do_text(incident),
        )
        for incident in reversed(every)
    ]
    return table("=post-mortem | severity | trigger | =T+0 | flat after | state | =over | to do", rows)


def to_do_text(incident: Incident) -> str:
    """Return what is still to be done."""
    if incident.closed is not None:
        return ""
    left = [*incident.left, *incident.unticked]
    return ", ".join(left) or "the post-mortem"


def _human(path: Path, front: str, incident: Incident) -> HumanPart:
    """Return what people wrote: as it stands in the file; where that makes no sense yet, as recorded last."""
    if front:
        try:
            return read(path)
        except UsageError:
            pass
    return HumanPart() if incident.written is None else HumanPart.from_json(incident.written)


def _is_ours(rest: str) -> bool:
    """Return whether what stands below the head is as it was written."""
    found = _MARK.search(rest)
    if found is None:
        return False
    body = rest[found.end() :].removeprefix("\n")
    return not rest[: found.start()].strip() and hashlib.sha256(body.encode()).hexdigest().startswith(found[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(Problem("report-not-written", str(path), f"it cannot be read: {error}")) from None
