"""One place for colours, hatches and letters, so that a verdict looks the same in every picture.

Colour never carries a meaning alone: the outcomes differ in lightness too (a black-and-white printer keeps them apart),
in hatching, and by their letter. The hues are those of Okabe and Ito, which every kind of colour vision tells apart.
"""

from __future__ import annotations

from dataclasses import dataclass

INK = "#1d2329"
MUTED = "#5d6773"
FAINT = "#a3abb5"
GRID = "#e7eaee"
PAPER = "#ffffff"

WITH_POLICY = "#0a5a96"
WITHOUT_POLICY = "#7d858f"
GREEN_EDGE = "#00775a"
RED_EDGE = "#b8500b"
HARD_STOP = "#7a1420"
SERIES = ("#0a5a96", "#c05f00", "#00775a", "#8f4a83", "#5d6773", "#947a00")
DASHES = ((), (6.0, 2.0), (2.0, 1.6), (7.0, 2.0, 1.6, 2.0), (4.0, 1.5), (1.0, 1.2))


@dataclass(frozen=True)
class OutcomeLook:
    """How an outcome is drawn.

    Attributes:
        letter: stands in the cell.
        fill: the cell's colour.
        ink: the letter's colour, readable on `fill`.
        hatch: Matplotlib's hatch, the same idea in the hand-made pictures.
    """

    letter: str
    fill: str
    ink: str
    hatch: str


_LOOKS = {
    "KEEP": OutcomeLook("K", "#e4ecf2", "#56626e", ""),
    "SCALE_UP": OutcomeLook("U", "#8cc3e8", INK, "\\\\\\\\"),
    "REDUCE": OutcomeLook("R", "#efa92e", INK, "////"),
    "WITHIN": OutcomeLook("W", "#e4ecf2", "#56626e", ""),
    "BREACH": OutcomeLook("B", "#efa92e", INK, "////"),
    "PAUSE": OutcomeLook("P", "#7a1420", PAPER, "xxxx"),
}
_OTHER = OutcomeLook("?", "#cfd4da", INK, "||")
_BAND_FILLS = {"green": "#cfe6dc", "yellow": "#f5e3a3", "red": "#eebfae"}
_BAND_OTHER = "#e4e7eb"


def outcome_look(outcome: str) -> OutcomeLook:
    """Return how `outcome` is drawn; another policy's outcome gets its first letter on grey."""
    known = _LOOKS.get(outcome)
    return known or OutcomeLook(outcome[:1] or "?", _OTHER.fill, _OTHER.ink, _OTHER.hatch)


def band_fill(band: str) -> str:
    """Return the colour behind a band's word."""
    return _BAND_FILLS.get(band, _BAND_OTHER)
