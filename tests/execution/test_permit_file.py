"""The permit: what cannot be read is none, deleting it always works, granting is whole or not at all."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import UsageError
from engine.execution.permit import Permit, PermitError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def permit(tmp_path: Path) -> Permit:
    return Permit.beside(tmp_path / "ledger.db")


def granted(permit: Permit) -> Permit:
    permit.grant(by="ann", reason="launch", at_ms=0)
    return permit


def test_there_is_none_until_one_is_granted_and_none_after_it_is_revoked(permit: Permit) -> None:
    assert permit.path.name == "ledger.db.permit"
    assert not permit.present()
    with pytest.raises(UsageError, match="halted: there is no permit"):
        permit.demand()
    assert granted(permit).present()
    assert permit.terms() == {
        "permit": "orders that add risk may be sent",
        "by": "ann",
        "reason": "launch",
        "at": "1970-01-01T00:00:00Z",
    }
    permit.demand()
    permit.revoke()
    permit.revoke()
    assert not permit.present()
    assert list(permit.path.parent.iterdir()) == []


def test_another_process_sees_the_latch_at_once(permit: Permit) -> None:
    other = Permit(permit.path)
    granted(permit)
    assert other.present()
    other.revoke()
    assert not permit.present()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"permit": true}', b'{"permit": "or'])
def test_what_is_no_permit_does_not_count_as_one(permit: Permit, content: bytes) -> None:
    permit.path.write_bytes(content)
    assert not permit.present()


def test_a_permit_that_cannot_be_read_is_none(permit: Permit) -> None:
    permit.path.mkdir()
    assert not permit.present()


def test_a_full_disk_grants_nothing_and_still_lets_revoke(permit: Permit, monkeypatch: pytest.MonkeyPatch) -> None:
    granted(permit)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    permit.revoke()
    assert not permit.present()
    with pytest.raises(PermitError, match="cannot be written: No space left") as caught:
        granted(permit)
    assert "may add risk" in caught.value.problems[0].help
    assert not permit.present()
    assert list(permit.path.parent.iterdir()) == []


def test_a_permit_that_cannot_be_deleted_is_emptied(permit: Permit, monkeypatch: pytest.MonkeyPatch) -> None:
    granted(permit)
    refuse_to_delete(monkeypatch)
    permit.revoke()
    assert permit.path.exists()
    assert not permit.present()


def test_a_permit_that_can_neither_be_deleted_nor_emptied_is_reported(
    permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted(permit)
    refuse_to_delete(monkeypatch)
    monkeypatch.setattr(os, "truncate", denied)
    with pytest.raises(PermitError, match="cannot be deleted: Permission denied") as caught:
        permit.revoke()
    assert caught.value.problems[0].help == "delete it by hand, now; stop the runner if you cannot"


def denied(*_: Any, **__: Any) -> None:
    raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def refuse_to_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    # a folder without the right to write lets root delete all the same: the refusal itself is what is tried here
    monkeypatch.setattr("pathlib.Path.unlink", denied)
