"""Paper evidence (R056, R063, A59): a file that a paper ledger wrote, and that is verified by writing it again from it.

It says for which configuration, from when to when, and what came of it, with every hourly mark it was computed from. A
file that was altered, or that no ledger stands behind, proves nothing and is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import DAY_MS, iso
from engine.errors import DataError, Problem, UsageError
from engine.facts import PERCENT, WINDOW_DAYS
from engine.ledger.rows import Event, sha256_of
from engine.metrics import daily_closes, max_drawdown, rolling_sharpe
from engine.metrics.counts import complete_days
from engine.operations.stages.papers import EVIDENCE, consistency_fact, consistency_said
from engine.operations.stages.tenure import Tenure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.ledger import Ledger
    from engine.ledger.rows import Marks

RISK, ACTION = "risk", "action"
KIND, FORMAT = "paper evidence", 1
PAPER, REHEARSAL = "paper", "rehearsal"
_CENT = 0.01


@dataclass(frozen=True)
class Evidence:
    """What a file says.

    Attributes:
        document: everything but its own hash.
        text: the file.
    """

    document: Mapping[str, Any]
    text: str

    @property
    def whole(self) -> dict[str, Any]:
        """What stands in the file."""
        return _whole(self.document)

    @property
    def sha256(self) -> str:
        """Of the file."""
        return sha256_of(self.text)

    @property
    def summary(self) -> dict[str, Any]:
        """Everything but the marks: what a ledger of real money keeps of it."""
        return {
            **{name: value for name, value in self.document.items() if name != "hourly_nav"},
            "sha256": self.sha256,
        }

    def row(self, now_ms: int) -> Event:
        """Return the event by which a ledger knows of it, once it is verified."""
        document = json.dumps(self.summary, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return Event(
            f"{EVIDENCE}-{self.sha256[:12]}-{now_ms}", now_ms, EVIDENCE, self.document["config_sha256"], document
        )


def evidence_of(ledger: Ledger, prices: Mapping[str, Any] | None, as_of_ms: int, *, drill: bool = False) -> Evidence:
    """Return what a paper ledger proves.

    What counts begins with its stage, or with the configuration that its newest verdict was decided under, whichever is
    later; it ends with the last mark.

    Args:
        ledger: of a paper account.
        prices: what the account lives on, as it is noted beside the ledger; None: that is not known.
        as_of_ms: nothing later counts.
        drill: a rehearsal stands in for paper.

    Raises:
        UsageError: not-paper: the ledger is of something else; too-young: it has no day yet.
        LedgerError: it cannot be read.
        DataError: its marks and its sleeves contradict each other.
    """
    where, kind = str(ledger.path), ledger.meta().get("kind")
    if kind != PAPER and not (drill and kind == REHEARSAL):
        problem = f"it is the ledger of {'nothing yet' if kind is None else f'a {kind} rollout'}"
        raise UsageError(Problem("not-paper", where, problem, "name a paper account's with `--ledger`"))
    verdicts = ledger.verdicts(to_ms=as_of_ms, policy=ACTION)
    tenure = Tenure.read(ledger, as_of_ms)
    if not verdicts:
        problem = "nothing was decided on it yet"
        raise UsageError(Problem("too-young", where, problem, "let `stagegate run --paper` work on it for 30 days"))
    config_sha256 = verdicts[-1].config_sha256
    others = [one.at_ms for one in verdicts if one.config_sha256 != config_sha256]
    from_ms = max(tenure.entered_ms, others[-1] if others else 0)
    marks = ledger.marks(RISK, from_ms, as_of_ms)
    if not len(marks):
        raise UsageError(Problem("too-young", where, "no mark was made since its stage began", "let the runner work"))
    _require_consistent(ledger, marks, where)
    until_ms = int(marks.at_ms[-1])
    consistency = consistency_said(ledger, as_of_ms)
    document = {
        "kind": KIND,
        "format": FORMAT,
        "ledger": ledger.path.name,
        "prices": prices,
        "config_sha256": config_sha256,
        "from_ms": from_ms,
        "to_ms": until_ms,
        "as_of_ms": as_of_ms,
        "from": iso(from_ms),
        "to": iso(until_ms),
        "days": complete_days(from_ms, until_ms),
        "verdicts": len([one for one in verdicts if from_ms < one.at_ms <= until_ms]),
        "fills": len(ledger.fills(RISK, from_ms, until_ms)),
        "consistency": consistency,
        "facts": _facts(marks, from_ms, until_ms, consistency, config_sha256),
        "hourly_nav": [[int(at_ms), nav] for at_ms, nav in zip(marks.at_ms, marks.nav.tolist(), strict=True)],
    }
    return Evidence(document, _text(document))


def _facts(
    marks: Marks, from_ms: int, to_ms: int, consistency: dict[str, Any] | None, config_sha256: str
) -> dict[str, float | None]:
    """Return the figures that a promotion reads; None: not known, such as in the first 30 days."""
    sharpe = rolling_sharpe(daily_closes(marks.at_ms, marks.nav, to_ms), WINDOW_DAYS)
    month_ms = int(marks.at_ms[-1]) - WINDOW_DAYS * DAY_MS
    deepest = max_drawdown(marks.at_ms, marks.nav, to_ms, start=float(marks.nav[0]), since_ms=max(from_ms, month_ms))
    compared = consistency_fact(consistency, config_sha256, to_ms)
    return {
        "sharpe_30d": sharpe.value,
        "max_drawdown_30d": None if deepest.value is None else deepest.value * PERCENT,
        "signal_consistency": None if compared.value is None else float(compared.value),
    }


def _require_consistent(ledger: Ledger, marks: Marks, where: str) -> None:
    """Refuse marks that are not what capital, flows and the sleeves' profits come to (A60: hourly, stops, funding)."""
    flows = ledger.cash_flows(RISK)
    first = ledger.marks(RISK, to_ms=int(marks.at_ms[0]))
    paid_in = float(first.equity_usd[0]) + np.array(
        [sum(flow.amount_usd for flow in flows if flow.at_ms < at_ms) for at_ms in marks.at_ms.tolist()]
    )
    profit = np.zeros(len(marks))
    for sleeve in ledger.sleeve_marks(RISK, to_ms=int(marks.at_ms[-1])).values():
        place = np.searchsorted(sleeve.at_ms, marks.at_ms, side="right") - 1
        profit += np.where(place >= 0, sleeve.pnl_usd[np.maximum(place, 0)], 0.0)
    apart = np.abs(marks.equity_usd - paid_in - profit)
    if np.any(apart > _CENT):
        at_ms = int(marks.at_ms[np.argmax(apart > _CENT)])
        problem = f"the equity at {iso(at_ms)} is not what its sleeves earned: {float(np.max(apart)):.2f} USDT apart"
        raise DataError(
            Problem("evidence", where, problem, "`stagegate audit verify`; restore the ledger from a backup")
        )


