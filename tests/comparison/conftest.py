from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.comparison.kit import Rehearsed, rehearsed

if TYPE_CHECKING:
    from engine.comparison.compare import Comparison


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    """Thirty rehearsed days of the synthetic market."""
    return rehearsed(tmp_path_factory.mktemp("compared"))


@pytest.fixture(scope="session")
def comparison(month: Rehearsed) -> Comparison:
    return month.compared()
