"""The human part of a post-mortem (SOP §6): what a person fills in at its head, read back, and what it still lacks.

The rest of the file is written from the ledger. What is read is recorded, so the ledger alone says whether it is whole.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from engine.clock import MINUTE_MS, parse_time
from engine.documents import parse_document
from engine.errors import Problem, UsageError
from engine.ledger import Event, sha256_of
from engine.operations.incidents.book import WRITTEN
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.documents import Document
    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident

BUG, MARKET, UNCLEAR = "bug", "market", "unclear"
CAUSES = (BUG, MARKET, UNCLEAR)
"""Which conditions a restart has (A70)."""

_FENCE = "---"
_TEXTS = ("root_cause", "cause", "release", "author")
_LISTS = ("went_well", "went_wrong")
_TIMES = ("first_anomaly", "root_cause_identified", "resolution_deployed")
_ACTION = ("item", "owner", "due", "status")
_KEYS = (*_TEXTS, *_LISTS, *_TIMES, "actions")
_FEWEST_LETTERS = 3  # what says less says nothing


@dataclass(frozen=True)
class HumanPart:
    """What only people know of an incident.

    Attributes:
        root_cause: in their words.
        cause: bug, market or unclear.
        went_well: at least one thing.
        went_wrong: at least one thing.
        actions: item, owner, due and status of each thing to do.
        first_anomaly_ms: where the ledger saw it too late; None: as the ledger saw it.
        root_cause_identified_ms: when.
        resolution_deployed_ms: when.
        release: the tag or commit of the fix; needed unless the market was the cause.
        author: who wrote it.
    """

    root_cause: str = ""
    cause: str = ""
    went_well: tuple[str, ...] = ()
    went_wrong: tuple[str, ...] = ()
    actions: tuple[Mapping[str, str], ...] = ()
    first_anomaly_ms: int | None = None
    root_cause_identified_ms: int | None = None
    resolution_deployed_ms: int | None = None
    release: str = ""
    author: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the ledger."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> HumanPart:
        """Return what `to_json` wrote."""
        lists = {name: tuple(values[name]) for name in ("went_well", "went_wrong", "actions")}
        return cls(**{**values, **lists})


def blank(incident: Incident) -> str:
    """Return the front matter that a person is to fill in, fences included."""
    return f"""{_FENCE}
# Fill in what is empty, here and only here; `stagegate incident close {incident.incident_id}` reads it.
author: ""                    # your name
root_cause: ""                # what broke, and why
cause: ""                     # bug, market or unclear: it decides what a restart needs
first_anomaly: ""             # 2022-11-09T13:40Z; empty: as the ledger saw it
root_cause_identified: ""     # when, UTC
resolution_deployed: ""       # when, UTC
release: ""                   # tag or commit of the fix; may stay empty where the cause is the market
went_well: []                 # - the flatten took 0.8 s
went_wrong: []                # - the alert reached nobody for five minutes
actions: []                   # - {{item: "…", owner: "…", due: 2022-11-20, status: open}}
{_FENCE}
"""


def split(text: str) -> tuple[str, str]:
    r"""Return the front matter with its fences, and the rest; the first is empty where there is none.

    >>> split("---\na: 1\n---\nrest")
    ('---\na: 1\n---\n', 'rest')
    """
    lines = text.splitlines(keepends=True)
    if not lines or lines[0].strip() != _FENCE:
        return "", text
    end = next((number for number, line in enumerate(lines[1:], 1) if line.strip() == _FENCE), None)
    if end is None:
        return "", text
    return "".join(lines[: end + 1]), "".join(lines[end + 1 :])


def read(path: Path) -> HumanPart:
    """Return what people wrote at the head of a post-mortem.

    Raises:
        UsageError: there is no such file, it has no front matter, or something in it cannot be understood; every
            mistake with its line.
    """
    try:
        front, _ = split(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        help_ = "`stagegate incident show` writes it anew where it is missing"
        raise UsageError(Problem("no-post-mortem", str(path), f"cannot be read: {error}", help_)) from None
    if not front:
        help_ = f"put the fields back between two lines `{_FENCE}`, or move the file away: it is then written anew"
        raise UsageError(Problem("no-front-matter", str(path), "the fields at its head are gone", help_))
    inside = front.rsplit(_FENCE, 1)[0]
    document = parse_document(inside.encode(), str(path), error=UsageError)
    problems = list(_mistakes(document))
    if problems:
        raise UsageError(problems)
    return _understood(document.data or {})


def earliest(incident: Incident) -> int:
    """Return from when on the times of a post-mortem may be, ms: people write minutes."""
    return incident.opened_ms - incident.opened_ms % MINUTE_MS


def untimely(human: HumanPart, incident: Incident, now_ms: int) -> tuple[tuple[str, int], ...]:
    """Return each time that cannot be: cause found, or resolution deployed, before the incident or in the future."""
    times = {
        "root_cause_identified": human.root_cause_identified_ms,
        "resolution_deployed": human.resolution_deployed_ms,
    }
    return tuple(
        (part, at_ms)
        for part, at_ms in times.items()
        if at_ms is not None and not earliest(incident) <= at_ms <= now_ms
    )


def missing(human: HumanPart) -> tuple[tuple[str, str], ...]:
    """Return each part that is still empty, and what to write there."""
    wanted = {
        "author": (human.author, "your name"),
        "root_cause": (human.root_cause, "what broke, and why"),
        "cause": (human.cause, f"one of {', '.join(CAUSES)}"),
        "root_cause_identified": (human.root_cause_identified_ms, "when, as 2022-11-09T15:10Z"),
        "resolution_deployed": (human.resolution_deployed_ms, "when, as 2022-11-09T18:00Z"),
        "went_well": (human.went_well, "at least one thing"),
        "went_wrong": (human.went_wrong, "at least one thing"),
        "actions": (human.actions, "at least one, with item, owner, due and status"),
    }
    if human.cause in {BUG, UNCLEAR}:
        wanted["release"] = (human.release, "the tag or commit that mends it")
    return tuple((name, help_) for name, (value, help_) in wanted.items() if _is_empty(value))


def record(ledger: Ledger, incident: Incident, human: HumanPart, now_ms: int) -> None:
    """Record the human part where it is another than the one recorded last.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    if incident.written is not None and HumanPart.from_json(incident.written) == human:
        return
    document = canonical(human.to_json())
    name = f"{incident.incident_id}-{WRITTEN}-{now_ms}-{sha256_of(document)[:6]}"
    ledger.append(Event(name, now_ms, WRITTEN, incident.incident_id, document))


