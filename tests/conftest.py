"""Fixtures that every part of the suite may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no failure: speed is measured in benchmarks/, never by a law.
settings.register_profile("suite", deadline=None, print_blob=True)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded prices and funding, where it stands beside the checkout."""
    if not (REAL_DATA / "klines").is_dir():
        pytest.skip("recorded prices are not here (../shared/data): tests on real data are skipped")
    return REAL_DATA
