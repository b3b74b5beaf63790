"""Approvals are OpenSSH signatures over what is approved: made here with real keys by the real ssh-keygen."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.bounds import Request, after_verdict, initial_posture
from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.errors import UsageError
from engine.ledger import Ledger
from engine.ledger.rows import Event
from engine.operations.approvals import (
    APPROVED,
    USED,
    ApprovalRequest,
    SignedApprovals,
    approve,
    ask,
    find,
    tallies,
)
from engine.operations.signatures import SignatureError, sign, verified
from engine.policy.bundle import load_bundle
from engine.runner.requests import ask_people

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLE = load_bundle(Path(__file__).parents[2] / "config/prod_scale_rules_R1.yaml")
NOW_MS = parse_time("2026-03-01T12:00:00Z")
HASHES = {"bundle": "b" * 64, "config": "c" * 64}
RESTART = ApprovalRequest("restart", "PAUSE", 2, "carol", NOW_MS, NOW_MS + 7 * DAY_MS, "V1", 3, 10_000.0, HASHES)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of four people, and the file that says whose they are; mallory is nobody's, dave's ended in 2025."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "bob", "carol", "dave", "mallory"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    lines = [f"{name} {(folder / f'{name}.pub').read_text()}" for name in ("alice", "bob", "carol")]
    lines.append(f'dave valid-before="20250101" {(folder / "dave.pub").read_text()}')
    lines.append(f"alice.too {(folder / 'alice.pub').read_text()}")
    (folder / "allowed_signers").write_text("".join(lines))
    return folder


@pytest.fixture
def signers(keys: Path) -> Path:
    return keys / "allowed_signers"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        yield opened


def test_R181_two_different_people_grant_a_restart_and_one_does_not(ledger: Ledger, keys: Path, signers: Path) -> None:
    identity = ask(ledger, RESTART)
    assert ask(ledger, RESTART) == identity
    first = approve(ledger, identity, keys / "alice", signers, NOW_MS + 1)
    assert (first.state, [signer.name for signer in first.signers]) == ("waiting", ["alice"])
    second = approve(ledger, identity[:12], keys / "bob", signers, NOW_MS + 2)
    assert (second.state, [signer.name for signer in second.signers]) == ("granted", ["alice", "bob"])
    assert second.signers[0].fingerprint.startswith("SHA256:")


def test_R181_one_person_twice_is_one(ledger: Ledger, keys: Path, signers: Path) -> None:
    identity = ask(ledger, RESTART)
    approve(ledger, identity, keys / "alice", signers, NOW_MS + 1)
    with pytest.raises(UsageError, match="alice has signed already"):
        approve(ledger, identity, keys / "alice", signers, NOW_MS + 2)
    # the same key under a second name
    signature = sign(RESTART.document.encode(), keys / "alice")
    ledger.append(Event("again", NOW_MS + 3, APPROVED, identity, json.dumps({"signature": signature})))
    assert len(find(ledger, identity, signers, NOW_MS + 4).signers) == 1


def test_R181_who_asks_does_not_sign(ledger: Ledger, keys: Path, signers: Path) -> None:
    identity = ask(ledger, RESTART)
    with pytest.raises(UsageError, match="carol asked for it"):
        approve(ledger, identity, keys / "carol", signers, NOW_MS + 1)
    assert find(ledger, identity, signers, NOW_MS + 2).signers == ()


def test_A69_a_key_that_is_not_listed_or_not_valid_any_more_signs_nothing(
    ledger: Ledger, keys: Path, signers: Path
) -> None:
    identity = ask(ledger, RESTART)
    with pytest.raises(SignatureError, match="nobody listed made this signature"):
        approve(ledger, identity, keys / "mallory", signers, NOW_MS + 1)
    with pytest.raises(SignatureError):
        approve(ledger, identity, keys / "dave", signers, NOW_MS + 1)
    assert ledger.events(APPROVED) == ()


@pytest.mark.parametrize(
    "change",
    [{"amount_usd": 15_000.0}, {"stage": 2}, {"hashes": {**HASHES, "config": "d" * 64}}, {"decision_id": "V2"}],
)
def test_A69_a_signature_of_an_altered_or_another_request_is_refused(
    ledger: Ledger, keys: Path, signers: Path, change: dict[str, object]
) -> None:
    other = dataclasses.replace(RESTART, **change)  # type: ignore[arg-type]
    signature = sign(other.document.encode(), keys / "alice")
    with pytest.raises(SignatureError, match="not of this document"):
        verified(RESTART.document.encode(), signature, signers, NOW_MS)
    identity = ask(ledger, RESTART)
    ledger.append(Event("replayed", NOW_MS + 1, APPROVED, identity, json.dumps({"signature": signature})))
    tally = find(ledger, identity, signers, NOW_MS + 2)
    assert tally.signers == ()
    assert [refused.why for refused in tally.refused] == ["the signature is not of this document"]


@pytest.mark.parametrize(("after_ms", "state"), [(7 * DAY_MS - 1, "granted"), (7 * DAY_MS, "expired")])
def test_A69_a_request_ends_at_its_expiry(ledger: Ledger, keys: Path, signers: Path, after_ms: int, state: str) -> None:
    identity = ask(ledger, RESTART)
    for name in ("alice", "bob"):
        approve(ledger, identity, keys / name, signers, NOW_MS + 1)
    assert find(ledger, identity, signers, NOW_MS + after_ms).state == state


@pytest.mark.parametrize(("action", "state"), [("bundle", "holds"), ("confirm", "holds"), ("waive", "expired")])
def test_A90_what_lasts_is_not_called_expired_once_enough_people_signed_it_in_time(
    ledger: Ledger, keys: Path, signers: Path, action: str, state: str
) -> None:
    identity = ask(ledger, dataclasses.replace(RESTART, action=action))
    late_ms = NOW_MS + 8 * DAY_MS
    for name in ("alice", "bob"):
        assert find(ledger, identity, signers, late_ms).state == "expired"
        approve(ledger, identity, keys / name, signers, NOW_MS + 1)
    assert find(ledger, identity, signers, late_ms).state == state
    before = len(ledger.events(APPROVED))
    with pytest.raises(UsageError) as caught:
        approve(ledger, identity, keys / "carol", signers, late_ms)
    (problem,) = caught.value.problems
    assert problem.help == (
        "nothing is left to be signed" if state == "holds" else "ask for it anew: `stagegate waive …`"
    )
    assert len(ledger.events(APPROVED)) == before


def test_A69_nobody_signs_what_is_over(ledger: Ledger, keys: Path, signers: Path) -> None:
    identity = ask(ledger, RESTART)
    with pytest.raises(UsageError, match="it is expired since 2026-03-08T12:00:00Z"):
        approve(ledger, identity, keys / "alice", signers, NOW_MS + 7 * DAY_MS)
    ledger.append(Event("used", NOW_MS + 5, USED, "restart", json.dumps({"request_id": identity})))
    with pytest.raises(UsageError, match="it is used since"):
        approve(ledger, identity, keys / "alice", signers, NOW_MS + 6)


def test_the_governor_gets_only_what_is_signed_and_waits_for_exactly_this(
    ledger: Ledger, keys: Path, signers: Path
) -> None:
    approvals = SignedApprovals(ledger, signers, HASHES, 7 * DAY_MS)
    waiting = Request("scale_up", "SCALE_UP", NOW_MS, 2)
    asked = approvals.ask(waiting, decision_id="V7", stage=3, amount_usd=22_500.0, now_ms=NOW_MS)
    assert approvals.given([], NOW_MS) == ()
    for name in ("alice", "carol"):
        assert approvals.given([waiting], NOW_MS + HOUR_MS) == ()
        approve(ledger, asked.request_id, keys / name, signers, NOW_MS + HOUR_MS)
    assert approvals.given([waiting], NOW_MS + HOUR_MS) == (waiting,)
    assert approvals.given([dataclasses.replace(waiting, at_ms=NOW_MS + 1)], NOW_MS + HOUR_MS) == ()
    assert tallies(ledger, signers, NOW_MS)[0].to_json()["state"] == "granted"


DIGEST = {**HASHES, "digest": "d" * 64}
PROMOTE = ApprovalRequest(
    "promote", "1->2", 1, "carol", NOW_MS, NOW_MS + 7 * DAY_MS, "V9", 1, 10_000.0, {**DIGEST, "facts": "f" * 64}
)


def entered(ledger: Ledger, stage: int, at_ms: int) -> None:
    """Record that a stage was entered."""
    posture = initial_posture(stage, 5_000.0, at_ms)
    ledger.append(Event(f"posture-{at_ms}", at_ms, "posture", str(stage), json.dumps(posture.to_json())))


def test_A69_a_promotion_is_given_with_the_id_that_was_signed_and_never_again(
    ledger: Ledger, keys: Path, signers: Path
) -> None:
    entered(ledger, 1, NOW_MS - 15 * DAY_MS)
    approvals = SignedApprovals(ledger, signers, DIGEST, 7 * DAY_MS)
    waiting = Request("promote", "1->2", NOW_MS - HOUR_MS, 1)  # the desk asks at its bar, a person when it suits
    identity = ask(ledger, PROMOTE)
    assert approvals.given([waiting], NOW_MS + 1) == ()
    assert approvals.paper(waiting) == {}
    with pytest.raises(UsageError, match="carol asked for it"):
        approve(ledger, identity, keys / "carol", signers, NOW_MS + 1)
    approve(ledger, identity, keys / "alice", signers, NOW_MS + 1)
    assert approvals.given([waiting], NOW_MS + 2) == (waiting,)
    assert approvals.paper(waiting) == {"request_id": identity, "signers": ["alice"]}
    assert approvals.given([dataclasses.replace(waiting, subject="2->3")], NOW_MS + 2) == ()
    used = json.dumps({"subject": "1->2", **approvals.paper(waiting)})
    ledger.append(Event("given", NOW_MS + 3, USED, "promote", used))
    assert find(ledger, identity, signers, NOW_MS + 4).state == "used"
    assert approvals.given([waiting], NOW_MS + 4) == ()  # back in the same stage it must be asked for anew


@pytest.mark.parametrize("why", ["expired", "other release", "before the stage", "altered"])
def test_A69_A90_a_promotion_that_was_signed_for_something_else_is_not_given(
    ledger: Ledger, keys: Path, signers: Path, why: str
) -> None:
    entered(ledger, 1, NOW_MS + (1 if why == "before the stage" else -DAY_MS))
    approvals = SignedApprovals(ledger, signers, DIGEST, 7 * DAY_MS)
    request = dataclasses.replace(PROMOTE, hashes=HASHES) if why == "other release" else PROMOTE
    if why == "altered":  # more money than was signed for
        signature = sign(dataclasses.replace(PROMOTE, amount_usd=5_000.0).document.encode(), keys / "alice")
        ledger.append(
            Event("replayed", NOW_MS + 2, APPROVED, ask(ledger, PROMOTE), json.dumps({"signature": signature}))
        )
    else:
        approve(ledger, ask(ledger, request), keys / "alice", signers, NOW_MS + 2)
    now_ms = NOW_MS + (7 * DAY_MS if why == "expired" else HOUR_MS)
    assert approvals.given([Request("promote", "1->2", NOW_MS, 1)], now_ms) == ()


def test_without_keys_or_signers_it_says_what_to_do(ledger: Ledger, keys: Path, tmp_path: Path) -> None:
    identity = ask(ledger, RESTART)
    with pytest.raises(UsageError, match="there is no such key"):
        approve(ledger, identity, tmp_path / "none", keys / "allowed_signers", NOW_MS)
    with pytest.raises(UsageError, match="there is no file of allowed signers"):
        approve(ledger, identity, keys / "alice", tmp_path / "none", NOW_MS)
    with pytest.raises(UsageError, match="no request is called `A1999`"):
        approve(ledger, "A1999", keys / "alice", keys / "allowed_signers", NOW_MS)


def test_a_part_names_the_one_request_that_waits(ledger: Ledger, keys: Path, signers: Path) -> None:
    over = dataclasses.replace(RESTART, asked_ms=NOW_MS - DAY_MS, expires_ms=NOW_MS - 1)
    ask(ledger, over)
    waits = ask(ledger, RESTART)
    assert approve(ledger, "restart", keys / "alice", signers, NOW_MS + 1).request.request_id == waits
    other = ask(ledger, dataclasses.replace(RESTART, asked_ms=NOW_MS + 1))
    with pytest.raises(UsageError, match="2 requests are called `restart`"):
        approve(ledger, "restart", keys / "bob", signers, NOW_MS + 2)
    approve(ledger, waits, keys / "bob", signers, NOW_MS + 2)  # granted, so the other is the one that waits
    assert approve(ledger, "restart", keys / "bob", signers, NOW_MS + 3).request.request_id == other
    with pytest.raises(UsageError, match="no request is called ``"):
        approve(ledger, "", keys / "bob", signers, NOW_MS + 4)


def asked_over(ledger: Ledger, approvals: SignedApprovals, outcome: str, fired: tuple[str, ...]) -> list[int]:
    """Return on which days of ten weeks something was asked for, while a policy says the same each day."""
    action = BUNDLE.policies["action"]
    posture = initial_posture(3, 15_000.0, NOW_MS)
    if outcome == "KEEP":
        posture = after_verdict(posture, action, "REDUCE", ("drawdown_red",), NOW_MS).posture
    days = []
    for day in range(1, 70):
        now_ms = NOW_MS + day * DAY_MS
        posture = after_verdict(posture, action, outcome, fired, now_ms).posture
        governor: Any = SimpleNamespace(posture=posture)
        if ask_people(ledger, approvals, governor, BUNDLE, f"V{day}", now_ms):
            days.append(day)
    return days


@pytest.mark.parametrize(
    ("outcome", "fired", "expected"), [("KEEP", (), [5, 35, 65]), ("SCALE_UP", ("scale_up",), [1, 31, 61])]
)
def test_A30_what_nobody_signed_in_time_is_asked_for_again_while_it_lasts(
    ledger: Ledger, signers: Path, outcome: str, fired: tuple[str, ...], expected: list[int]
) -> None:
    approvals = SignedApprovals(ledger, signers, {"digest": BUNDLE.digest}, BUNDLE.request_valid_ms)
    assert asked_over(ledger, approvals, outcome, fired) == expected
    last = tallies(ledger, signers, NOW_MS + 69 * DAY_MS)
    assert [tally.state for tally in last] == ["expired", "expired", "waiting"]


def test_A90_a_higher_cap_is_signed_under_one_bundle_and_asked_for_again_under_another(
    ledger: Ledger, keys: Path, signers: Path
) -> None:
    def approvals(digest: str) -> SignedApprovals:
        return SignedApprovals(ledger, signers, {"digest": digest}, BUNDLE.request_valid_ms)

    posture = after_verdict(
        initial_posture(3, 15_000.0, NOW_MS), BUNDLE.policies["action"], "SCALE_UP", ("scale_up",), NOW_MS
    )
    governor: Any = SimpleNamespace(posture=posture.posture)
    assert ask_people(ledger, approvals("a" * 64), governor, BUNDLE, "V1", NOW_MS) == 1
    (asked,) = tallies(ledger, signers, NOW_MS)
    for name in ("alice", "bob"):
        approve(ledger, asked.request.request_id, keys / name, signers, NOW_MS + 1)
    waiting = posture.posture.requests
    assert approvals("a" * 64).given(waiting, NOW_MS + 2) == waiting
    assert approvals("b" * 64).given(waiting, NOW_MS + 2) == ()
    assert ask_people(ledger, approvals("b" * 64), governor, BUNDLE, "V2", NOW_MS + 2) == 1
    assert ask_people(ledger, approvals("b" * 64), governor, BUNDLE, "V3", NOW_MS + 3) == 0
