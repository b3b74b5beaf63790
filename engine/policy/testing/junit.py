"""Policy tests as JUnit XML, for the systems that show test results: a suite a file, a case a test."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import PurePath
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

if TYPE_CHECKING:
    from pathlib import Path

    from engine.policy.testing.run import CaseResult, TestRun

# XML 1.0 has no way to write these characters.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(run: TestRun, path: Path) -> None:
    """Write the results of policy tests to a file."""
    path.write_text(junit(run), encoding="utf-8")


def junit(run: TestRun) -> str:
    """Return the results of policy tests as a JUnit document."""
    root = Element(
        "testsuites",
        name="policy tests",
        tests=str(len(run.results)),
        failures=str(len(run.failed)),
        errors="0",
        time=_time(run.seconds),
    )
    for file, group in groupby(run.results, key=lambda result: result.case.file):
        results = list(group)
        suite = SubElement(
            root,
            "testsuite",
            name=_text(file),
            tests=str(len(results)),
            failures=str(sum(not result.passed for result in results)),
            errors="0",
            skipped="0",
            time=_time(sum(result.seconds for result in results)),
        )
        for result in results:
            _case(suite, result)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, result: CaseResult) -> None:
    case = result.case
    element = SubElement(
        suite,
        "testcase",
        name=_text(case.name),
        classname=_text(f"{case.policy}.{PurePath(case.file).stem}"),
        file=_text(case.file),
        line=case.where.rsplit(":", 2)[-2],
        time=_time(result.seconds),
    )
    if not result.passed:
        lines = [f"{failure.where}: {failure}" for failure in result.failures]
        failure = SubElement(element, "failure", type="expectation", message=_text(str(result.failures[0])))
        failure.text = _text("\n".join(lines))


def _text(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _time(seconds: float) -> str:
    return f"{seconds:.6f}"
