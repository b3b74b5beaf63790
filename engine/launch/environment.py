"""SOP §1.1: the interpreter, the virtual environment, and every dependency at the version it is locked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError
from engine.launch.machine import PACKAGE, declared_python, installed_packages
from engine.launch.probe import Finding, Findings, Probe, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.launch.machine import Machine

_SHOWN = 3  # packages; the rest is counted


def probes(machine: Machine) -> tuple[Probe, ...]:
    """Return the probes of the interpreter and its packages."""

    async def interpreter() -> Findings:
        return {"python_supported": python_supported(machine), "virtual_environment": virtual_environment(machine)}

    async def packages() -> Findings:
        return {"dependencies_missing": await asyncio.to_thread(dependencies_missing, machine)}

    return (
        Probe(("python_supported", "virtual_environment"), interpreter),
        Probe(("dependencies_missing",), packages),
    )


def python_supported(machine: Machine) -> Finding:
    """Return whether this interpreter is one that the package declares (R017)."""
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - keeps `--help` fast

    declared = declared_python() if machine.declared is None else machine.declared
    if not declared:
        return unknown(f"`{PACKAGE}` is not installed here, so nothing says which Python it supports")
    supported = machine.version in SpecifierSet(declared)
    return Finding(supported, f"Python {machine.version}" + ("" if supported else f", supported is {declared}"))


def virtual_environment(machine: Machine) -> Finding:
    """Return whether a virtual environment is active (R018)."""
    active = machine.prefix != machine.base_prefix
    return Finding(active, machine.prefix if active else f"none is active, the interpreter is that of {machine.prefix}")


def dependencies_missing(machine: Machine) -> Finding:
    """Return how many packages are missing, or of another version than locked (R019).

    Raises:
        UsageError: no-lock, there is no lock file to compare with.
    """
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - keeps `--help` fast

    packages = installed_packages() if machine.packages is None else machine.packages
    present = {str(canonicalize_name(name)): version for name, version in packages.items()}
    locked = locked_versions(machine.lock, machine.version)
    wrong = [
        f"{name} is {present[name]}, locked {version}" if name in present else f"{name} {version} is missing"
        for name, version in sorted(locked.items())
        if present.get(name) != version
    ]
    if not wrong:
        return Finding(0, f"{len(locked)} packages as locked")
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return Finding(len(wrong), f"{'; '.join(wrong[:_SHOWN])}{more}")


def locked_versions(lock: Path, python: str) -> Mapping[str, str]:
    """Return name -> version of the lock's packages that this machine needs.

    Raises:
        UsageError: no-lock, it cannot be read, or holds nothing.
    """
    try:
        text = lock.read_text(encoding="utf-8")
    except OSError as error:
        problem = f"the lock file cannot be read: {(error.strerror or str(error)).lower()}"
        raise UsageError(Problem("no-lock", str(lock), problem, "run from a checkout of the release")) from None
    found = dict(_pins(text, python))
    if not found:
        raise UsageError(Problem("no-lock", str(lock), "it names no package", "restore it from the release"))
    return found


def _pins(text: str, python: str) -> Iterator[tuple[str, str]]:
    """Yield the pins that hold for this machine: ``name==version ; marker`` and hashes on the lines after it."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - keeps `--help` fast
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - the same

    here = {"python_full_version": python, "python_version": ".".join(python.split(".")[:2])}
    for line in text.splitlines():
        pin = line.split(" \\")[0].split("#")[0].strip()
        if not pin or pin.startswith("-"):
            continue
        try:
            asked = Requirement(pin)
        except InvalidRequirement:
            continue  # an option of the installer
        versions = [one.version for one in asked.specifier if one.operator == "=="]
        if versions and (asked.marker is None or asked.marker.evaluate(here)):
            yield str(canonicalize_name(asked.name)), versions[0]
