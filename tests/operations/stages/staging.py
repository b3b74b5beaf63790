"""Ledgers of real and paper money with a past of some days, people with keys, and what they sign."""

from __future__ import annotations

import dataclasses
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.bounds import Posture, initial_posture
from engine.clock import DAY_MS, HOUR_MS, SystemClock, day_start
from engine.config import load_config
from engine.launch_word import GUARD_RAN
from engine.ledger import Event, Ledger, VerdictRecord
from engine.ledger.rows import Fill, Mark, SleeveMark
from engine.live.opening import Release, launch
from engine.operations.reviews.book import CONTINUE, Held
from engine.operations.signatures import sign, verified
from engine.policy.bundle import Bundle, load_bundle
from engine.verdict import canonical

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "config/prod_scale_rules_R1.yaml"
PEOPLE = ("alice", "bob", "carol")


@cache
def bundle() -> Bundle:
    return load_bundle(RULES)


@cache
def release() -> Release:
    return Release(load_config(bundle().config_path), bundle(), "test")


@dataclass(frozen=True)
class Keys:
    """A folder of people's keys, and the file that says whose they are."""

    folder: Path

    @property
    def signers(self) -> Path:
        return self.folder / "allowed_signers"

    def of(self, name: str) -> Path:
        return self.folder / name

    @classmethod
    def made(cls, folder: Path) -> Keys:
        for name in (*PEOPLE, "mallory"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(command, check=True)
        lines = [f"{name} {(folder / f'{name}.pub').read_text()}" for name in PEOPLE]
        (folder / "allowed_signers").write_text("".join(lines))
        return cls(folder)


def start_ms(days: int) -> int:
    """Return the midnight so many days ago."""
    return day_start(SystemClock().now_ms()) - days * DAY_MS


def launched(path: Path, *, kind: str, stage: int, capital_usd: float, at_ms: int) -> Ledger:
    ledger = Ledger.open(path, create=True)
    launch(ledger, release(), kind=kind, stage=stage, capital_usd=capital_usd, at_ms=at_ms)
    return ledger


def traded(ledger: Ledger, capital_usd: float, from_ms: int, hours: int, *, gain: float = 0.0002) -> None:
    """Append hourly marks of a book that earns `gain` an hour, a little more on every other day, all sleeves alike."""
    symbols = release().config.market.symbols
    hour = np.arange(1, hours + 1)
    step = gain * np.where((hour // 24) % 2 == 0, 1.5, 0.5)
    equity = capital_usd * (1 + np.cumsum(step))
    rows: list[Any] = []
    for index, value in enumerate(equity.tolist()):
        at_ms = from_ms + (index + 1) * HOUR_MS
        rows.append(Mark("risk", at_ms, value, value / capital_usd, capital_usd, 1.0, capital_usd, 0.0))
        share = (value - capital_usd) / len(symbols)
        rows += [SleeveMark("risk", at_ms, symbol, 0.0, 100.0, share, 0.5) for symbol in symbols]
    last_ms = from_ms + hours * HOUR_MS
    for number in range(12):
        at_ms, side = last_ms - (number + 1) * 6 * HOUR_MS, 1 if number % 2 else -1
        identity = f"f{number}", "risk", at_ms, symbols[0], side
        rows.append(Fill(*identity, 0.001, 100.0 + 0.03 * side, 100.0, "bar_open", 5e-5, f"p{number}", "rebalance"))
    ledger.append(rows)


def allowed(ledger: Ledger, at_ms: int, stage: int, outcome: str = "ALLOW_LAUNCH", digest: str | None = None) -> None:
    """Record what the launch guard said of a stage."""
    name = f"V-launch-{at_ms}"
    hashes = {"bundle": bundle().sha256, "config": bundle().config_sha256, "digest": digest or bundle().digest}
    document = canonical({"verdict_id": name, "hashes": {**hashes, "facts": "0"}, "outcome": outcome})
    sha256 = bundle().policies["launch"].sha256
    ledger.append(VerdictRecord(name, at_ms, "launch", outcome, sha256, bundle().config_sha256, "0", document))
    said = {"verdict_id": name, "mode": "real", "stage": stage, "outcome": outcome, "warnings": {}, "capital_usd": 0.0}
    ledger.append(Event(f"{GUARD_RAN}-{at_ms}", at_ms, GUARD_RAN, outcome, canonical(said)))


def reviewed(
    ledger: Ledger, keys: Keys, kind: str, at_ms: int, *, decision: str = CONTINUE, by: str = "bob", **changes: Any
) -> None:
    """Record a review that a person held and signed."""
    held = Held(kind, "2024-01-07", at_ms - 7 * DAY_MS, at_ms, "0" * 64, "report.html", decision, "", at_ms)
    signature = sign(held.document.encode(), keys.of(by))
    signer = verified(held.document.encode(), signature, keys.signers, at_ms)
    signed = dataclasses.replace(held, by=signer.name, key_fingerprint=signer.fingerprint, signature=signature)
    ledger.append(dataclasses.replace(signed, **changes).row())


def posture(stage: int, at_ms: int, **changes: Any) -> Posture:
    cap_usd = float(bundle().policies["stages"].stages[stage].cap_usd)
    return dataclasses.replace(initial_posture(stage, cap_usd, at_ms), **changes)
