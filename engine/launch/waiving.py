"""A person asks others to waive a check of the launch guard for a while; what may be waived at all is few (A80).

The request is what `engine.launch.signed` looks for. Who asks shows by a signature who it is, and does not sign (A69).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import iso
from engine.errors import Problem, UsageError
from engine.inquiry import posture_at
from engine.launch.signed import TELEGRAM, WAIVE, WAIVED_FACT, papers
from engine.ledger import Event
from engine.ledger.rows import sha256_of
from engine.operations.approvals import ApprovalRequest, ask
from engine.operations.signatures import sign, verified
from engine.policy.notation import duration_words

if TYPE_CHECKING:
    from pathlib import Path

    from engine.launch.release import Rules
    from engine.launch.signed import Paper
    from engine.ledger import Ledger

WAIVER = "waiver"
"""The kind of the event that says who asked for a waiver, and why."""

REASON = "because"
"""Under this name the request holds the hash of the reason: people sign it with the rest."""


@dataclass(frozen=True)
class Waiver:
    """What was asked for.

    Attributes:
        request_id: what people sign.
        check: that is waived.
        until_ms: for how long, once they have.
        because: why.
        by: who asked.
        approvals: how many must sign.
    """

    request_id: str
    check: str
    until_ms: int
    because: str
    by: str
    approvals: int


@dataclass(frozen=True)
class Wish:
    """What a person wants: which check, until when, and why."""

    check: str
    until_ms: int
    because: str


def ask_waiver(ledger: Ledger, wish: Wish, rules: Rules, key: Path, signers: Path, now_ms: int) -> Waiver:
    """Ask people to waive a check.

    Args:
        ledger: open for writing.
        wish: which check, until when, why.
        rules: the bundle.
        key: the private key of who asks.
        signers: the allowed-signers file.
        now_ms: the time.

    Raises:
        UsageError: not-waivable, until, because: what is wrong with it, all at once; or the key or the file is missing.
        SignatureError: the key is nobody's who may sign.
        LedgerError: the ledger cannot be read or written.
    """
    paper = next(one for one in papers(rules, "") if one.fact == WAIVED_FACT)
    problems = _problems(wish, paper, now_ms)
    if problems:
        raise UsageError(problems)
    said = json.dumps(
        {"check": wish.check, "until_ms": wish.until_ms, REASON: wish.because, "at_ms": now_ms}, sort_keys=True
    )
    signature = sign(said.encode(), key)
    who = verified(said.encode(), signature, signers, now_ms)
    request = ApprovalRequest(
        action=paper.action,
        subject=paper.subject,
        approvals=paper.approvals,
        asked_by=who.name,
        asked_ms=now_ms,
        expires_ms=wish.until_ms,
        decision_id="",
        stage=posture_at(ledger, now_ms).stage if ledger.events("posture", to_ms=now_ms) else 0,
        amount_usd=None,
        hashes={**dict(paper.hashes), REASON: sha256_of(wish.because)},
    )
    document = {
        "request_id": request.request_id,
        "check": wish.check,
        "until_ms": wish.until_ms,
        REASON: wish.because,
        "by": who.name,
        "fingerprint": who.fingerprint,
        "signature": signature,
        "signed": said,
    }
    with ledger.transaction():
        identity = ask(ledger, request)
        text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        ledger.append(Event(f"{WAIVER}-{identity}", now_ms, WAIVER, wish.check, text))
    return Waiver(identity, wish.check, wish.until_ms, wish.because, who.name, request.approvals)


def _problems(wish: Wish, paper: Paper, now_ms: int) -> list[Problem]:
    found = []
    if wish.check != TELEGRAM:
        help_ = f"only `{TELEGRAM}` may be {WAIVE}d; others are mended, or a warning acknowledged by `stagegate ack`"
        found.append(Problem("not-waivable", wish.check, "this check cannot be waived", help_))
    if wish.until_ms <= now_ms:
        found.append(Problem("until", "--until", f"{iso(wish.until_ms)} is over", "name a time to come"))
    elif wish.until_ms > now_ms + paper.valid_ms:
        longest, latest = duration_words(paper.valid_ms), iso(now_ms + paper.valid_ms)
        problem = f"a waiver holds for {longest} at most"
        found.append(Problem("until", "--until", problem, f"name one until {latest}"))
    if not wish.because.strip():
        found.append(Problem("because", "--because", "no reason is given", "say why it may be launched without"))
    return found


def waiver_text(waiver: Waiver) -> str:
    """Return what was asked for, and what is to be done now."""
    return "\n".join(
        (
            f"{waiver.request_id}  waiting",
            f"  waives    {waiver.check}, until {iso(waiver.until_ms)}",
            f"  because   {waiver.because}",
            f"  asked by  {waiver.by}, who does not sign",
            f"  next      {waiver.approvals} others sign: `stagegate approve {waiver.request_id} --key …`",
        )
    )
