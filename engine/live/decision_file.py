"""The risk guard's latest decision as a file that every process and person can read, and the runner's acknowledgement.

Both are replaced in one step, so at every instant, also under kill −9, what stands there is whole (R163, R164). The
acknowledgement carries the decision's id (A73, R162). A decision that is not renewed soon says nothing any more.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.config import load_config
from engine.facts import GuardWord
from engine.live.whole_file import replace_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.clock import Clock
    from engine.policy.bundle import Bundle

FOLDER = "risk_guard"
DECISION, ACKNOWLEDGEMENT = "latest_decision.json", "acknowledged.json"


@dataclass(frozen=True)
class GuardDecision:
    """What the guard decided.

    Attributes:
        decision_id: of the verdict with which the present outcome began; the same as long as it lasts.
        ledger: which account it is about.
        outcome: of the policy.
        since_ms: when the outcome began.
        at_ms: when it was last looked at.
        valid_until_ms: afterwards it says nothing.
        epoch_ms: of the drawdown.
        entries_blocked: nothing may be opened or increased.
        closes: everything is to be closed, and stays so until the restart.
        fired: the rules behind it.
        because: the same in words.
        trusted: whether both engines agree.
        facts: name -> value and status, of those that the policy reads.
        equity: equity, NAV, peak; empty where unknown.
        doing: what is done about it, in words.
        problems: what the guard cannot do or does not know, in words.
    """

    decision_id: str
    ledger: str
    outcome: str
    since_ms: int
    at_ms: int
    valid_until_ms: int
    epoch_ms: int
    entries_blocked: bool
    closes: bool
    fired: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    trusted: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    equity: Mapping[str, float] = field(default_factory=dict)
    doing: str = ""
    problems: tuple[str, ...] = ()

    def holds_at(self, now_ms: int) -> bool:
        """Return whether it still says something; one from far in the future says nothing either: a clock was set."""
        valid_ms = self.valid_until_ms - self.at_ms
        return self.at_ms - valid_ms <= now_ms <= self.valid_until_ms

    def word(self) -> GuardWord:
        """Return what it means for the desk."""
        return GuardWord(self.outcome, self.at_ms, self.epoch_ms, self.entries_blocked, self.closes, self.decision_id)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; times also as people read them."""
        times = {"at": iso(self.at_ms), "since": iso(self.since_ms), "valid_until": iso(self.valid_until_ms)}
        return {**asdict(self), **times}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> GuardDecision:
        """Return what `to_json` wrote.

        Raises:
            KeyError: a part is missing, as do TypeError and ValueError for parts that make no sense.
        """
        return cls(
            decision_id=str(values["decision_id"]),
            ledger=str(values["ledger"]),
            outcome=str(values["outcome"]),
            since_ms=int(values["since_ms"]),
            at_ms=int(values["at_ms"]),
            valid_until_ms=int(values["valid_until_ms"]),
            epoch_ms=int(values["epoch_ms"]),
            # whatever is not plainly the mild word is the severe one
            entries_blocked=values["entries_blocked"] is not False,
            closes=values["closes"] is True,
            fired=tuple(map(str, values["fired"])),
            because=tuple(map(str, values["because"])),
            trusted=values["trusted"] is True,
            facts=dict(values["facts"]),
            equity=dict(values["equity"]),
            doing=str(values["doing"]),
            problems=tuple(map(str, values["problems"])),
        )


@dataclass(frozen=True)
class Acknowledgement:
    """The runner says that it carries out a decision."""

    decision_id: str
    by: str
    at_ms: int


@dataclass(frozen=True)
class DecisionFiles:
    """The two files; `folder` is ``<report_dir>/risk_guard``."""

    folder: Path

    @classmethod
    def under(cls, report_dir: Path | str) -> DecisionFiles:
        """Return those of a configuration's reports."""
        return cls(Path(report_dir) / FOLDER)

    @property
    def decision(self) -> Path:
        """The latest decision."""
        return self.folder / DECISION

    @property
    def acknowledgement(self) -> Path:
        """The latest acknowledgement."""
        return self.folder / ACKNOWLEDGEMENT

    def write(self, decision: GuardDecision) -> str:
        """Replace the decision; return why it could not be, empty where it was."""
        return replace_json(self.decision, decision.to_json())

    def read(self) -> GuardDecision | None:
        """Return the decision that stands there, whether it still holds or not; None: none that can be understood."""
        try:
            return GuardDecision.from_json(json.loads(self.decision.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def acknowledge(self, decision_id: str, *, by: str, at_ms: int) -> str:
        """Say that a decision is being carried out; return why it could not be said, empty where it was."""
        return replace_json(
            self.acknowledgement, {"decision_id": decision_id, "by": by, "at_ms": at_ms, "at": iso(at_ms)}
        )

    def acknowledged(self) -> Acknowledgement | None:
        """Return the latest acknowledgement; None: none that can be understood."""
        try:
            found = json.loads(self.acknowledgement.read_text(encoding="utf-8"))
            return Acknowledgement(str(found["decision_id"]), str(found["by"]), int(found["at_ms"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass
class GuardWatch:
    """Tells a process what the guard says now; asking costs one look at the file's date.

    Attributes:
        files: where it is written.
        ledger: which account is meant: what is said of another one is not for us.
        clock: the time.
    """

    files: DecisionFiles
    ledger: Path
    clock: Clock
    _stamp: tuple[int, int] | None = field(default=None, init=False, repr=False)
    _read: GuardDecision | None = field(default=None, init=False, repr=False)

    def decision(self) -> GuardDecision | None:
        """Return the decision that holds now; None: there is none, or it was not renewed in time."""
        try:
            found = self.files.decision.stat()
        except OSError:
            return None
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._stamp, self._read = stamp, self.files.read()
        decision = self._read
        if decision is None or decision.ledger != named(self.ledger):
            return None
        return decision if decision.holds_at(self.clock.now_ms()) else None

    def word(self) -> GuardWord | None:
        """Return what the decision that holds now means for the desk; None: nothing is said."""
        decision = self.decision()
        return None if decision is None else decision.word()


def guard_word(bundle: Bundle, ledger: Path, clock: Clock) -> GuardWord | None:
    """Return what the risk guard says now, to whoever asks once; None: it says nothing, or nothing that still holds.

    Args:
        bundle: whose configuration says where it publishes.
        ledger: which account is meant.
        clock: the time.

    Raises:
        ConfigError: the configuration is wrong.
    """
    files = DecisionFiles.under(load_config(bundle.config_path).output.report_dir)
    return GuardWatch(files, ledger, clock).word()


def named(ledger: Path) -> str:
    """Return the name under which decisions speak of a ledger."""
    return str(ledger.resolve())
