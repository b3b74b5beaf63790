"""Reads the `defaults` of a file of policy tests: the day on which all is well, of which each test changes a little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.documents import read_document
from engine.errors import PolicyError
from engine.policy.quantity import MistakeError, nearest, quoted
from engine.policy.schema import Findings, check_shape
from engine.policy.testing.series import fact_series

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.documents import Key
    from engine.policy.model import FactSpec
    from engine.policy.testing.series import Entry

_SHAPE: dict[str, Any] = {
    "policy": {},
    "tests": {},
    "defaults": {"type": ["dict", "string"]},
}


class Defaults:
    """The defaults of one file, its own or those of the file that it names.

    Attributes:
        entries: one a fact.
        named: the facts that are named, also those whose entry is wrong.
    """

    def __init__(self, findings: Findings, folder: Path, specs: Mapping[str, FactSpec]) -> None:
        """Read them; mistakes are added to `findings`, also those in the other file."""
        self.entries: dict[str, Entry] = {}
        self.named: set[str] = set()
        source = self._source(findings, folder)
        values = source.value("defaults")
        if not isinstance(values, dict):
            return
        self.named.update(values)
        known = [name for name, spec in specs.items() if spec.difference is None]
        for name in values:
            at = ("defaults", name)
            if name not in known:
                problem = f"there is no fact {quoted(name)}"
                source.add(at, "unknown-fact", problem, nearest(name, known), key=True)
                continue
            series = read_series(source, at, specs[name])
            if series and len(series) > 1:
                source.add(at, "series", "a default is one value, not a series of days")
            if series:
                self.entries[name] = series[0]
        if source is not findings:
            findings.problems += source.problems

    @staticmethod
    def _source(findings: Findings, folder: Path) -> Findings:
        named = findings.value("defaults")
        if not isinstance(named, str):
            return findings
        try:
            is_file = (folder / named).is_file()
        except OSError:  # such as a name that is too long for any file
            is_file = False
        if not is_file:
            findings.add(("defaults",), "no-file", f"there is no file {quoted(named)} beside this one")
            return findings
        try:
            other = Findings(read_document(folder / named, error=PolicyError))
        except PolicyError as error:
            findings.problems += error.problems
            return findings
        check_shape(other, _SHAPE)
        if not isinstance(other.value("defaults"), dict):
            findings.add(("defaults",), "defaults", f"{quoted(named)} has no defaults of its own")
            return findings
        return other


def read_series(findings: Findings, at: Key, spec: FactSpec) -> tuple[Entry, ...] | None:
    """Return the series of a fact at `at`, None where it is wrong; the mistake is added to `findings`."""
    raw: Any = findings.document.data
    for part in at:
        raw = raw[part]
    try:
        return fact_series(spec, raw)
    except MistakeError as mistake:
        findings.add(at, mistake.code, mistake.problem, mistake.help)
        return None


def common_length(findings: Findings, lengths: Mapping[Key, int]) -> int:
    """Return the number of days that all series at these places have; one that has another is added to `findings`."""
    first, days = next(iter(lengths.items()))
    for at, length in lengths.items():
        if length != days:
            problem = f"`{at[-1]}` has {length} days, `{first[-1]}` has {days}"
            findings.add(at, "length", problem, "give every series the same number of days, or one value")
    return days
