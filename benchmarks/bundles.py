"""The bundle: compile and check it, and change every decision in it to see whether a test of the policies notices."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.harness import Target, cold, timed
from benchmarks.inputs import ROOT, RULES
from engine.policy.bundle import load_bundle
from engine.policy.durable import compile_policy

if TYPE_CHECKING:
    from benchmarks.harness import Figure
    from benchmarks.inputs import Inputs


def compiled() -> None:
    """Read, check and compile every policy of the bundle."""
    for policy in load_bundle(RULES).policies.values():
        if policy.rules:
            compile_policy(policy)


def figures(inputs: Inputs) -> list[Figure]:
    """Measure it, files in the operating system's cache."""
    names = ", ".join(inputs.bundle.policies)
    times = timed(compiled, repeats=inputs.scale.loads)
    note = f"policies {names}; YAML read, all checks, compiled for durable-rules"
    return [times.figure("compile and check the bundle", Target("p50", 0.050, "#3"), note=note)]


def mutation_figures(inputs: Inputs) -> list[Figure]:
    """Measure `policy mutate` of the whole bundle; a change that survives is a finding, not a failure to measure."""
    tests = ROOT / "policies" / "tests"
    command = [f"{sys.prefix}/bin/stagegate", "policy", "mutate", "--rules", str(RULES), "--tests", str(tests)]
    times = cold(command, inputs.folder, repeats=1, exit_codes=(0, 1))
    within = Target("p50", 20.0, "#3")
    return [
        times.figure("`stagegate policy mutate`, whole bundle", within, note="cold process, run twice, the second kept")
    ]
