"""Reviews are held by people: a report as written, a decision, a key that counts (R089, R104, R206, R224)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.errors import UsageError
from engine.facts import BREACH, WITHIN
from engine.inquiry import review_at
from engine.ledger import Ledger, VerdictRecord
from engine.ledger.rows import sha256_of
from engine.operations.reviews.book import Held, Written, held, review_age_days
from engine.operations.reviews.signing import sign_review, signer_of, to_do
from engine.operations.signatures import SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = parse_time("2024-03-04")
NOW = START + 8 * DAY_MS + 9 * HOUR_MS
HASH = "0" * 64


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        opened.set_meta(kind="live", from_ms=START)
        yield opened


def write(ledger: Ledger, kind: str = "weekly", day: int = 7, outcome: str = "WITHIN") -> Written:
    period = f"2024-03-{3 + day:02d}"
    page = ledger.path.with_name(f"{kind}-{period}.html")
    page.with_suffix(".json").write_text('{"report": 1}', encoding="utf-8")
    sha256 = sha256_of('{"report": 1}')
    end = START + day * DAY_MS
    report = Written(kind, period, end - 7 * DAY_MS, end, sha256, str(page), end + HOUR_MS, outcome, f"V-{period}")
    ledger.append(report.row())
    return report


def sign(
    ledger: Ledger, people: Path, who: str = "alice", decision: str = "continue", now: int = NOW, **more: str
) -> Held:
    kind = more.pop("kind", "weekly")
    signers = people / "allowed_signers"
    return sign_review(ledger, kind, decision, "as read", key=people / who, signers=signers, now_ms=now, **more)


@pytest.mark.parametrize("kind", ["weekly", "monthly"])
def test_R089_R104_R206_R224_a_review_is_a_signed_decision_on_a_written_report(
    ledger: Ledger, people: Path, kind: str
) -> None:
    report = write(ledger, kind)
    review = sign(ledger, people, decision="adjust", kind=kind)
    (event,) = ledger.events("review")
    document = json.loads(event.document)
    assert event.subject == kind
    assert (document["period"], document["sha256"]) == (report.period, report.sha256)
    assert (document["from_ms"], document["to_ms"]) == (report.from_ms, report.to_ms)
    assert (document["decision"], document["by"], document["notes"]) == ("adjust", "alice", "as read")
    assert document["key_fingerprint"].startswith("SHA256:")
    assert signer_of(Held.from_row(event), people / "allowed_signers").name == "alice"
    assert "SCALE_UP alone" in to_do(review)


def test_R206_without_a_report_a_known_key_or_the_report_as_written_nothing_is_recorded(
    ledger: Ledger, people: Path
) -> None:
    with pytest.raises(UsageError, match="never written"):
        sign(ledger, people)
    report = write(ledger)
    with pytest.raises(SignatureError, match="nobody listed"):
        sign(ledger, people, who="mallory")
    with pytest.raises(UsageError, match="no decision on a review"):
        sign(ledger, people, decision="carry-on")
    with pytest.raises(UsageError, match="never written"):
        sign(ledger, people, period="2023-01-01")
    ledger.path.with_name(f"weekly-{report.period}.json").write_text('{"report": 2}', encoding="utf-8")
    with pytest.raises(UsageError, match="when it was written it was"):
        sign(ledger, people)
    assert ledger.events("review") == ()


def test_the_same_decision_by_the_same_person_counts_once_and_another_person_may_agree(
    ledger: Ledger, people: Path
) -> None:
    write(ledger)
    sign(ledger, people)
    with pytest.raises(UsageError, match="alice has signed `continue`"):
        sign(ledger, people, now=NOW + 1)
    sign(ledger, people, who="bob", now=NOW + 2)
    assert [review.by for review in held(ledger, "weekly")] == ["alice", "bob"]


@pytest.mark.parametrize("field", ["decision", "period", "sha256", "notes", "by"])
def test_a_review_that_was_altered_proves_nothing(ledger: Ledger, people: Path, field: str) -> None:
    write(ledger)
    review = sign(ledger, people)
    with pytest.raises(SignatureError):
        signer_of(Held(**{**vars(review), field: "bob"}), people / "allowed_signers")


def test_R204_the_age_counts_from_the_last_review_and_before_the_first_from_the_launch(
    ledger: Ledger, people: Path
) -> None:
    assert review_age_days(ledger, "weekly", START + 3 * DAY_MS) == 3
    write(ledger)
    sign(ledger, people)
    assert review_age_days(ledger, "weekly", NOW + 2 * DAY_MS) == 2
    assert review_age_days(ledger, "monthly", NOW) == pytest.approx(8 + 9 / 24)


def test_A99_a_signed_decision_unfreezes_and_a_pause_does_not(ledger: Ledger, people: Path) -> None:
    assert review_at(ledger, NOW) is None
    write(ledger)
    breach = VerdictRecord("V1", NOW, "review", BREACH, HASH, HASH, HASH, "{}")
    ledger.append(breach)
    assert review_at(ledger, NOW + 1) == BREACH
    paused = sign(ledger, people, decision="pause", now=NOW + 10)
    assert review_at(ledger, NOW + 11) == BREACH
    assert "stagegate flatten" in to_do(paused)
    sign(ledger, people, decision="continue", now=NOW + 20)
    assert review_at(ledger, NOW + 19) == BREACH
    assert review_at(ledger, NOW + 21) == WITHIN
    sign(ledger, people, who="bob", decision="pause", now=NOW + 25)
    assert review_at(ledger, NOW + 26) == BREACH  # nobody goes up while somebody wants to pause
    sign(ledger, people, who="bob", decision="continue", now=NOW + 28)
    assert review_at(ledger, NOW + 29) == WITHIN
    ledger.append(replace(breach, verdict_id="V2", at_ms=NOW + 30))
    assert review_at(ledger, NOW + 31) == BREACH
