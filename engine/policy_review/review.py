"""`policy review BASE..HEAD`: one page that tells those who must agree what a change of the policies does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import Problem, UsageError
from engine.policy_review.care import proof_of_care
from engine.policy_review.diff import compared, difference_json
from engine.policy_review.history import history_difference
from engine.policy_review.needs import needs, requirements
from engine.policy_review.plot import plot_svg
from engine.policy_review.rehearsals import REFERENCE, REHEARSAL, course_of, period_of, recorded_under, rehearsed
from engine.reports.archive import write_report
from engine.revisions import revisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.policy.difference.compare import Difference
    from engine.policy_review.care import Care
    from engine.policy_review.diff import DiffReport
    from engine.policy_review.history import HistoryDifference
    from engine.policy_review.needs import Needs
    from engine.policy_review.rehearsals import Course, Period
    from engine.rehearsal.loop import Progress
    from engine.revisions import Loaded

FAILED_EXIT, SOFTER_EXIT = 1, 10
PLOT, MANIFEST = ".svg", ".sha256"  # beside the page
IN_LOOP = ("action", "stages")  # the policies that a rehearsal runs


@dataclass(frozen=True)
class InLoop:
    """One period under the old policies and under the new ones."""

    period: Period
    old: Course
    new: Course

    @property
    def same(self) -> bool:
        """Whether the two went the same way: equity and verdicts of every day."""
        return np.array_equal(self.old.nav, self.new.nav) and self.old.outcomes == self.new.outcomes


@dataclass(frozen=True)
class Review:
    """What a change of the policies does.

    Attributes:
        range: as it was asked for.
        history: the ledger that was given; None where the reference rehearsal stands in.
        bundle: the name of the new bundle.
        diff: what changed, and on which days of the history it would have mattered.
        in_loop: what the policies would have done to the equity; None where nothing that is rehearsed changed.
        care: tests, mutation score and coverage of the new bundle.
        needs: signatures.
        manifest: the files of the new bundle with their hashes: what is signed.
        manifest_folder: where the files of the manifest lie, from the top of the tree.
        digest: the one hash that stands for the whole bundle: of the manifest.
        page: where it was written.
    """

    range: str
    history: Path | None
    bundle: str
    diff: DiffReport
    in_loop: InLoop | None
    care: Care
    needs: Needs
    manifest: str = field(repr=False)
    manifest_folder: str
    digest: str
    page: Path

    @property
    def difference(self) -> Difference:
        """What changed."""
        return self.diff.difference

    @property
    def plot(self) -> Path:
        """Where the picture is, if there is one."""
        return self.page.with_suffix(PLOT)

    @property
    def manifest_path(self) -> Path:
        """Where the manifest is."""
        return self.page.with_suffix(MANIFEST)

    @property
    def exit_code(self) -> int:
        """0; 10 where something became softer or nobody can say; 1 where tests fail or are missing."""
        if not self.care.passed:
            return FAILED_EXIT
        return SOFTER_EXIT if self.diff.softened else 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        history, loop = self.diff.history, self.in_loop
        return {
            "range": self.range,
            "bundle": self.bundle,
            "old": self.diff.old,
            "new": self.diff.new,
            "summary": self.difference.summary,
            "direction": self.difference.lean.word,
            "softened": self.diff.softened,
            **difference_json(self.difference),
            "history": None if history is None else history.to_json(),
            "in_loop": None
            if loop is None
            else {"period": loop.period.title, "old": loop.old.to_json(), "new": loop.new.to_json()},
            "care": self.care.to_json(),
            "needs": {
                "signatures": self.needs.signatures,
                "reasons": list(self.needs.reasons),
                "launch": self.needs.launch,
            },
            "sha256": self.digest,
            "page": str(self.page),
            "exit_code": self.exit_code,
        }


def review_page(
    revision_range: str,
    history: Path | None,
    out: Path,
    *,
    rules: Path,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Review:
    """Write the review of a change: the page, its picture, and the manifest that is signed.

    Args:
        revision_range: ``BASE..HEAD``, ``BASE...HEAD`` (from where the two parted) or ``BASE`` (to the working tree).
        history: a ledger to replay both bundles over. A rehearsal's is gone through again with the new policies in
            the loop; with a live ledger, or None, the reference rehearsal is (``policy_review.yaml``).
        out: the Markdown file.
        rules: the bundle.
        progress: called with every hour of the rehearsals.

    Raises:
        UsageError: the range names no revisions, or `out` is no Markdown file.
        PolicyError, LedgerError, ReportError: a bundle or a ledger is wrong, or the page cannot be written.
    """
    if out.suffix != ".md":
        raise UsageError(Problem("out", str(out), "the page is Markdown", "write `--out review.md`"))
    with revisions(rules) as source:
        old, new = source.pair(revision_range)
        asked = requirements(old, new)
        diff = compared(old, new, history)
        care = proof_of_care(new)
        in_loop, days = _in_loop(old, new, diff, history, asked.reference, progress)
        diff = replace(diff, history=days)
        review = Review(
            range=revision_range,
            history=history,
            bundle=new.bundle.name,
            diff=diff,
            in_loop=in_loop,
            care=care,
            needs=needs(old.bundle, new.bundle, diff.difference, asked),
            manifest=new.bundle.manifest,
            manifest_folder=new.manifest_folder,
            digest=new.bundle.digest,
            page=out,
        )
    _write(review)
    return review


def _write(review: Review) -> None:
    from engine.policy_review.page import page_text  # noqa: PLC0415 - the page reads the review's types

    if review.in_loop is not None:
        write_report(review.plot, plot_svg(review.in_loop.old, review.in_loop.new))
    write_report(review.manifest_path, review.manifest)
    write_report(review.page, page_text(review))


def _in_loop(
    old: Loaded,
    new: Loaded,
    diff: DiffReport,
    history: Path | None,
    reference: Period | None,
    progress: Callable[[Progress], None],
) -> tuple[InLoop | None, HistoryDifference | None]:
    """Rehearse both bundles where something changed that a rehearsal would feel; return that, and the days that differ.

    Where no history was given, the days are those of the reference rehearsal under the old bundle.
    """
    felt = [change for change in diff.difference.meaning if change.policy in {"", *IN_LOOP}]
    again = history is not None and diff.history is not None and diff.history.kind == REHEARSAL
    period = period_of(history) if history is not None and again else reference
    if not felt or period is None:
        return None, diff.history
    days = [] if diff.history is None else [diff.history]

    def look(ledger: Path) -> None:
        if not days:
            days.append(history_difference(old.bundle.policies, new.bundle.policies, ledger, called=REFERENCE))

    if history is not None and again and recorded_under(history, old.bundle):
        before = course_of(history, old.title, old.bundle.policies[IN_LOOP[0]].outcomes, recorded=True)
    else:
        before = rehearsed(period, old.bundle, old.title, progress, look)
    return InLoop(period, before, rehearsed(period, new.bundle, new.title, progress)), days[0]
