"""Whether the desk is alive: its heartbeat, and how old the last closed bar and the last mark are (R109, A77)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.reports.numbers import age, minute_text
from engine.reports.section import Section
from engine.reports.tables import table

if TYPE_CHECKING:
    from engine.reports.view import LedgerView

BAR = "bar"
REHEARSAL = "rehearsal"


@dataclass(frozen=True)
class SignOfLife:
    """The runner's last heartbeat, as it was when somebody looked.

    Attributes:
        state: starting, running or stopped; empty: there is no heartbeat.
        age_ms: of it; None: there is none.
        unheard: what the venue does not answer, in words; empty where it does.
        doubts: what speaks against adding risk, in words.
    """

    state: str
    age_ms: int | None
    unheard: str = ""
    doubts: tuple[str, ...] = ()


def last_bar_ms(view: LedgerView) -> int | None:
    """Return the close of the last bar whose work was done; of a rehearsal, which notes none, its last mark."""
    bars = view.of_kind(BAR)
    if bars:
        return bars[-1].at_ms
    marks = view.risk.at_ms
    return int(marks[-1]) if len(marks) and view.meta.get("kind", REHEARSAL) == REHEARSAL else None


def liveness_section(view: LedgerView, sign: SignOfLife | None) -> Section:
    """Return heartbeat, last closed bar and last mark with their ages."""
    rows = [_beat_row(view, sign), _row("last closed bar", last_bar_ms(view), view.now_ms)]
    marked = int(view.risk.at_ms[-1]) if len(view.risk) else None
    rows.append(_row("last mark of the equity", marked, view.now_ms))
    texts = []
    if sign is not None and sign.unheard:
        texts.append(f"The venue does not answer: {sign.unheard}.")
    texts += [f"Against adding risk speaks: {doubt}." for doubt in (sign.doubts if sign else ())]
    return Section("liveness", "Is it alive?", tuple(texts), (table("sign | when | #age", rows),))


def liveness_json(view: LedgerView, sign: SignOfLife | None) -> dict[str, Any]:
    """Return the same for programs; ages in milliseconds."""
    bar_ms = last_bar_ms(view)
    marked = int(view.risk.at_ms[-1]) if len(view.risk) else None
    return {
        "heartbeat": None if sign is None else asdict(sign),
        "last_bar": None if bar_ms is None else iso(bar_ms),
        "last_bar_age_ms": None if bar_ms is None else view.now_ms - bar_ms,
        "last_mark": None if marked is None else iso(marked),
        "last_mark_age_ms": None if marked is None else view.now_ms - marked,
    }


def _beat_row(view: LedgerView, sign: SignOfLife | None) -> tuple[str, str, str]:
    if sign is None or sign.age_ms is None:
        rehearsal = view.meta.get("kind", REHEARSAL) == REHEARSAL
        said = "a rehearsal has none" if rehearsal else "none was found" if sign else "nobody looked"
        return "heartbeat of the runner", said, "unknown"
    return "heartbeat of the runner", sign.state, age(sign.age_ms)


def _row(name: str, at_ms: int | None, now_ms: int) -> tuple[str, str, str]:
    if at_ms is None:
        return name, "none yet", "unknown"
    return name, minute_text(at_ms), age(max(now_ms - at_ms, 0))
