"""What people and files say of a stage: the launch guard, reviews, the watcher, paper evidence, consistency, outages.

All of it are events and verdicts of the ledger; signatures are checked again when they are read. What was said about
another release, or before the stage was entered, does not count.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS
from engine.errors import StagegateError
from engine.launch_word import LAUNCH, launch_fact
from engine.ledger.rows import Event
from engine.metrics.sleeves import CONSISTENCY_BARS
from engine.operations.reviews.book import MONTHLY, PAUSE_DESK, WEEKLY, Held, held
from engine.operations.reviews.signing import signer_of
from engine.operations.signatures import verified
from engine.operations.stages.facts import PAPER_STAGE
from engine.policy.facts import MISSING, OK, YOUNG, Fact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from engine.ledger import Ledger

CONSISTENCY, SIGNALS = "consistency", "signals"
EVIDENCE, WATCHER = "paper_evidence", "watcher"
WATCH_MS = DAY_MS
"""R068: the first 24 hours; a watch must last for as long from now on."""

_ALLOWED = "ALLOW_LAUNCH"


@dataclass(frozen=True)
class Release:
    """What is deployed, as far as what was said must be about it: the digest of the bundle, and the configuration."""

    digest: str
    config_sha256: str


class LedgerPapers:
    """What a ledger holds of papers.

    Args:
        ledger: whose.
        release: what is deployed.
        signers: the allowed-signers file.
        outages: returns how many outages of the venue lie in the day before an instant (A78).
        paper: whether it is the ledger of a paper account, whose own books are Stage 0's.
    """

    def __init__(
        self,
        ledger: Ledger,
        release: Release,
        signers: Path,
        outages: Callable[[int], int],
        *,
        paper: bool,
    ) -> None:
        self._ledger = ledger
        self._release = release
        self._signers = signers
        self._outages = outages
        self._paper = paper
        self._checked: dict[str, bool] = {}

    def facts(self, now_ms: int, stage: int, entered_ms: int) -> Iterable[Fact]:
        """Return the facts at `now_ms` in `stage`, which was entered at `entered_ms`.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        yield Fact("api_issues_24h", self._outages(now_ms), OK, now_ms)
        yield launch_fact(self._ledger, {stage + 1}, self._release.digest, now_ms)  # of the one to be entered (R090)
        for period in (WEEKLY, MONTHLY):
            yield Fact(f"{period}_review", self._reviewed(period, now_ms, entered_ms), OK, now_ms)
        if stage == PAPER_STAGE:
            yield Fact("watcher_named", self._watched(now_ms), OK, now_ms)
            yield from self._of_paper(now_ms, entered_ms)

    def _reviewed(self, period: str, now_ms: int, entered_ms: int) -> bool:
        """Return whether a review of days of this stage was signed and did not decide to pause (R089, R104)."""
        since = [one for one in held(self._ledger, period, now_ms) if min(one.at_ms, one.to_ms) > entered_ms]
        signed = [one for one in since if self._checks(one.signature, partial(self._holds, one))]
        return bool(signed) and signed[-1].decision != PAUSE_DESK

    def _holds(self, review: Held) -> bool:
        signer_of(review, self._signers)
        return True

    def _watched(self, now_ms: int) -> bool:
        """Return whether somebody has signed to watch, for long enough from now on (R068)."""
        events = self._ledger.events(WATCHER, to_ms=now_ms)
        long_enough = [event for event in events if json.loads(event.document)["until_ms"] - now_ms >= WATCH_MS]
        return any(self._checks(event.event_id, partial(self._is_own, event)) for event in long_enough)

    def _is_own(self, event: Event) -> bool:
        said = json.loads(event.document)
        document = watch_document(event.subject, event.at_ms, said["until_ms"])
        return verified(document.encode(), said["signature"], self._signers, event.at_ms).name == event.subject

    def _checks(self, name: str, check: Callable[[], bool]) -> bool:
        """Return whether a signature counts, looked at once; one that cannot be checked does not."""
        if name not in self._checked:
            try:
                self._checked[name] = check()
            except StagegateError:
                self._checked[name] = False
        return self._checked[name]

    def _of_paper(self, now_ms: int, entered_ms: int) -> Iterable[Fact]:
        """Yield what paper showed: of a live ledger all of it comes from evidence that was verified (R056, R063)."""
        said = self._evidence(now_ms)
        if said is None:
            yield Fact(EVIDENCE, None, MISSING, now_ms)
        else:
            fresh = self._paper or said["from_ms"] >= entered_ms or entered_ms == 0  # A57
            yield Fact(EVIDENCE, fresh, OK, said["to_ms"])
        if self._paper:
            yield self._consistency(now_ms)
            return
        for name in ("sharpe_30d", "max_drawdown_30d", "signal_consistency"):
            value = None if said is None else said["facts"][name]
            as_of_ms = now_ms if said is None else said["to_ms"]
            yield Fact(name, value, MISSING if value is None else OK, as_of_ms)
        days = 0 if said is None or said["from_ms"] < entered_ms else said["days"]
        yield Fact("days_in_stage", days, OK, now_ms)

    def _evidence(self, now_ms: int) -> dict[str, Any] | None:
        events = self._ledger.events(EVIDENCE, to_ms=now_ms)
        mine = [event for event in events if event.subject == self._release.config_sha256]
        return json.loads(mine[-1].document) if mine else None

    def _consistency(self, now_ms: int) -> Fact:
        """Return what the newest comparison of signals with a replay found (R061, R062)."""
        return consistency_fact(consistency_said(self._ledger, now_ms), self._release.config_sha256, now_ms)


