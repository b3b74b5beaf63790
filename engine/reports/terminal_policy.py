"""What the `policy` commands show: checks, tests, coverage, mutants and replays, as plain text in 80 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from engine.clock import iso

if TYPE_CHECKING:
    from engine.history import PolicyReplay
    from engine.policy.bundle import Bundle
    from engine.policy.coverage import Coverage
    from engine.policy.mutation import MutationReport
    from engine.policy.testing import TestRun

WIDTH = 80
MOST_STRETCHES = 40


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
    passed = len(run.results) - len(run.failed)
    lines.append(f"{passed} passed, {len(run.failed)} failed in {run.seconds:.1f} s")
    return "\n".join(lines)


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


def replay_days_text(replay: PolicyReplay) -> str:
    """Return days by outcome, transitions, and the stretches."""
    counts = ", ".join(f"{outcome} {days}" for outcome, days in replay.counts.items())
    lines = [f"{len(replay.days)} days of {replay.source}: {counts}", ""]
    lines += [f"  {pair}: {count}" for pair, count in replay.transitions.items()]
    lines.append("")
    for stretch in replay.stretches[-MOST_STRETCHES:]:
        lines.append(f"  {iso(stretch.start_ms)[:10]}  {stretch.outcome:14} {stretch.days:4} days")
    hidden = len(replay.stretches) - MOST_STRETCHES
    if hidden > 0:
        lines.append(f"  and {hidden} earlier stretches; --json has them all")
    return "\n".join(lines)
