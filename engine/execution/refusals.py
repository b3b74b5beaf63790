"""What a refusal by the venue asks for: the one map from its codes to what the senders of orders do about them.

An outcome in doubt is none of these: it is `Unknown`, and resolved by asking, never by sending again.
"""

from __future__ import annotations

from enum import Enum, auto

from engine.execution.venue import NOT_SENT


class Remedy(Enum):
    """What to do after a refusal."""

    READ_POSITION = auto()  # nothing is left to reduce, or less than we thought
    READ_FILTERS = auto()  # the symbol's limits are not what we thought
    WAIT = auto()  # the same order may be taken a little later
    CLOSE_NOW = auto()  # a stop whose trigger has been passed
    LET_BE = auto()  # it will be refused again: the next decision looks at what is there then


_READ_POSITION = (-2022, -4118)
_READ_FILTERS = (-1111, -1013, -4001, -4002, -4003, -4004, -4005, -4006, -4014, -4023, -4029, -4030)
_WAIT = (NOT_SENT, -1003, -1008, -1015, -1021, -4131, -4192)
_CLOSE_NOW = (-2021,)

_REMEDIES = {
    **dict.fromkeys(_READ_POSITION, Remedy.READ_POSITION),
    **dict.fromkeys(_READ_FILTERS, Remedy.READ_FILTERS),
    **dict.fromkeys(_WAIT, Remedy.WAIT),
    **dict.fromkeys(_CLOSE_NOW, Remedy.CLOSE_NOW),
}


def remedy(code: int) -> Remedy:
    """Return what a refusal with this code asks for; of a code nobody knows: let it be.

    >>> remedy(-2022), remedy(-2019)
    (<Remedy.READ_POSITION: 1>, <Remedy.LET_BE: 5>)
    """
    return _REMEDIES.get(code, Remedy.LET_BE)
