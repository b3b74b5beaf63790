"""What both sides of the engine's pipe know: its last rule, and how a failure of it is called.

Apart from the engine itself, so that a process that only waits for answers does not import it.
"""

from __future__ import annotations

HEARTBEAT = "beat"
"""The rule of lowest priority: it must fire last, always."""


class EngineFault(Exception):  # noqa: N818 - a fault of the engine, answered by the caller, never shown as an error
    """The rules engine gave no answer that can be trusted; the text says why. Not a statement about the facts."""
