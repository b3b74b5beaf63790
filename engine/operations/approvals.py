"""Approvals: what waits, who signed it, and whether enough different people have (A69, A71).

A request is canonical JSON of everything that is approved: the action, the decision behind it, the hashes of bundle,
configuration and facts, stage, amount and expiry. People sign those bytes; altering any of them voids every signature.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.bounds import PROMOTION, RECOVERY, SCALE_UP
from engine.clock import iso
from engine.errors import Problem, StagegateError, UsageError
from engine.ledger.rows import Event, sha256_of
from engine.operations.signatures import SignatureError, sign, verified
from engine.operations.stages.tenure import Tenure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.bounds import Request
    from engine.ledger import Ledger
    from engine.operations.signatures import Signer

ASKED, APPROVED, USED = "approval_request", "approval", "approval_given"

WAITING = "waiting"
HOLDS = "holds"
OVER = frozenset({"used", "expired", HOLDS})
"""Where a request stands when no signature counts any more."""

_OF_ONE_BUNDLE = frozenset({SCALE_UP, RECOVERY})
LASTING = frozenset({"bundle", "confirm"})
"""What enough people signed in time, and holds for as long as what they signed stays what it is."""

_ASKED_BY = {
    "bundle": "stagegate launch-guard",
    "confirm": "stagegate launch-guard",
    "waive": "stagegate waive …",
    "promote": "stagegate stage promote --key …",
    "restart": "stagegate restart INC-… --key …",
    "adopt": "stagegate ledger adopt … --key …",
}
"""How an action is asked for; of the others a verdict asks."""


@dataclass(frozen=True)
class ApprovalRequest:
    """Something that happens only when enough people sign it.

    Attributes:
        action: what is approved: recovery, restart, scale_up, promote, bundle, waive, adopt …
        subject: of what: an episode's kind, a stage, a check, a file's hash.
        approvals: how many different people must sign.
        asked_by: who asks, and may therefore not sign; ``stagegate`` where a verdict asks.
        asked_ms: when.
        expires_ms: from when on no signature counts.
        decision_id: the verdict behind it; empty where a person asks.
        stage: of the rollout when it was asked for.
        amount_usd: the capital that it is about; None where it moves none.
        hashes: of bundle, policy, config and facts, as far as they bear on it.
    """

    action: str
    subject: str
    approvals: int
    asked_by: str
    asked_ms: int
    expires_ms: int
    decision_id: str
    stage: int
    amount_usd: float | None
    hashes: Mapping[str, str]

    @property
    def request_id(self) -> str:
        """``A20221109-140000-restart-3fa9c1``: moment, action, and six digits of the bytes that are signed."""
        stamp = iso(self.asked_ms)[:19].replace("-", "").replace(":", "").replace("T", "-")
        return f"A{stamp}-{self.action}-{sha256_of(self.document)[:6]}"

    @property
    def document(self) -> str:
        """What people sign: canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_document(cls, document: str) -> ApprovalRequest:
        """Return what `document` holds."""
        return cls(**json.loads(document))


@dataclass(frozen=True)
class Refused:
    """A signature that does not count, and why."""

    who: str
    why: str


@dataclass(frozen=True)
class Tally:
    """Where a request stands.

    Attributes:
        request: what is asked for.
        signers: the different people whose signatures count, in the order they signed.
        refused: signatures that do not count.
        used_ms: when it took effect; None: not yet.
        expired: whether its time is over.
    """

    request: ApprovalRequest
    signers: tuple[Signer, ...]
    refused: tuple[Refused, ...]
    used_ms: int | None
    expired: bool

    @property
    def granted(self) -> bool:
        """Whether enough people signed in time, and it has not been used."""
        return len(self.signers) >= self.request.approvals and self.used_ms is None and not self.expired

    @property
    def state(self) -> str:
        """Say it in one word: used, holds, granted, expired or waiting."""
        if self.used_ms is not None:
            return "used"
        if self.expired:
            lasts = self.request.action in LASTING and len(self.signers) >= self.request.approvals
            return HOLDS if lasts else "expired"
        return "granted" if self.granted else WAITING

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "request_id": self.request.request_id,
            "state": self.state,
            **asdict(self.request),
            "signers": [asdict(signer) for signer in self.signers],
            "refused": [asdict(refused) for refused in self.refused],
            "used_ms": self.used_ms,
        }


