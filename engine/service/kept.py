"""The release in force, copied beside the ledger: what runs is what was allowed, whatever happens to the files (A90).

A bundle that is edited while the service runs changes nothing, not even for a process that dies and is started again,
until the edited one is in force itself.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.alerts.settings import FILE_NAME as ALERTS
from engine.errors import ConfigError, Problem, StagegateError
from engine.policy.bundle import load_bundle

if TYPE_CHECKING:
    from engine.policy.bundle import Bundle


def releases_beside(ledger: Path) -> Path:
    """Return the folder of the releases that were ever in force on a ledger."""
    return ledger.with_name(f"{ledger.name}.releases")


def kept(bundle: Bundle, ledger: Path) -> Bundle:
    """Return a bundle's copy beside a ledger; it is made where it is not there, or not whole. A copy is its own.

    Raises:
        ConfigError: it cannot be copied, or a file changed meanwhile.
    """
    folder = releases_beside(ledger) / bundle.digest
    if _from_root(folder) in _from_root(bundle.path).parents:
        return bundle
    name = _from_root(bundle.path).relative_to(bundle.folder)
    found = _whole(folder / name, bundle.digest)
    if found is not None:
        _link_alerts(found, bundle)
        return found
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        for one in (partial, folder):
            shutil.rmtree(one, ignore_errors=True)
        for path in bundle.files:
            target = partial / _from_root(path).relative_to(bundle.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        partial.rename(folder)
    except OSError as error:
        problem = f"the release cannot be copied here: {error.strerror or error}"
        raise ConfigError(Problem("release", str(folder), problem, "free the disk, or name another ledger")) from None
    found = _whole(folder / name, bundle.digest)
    if found is None:
        problem = "a file of the bundle changed while it was copied"
        raise ConfigError(Problem("release", str(bundle.path), problem, "start again"))
    _link_alerts(found, bundle)
    return found


def kept_before(ledger: Path, digest: str, name: str) -> Bundle | None:
    """Return a release that was in force once, by its digest; None: it is not there, or not whole.

    Args:
        ledger: whose.
        digest: what people signed.
        name: of the bundle's file.
    """
    for path in sorted((releases_beside(ledger) / digest).rglob(name)):
        if (found := _whole(path, digest)) is not None:
            return found
    return None


def _link_alerts(copy: Bundle, bundle: Bundle) -> None:
    """Let the copy find the alerts file beside the bundle, which nobody signs and which may change at any time."""
    link = copy.path.with_name(ALERTS)
    with suppress(OSError):
        link.unlink(missing_ok=True)
        link.symlink_to(_from_root(bundle.path.with_name(ALERTS)))


def _from_root(path: Path) -> Path:
    """Return a path from the root without following links, as the bundle names its files."""
    return Path(os.path.normpath(Path.cwd() / path))


def _whole(path: Path, digest: str) -> Bundle | None:
    with suppress(StagegateError):
        found = load_bundle(path)
        if found.digest == digest:
            return found
    return None
