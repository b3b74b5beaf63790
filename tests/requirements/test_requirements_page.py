"""docs/requirements.md is whole: every row has its code and its tests, all of them are there, and all passed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.requirements.table import PAGE, ROOT, Proof, page, places, rows

LINE = re.compile(r"^\| (R\d{3}) \| (.+) \| (.*) \| (.*) \| (.+) \|$", re.MULTILINE)


def lines() -> dict[str, tuple[str, ...]]:
    return {found[0]: tuple(found[1:]) for found in LINE.findall(PAGE.read_text())}


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_there_are_241_rows_each_with_a_place_that_is_there() -> None:
    where = places()
    assert [row.row_id for row in rows()] == [f"R{number:03d}" for number in range(1, 242)]
    assert [row.row_id for row in rows() if not where.get(row.row_id)] == []
    assert [path for paths in where.values() for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.skipif(not PAGE.is_file(), reason="the page is being made: `make requirements`")
def test_every_row_of_the_page_is_implemented_tested_and_passed() -> None:
    found = lines()
    assert list(found) == [row.row_id for row in rows()]
    assert {row_id: cells[3] for row_id, cells in found.items() if cells[3] != "yes"} == {}
    assert [row.row_id for row in rows() if row.text not in found[row.row_id][0]] == []


@pytest.mark.skipif(not PAGE.is_file(), reason="the page is being made: `make requirements`")
def test_the_places_and_the_tests_that_the_page_names_are_there() -> None:
    missing = []
    for where, tests in ((cells[1], cells[2]) for cells in lines().values()):
        missing += [path for path in names(where) if not (ROOT / path).exists()]
        for test in names(tests):
            file, _, name = test.partition("::") if "::" in test else test.partition(": ")
            text = (ROOT / file).read_text() if (ROOT / file).is_file() else ""
            if name not in text:
                missing.append(test)
    assert missing == []


def test_a_row_whose_test_failed_or_did_not_run_is_no_row_that_passes() -> None:
    proofs = {
        "R001": [Proof("tests/a.py::test_one", "passed"), Proof("tests/a.py::test_two", "failed")],
        "R002": [Proof("tests/a.py::test_three", "skipped")],
        "R003": [Proof("tests/a.py::test_four", "passed"), Proof("tests/a.py::test_five", "skipped")],
    }
    said = {found[0]: found[4] for found in LINE.findall(page(proofs))}
    assert [said[row_id] for row_id in ("R001", "R002", "R003", "R004")] == ["no", "not run", "yes", "no test"]
    assert "1 of 241 rows" in page(proofs)


def test_the_page_is_where_the_readme_says() -> None:
    assert PAGE == ROOT / "docs" / "requirements.md"
    assert "docs/requirements.md" in Path(ROOT / "README.md").read_text()
