"""What the `policy` commands show: checks, tests, coverage, mutants and files, as plain text in 80 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from engine.policy.testing.coverage import LeafSeen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.layout.formatting import Formatted
    from engine.policy.mutation.run import MutationReport
    from engine.policy.testing.coverage import Coverage, RuleSeen
    from engine.policy.testing.run import TestRun

WIDTH = 80
MOST_GAPS = 20  # of a policy


def check_text(bundle: Bundle) -> str:
    """Return what a sound bundle holds."""
    lines = [f"{bundle.name} is sound: {len(bundle.vocabulary.facts)} facts, configuration as pinned", ""]
    for policy in bundle.policies.values():
        off = sum(not rule.enabled for rule in policy.rules.values())
        switched = f", {off} switched off" if off else ""
        lines.append(
            f"  {policy.name:12} {len(policy.instances):3} rules{switched}, decides {', '.join(policy.outcomes)}"
        )
    lines += ["", f"bundle {bundle.sha256[:12]}… · configuration {bundle.config_sha256[:12]}…"]
    lines += ["digest of everything it decides with:", f"  {bundle.digest}"]
    return "\n".join(lines)


def tests_text(run: TestRun, seen: dict[str, Coverage]) -> str:
    """Return the failures, what was covered, and the count."""
    lines: list[str] = []
    for result in run.failed:
        lines.append(f"FAIL {result.case.file}: {result.case.name}")
        lines += [f"     {failure}" for failure in result.failures]
    for name, one in seen.items():
        lines.append(
            f"{name:12} {one.tests:3} tests, {one.days:5} days · both ways: "
            f"{one.rules_percent:.0f} % of rules, {one.leaves_percent:.0f} % of conditions"
        )
        lines += [f"     {_gap(gap)}" for gap in one.gaps[:MOST_GAPS]]
        hidden = len(one.gaps) - MOST_GAPS
        lines += [f"     and {hidden} more; --json has them all"] if hidden > 0 else []
    passed = len(run.results) - len(run.failed)
    lines.append(f"{passed} passed, {len(run.failed)} failed in {run.seconds:.1f} s")
    return "\n".join(lines)


def _gap(gap: RuleSeen | LeafSeen) -> str:
    """Return what was not seen: ``sleeves_red never fired``, ``slippage_red: parent_orders >= 10 never false``."""
    if isinstance(gap, LeafSeen):
        sides = " and ".join(side for side, days in (("true", gap.true), ("false", gap.false)) if not days)
        return f"{gap.rule}: {gap.leaf} never {sides}"
    return f"{gap.rule} {'always' if gap.fired else 'never'} fired"


def mutation_text(report: MutationReport) -> str:
    """Return the survivors with what would kill them, and the score."""
    lines: list[str] = []
    for one in report.survivors:
        lines.append(f"SURVIVED {one.mutant.where}: {one.mutant.change}")
        if one.witness:
            facts = ", ".join(f"{name} {series}" for name, series in one.witness.facts.items()) or "the defaults"
            expected, said = one.witness.outcome, one.witness.mutant_outcome
            told = f"a test that kills it: {facts}; expect {expected}, the mutant says {said}"
        else:
            told = one.reason
        lines += textwrap.wrap(told, WIDTH, initial_indent="  ", subsequent_indent="  ")
    for one in report.of("equivalent"):
        lines.append(f"equivalent {one.mutant.where}: {one.mutant.change}")
        lines += textwrap.wrap(one.reason, WIDTH, initial_indent="  ", subsequent_indent="  ")
    score = "no mutants" if report.score_percent is None else f"mutation score {report.score_percent:.1f} %"
    killed, equivalent = len(report.of("killed")), len(report.of("equivalent"))
    lines.append(
        f"{score}: {killed} killed, {len(report.survivors)} survived, {equivalent} equivalent in {report.seconds:.1f} s"
    )
    return "\n".join(lines)


def formats_text(found: Sequence[Formatted], *, check: bool) -> str:
    """Return which files are laid out otherwise, and, where nothing is written, how they would be."""
    changed = [one for one in found if one.is_changed]
    lines = [f"{'would change' if check else 'changed'} {one.name}" for one in changed]
    if check:
        lines += [one.diff.rstrip("\n") or f"{one.name}: line ends alone" for one in changed]
    files = "1 file" if len(found) == 1 else f"{len(found)} files"
    return "\n".join(lines) if lines else f"{files} formatted already"


def written_text(paths: Sequence[Path]) -> str:
    """Return what was written."""
    return "\n".join(f"written: {path}" for path in paths)
