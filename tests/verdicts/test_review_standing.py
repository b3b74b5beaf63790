"""How a desk stands to its reviews: a breach freezes SCALE_UP until a person has decided on it (A99)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, parse_time
from engine.facts import BREACH, WITHIN
from engine.inquiry import review_at
from engine.ledger import Ledger
from engine.ledger.rows import Event, VerdictRecord
from engine.policy.bundle import load_bundle
from tests.rehearsal.conftest import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = parse_time("2024-01-01")
HASH = "0" * 64


def day(number: int) -> int:
    return START + number * DAY_MS


def held(number: int, outcome: str, policy: str = "review") -> VerdictRecord:
    return VerdictRecord(f"V{number}-{policy}", day(number), policy, outcome, HASH, HASH, HASH, "{}")


def decided(number: int, subject: str = "review") -> Event:
    return Event(f"E{number}-{subject}", day(number), "approval_given", subject, "{}")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        opened.set_meta(kind="live")
        yield opened


def test_A99_a_breach_stands_until_a_person_has_decided_on_it(ledger: Ledger) -> None:
    ledger.append(
        [held(1, WITHIN), held(1, "KEEP", "action"), held(8, BREACH), held(9, WITHIN), decided(9, "scale_up")]
    )
    ledger.append([decided(12), held(15, WITHIN), held(20, BREACH)])
    standing = {number: review_at(ledger, day(number)) for number in (0, 1, 7, 8, 9, 11, 12, 15, 20, 99)}
    assert standing == {
        0: None,  # none was held: nothing is known
        1: WITHIN,
        7: WITHIN,
        8: BREACH,
        9: BREACH,  # a later review does not undo it, nor does an approval of something else
        11: BREACH,
        12: WITHIN,
        15: WITHIN,
        20: BREACH,
        99: BREACH,
    }


def test_a_rehearsal_is_its_own_replay(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "rehearsal.db", create=True) as ledger:
        ledger.set_meta(kind="rehearsal")
        assert review_at(ledger, START) == WITHIN


def test_the_words_are_the_outcomes_of_the_review_policy_and_the_values_of_the_fact() -> None:
    bundle = load_bundle(RULES)
    assert set(bundle.policies["review"].outcomes) == {WITHIN, BREACH} == set(bundle.vocabulary.facts["review"].choices)
