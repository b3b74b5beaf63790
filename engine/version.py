"""The project's version, as recorded in every verdict."""

from __future__ import annotations

VERSION = "0.1.0"


def version() -> str:
    """Return the version of the running code."""
    return VERSION