def read_evidence(path: Path) -> Evidence:
    """Return what a file says, if it is as it was written.

    Raises:
        DataError: there is none, it is no evidence, or it was altered.
    """
    help_ = "`stagegate stage evidence write --ledger PAPER_LEDGER` writes one"
    try:
        text = path.read_text(encoding="utf-8")
        said = json.loads(text)
        document = {name: value for name, value in said.items() if name != "sha256"}
        whole = (said["kind"], said["format"], said["sha256"]) == (KIND, FORMAT, sha256_of(_canonical(document)))
    except FileNotFoundError:
        raise DataError(Problem("evidence", str(path), "there is no paper evidence", help_)) from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise DataError(Problem("evidence", str(path), "it is no paper evidence", help_)) from None
    if not whole:
        problem = "it was altered since it was written: its hash is another"
        raise DataError(Problem("evidence-altered", str(path), problem, help_))
    return Evidence(document, text)


def verify_evidence(
    said: Evidence,
    path: Path,
    ledger: Ledger,
    config_sha256: str,
    prices: Mapping[str, Any] | None,
    *,
    drill: bool = False,
) -> None:
    """Write the evidence again from its ledger, and refuse what does not come out byte for byte.

    Args:
        said: what the file says.
        path: of the file, for what is said.
        ledger: of the paper account.
        config_sha256: of the configuration that is deployed.
        prices: what the paper account lives on, as noted beside its ledger.
        drill: a rehearsal stands in for paper, on whatever prices.

    Raises:
        DataError: other-config: of another configuration; claimed: its ledger does not prove it; other-prices: not of
            the venue's public market.
        UsageError: the ledger is no paper account's.
        LedgerError: it cannot be read, or was altered.
    """
    where = str(path)
    found = said.document["config_sha256"]
    if found != config_sha256:
        problem = f"it is of configuration {found[:8]}…, deployed is {config_sha256[:8]}…"
        help_ = "paper trading counts for the configuration it was done with: trade this one on paper"
        raise DataError(Problem("other-config", where, problem, help_))
    ledger.verify()
    again = evidence_of(ledger, prices, said.document["as_of_ms"], drill=drill)
    if again.text != said.text:
        differs = next((name for name in again.document if again.document[name] != said.document.get(name)), "text")
        problem = f"`{differs}` is not what {ledger.path.name} proves"
        help_ = "`stagegate stage evidence write` writes what it proves"
        raise DataError(Problem("claimed", where, problem, help_))
    if drill:
        return
    if prices is None or prices.get("data") is not None or prices.get("seed") is not None:
        words = "unknown ones" if prices is None else "recorded ones" if prices.get("data") else "synthetic ones"
        problem = f"the paper account lives on other prices than the venue's public ones: {words}"
        help_ = "that is a rehearsal; run `stagegate run --paper` on a new ledger without --data and --synthetic"
        raise DataError(Problem("other-prices", where, problem, help_))


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(_whole(document), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _whole(document: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, "sha256": sha256_of(_canonical(document))}


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
