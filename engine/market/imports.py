"""Files into the store, and one way to open whatever holds a market."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.market.csvfiles import load_directory, read_file
from engine.market.store import load_market, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.market.series import Kind, Market


@dataclass(frozen=True)
class FileImport:
    """What one file brought; counts are rows.

    Attributes:
        name: the path as given.
        kind: last, mark or funding.
        symbol: the venue's name.
        rows: read.
        duplicates: exact repetitions inside the file, dropped.
        inserted: new in the store.
        updated: were there with other values.
        unchanged: were there already.
    """

    name: str
    kind: Kind
    symbol: str
    rows: int
    duplicates: int
    inserted: int
    updated: int
    unchanged: int


@dataclass(frozen=True)
class ImportSummary:
    """What a run of `import_files` brought, file by file."""

    files: tuple[FileImport, ...]

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(file.rows for file in self.files)

    @property
    def written(self) -> int:
        """Rows inserted or updated."""
        return sum(file.inserted + file.updated for file in self.files)


@dataclass(frozen=True)
class ImportStep:
    """How far an import has come: `rows_done` of `rows` of the file at `index` (from 0) of `count`."""

    name: str
    index: int
    count: int
    rows_done: int
    rows: int


def import_files(
    store: Path, files: Sequence[Path], progress: Callable[[ImportStep], None] | None = None
) -> ImportSummary:
    """Read CSV files into the store; each file is one transaction, importing it again changes nothing.

    Args:
        store: the SQLite file, created where there is none.
        files: CSV files of bars or funding, gzipped or not.
        progress: called after each batch of rows.

    Raises:
        DataError: a file or the store is broken; the files before it are in the store, nothing of it is.
    """
    done: list[FileImport] = []
    first = [read_file(path) for path in files[:1]]  # a wrong name must not leave an empty store behind
    with writing(store) as opened:
        for index, path in enumerate(files):
            file = first.pop() if first else read_file(path)
            rows = len(file.data)

            def step(rows_done: int, name: str = file.name, index: int = index, rows: int = rows) -> None:
                if progress:
                    progress(ImportStep(name, index, len(files), rows_done, rows))

            changes = opened.upsert(file.kind, file.data, step)
            step(rows)
            counts = (changes.inserted, changes.updated, changes.unchanged)
            done.append(FileImport(file.name, file.kind, file.data.symbol, file.rows, file.duplicates, *counts))
    return ImportSummary(tuple(done))


def open_market(path: Path, symbols: Sequence[str], *, klines: str = "klines") -> Market:
    """Return the market of a folder of CSV files or of a store.

    Args:
        path: a folder with ``klines``, ``klines_mark``, ``funding``, or a SQLite file.
        symbols: the venue's names.
        klines: the folder of last-price bars; for symbols it lacks, ``klines`` is read. A store ignores it.

    Raises:
        DataError: there is neither, or its content is missing or broken.
    """
    return load_directory(path, symbols, klines=klines) if path.is_dir() else load_market(path, symbols)
