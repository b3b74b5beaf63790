"""Keys of people, made once a worker."""

from __future__ import annotations

import pytest

from tests.operations.stages.staging import Keys


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.made(tmp_path_factory.mktemp("keys"))
