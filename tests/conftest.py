"""Fixtures that every part of the suite may use."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.requirements import recorder

# A slow machine is no failure: speed is measured in benchmarks/, never by a law.
# `HYPOTHESIS_PROFILE=long` tries harder.
settings.register_profile("suite", deadline=None, print_blob=True, max_examples=50)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requirements", metavar="FILE", help="write which tests prove which rows of the SOP")


def pytest_configure(config: pytest.Config) -> None:
    recorder.register(config)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every further search for garbage, and search more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    recorder.tell_rows(items)
    items.sort(key=lambda item: LONGEST.get(item.path.name, len(LONGEST)))  # keeps the random order of the others


LONGEST = {
    name: place
    for place, name in enumerate(
        (
            "test_real_year.py",
            "test_demo_year.py",
            "test_cli_run.py",
            "test_policy_change_doc.py",
            "test_service_start.py",
            "test_commands.py",
            "test_operator_manual.py",
            "test_policy_mutation.py",
            "test_telegram_commands.py",
            "test_guard_enforces.py",
            "test_runner_hostile.py",
            "test_cli_guard.py",
            "test_cli_bad_input.py",
            "test_real_path.py",
            "test_config_laws.py",
            "test_service_week.py",
            "test_policy_difference_laws.py",
            "test_fault_campaign.py",
            "test_flatten.py",
            "test_reports_review.py",
            "test_market_download.py",
        )
    )
}
"""Files that take many seconds go first, so that no worker is left with one when the other has nothing to do.

Those that mostly wait for other processes come between those that compute: two that wait at once leave a core idle.
"""

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded prices and funding, where it stands beside the checkout."""
    if not (REAL_DATA / "klines").is_dir():
        pytest.skip("recorded prices are not here (../shared/data): tests on real data are skipped")
    return REAL_DATA
