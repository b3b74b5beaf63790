"""Which account a fact is of: the shadow's while the desk is flat or has just restarted, else its own (A16, A65)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.book import AccountBook, worth_usd
from engine.bounds import initial_posture
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from engine.facts import Assumptions, FactSource, Standing
from engine.ledger import CashFlow, Ledger, Marks

if TYPE_CHECKING:
    from pathlib import Path

Pair = tuple[object, object]

SYMBOLS = ("BTCUSDT", "ETHUSDT")
LAUNCHED_MS = parse_time("2024-06-01")
RESTARTED_MS = parse_time("2024-08-03T22:00Z")
FIRST_DAY_MS = parse_time("2024-08-04")  # the first whole day after it


def book(seed: int, until_ms: int, sleeve_usd: float) -> AccountBook:
    """An account whose first sleeve loses or earns so much an hour."""
    rng = np.random.default_rng(seed)
    account, nav = AccountBook(SYMBOLS), 1.0
    for hour, at_ms in enumerate(range(LAUNCHED_MS, until_ms + 1, HOUR_MS)):
        nav *= 1 + float(rng.normal(0, 0.003))
        account.mark(at_ms, 10_000 * nav, nav, {"BTCUSDT": sleeve_usd * hour, "ETHUSDT": 1.0 * hour})
    return account


def facts(day_ms: int, **standing: object) -> tuple[Pair, Pair]:
    """Return Sharpe and negative sleeves at a day's end, and what they are of the account alone since the restart."""
    risk, shadow = book(1, day_ms, 2.0), book(2, day_ms, -2.0)
    usual = Standing(3, 1.0, RESTARTED_MS, LAUNCHED_MS, flat=False, review="WITHIN")
    asked = dataclasses.replace(usual, **standing)  # type: ignore[arg-type]  # names of its own fields

    def of(own: AccountBook, other: AccountBook, asked: Standing) -> Pair:
        found = FactSource(own, other, Assumptions(3.0, 1e-4)).at(day_ms, asked)
        return found["sharpe_20d"].value, found["negative_sleeves"].value

    alone = dataclasses.replace(asked, epoch_ms=RESTARTED_MS, launched_ms=RESTARTED_MS, flat=False)
    return of(risk, shadow, asked), of(risk, risk, alone)


@pytest.mark.parametrize(
    ("days", "own_sharpe", "own_sleeves"), [(13, False, False), (14, False, True), (19, False, True), (20, True, True)]
)
def test_A16_a_restarted_account_speaks_for_itself_from_the_day_its_own_window_is_full(
    days: int, *, own_sharpe: bool, own_sleeves: bool
) -> None:
    (sharpe, negative), (own, _) = facts(FIRST_DAY_MS + days * DAY_MS)
    assert sharpe is not None
    assert (sharpe == own) is own_sharpe
    assert negative == (0 if own_sleeves else 1)  # the shadow's first sleeve loses, the account's own earns


def test_A65_an_account_that_is_flat_never_speaks_for_the_strategy() -> None:
    (_, negative), _ = facts(FIRST_DAY_MS + 60 * DAY_MS, flat=True)
    assert negative == 1
    (_, negative), _ = facts(FIRST_DAY_MS + 60 * DAY_MS)
    assert negative == 0


def test_A65_a_stage_without_capital_is_flat_as_a_pause_is() -> None:
    posture = initial_posture(0, 0.0, LAUNCHED_MS)
    assert posture.flat
    assert not dataclasses.replace(posture, cap_usd=5_000.0).flat
    assert dataclasses.replace(posture, cap_usd=5_000.0, paused_since_ms=LAUNCHED_MS).flat


def test_A53_what_flowed_since_the_last_mark_is_part_of_what_the_account_is_worth(tmp_path: Path) -> None:
    def marks(at_ms: int, equity_usd: float) -> Marks:
        one = np.ones(1)
        return Marks(np.array([at_ms]), equity_usd * one, one, one, one, one, one, np.zeros(1, np.int64))

    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        assert worth_usd(ledger, LAUNCHED_MS) is None
        ledger.append_marks("risk", marks(LAUNCHED_MS, 1_000.0))
        ledger.append([CashFlow("C1", "risk", LAUNCHED_MS, 500.0, "virtual", "scale_up")])
        assert worth_usd(ledger, LAUNCHED_MS) == 1_000.0  # a mark stands before what flows at its instant
        assert worth_usd(ledger, LAUNCHED_MS + MINUTE_MS) == 1_500.0
        ledger.append_marks("guard", marks(LAUNCHED_MS + 2 * MINUTE_MS, 1_510.0))
        assert worth_usd(ledger, LAUNCHED_MS + 3 * MINUTE_MS) == 1_510.0  # the guard's has it in it
        ledger.append_marks("risk", marks(LAUNCHED_MS + HOUR_MS, 1_520.0))
        assert worth_usd(ledger, LAUNCHED_MS + HOUR_MS + MINUTE_MS) == 1_520.0
