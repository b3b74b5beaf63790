"""What closes the book from outside, and what latches the halt: the risk guard, a person, a stranger on the account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.clock import DAY_MS, parse_time
from engine.execution.flattened import VERIFIED
from engine.execution.journal import FOREIGN
from engine.execution.permit import PermitError
from engine.live.account import RISK
from engine.live.connection import Mode
from engine.live.outages import ENDED
from engine.risk_guard.aftermath import FLATTEN, halt_began_ms
from engine.risk_guard.books import held_row
from engine.risk_guard.follower import GuardFollower, note_flattened
from engine.runner.launch import FLATTEN_BEGUN

if TYPE_CHECKING:
    from engine.execution.flattened import FlattenReport
    from engine.live.decision_file import GuardDecision
    from engine.runner.open import Post
    from engine.runner.voice import Voice

GUARD_POLICY, FLATTEN_ALL = "risk_guard", "FLATTEN_ALL"
BY = "runner"
_UNGUARDED = "risk guard"
BY_HAND = "close every position and cancel every order in the venue's web interface, now"


class Halt:
    """Looks after the halt of one desk.

    Args:
        post: the desk.
        voice: tells people.
    """

    def __init__(self, post: Post, voice: Voice) -> None:
        self._post = post
        self._voice = voice
        self._policy = post.place.release.bundle.policies[GUARD_POLICY]
        self._follower = GuardFollower(post.guard, post.clock, BY, post.hands.flatten, self._was_closed)
        self._following: asyncio.Task[FlattenReport | None] | None = None
        self._granted = post.permit.granted
        self._strangers: set[str] = set()
        self._looked_back = False

    def look(self) -> None:
        """Look whether the risk guard wants the book closed, which is begun at once, or somebody else closed it.

        Raises:
            LedgerError: what was done could not be recorded.
        """
        if not self._looked_back:  # before a bar adds risk, not with the first round after it
            self.look_for_strangers()
        if self._following is not None and self._following.done():
            done, self._following = self._following, None
            done.result()
        if self._following is None:
            decision = self._post.guard.decision()
            if decision is not None and decision.closes:
                self._following = asyncio.ensure_future(self._follower.look())
            else:
                self._look_at_permit()

    def look_for_strangers(self) -> None:
        """Latch the halt where somebody else traded on this account since it was last lifted (A64, R240).

        What was traded while nothing ran or the venue was not heard is booked late, at the time when it was traded: the
        first look, and those of the day after an outage, go back to when the halt was lifted, the others a day.

        Raises:
            LedgerError: the ledger cannot be read or written.
        """
        terms = self._post.permit.terms()
        lifted_ms = parse_time(terms["at"]) if terms else 0
        day_ago_ms = self._post.clock.now_ms() - DAY_MS
        whole = not self._looked_back or bool(self._post.ledger.events(ENDED, day_ago_ms))
        fills = self._post.ledger.fills(RISK, lifted_ms if whole else max(lifted_ms, day_ago_ms))
        self._looked_back = True
        new = [one for one in fills if one.reason == FOREIGN and one.fill_id not in self._strangers]
        self._strangers |= {one.fill_id for one in new}
        if not new or not terms:
            return
        self._latch()
        what = f"somebody else traded on this account: {', '.join(sorted({one.symbol for one in new}))}"
        do = "find out who; then close what is not ours, and `stagegate resume`"
        self._voice.alert(Severity.CRITICAL, "stranger", what, done="halted, nothing adds risk; stops stand", do=do)

    def look_for_guard(self) -> None:
        """Tell where nobody guards real money: its hard stops are then looked at when a bar closes, not each second.

        Raises:
            LedgerError: it cannot be told.
        """
        if self._post.place.connection.mode is not Mode.REAL:
            return
        if self._post.guard.decision() is None:
            self._voice.alert_once(
                Severity.CRITICAL,
                _UNGUARDED,
                "the risk guard says nothing: the hard stops are looked at once an hour",
                do="start `stagegate risk-guard`; `stagegate serve` keeps one running",
            )
        elif self._voice.well(_UNGUARDED):
            self._voice.alert(Severity.INFO, _UNGUARDED, "the risk guard watches again")

    async def finish(self, within_s: float) -> None:
        """Wait for a closing that is under way; what is left after that, the risk guard goes on with.

        Raises:
            LedgerError: it could not be recorded.
        """
        if self._following is None:
            return
        done, _ = await asyncio.wait({self._following}, timeout=within_s)
        for task in done:
            task.result()

    def _was_closed(self, decision: GuardDecision, report: FlattenReport) -> None:
        """Tell of a closing for the risk guard, and have the desk paused."""
        if self._follower.problem:  # the guard closes the book as well then: twice does no harm
            self._voice.show(f"not acknowledged: {self._follower.problem}")
        name = decision.decision_id
        if report.flat:
            took_s = (report.took_ms(VERIFIED) or 0) / 1000
            done = f"orders and stops cancelled, every position closed, verified after {took_s:.1f} s"
            self._voice.alert(Severity.CRITICAL, name, f"{decision.outcome}: flattened by the runner", done=done)
        else:
            why = "; ".join(report.problems[-2:])
            self._voice.alert(Severity.CRITICAL, name, f"{decision.outcome}: NOT FLAT", why=why, do=BY_HAND)
        self._post.desk.govern(lambda governor: note_flattened(governor, self._policy, decision, report))

    def _look_at_permit(self) -> None:
        """Say when the halt was latched or lifted by others, and take note of a book that was closed with it."""
        granted = self._post.permit.granted
        if granted != self._granted:
            self._granted = granted
            words = "the halt is lifted: risk may be added again" if granted else "halted: nothing adds risk"
            self._voice.show(words)
        posture = self._post.desk.governor.posture
        if granted or posture.paused_since_ms is not None:
            return
        ledger, at_ms = self._post.ledger, self._post.clock.now_ms()
        began_ms = halt_began_ms(ledger, posture.epoch_ms)
        if began_ms is not None:
            effects, reason = (
                self._policy.effects[FLATTEN_ALL],
                ledger.events(FLATTEN_BEGUN, from_ms=began_ms)[-1].subject,
            )
            noted = bool(ledger.events(FLATTEN, from_ms=began_ms))  # by whoever flattened while nothing ran
            self._post.desk.govern(
                lambda governor: governor.flattened(at_ms, FLATTEN_ALL, effects, reason, recorded=noted)
            )
            self._voice.show(f"the book was closed from outside: {reason}; a restart must be signed")

    def _latch(self) -> None:
        """Take the permit away and leave what stands: recorded first, or the risk guard would close everything."""
        try:
            self._post.ledger.append(held_row(BY, self._post.clock.now_ms()))
        finally:
            self._revoke()

    def _revoke(self) -> None:
        try:
            self._post.permit.revoke()
        except PermitError as error:
            problem = error.problems[0]
            self._voice.alert(Severity.CRITICAL, "permit", problem.problem, do=problem.help)
