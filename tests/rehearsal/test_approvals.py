"""Who approves in a rehearsal: all after a day, nobody, or a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.bounds import RECOVERY, RESTART, Request
from engine.clock import DAY_MS, parse_time
from engine.errors import UsageError
from engine.rehearsal.approvals import ApproveNone, approvals_from

if TYPE_CHECKING:
    from pathlib import Path

START = parse_time("2022-06-01")


def test_all_approve_24_hours_after_they_were_asked() -> None:
    request = Request(RESTART, "PAUSE", START, 2)
    everybody = approvals_from("all")
    assert everybody.given([request], START + DAY_MS - 1) == ()
    assert everybody.given([request], START + DAY_MS) == (request,)


def test_none_never_approve() -> None:
    assert ApproveNone().given([Request(RECOVERY, "REDUCE", START, 1)], START + 1000 * DAY_MS) == ()


def test_a_script_answers_one_waiting_request_a_line(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text("- {at: 2022-06-03, approve: recovery}\n- {at: 2022-06-02, approve: restart}\n")
    recovery, restart = Request(RECOVERY, "REDUCE", START, 1), Request(RESTART, "PAUSE", START, 2)
    script = approvals_from(str(path))
    assert script.given([recovery, restart], START + DAY_MS - 1) == ()
    assert script.given([recovery, restart], START + DAY_MS) == (restart,)
    assert script.given([recovery], START + 2 * DAY_MS) == (recovery,)
    assert script.given([recovery], START + 3 * DAY_MS) == ()


def test_a_line_that_finds_nothing_to_approve_is_spent(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text("- {at: 2022-06-02, approve: restart}\n")
    script = approvals_from(str(path))
    assert script.given([], START + 5 * DAY_MS) == ()
    assert script.given([Request(RESTART, "PAUSE", START, 2)], START + 6 * DAY_MS) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("approve: all\n", "a script is a list"),
        ("- {at: 2022-06-02}\n", "script.yaml:1:3: error[approvals]: an approval has `at` and `approve`"),
        ("- {at: 2022-06-02, approve: everything}\n", "`everything` cannot be approved"),
        ("- {at: tomorrow, approve: restart}\n", "`tomorrow` is no time"),
    ],
)
def test_a_wrong_script_says_where(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        approvals_from(str(path))
    assert expected in str(caught.value)


def test_a_script_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no such file"):
        approvals_from("nowhere.yaml")
