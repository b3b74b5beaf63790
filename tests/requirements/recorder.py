"""``pytest --requirements=FILE``: notes every test that names a row of the SOP, and writes the page at the end."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.requirements.table import Proof, named_in, page

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

_ROWS = "requirements"


class Recorder:
    """Notes how the tests of each row ended; with xdist, in the process that the workers report to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[tuple[str, str], str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the end of a test, or of its set-up where that was its end."""
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == _ROWS:
                test = _shown(report.nodeid)
                for row_id in str(value).split():
                    known = self._outcomes.get((row_id, test), "")
                    self._outcomes[row_id, test] = min(known or report.outcome, report.outcome)  # failed < passed < …

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        proofs = defaultdict(list)
        for (row_id, test), outcome in sorted(self._outcomes.items()):
            proofs[row_id].append(Proof(test, outcome))
        self._path.write_text(page(proofs))


def _shown(nodeid: str) -> str:
    """Name a test without its parameters; a case of the policies by its file and its name."""
    test, _, case = nodeid.partition("[")
    return case.removesuffix("]") if case.startswith("policies/tests") else test


def register(config: pytest.Config) -> None:
    """Begin to record where it is asked for, in the process that the workers report to."""
    path = config.getoption(_ROWS)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(path)), "requirements")


def tell_rows(items: Iterable[pytest.Item]) -> None:
    """Have every test tell the rows that it names or is marked with."""
    for item in items:
        marked = [str(row) for mark in item.iter_markers("requirement") for row in mark.args]
        named = list(named_in(item.name.replace("_", " ")))
        if marked or named:
            item.user_properties.append((_ROWS, " ".join(dict.fromkeys([*named, *marked]))))
