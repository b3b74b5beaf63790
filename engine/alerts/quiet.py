"""Libraries that talk to messengers keep their own logs to themselves: an address or a token stands in them (R022)."""

from __future__ import annotations

import logging

LOGGERS = ("apprise", "httpx", "httpcore", "telegram")


def hush() -> None:
    """Let nothing of these libraries' logs out, whatever the program's own logging is set to."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:  # without any, Python prints warnings by its last resort
            logger.addHandler(logging.NullHandler())
