"""The names of orders that a stream told of are kept for a while only: a desk runs for months."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.execution.fills import NAMES_KEPT
from tests.execution.dealing import BTC, Dealing, dealing

if TYPE_CHECKING:
    from pathlib import Path


def test_the_oldest_names_are_forgotten(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        for number in range(NAMES_KEPT + 500):
            deal.fills.heard(BTC, str(number), f"name-{number}")
        kept = deal.fills._names
        assert (len(kept), (BTC, "499") in kept, (BTC, "500") in kept) == (NAMES_KEPT, False, True)

    dealing(tmp_path, act)
