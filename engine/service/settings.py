"""How long the service waits for whom, from `config/service.yaml`; nothing in it decides about money."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config.mistakes import problems, schema_mistakes, shown
from engine.documents import read_document
from engine.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = Path("config/service.yaml")

RUNNER, GUARD, CARETAKER = "runner", "guard", "caretaker"
PARTS = (RUNNER, GUARD, CARETAKER)


@dataclass(frozen=True)
class ChildLimits:
    """Of one process.

    Attributes:
        starts_within_s: from its start to its first sign of life.
        hung_after_s: without a sign of life for so long it is killed.
        longest_pause_s: before it is started again.
    """

    starts_within_s: float
    hung_after_s: float
    longest_pause_s: float


@dataclass(frozen=True)
class RestartLimits:
    """Of starting again.

    Attributes:
        first_pause_s: doubled with each death in a row.
        well_after_s: who lived for so long begins again with the first pause.
        dying_deaths: so many deaths within `dying_within_s`, and people are told.
        dying_within_s: see there.
    """

    first_pause_s: float
    well_after_s: float
    dying_deaths: int
    dying_within_s: float


@dataclass(frozen=True)
class CaretakerTimes:
    """How often the caretaker does what, in the account's time.

    Attributes:
        incidents_every_s: steps of incidents.
        papers_every_s: reports and backups that are due.
        shadow_every_s: a candidate's verdicts.
        exchange_every_s: whether the simulated exchange answers.
        prices_every_s: the market store is brought up to date, for replays.
        paper_grace_min: how long a report waits for the bar that closes its period.
        backups_kept: daily copies of the ledger.
    """

    incidents_every_s: float
    papers_every_s: float
    shadow_every_s: float
    exchange_every_s: float
    prices_every_s: float
    paper_grace_min: float
    backups_kept: int


@dataclass(frozen=True)
class Settings:
    """Everything in the file.

    Attributes:
        children: by the name of the part.
        restart: of all of them.
        stop_within_s: for what is under way at the end.
        look_every_s: at signs of life.
        bundle_every_s: at the files of the bundle.
        caretaker: its cadences.
    """

    children: Mapping[str, ChildLimits]
    restart: RestartLimits
    stop_within_s: float
    look_every_s: float
    bundle_every_s: float
    caretaker: CaretakerTimes


def load_settings(path: Path = DEFAULT) -> Settings:
    """Return the settings of a file.

    Raises:
        ConfigError: with every mistake of the file.
    """
    document = read_document(path)
    if not isinstance(document.data, dict):
        problem = f"the file must hold the blocks of the service, found {shown(document.data)}"
        raise ConfigError(Problem("type", document.where(), problem, f"see {DEFAULT}"))
    mistakes = schema_mistakes(document.data, _SCHEMA)
    if mistakes:
        raise ConfigError(problems(document, mistakes))
    data: dict[str, Any] = document.data
    return Settings(
        children={name: _read(ChildLimits, block) for name, block in data["children"].items()},
        restart=_read(RestartLimits, data["restart"]),
        stop_within_s=float(data["stop"]["within_seconds"]),
        look_every_s=float(data["look_every_seconds"]),
        bundle_every_s=float(data["bundle_every_seconds"]),
        caretaker=_read(CaretakerTimes, data["caretaker"]),
    )


def _key(name: str) -> str:
    """Return the key of an attribute.

    >>> _key("starts_within_s"), _key("paper_grace_min"), _key("backups_kept")
    ('starts_within_seconds', 'paper_grace_minutes', 'backups_kept')
    """
    for short, long in (("_s", "_seconds"), ("_min", "_minutes")):
        if name.endswith(short):
            return name.removesuffix(short) + long
    return name


def _read(kind: Any, block: Mapping[str, Any]) -> Any:
    return kind(**{one.name: block[_key(one.name)] for one in fields(kind)})


def _rule(kind: str, least: float, most: float) -> dict[str, Any]:
    words = "a whole number" if kind == "integer" else "a number"
    return {"type": kind, "min": least, "max": most, "meta": {"expected": f"{words} from {least:g} to {most:,}"}}


def _block(kind: Any) -> dict[str, Any]:
    keys = {
        _key(one.name): _rule("integer", 1, 1_000) if one.type == "int" else _rule("number", 0.01, 86_400)
        for one in fields(kind)
    }
    return {"type": "dict", "schema": keys, "meta": {"expected": f"a block of {', '.join(keys)}"}}


_SCHEMA: dict[str, dict[str, Any]] = {
    "children": {
        "type": "dict",
        "schema": {name: _block(ChildLimits) for name in PARTS},
        "meta": {"expected": f"a block of {', '.join(PARTS)}"},
    },
    "restart": _block(RestartLimits),
    "stop": {
        "type": "dict",
        "schema": {"within_seconds": _rule("number", 0.01, 86_400)},
        "meta": {"expected": "a block of within_seconds"},
    },
    "look_every_seconds": _rule("number", 0.01, 3_600),
    "bundle_every_seconds": _rule("number", 0.01, 3_600),
    "caretaker": _block(CaretakerTimes),
}
