"""A ledger copied while it is written (A79), and a ledger checked: structure, schema, stored hashes, audit chain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import iso
from engine.errors import LedgerError
from engine.ledger import Ledger
from engine.live.account import RISK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.ledger.chain import Head

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Contents:
    """What a ledger holds, after everything in it was checked.

    Attributes:
        path: of the file.
        kind: live, paper or rehearsal; empty: nothing was launched on it.
        links: of the audit trail.
        head: the hash of its last link.
        last_mark_ms: of the risk account; None: it never marked.
        last_event_ms: of whatever was written of; None: nothing was.
        rows: table -> how many.
    """

    path: Path
    kind: str
    links: int
    head: str
    last_mark_ms: int | None
    last_event_ms: int | None
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Backup:
    """A copy: what it holds, and the SHA-256 of its bytes."""

    contents: Contents
    bytes: int
    sha256: str


def back_up(ledger: Path, target: Path) -> Backup:
    """Copy a ledger, whoever writes to it meanwhile; the copy is checked whole before it is named one.

    Args:
        ledger: of the account.
        target: a new file, or a folder, in which it is named by the ledger and its last link.

    Raises:
        LedgerError: exists, corrupt, hash, audit, disk-full …: nothing is left at `target`.
    """
    with Ledger.open(ledger, read_only=True) as opened:
        if target.is_dir():
            target /= f"{ledger.stem}-{opened.audit_head().length:08d}{ledger.suffix}"
        opened.backup(target)
    try:
        contents = check(target)
    except LedgerError:
        target.unlink(missing_ok=True)
        raise
    return Backup(contents, target.stat().st_size, file_sha256(target))


def check(ledger: Path) -> Contents:
    """Return what a ledger holds where all of it is sound.

    Raises:
        LedgerError: everything that is wrong with it.
    """
    with Ledger.open(ledger, read_only=True) as opened:
        opened.verify()
        return contents_of(opened)


def contents_of(ledger: Ledger) -> Contents:
    """Return what an open ledger holds.

    Raises:
        LedgerError: it cannot be read.
    """
    head: Head = ledger.audit_head()
    mark = ledger.last_mark(RISK)
    events = ledger.last_event()
    return Contents(
        path=ledger.path,
        kind=ledger.meta().get("kind", ""),
        links=head.length,
        head=head.sha256,
        last_mark_ms=None if mark is None else mark.at_ms,
        last_event_ms=None if events is None else events.at_ms,
        rows=ledger.counts(),
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def contents_text(contents: Contents) -> str:
    """Return what a ledger holds, for people."""
    rows = ", ".join(f"{many:,} {name}" for name, many in contents.rows.items() if many) or "nothing"
    last = [
        f"{what} {iso(at_ms)}"
        for what, at_ms in (("mark", contents.last_mark_ms), ("event", contents.last_event_ms))
        if at_ms is not None
    ]
    return "\n".join(
        (
            f"{contents.path}: sound, {contents.kind or 'nothing launched'}",
            f"  holds    {rows}",
            f"  last     {', '.join(last) or 'nothing'}",
            f"  trail    {contents.links:,} links, the last is {contents.head}",
        )
    )


def backup_text(backup: Backup) -> str:
    """Return what was copied, for people."""
    return f"{contents_text(backup.contents)}\n  file     {backup.bytes:,} bytes, SHA-256 {backup.sha256}"
