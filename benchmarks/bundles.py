"""Compile and check the bundle: every policy file, the vocabulary, and the production engine's form of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness import Target, timed
from benchmarks.inputs import RULES
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