def _is_empty(value: object) -> bool:
    if isinstance(value, str):
        said = value.strip()
        placeholder = said.startswith("[") and said.endswith("]")
        return placeholder or sum(letter.isalnum() for letter in said) < _FEWEST_LETTERS
    return not value


def _mistakes(document: Document) -> Iterator[Problem]:
    data = document.data
    if data is not None and not isinstance(data, dict):
        yield Problem("front-matter", document.where(), "the head holds no fields", "write `root_cause: …`")
        return
    for key, value in (data or {}).items():
        where, said = document.where((key,)), f"`{key}`"
        if key not in _KEYS:
            close = get_close_matches(key, _KEYS, 1)
            help_ = f"did you mean `{close[0]}`?" if close else f"one of {', '.join(_KEYS)}"
            yield Problem("unknown-key", document.where((key,), key=True), f"{said} is no field", help_)
        elif key in _TEXTS and not isinstance(value, str | None):
            yield Problem("text", where, f"{said} is no text", "put it in quotes")
        elif key == "cause" and value and value not in CAUSES:
            yield Problem("cause", where, f"`{value}` is no cause", f"one of {', '.join(CAUSES)}")
        elif key in _TIMES and value and _time_ms(value) is None:
            yield Problem("time", where, f"`{value}` is no date or time", "write 2022-11-09T15:10Z")
        elif key in _LISTS and not _all(value, str):
            yield Problem("list", where, f"{said} is no list of texts", "one line `- …` each")
        elif key == "actions":
            yield from _action_mistakes(document, value)


def _action_mistakes(document: Document, value: object) -> Iterator[Problem]:
    if not _all(value, dict):
        help_ = "write `- {item: …, owner: …, due: 2022-11-20, status: open}`"
        yield Problem("actions", document.where(("actions",)), "`actions` is no list of things to do", help_)
        return
    assert isinstance(value, list | None)
    for number, action in enumerate(value or ()):
        where = document.where(("actions", number))
        for name in _ACTION:
            if _is_empty(str(action.get(name) or "")):
                yield Problem("actions", where, f"a thing to do has no `{name}`", "each needs item, owner, due, status")
        for name in sorted(action.keys() - set(_ACTION)):
            yield Problem("unknown-key", where, f"`{name}` is no field of a thing to do", "item, owner, due, status")


def _all(value: object, kind: type) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(each, kind) for each in value))


def _time_ms(value: object) -> int | None:
    try:
        return parse_time(str(value))
    except ValueError:
        return None


def _understood(data: Mapping[str, Any]) -> HumanPart:
    def text(name: str) -> str:
        return str(data.get(name) or "").strip()

    def told(name: str) -> tuple[str, ...]:
        return tuple(str(each).strip() for each in data.get(name) or () if not _is_empty(str(each)))

    def at_ms(name: str) -> int | None:
        return _time_ms(data[name]) if data.get(name) else None

    return HumanPart(
        root_cause=text("root_cause"),
        cause=text("cause"),
        went_well=told("went_well"),
        went_wrong=told("went_wrong"),
        actions=tuple({name: str(each[name]).strip() for name in _ACTION} for each in data.get("actions") or ()),
        first_anomaly_ms=at_ms("first_anomaly"),
        root_cause_identified_ms=at_ms("root_cause_identified"),
        resolution_deployed_ms=at_ms("resolution_deployed"),
        release=text("release"),
        author=text("author"),
    )
