"""How a desk stands to its reviews: a breach freezes SCALE_UP until a person has decided on it (A99)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, parse_time
from engine.facts import BREACH, WITHIN
from engine.inquiry import review_at
from engine.ledger import Ledger
from engine.ledger.rows import Event, VerdictRecord
from engine.operations.reviews.book import CONTINUE, Held, Written
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


def report(end: int, *, kind: str = "weekly", version: str = "a") -> Written:
    """The report of a week that ended on a day, with the verdict of that day."""
    name, ends_ms = f"{kind}-{end}", day(end)
    sha256 = f"{name}-{version}"
    return Written(kind, name, day(end - 7), ends_ms, sha256, "page", ends_ms, BREACH, f"V{end}-review")


def signed(of: Written, number: int, decision: str = CONTINUE) -> Event:
    return Held(
        of.kind,
        of.period,
        of.from_ms,
        of.to_ms,
        of.sha256,
        of.path,
        decision,
        "",
        day(number),
        "ann",
        "k",
        f"s{number}",
    ).row()


@pytest.mark.parametrize(
    ("of", "standing"),
    [
        (report(8), BREACH),  # signed late, and about the week before
        (report(15), WITHIN),
        (report(15, version="b"), BREACH),  # another version of it, without the breach
        (report(16, kind="monthly"), WITHIN),
    ],
)
def test_A99_a_signature_decides_on_what_was_read_not_on_what_came_before_it_was_given(
    ledger: Ledger, of: Written, standing: str
) -> None:
    ledger.append([held(8, WITHIN), report(8).row(), held(15, BREACH), report(15).row()])
    ledger.append(signed(of, 17))
    assert review_at(ledger, day(16)) == BREACH
    assert review_at(ledger, day(17)) == standing


def test_a_rehearsal_is_its_own_replay(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "rehearsal.db", create=True) as ledger:
        ledger.set_meta(kind="rehearsal")
        assert review_at(ledger, START) == WITHIN


def test_the_words_are_the_outcomes_of_the_review_policy_and_the_values_of_the_fact() -> None:
    bundle = load_bundle(RULES)
    assert set(bundle.policies["review"].outcomes) == {WITHIN, BREACH} == set(bundle.vocabulary.facts["review"].choices)
