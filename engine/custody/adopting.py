"""Taking over a running account: its positions, its highest NAV and the evidence for its stage, when people signed it.

What is written: a mark at the highest equity and one of now, so that drawdown and stops count from that peak; a fill
for each position at the venue's mark price; the bounds of the stage. Days in the stage begin anew: what this ledger has
not seen promotes nobody. From then on the desk runs as after a launch; the launch guard must still allow it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.bounds import RESTART, initial_posture
from engine.clock import hour_start, iso
from engine.errors import Problem, UsageError
from engine.execution.permit import Permit
from engine.execution.reconcile import venue_opening
from engine.governor import launch_changes
from engine.ledger import Event, Fill, Mark, Parent, StoredDocument
from engine.live.account import ADOPTED, RISK
from engine.live.eventlog import EventLog
from engine.live.opening import launched_ms
from engine.operations.approvals import USED, ApprovalRequest, ask, tallies
from engine.operations.signatures import sign, verified
from engine.verdict import bundle_documents, bundle_hashes, canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.execution.values import Balance, OrderState, Position, StopState
    from engine.ledger import Ledger, Row
    from engine.live.opening import Release
    from engine.operations.approvals import Tally

ADOPT = "adopt"
"""The action that people sign, and the reason of the opening fills."""

_EVIDENCE, _PLAN = "evidence", "adoption"


@dataclass(frozen=True)
class Wish:
    """What a person says of the account.

    Attributes:
        kind: paper or live.
        stage: that it is in.
        equity_usd: the risk equity now: the stage's capital, what was made since, and approved flows (A53).
        peak_usd: the highest that it ever was, flows aside.
        peak_ms: when.
        evidence: files that show it; they are kept in the ledger.
    """

    kind: str
    stage: int
    equity_usd: float
    peak_usd: float
    peak_ms: int
    evidence: tuple[Path, ...]


@dataclass(frozen=True)
class Account:
    """What the venue says of the account, read at `at_ms`."""

    at_ms: int
    positions: Mapping[str, Position]
    orders: Sequence[OrderState]
    stops: Sequence[StopState]
    balance: Balance


@dataclass(frozen=True)
class Adoption:
    """What would be written, and what people sign of it.

    Attributes:
        wish: what a person says.
        account: what the venue says.
        cap_usd: of the stage.
        papers: the evidence, as it is kept.
    """

    wish: Wish
    account: Account
    cap_usd: float
    papers: tuple[StoredDocument, ...]

    @property
    def document(self) -> str:
        """Everything that is signed: not the prices of the moment."""
        wish = self.wish
        return canonical(
            {
                "kind": wish.kind,
                "stage": wish.stage,
                "cap_usd": self.cap_usd,
                "equity_usd": wish.equity_usd,
                "peak_usd": wish.peak_usd,
                "peak_ms": wish.peak_ms,
                "positions": {symbol: f"{each.qty:f}" for symbol, each in sorted(self.account.positions.items())},
                "evidence": {paper.name: paper.sha256 for paper in self.papers},
            }
        )

    @property
    def sha256(self) -> str:
        """The hash of what is signed."""
        return hashlib.sha256(self.document.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "sha256": self.sha256,
            "stage": self.wish.stage,
            "cap_usd": self.cap_usd,
            "equity_usd": self.wish.equity_usd,
            "peak_usd": self.wish.peak_usd,
            "peak_at": iso(self.wish.peak_ms),
            "positions": {symbol: f"{each.qty:f}" for symbol, each in self.account.positions.items()},
            "evidence": {paper.name: paper.sha256 for paper in self.papers},
        }


def planned(ledger: Ledger, release: Release, wish: Wish, account: Account) -> Adoption:
    """Return what an adoption would write.

    Args:
        ledger: without a rollout; requests and verdicts of the launch guard may stand in it.
        release: what is to run.
        wish: what a person says of the account.
        account: what the venue says of it.

    Raises:
        UsageError: everything that speaks against it, at once.
        LedgerError: the ledger cannot be read.
    """
    problems = [*_of_ledger(ledger), *_of_wish(wish, release, account), *_of_account(release, account)]
    if problems:
        raise UsageError(problems)
    papers = tuple(_paper(path) for path in wish.evidence)
    return Adoption(wish, account, float(release.bundle.policies["stages"].stages[wish.stage].cap_usd), papers)


def standing(
    ledger: Ledger, adoption: Adoption, release: Release, signers: Path, now_ms: int, *, anew: bool = False
) -> Tally | None:
    """Return the request of exactly this adoption of this release, the one with most signatures; None: none was made.

    Args:
        ledger: where requests and signatures are.
        adoption: what would be written.
        release: what is to run.
        signers: the allowed-signers file.
        now_ms: the time.
        anew: another one may have been signed: it is asked for again.

    Raises:
        UsageError: changed: people signed another one, or there is no allowed-signers file.
        LedgerError: the ledger cannot be read.
    """
    found = [tally for tally in tallies(ledger, signers, now_ms, lambda one: one.action == ADOPT) if not tally.expired]
    wanted = {**bundle_hashes(release.bundle), _PLAN: adoption.sha256}
    same = [tally for tally in found if dict(tally.request.hashes) == wanted]
    if not same and not anew and any(tally.granted for tally in found):
        problem = "what people signed is not what stands now: positions, figures, evidence or the release are others"
        help_ = "give the same figures and files again; where the account has changed, ask anew with `--key`"
        raise UsageError(Problem("changed", str(ledger.path), problem, help_))
    return max(same, key=lambda tally: (tally.granted, len(tally.signers)), default=None)


def ask_adoption(ledger: Ledger, adoption: Adoption, release: Release, key: Path, signers: Path, now_ms: int) -> str:
    """Ask people to sign an adoption, as many as a restart needs; who asks does not sign. Return the request's id.

    Raises:
        UsageError: there is no such key, or no allowed-signers file.
        SignatureError: the key is nobody's who may sign.
        LedgerError: the ledger cannot be written.
    """
    document = adoption.document
    who = verified(document.encode(), sign(document.encode(), key), signers, now_ms)
    effects = release.bundle.policies["action"].effects.values()
    request = ApprovalRequest(
        action=ADOPT,
        subject=f"{adoption.wish.kind} account at stage {adoption.wish.stage}",
        approvals=max(one.approvals for one in effects if one.until == RESTART),
        asked_by=who.name,
        asked_ms=now_ms,
        expires_ms=now_ms + release.bundle.adoption_valid_ms,
        decision_id="",
        stage=adoption.wish.stage,
        amount_usd=adoption.wish.equity_usd,
        hashes={**bundle_hashes(release.bundle), _PLAN: adoption.sha256},
    )
    with ledger.transaction():
        ledger.append([StoredDocument.of(_PLAN, "adoption.json", document), *adoption.papers])
        return ask(ledger, request)


def adopt(ledger: Ledger, adoption: Adoption, release: Release, tally: Tally) -> None:
    """Write the opening of a rollout that was under way, and permit it to add risk again.

    Args:
        ledger: open for writing.
        adoption: what is written.
        release: what runs.
        tally: of the request that people signed, granted.

    Raises:
        UsageError: not-granted, orders: something stands that this ledger would not know.
        PermitError: the permit cannot be written; the rollout is opened, halted.
        LedgerError: it cannot be written; nothing is.
    """
    if not tally.granted:
        raise UsageError(Problem("not-granted", tally.request.request_id, f"it is {tally.state}", "let people sign it"))
    problems = [_stands("order", one.symbol, one.client_id) for one in adoption.account.orders]
    problems += [_stands("stop", one.symbol, one.client_id) for one in adoption.account.stops]
    if problems:
        raise UsageError(problems)
    wish, now_ms = adoption.wish, adoption.account.at_ms
    close_ms = hour_start(now_ms)
    names = [signer.name for signer in tally.signers]
    identity = tally.request.request_id
    with ledger.transaction():
        ledger.append(bundle_documents(release.bundle))
        ledger.append(list(_opening(adoption, close_ms)))
        posture = replace(initial_posture(wish.stage, adoption.cap_usd, close_ms), epoch_ms=_peak_ms(wish, close_ms))
        events = EventLog(ADOPT, ledger)
        for change in launch_changes(posture):
            events.record(close_ms, change)
        ledger.append(events.take())
        detail = {**adoption.to_json(), "profit_usd": wish.equity_usd - wish.peak_usd, "request_id": identity}
        ledger.append(Event(f"{ADOPTED}-{now_ms}", now_ms, ADOPTED, wish.kind, canonical({**detail, "signers": names})))
        used = canonical({"request_id": identity, "signers": names})
        ledger.append(Event(f"{USED}-{identity}", now_ms, USED, ADOPT, used))
    finish(ledger, release)


def finish(ledger: Ledger, release: Release) -> bool:
    """Do what is left of an adoption whose rows stand; return whether there was any.

    Raises:
        PermitError: the permit cannot be written; run it again.
        LedgerError: the ledger cannot be read or written.
    """
    adopted = ledger.events(ADOPTED)
    if not adopted or launched_ms(ledger) is not None:
        return False
    event, said = adopted[-1], json.loads(adopted[-1].document)
    Permit.beside(ledger.path).grant(by=ADOPT, reason=said["request_id"], at_ms=event.at_ms)
    close_ms = hour_start(event.at_ms)
    times = {"created_at_ms": close_ms, "from_ms": close_ms}
    # last: `launched_ms` reads it, so an adoption that was cut short is finished by the next call
    ledger.set_meta(kind=event.subject, stage=said["stage"], engine_version=release.engine_version, **times)
    return True


def _opening(adoption: Adoption, close_ms: int) -> list[Row]:
    wish, account = adoption.wish, adoption.account
    units, cap_usd = wish.peak_usd, adoption.cap_usd
    peak_ms = _peak_ms(wish, close_ms)
    rows: list[Row] = []
    if peak_ms < close_ms:
        rows.append(Mark(RISK, peak_ms, wish.peak_usd, 1.0, units, 1.0, cap_usd, 0.0))
    rows.append(Mark(RISK, close_ms, wish.equity_usd, wish.equity_usd / units, units, 1.0, cap_usd, 0.0))
    wallet_usd = account.balance.wallet_usd
    for symbol, each in sorted(account.positions.items()):
        rows += _taken_over(symbol, each, close_ms)
        # the fill stands at the mark price, the venue's wallet has it at the entry's
        wallet_usd += each.qty * (each.mark_price - each.entry_price)
    rows.append(venue_opening(RISK, account.at_ms, wallet_usd))
    return rows


def _taken_over(symbol: str, held: Position, close_ms: int) -> tuple[Parent, Fill]:
    side, qty, price = (1 if held.qty > 0 else -1), float(abs(held.qty)), float(held.mark_price)
    name = f"{ADOPT}-{symbol}-{close_ms}"
    target_usd = side * qty * price
    parent = Parent(name, RISK, close_ms, close_ms, symbol, side, qty, target_usd, price, "mark", ADOPT)
    return parent, Fill(name, RISK, close_ms, symbol, side, qty, price, price, "mark", 0.0, name, ADOPT)


def _peak_ms(wish: Wish, close_ms: int) -> int:
    return min(hour_start(wish.peak_ms), close_ms)


def _of_ledger(ledger: Ledger) -> list[Problem]:
    rows = ledger.counts()
    found = [name for name in ("marks", "fills", "funding", "cash_flows", "parents") if rows[name]]
    if launched_ms(ledger) is None and not found:
        return []
    problem = "a rollout stands in this ledger already"
    return [Problem("not-empty", str(ledger.path), problem, "name a new ledger; one account has one")]


def _of_wish(wish: Wish, release: Release, account: Account) -> list[Problem]:
    stages = release.bundle.policies["stages"].stages
    found = []
    if wish.stage not in stages or not stages[wish.stage].cap_usd:
        with_capital = ", ".join(str(number) for number, stage in stages.items() if stage.cap_usd)
        found.append(Problem("stage", "--stage", f"no capital runs at stage {wish.stage}", f"one of {with_capital}"))
    if not 0 < wish.equity_usd <= wish.peak_usd:
        problem = (
            f"the equity of {wish.equity_usd:,.2f} USD must be above 0 and at most its peak of {wish.peak_usd:,.2f}"
        )
        found.append(
            Problem("peak", "--equity --peak", problem, "flows aside: scale earlier figures to today's capital")
        )
    if wish.peak_ms > account.at_ms:
        found.append(Problem("peak", "--peak-at", f"{iso(wish.peak_ms)} is still to come", "name a time that is over"))
    covered = float(account.balance.margin_usd)
    if covered < wish.equity_usd:
        problem = f"the account holds {covered:,.2f} USD, which does not cover a risk equity of {wish.equity_usd:,.2f}"
        found.append(Problem("balance", "--equity", problem, "name what is at risk of it, not more (A53)"))
    return found


def _of_account(release: Release, account: Account) -> list[Problem]:
    symbols = release.config.market.symbols
    strangers = [each for symbol, each in sorted(account.positions.items()) if symbol not in symbols]
    help_ = f"this configuration trades {', '.join(symbols)}: close it at the venue first"
    return [Problem("foreign", one.symbol, f"a position of {one.qty:f} is none of ours", help_) for one in strangers]


def _stands(what: str, symbol: str, client_id: str) -> Problem:
    help_ = "stop the other bot and cancel it at the venue; the runner places its own stops as soon as it starts"
    return Problem(f"{what}s", symbol, f"{what} `{client_id}` stands, which this ledger would not know", help_)


def _paper(path: Path) -> StoredDocument:
    try:
        return StoredDocument.of(_EVIDENCE, path.name, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(Problem("evidence", str(path), f"it cannot be read: {why}", "name a text file")) from None
