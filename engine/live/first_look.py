"""A ledger looked into before anything is begun on it: whoever is refused leaves none behind."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def first_look(path: Path) -> Iterator[Ledger]:
    """Open the ledger at `path`; where there is none, an empty one elsewhere, which is gone afterwards.

    Raises:
        LedgerError: what is there cannot be opened.
    """
    if path.exists():
        with Ledger.open(path) as ledger:
            yield ledger
        return
    with TemporaryDirectory() as folder, Ledger.open(Path(folder) / path.name, create=True) as ledger:
        ledger.path = path  # what is said about it is said about this one
        yield ledger
