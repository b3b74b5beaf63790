"""A small file that is replaced in one step: whoever reads it finds the old text or the new one, never a part."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_OWNER_ONLY, _EVERYBODY = 0o600, 0o666


def replace_json(path: Path, document: Mapping[str, Any], *, owner_only: bool = False, lasting: bool = True) -> str:
    """Replace what stands at `path`; return why it could not be done, empty where it was.

    Args:
        path: its folder is made; beside it stands, for a moment, the next text.
        document: JSON values, no NaN.
        owner_only: nobody else may read it.
        lasting: it must survive a loss of power; what is written each second need not, and does not wait for the disk.
    """
    partial = path.with_name(f"{path.name}.partial")

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags, _OWNER_ONLY if owner_only else _EVERYBODY)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "w", encoding="utf-8", opener=opened) as file:
            file.write(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        return f"{path} cannot be written: {error.strerror or error}"
    return ""
