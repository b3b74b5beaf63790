"""A drill: commands with `--real` practised at a simulated venue, because one variable of the environment says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "STAGEGATE_DRILL_VENUE"
"""Names the simulator, as `stagegate simulate-exchange --announce` was told it; unset or empty: no drill."""

DRILL = "DRILL"
"""How whatever is shown or sent in a drill begins."""

VENUE, OF_DRILL = "venue", "drill"
"""The row of a ledger's meta that says it is a drill's."""

ANNOUNCEMENT = ".exchange.json"
"""What a simulator's announcement is called after the name it was told."""


def drill_venue(environ: Mapping[str, str]) -> Path | None:
    """Return where the simulator of a drill is announced; None: there is no drill.

    >>> str(drill_venue({"STAGEGATE_DRILL_VENUE": "state/drill"}))
    'state/drill.exchange.json'
    >>> drill_venue({"STAGEGATE_DRILL_VENUE": " "})
    """
    name = environ.get(VARIABLE, "").strip()
    return Path(name if name.endswith(ANNOUNCEMENT) else f"{name}{ANNOUNCEMENT}") if name else None