def consistency_said(ledger: Ledger, to_ms: int) -> dict[str, Any] | None:
    """Return the newest comparison of signals that a ledger holds; None: none was made.

    Raises:
        LedgerError: it cannot be read.
    """
    events = [event for event in ledger.events(CONSISTENCY, to_ms=to_ms) if event.subject == SIGNALS]
    return json.loads(events[-1].document) if events else None


def consistency_fact(said: dict[str, Any] | None, config_sha256: str, now_ms: int) -> Fact:
    """Return a comparison as a fact: of this configuration only, and young below 720 bars of any symbol (domain.md)."""
    name = "signal_consistency"
    if said is None or said["percent"] is None or said["config_sha256"] != config_sha256:
        return Fact(name, None, MISSING, now_ms)
    compared = [sleeve["compared"] for sleeve in said["sleeves"].values()]
    if not compared or min(compared) < CONSISTENCY_BARS:
        return Fact(name, None, YOUNG, said["to_ms"])
    return Fact(name, said["percent"], OK, said["to_ms"])


class RehearsedPapers:
    """In a rehearsal there is nobody to hold a review, and it is its own replay: only the account decides."""

    def facts(self, now_ms: int, stage: int, entered_ms: int) -> Iterable[Fact]:
        """Return every paper as in order."""
        del stage, entered_ms
        yield Fact("api_issues_24h", 0, OK, now_ms)
        yield Fact(LAUNCH, _ALLOWED, OK, now_ms)
        for name in ("watcher_named", "weekly_review", "monthly_review", EVIDENCE):
            yield Fact(name, value=True, status=OK, as_of_ms=now_ms)
        yield Fact("signal_consistency", 100.0, OK, now_ms)


def watch_document(name: str, at_ms: int, until_ms: int) -> str:
    """Return what a watcher signs: canonical JSON."""
    document = {"action": WATCHER, "at_ms": at_ms, "name": name, "until_ms": until_ms}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def watcher_event(name: str, at_ms: int, until_ms: int, fingerprint: str, signature: str) -> Event:
    """Return the event by which somebody is named to watch."""
    document = {"fingerprint": fingerprint, "signature": signature, "until_ms": until_ms}
    return Event(f"{WATCHER}-{name}-{at_ms}", at_ms, WATCHER, name, json.dumps(document, sort_keys=True))