def ask(ledger: Ledger, request: ApprovalRequest) -> str:
    """Record a request, once however often it is asked for; return its id.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    identity = request.request_id
    ledger.append(Event(identity, request.asked_ms, ASKED, identity, request.document))
    return identity


def approve(ledger: Ledger, request_id: str, key: Path, signers: Path, now_ms: int) -> Tally:
    """Sign a request with a person's key, and record the signature if it counts.

    Args:
        ledger: open for writing.
        request_id: or a part of one that no other has which still waits.
        key: the person's private key.
        signers: the allowed-signers file.
        now_ms: the time of the signature.

    Raises:
        UsageError: no such request, one that is over, or who asked signs.
        SignatureError: the key is not one of the allowed signers'.
        LedgerError: the ledger cannot be written.
    """
    tally = find(ledger, request_id, signers, now_ms)
    identity = tally.request.request_id
    if tally.state in OVER:
        raise UsageError(_over(tally))
    signature = sign(tally.request.document.encode(), key)
    signer = verified(tally.request.document.encode(), signature, signers, now_ms)
    if (why := _objection(tally.request, signer, tally.signers)) is not None:
        raise UsageError(Problem("does-not-count", identity, f"{signer.name} {why}", "somebody else must sign"))
    document = json.dumps({"signature": signature}, sort_keys=True)
    ledger.append(Event(f"{identity}-{sha256_of(signature)[:12]}", now_ms, APPROVED, identity, document))
    return find(ledger, identity, signers, now_ms)


def _over(tally: Tally) -> Problem:
    request = tally.request
    if tally.state == HOLDS:
        problem = f"{', '.join(signer.name for signer in tally.signers)} signed it in time, and it holds"
        return Problem("over", request.request_id, problem, "nothing is left to be signed")
    when = iso(tally.used_ms if tally.used_ms is not None else request.expires_ms)
    command = _ASKED_BY.get(request.action)
    help_ = f"ask for it anew: `{command}`" if command else "the verdict asks for it anew, while what it is about lasts"
    return Problem("over", request.request_id, f"it is {tally.state} since {when}", help_)


def find(ledger: Ledger, request_id: str, signers: Path, now_ms: int) -> Tally:
    """Return where one request stands.

    Raises:
        UsageError: none, or more than one, is called like that; one that waits goes before the others.
        LedgerError: the ledger cannot be read.
    """
    named = [
        tally for tally in tallies(ledger, signers, now_ms) if request_id and request_id in tally.request.request_id
    ]
    open_ = [tally for tally in named if tally.state not in OVER]
    found = [tally for tally in open_ if tally.state == WAITING] or open_ or named
    if len(found) == 1:
        return found[0]
    problem = f"{'no request is' if not found else f'{len(found)} requests are'} called `{request_id}`"
    raise UsageError(Problem("no-request", str(ledger.path), problem, "`stagegate approvals` lists them"))


def tallies(
    ledger: Ledger, signers: Path, now_ms: int, wanted: Callable[[ApprovalRequest], bool] = lambda _: True
) -> tuple[Tally, ...]:
    """Return where every request that is wanted stands, oldest first.

    Raises:
        UsageError: there are signatures and no allowed-signers file.
        LedgerError: the ledger cannot be read.
    """
    signed: dict[str, list[Event]] = {}
    for event in ledger.events(APPROVED):
        signed.setdefault(event.subject, []).append(event)
    used = {json.loads(event.document).get("request_id"): event.at_ms for event in ledger.events(USED)}
    return tuple(
        _tally(event, signed.get(event.event_id, ()), used.get(event.event_id), signers, now_ms)
        for event in ledger.events(ASKED)
        if wanted(ApprovalRequest.from_document(event.document))
    )


class SignedApprovals:
    """Answers a governor: which of the waiting requests have all their signatures.

    Args:
        ledger: where requests and signatures are.
        signers: the allowed-signers file.
        context: the hashes that a request carries, and how long it may wait.
    """

    def __init__(self, ledger: Ledger, signers: Path, context: Mapping[str, str], valid_ms: int) -> None:
        self._ledger = ledger
        self._signers = signers
        self._hashes = dict(context)
        self._valid_ms = valid_ms
        self._found: dict[tuple[str, str, int], Tally | None] = {}

    def counts(self, asked: ApprovalRequest) -> bool:
        """Return whether what was asked for may take effect: a cap and an exposure under the bundle that was signed."""
        digest = self._hashes.get("digest")
        return asked.action not in _OF_ONE_BUNDLE or asked.hashes.get("digest") == digest

    def ask(
        self, request: Request, *, decision_id: str, stage: int, amount_usd: float | None, now_ms: int
    ) -> ApprovalRequest:
        """Record what a verdict asks people for; asked again, it waits from when the last one was over."""
        times = max(0, now_ms - request.at_ms) // self._valid_ms + 1
        asked = ApprovalRequest(
            request.kind, request.subject, request.approvals, "stagegate", request.at_ms,
            request.at_ms + times * self._valid_ms, decision_id, stage, amount_usd, self._hashes,
        )  # fmt: skip
        ask(self._ledger, asked)
        return asked

    def given(self, requests: Sequence[Request], now_ms: int) -> tuple[Request, ...]:
        """Return the requests that enough people have signed by `now_ms`."""
        return tuple(request for request in requests if self._granted(request, now_ms) is not None)

    def paper(self, request: Request) -> Mapping[str, Any]:
        """Return the id of the request that people signed, and who they are; nothing where none is granted."""
        tally = self._granted(request, None)
        if tally is None:
            return {}
        return {"request_id": tally.request.request_id, "signers": [signer.name for signer in tally.signers]}

    def _granted(self, request: Request, now_ms: int | None) -> Tally | None:
        """Return the tally of a request that is granted now, or was the last time it was looked at."""
        identity = (request.kind, request.subject, request.at_ms)
        if now_ms is not None:
            wanted = self._promotes(request) if request.kind == PROMOTION else self._same(identity)
            found = tallies(self._ledger, self._signers, now_ms, wanted)
            self._found[identity] = next((tally for tally in found if tally.granted), None)
        return self._found.get(identity)

    def _same(self, identity: tuple[str, str, int]) -> Callable[[ApprovalRequest], bool]:
        return lambda asked: _identity(asked) == identity and self.counts(asked)

    def _promotes(self, request: Request) -> Callable[[ApprovalRequest], bool]:
        """Return what tells the requests for a promotion: a person asks, of this release, and since stage entry."""
        since_ms = Tenure.read(self._ledger).entered_ms
        digest = self._hashes.get("digest")

        def wanted(asked: ApprovalRequest) -> bool:
            same = (asked.action, asked.subject) == (request.kind, request.subject)
            return same and asked.asked_ms >= since_ms and asked.hashes.get("digest") == digest

        return wanted


def _identity(request: ApprovalRequest) -> tuple[str, str, int]:
    return request.action, request.subject, request.asked_ms


def _tally(asked: Event, signed: Iterable[Event], used_ms: int | None, signers: Path, now_ms: int) -> Tally:
    request = ApprovalRequest.from_document(asked.document)
    counted: list[Signer] = []
    refused: list[Refused] = []
    for event in signed:
        if request.request_id != asked.event_id:
            refused.append(Refused(event.event_id, "signed a request that was altered"))
            continue
        if event.at_ms >= request.expires_ms:
            refused.append(Refused(event.event_id, "signed after it had expired"))
            continue
        try:
            signature = json.loads(event.document)["signature"]
            signer = verified(request.document.encode(), signature, signers, event.at_ms)
        except SignatureError as error:
            refused.append(Refused(event.event_id, _short(error)))
            continue
        if (why := _objection(request, signer, counted)) is not None:
            refused.append(Refused(signer.name, why))
        else:
            counted.append(signer)
    return Tally(request, tuple(counted), tuple(refused), used_ms, used_ms is None and now_ms >= request.expires_ms)


def _objection(request: ApprovalRequest, signer: Signer, counted: Sequence[Signer]) -> str | None:
    """Return why a signature does not count: who asks does not sign, and one person twice is one."""
    if signer.name == request.asked_by:
        return "asked for it"
    for other in counted:
        if other.name == signer.name:
            return "has signed already"
        if other.fingerprint == signer.fingerprint:
            return f"signed with the key of {other.name}"
    return None


def _short(error: StagegateError) -> str:
    return error.problems[0].problem
