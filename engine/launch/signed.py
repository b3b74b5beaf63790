"""What people sign for a launch: the bundle (A90), the list of addresses (A96), a waiver (A80).

A probe counts signatures. Where a check fails for want of them, the guard asks: a request stands in the ledger, once,
and `stagegate approve` signs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.launch.probe import Finding, Findings, Probe, no, unknown
from engine.ledger.rows import sha256_of
from engine.operations.approvals import APPROVED, ApprovalRequest, ask, tallies
from engine.policy.difference.firing import compares
from engine.reports.numbers import short_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.launch.release import Rules
    from engine.ledger import Ledger
    from engine.operations.approvals import Tally
    from engine.policy.model import Policy

BUNDLE, CONFIRM, WAIVE = "bundle", "confirm", "waive"
SIGNERS_FACT, CONFIRMED_FACT, WAIVED_FACT = "bundle_signers", "ip_list_confirmed", "telegram_waived"
IP_LIST, TELEGRAM = "ip_list", "telegram"

_ONE = 1  # A96: a person confirms
_ASKS = "stagegate"


@dataclass(frozen=True)
class Paper:
    """Something that people sign for a launch.

    Attributes:
        fact: that tells of it.
        action: of the request.
        subject: of the request.
        approvals: how many different people must sign.
        hashes: what it is about: of another one it says nothing.
        valid_ms: how long a request for it waits for its signatures; and how long a waiver holds at most.
    """

    fact: str
    action: str
    subject: str
    approvals: int
    hashes: tuple[tuple[str, str], ...]
    valid_ms: int

    def is_of(self, request: ApprovalRequest) -> bool:
        """Return whether a request is about this."""
        same = (request.action, request.subject) == (self.action, self.subject)
        return same and all(request.hashes.get(kind) == sha256 for kind, sha256 in self.hashes)


def papers(rules: Rules, api_key: str) -> tuple[Paper, ...]:
    """Return what there is to sign.

    Args:
        rules: the bundle; how many must sign it, its launch policy says.
        api_key: of the account; the list of addresses is this key's. Only its hash is kept.
    """
    valid_ms = rules.request_valid_ms
    found = [Paper(WAIVED_FACT, WAIVE, TELEGRAM, demanded(rules.policy), (), valid_ms)]  # A80: no fewer than the bundle
    if api_key:
        found.append(Paper(CONFIRMED_FACT, CONFIRM, IP_LIST, _ONE, (("api_key", sha256_of(api_key)),), valid_ms))
    if rules.digest:
        found.append(bundle_paper(rules.digest, rules.policy, valid_ms))
    return tuple(found)


def bundle_paper(digest: str, policy: Policy, valid_ms: int) -> Paper:
    """Return what people sign of a bundle: all that it decides with (A90)."""
    return Paper(SIGNERS_FACT, BUNDLE, digest, demanded(policy), (("digest", digest),), valid_ms)


def demanded(policy: Policy) -> int:
    """Return how many people a launch policy wants to have signed the bundle; 1 where it does not ask."""
    found = [
        int(one.steps)
        for rule in policy.rules.values()
        for one in compares(rule.when if rule.unless is None else rule.unless)
        if one.fact == SIGNERS_FACT
    ]
    return max(found, default=_ONE)


def probes(ledger: Ledger, signers: Path, rules: Rules, api_key: str, now: Callable[[], int]) -> tuple[Probe, ...]:
    """Return the probes of the signatures.

    Args:
        ledger: where requests and signatures are.
        signers: the allowed-signers file.
        rules: the bundle.
        api_key: of the account; empty where there is none.
        now: the time.
    """
    wanted = {paper.fact: paper for paper in papers(rules, api_key)}

    def probe(fact: str, otherwise: str) -> Probe:
        async def find() -> Findings:
            paper = wanted.get(fact)
            return {fact: unknown(otherwise) if paper is None else signed(ledger, signers, paper, now())}

        return Probe((fact,), find)

    return (
        probe(SIGNERS_FACT, "the bundle is not whole, so nothing can be signed"),
        probe(CONFIRMED_FACT, "no key is set, so there is no list to confirm"),
        probe(WAIVED_FACT, ""),
    )


def signed(ledger: Ledger, signers: Path, paper: Paper, now_ms: int) -> Finding:
    """Return what the signatures of a paper come to.

    Raises:
        UsageError: there are signatures, and no allowed-signers file to tell whose.
        LedgerError: the ledger cannot be read.
    """
    found = tallies(ledger, signers, now_ms, paper.is_of)
    best = max(found, key=lambda tally: len(tally.signers), default=None)
    count = 0 if best is None else len(best.signers)
    names = ", ".join(signer.name for signer in best.signers) if best is not None else ""
    by = f"signed by {names}" if names else "signed by nobody"
    if paper.fact == SIGNERS_FACT:
        return Finding(count, f"{short_hash(paper.subject)} {by}")
    enough = [tally for tally in found if len(tally.signers) >= paper.approvals]
    if paper.fact == WAIVED_FACT:
        holds = any(not tally.expired for tally in enough)
        return Finding(holds, by if holds else "nobody waived it" if not enough else "the waiver is over")
    if not enough:
        return no(by)
    return Finding(value=True, said=by, as_of_ms=max(_signed_ms(ledger, tally) for tally in enough))


def ask_for(ledger: Ledger, signers: Path, paper: Paper, stage: int, now_ms: int) -> str:
    """Ask for signatures, unless a request waits for them; return the request's id.

    Raises:
        UsageError: there are signatures, and no allowed-signers file to tell whose.
        LedgerError: the ledger cannot be read or written.
    """
    for tally in tallies(ledger, signers, now_ms, paper.is_of):
        if tally.state == "waiting":
            return tally.request.request_id
    request = ApprovalRequest(
        action=paper.action,
        subject=paper.subject,
        approvals=paper.approvals,
        asked_by=_ASKS,
        asked_ms=now_ms,
        expires_ms=now_ms + paper.valid_ms,
        decision_id="",
        stage=stage,
        amount_usd=None,
        hashes=dict(paper.hashes),
    )
    return ask(ledger, request)


def _signed_ms(ledger: Ledger, tally: Tally) -> int:
    """Return when the last signature of a request was made."""
    signatures = (event.at_ms for event in ledger.events(APPROVED) if event.subject == tally.request.request_id)
    return max(signatures, default=tally.request.asked_ms)
