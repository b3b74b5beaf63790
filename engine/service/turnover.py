"""Bundles that change while the service runs: seen, told, and taken over once they are allowed (A90).

On paper a whole bundle whose engines agree takes over at once. With real money the one in force stays until as many
people have signed the new one as its launch policy demands and the launch guard has allowed it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.clock import HOUR_MS
from engine.errors import StagegateError, UsageError
from engine.inquiry import posture_at
from engine.launch.signed import ask_for, bundle_paper, signed
from engine.launch_word import LAUNCH
from engine.ledger import Ledger
from engine.live.connection import Mode
from engine.live.opening import FOR_EVER_MS
from engine.policy.bundle import load_bundle
from engine.policy.fault import EngineFault
from engine.policy.worker import Worker
from engine.reports.numbers import short_hash
from engine.risk_guard.start import require_watchable
from engine.runner.launch import check_real

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from engine.clock import Clock
    from engine.policy.bundle import Bundle
    from engine.service.book import ServiceBook

ENGINED = ("action", "risk_guard")


@dataclass
class Turnover:
    """Watches the files of a bundle.

    Attributes:
        rules: where people edit it.
        ledger: of the account.
        signers: the allowed-signers file.
        mode: whose money.
        clock: the account's time.
        in_force: what runs.
        take: puts another one in force.
        guard: runs the launch guard on the edited bundle; what it decides stands in the ledger.
        book: records what happens.
    """

    rules: Path
    ledger: Path
    signers: Path
    mode: Mode
    clock: Clock
    in_force: Bundle
    take: Callable[[Bundle], None]
    guard: Callable[[], Awaitable[None]]
    book: ServiceBook
    _told: str = field(default="", init=False)
    _proved: str = field(default="", init=False)
    _guarded: tuple[str, int, int] = field(default=("", 0, 0), init=False)

    async def watch(self, every_s: float) -> None:
        """Look again and again."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Look once: nothing changed, or what changed is told, or taken over."""
        try:
            await self._look()
        except StagegateError as error:
            self._tell(f"{error.problems[0].where}: {error.problems[0].problem}")
        except EngineFault as fault:
            self._tell(f"its engines do not agree, or do not start: {fault}")

    async def _look(self) -> None:
        found = await asyncio.to_thread(self._changed)
        if found is None:
            self._told = ""
            return
        if found.digest != self._proved:
            await asyncio.to_thread(prove, found)
            self._proved = found.digest
        if self.mode is Mode.REAL and not await self._allowed(found):
            return
        self.take(found)
        self.in_force = found
        self._told = ""

    def _changed(self) -> Bundle | None:
        """Return the bundle as it stands there where it is another than the one in force."""
        found = load_bundle(self.rules)
        return None if found.digest == self.in_force.digest else found

    async def _allowed(self, found: Bundle) -> bool:
        """Return whether real money may be traded by it now; whoever must sign it is asked once."""
        paper = bundle_paper(found.digest, found.policies[LAUNCH], found.request_valid_ms)
        now_ms = self.clock.now_ms()
        with Ledger.open(self.ledger) as ledger:
            if _launch_allows(ledger, found, now_ms):
                return True
            stage = posture_at(ledger, FOR_EVER_MS).stage
            count = int(signed(ledger, self.signers, paper, now_ms).value or 0)
            if count < paper.approvals:
                request = ask_for(ledger, self.signers, paper, stage, now_ms)
                why = f"{count} of {paper.approvals} people have signed {short_hash(found.digest)}"
                self._tell(why, f"`stagegate approve {request}`; or restore the files")
                return False
        digest, before, asked_ms = self._guarded
        if (digest, before) != (found.digest, count) or now_ms - asked_ms >= HOUR_MS:
            self._guarded = (found.digest, count, now_ms)
            await self.guard()
        with Ledger.open(self.ledger, read_only=True) as ledger:
            if _launch_allows(ledger, found, self.clock.now_ms()):
                return True
        self._tell("it is signed, and the launch guard does not allow it", "`stagegate launch-guard` says why")
        return False

    def _tell(self, why: str, do: str = "mend or restore the files") -> None:
        """Tell once of what stands in the way."""
        if self._told == why:
            return
        self._told = why
        what = f"the bundle {self.rules} has changed and is not in force"
        done = f"{short_hash(self.in_force.digest)} stays in force"
        self.book.alert(Severity.HIGH, f"bundle {why}", what, why=why, done=done, do=do)


def prove(bundle: Bundle) -> None:
    """See to it that the engines of a bundle start and agree, and its risk guard too, before anything depends on them.

    Raises:
        EngineFault: they do not.
        UsageError: no risk guard would start with it.
    """
    require_watchable(bundle)
    for name in ENGINED:
        Worker.started(bundle.policies[name]).close()


def _launch_allows(ledger: Ledger, bundle: Bundle, now_ms: int) -> bool:
    try:
        check_real(ledger, bundle, now_ms)
    except UsageError:
        return False
    return True
