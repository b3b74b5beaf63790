"""A backup put back in a ledger's place: checked first, the file it replaces kept aside, the halt latched.

What the venue did since the backup is not in it, so nothing may add risk until a person has looked and resumes.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.clock import iso
from engine.custody.alone import be_alone, take_outbox
from engine.custody.keeping import check, contents_of, file_sha256
from engine.errors import LedgerError, Problem, UsageError
from engine.execution.permit import Permit
from engine.ledger import Event, Ledger, opening
from engine.ledger.faults import in_words
from engine.live.account_time import clock_of
from engine.live.lock import InstanceLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.custody.keeping import Contents

RESTORED = "restored"
"""The kind of the event with which a restored ledger goes on."""

_WHAT = "ledger restore"
_OF_CONTENT = frozenset({"not-a-database", "corrupt"})
_BESIDE = ("-wal", "-shm")


@dataclass(frozen=True)
class Plan:
    """What a restore is about to do.

    Attributes:
        backup: what it puts in place.
        current: what it replaces; None: nothing that can be read is there.
        lost: links of the audit trail that are only in the present ledger; None: it cannot be told.
        aside: where the present file will lie; None: there is none.
    """

    backup: Contents
    current: Contents | None
    lost: int | None
    aside: Path | None


@dataclass(frozen=True)
class Restored:
    """What was done: as planned, and the SHA-256 of the backup's file."""

    plan: Plan
    ledger: Path
    sha256: str


def restore(file: Path, ledger: Path, by: str, now_ms: int, confirmed: Callable[[Plan], bool]) -> Restored:
    """Put a backup in a ledger's place.

    Args:
        file: the backup.
        ledger: of the account; may be missing or damaged.
        by: who asks.
        now_ms: the machine's time, for whoever meets the lock meanwhile.
        confirmed: told what will happen; whether to go on.

    Raises:
        UsageError: second-instance, in-use, other-ledger, other-history, clock-back, declined: nothing was changed.
        LedgerError: the backup is missing, no ledger, damaged, of a newer schema, or the disk does not take it; the
            present ledger stands as it was.
        PermitError: the halt could not be latched; nothing was changed.
    """
    _require_there(file)
    partial = ledger.with_name(f"{ledger.name}.restore")
    with ExitStack() as stack:
        stack.enter_context(InstanceLock(ledger, _WHAT, now_ms))
        take_outbox(stack, ledger)
        stack.callback(_remove, partial)
        _copied(file, partial)
        backup = check(partial)
        with Ledger.open(partial, read_only=True) as copied:
            now_ms = clock_of(copied, ledger).now_ms()  # a simulated venue has a time of its own, and so has its ledger
        plan = _plan(backup, partial, ledger, now_ms)
        if not confirmed(plan):
            raise UsageError(Problem("declined", str(ledger), "not confirmed", "nothing was changed"))
        be_alone(ledger)
        Permit.beside(ledger).revoke()
        sha256 = file_sha256(file)
        _note(partial, plan, by, sha256, now_ms)
        _swap(partial, ledger, plan.aside)
    return Restored(plan, ledger, sha256)


def plan_text(plan: Plan, ledger: Path) -> str:
    """Return what a restore is about to do, for people."""
    backup, lines = plan.backup, [f"this will now replace {ledger}"]
    last = f", last event {iso(backup.last_event_ms)}" if backup.last_event_ms is not None else ""
    lines.append(f"  by       {backup.links:,} links of audit trail{last}, sound")
    if plan.lost is None:
        lines.append("  losing   what the present file holds beyond that: it cannot be read")
    elif plan.lost:
        lines.append(f"  losing   {plan.lost:,} links that are only in the present file")
    if plan.aside is not None:
        lines.append(f"  keeping  the present file as {plan.aside}")
    lines.append("  halting  nothing adds risk until `stagegate resume`: the venue went on without this ledger")
    return "\n".join(lines)


def restored_text(done: Restored) -> str:
    """Return what was done, for people."""
    kept = f"\n  the file before it is kept as {done.plan.aside}" if done.plan.aside else ""
    do = "hold it against the venue with `stagegate status`; close what stands with `stagegate flatten`"
    then = "then `stagegate resume --reason …`, which goes on from flat only and says what else is missing"
    return f"{done.ledger} is restored from a backup of SHA-256 {done.sha256}{kept}\n  HALTED: {do},\n  {then}"


def _require_there(file: Path) -> None:
    """Refuse a backup that is none, before any lock is taken: nothing is left beside a ledger that may not be there."""
    if not file.exists():
        help_ = "check the path; `stagegate ledger backup FILE` makes one"
        raise LedgerError(Problem("missing-ledger", str(file), "there is no backup here", help_))
    opening.check_path(file, create=False)


def _copied(file: Path, partial: Path) -> None:
    """Copy the backup beside the ledger, with what is in its log, brought up to this version's schema."""
    try:
        with in_words(file), closing(opening.connect(file, create=False, read_only=True, busy_timeout_ms=0)) as one:
            opening.copy(one, file, partial)
        with Ledger.open(partial, migrate=True):
            pass
    except LedgerError as error:
        # its copy goes, so what is wrong with it is told of the backup; a full disk is the copy's
        raise LedgerError(
            [replace(each, where=str(file)) if each.code in _OF_CONTENT else each for each in error.problems]
        ) from None
    for made in partial.parent.glob(f"{partial.name}.schema-*.backup"):
        made.unlink()


def _plan(backup: Contents, partial: Path, ledger: Path, now_ms: int) -> Plan:
    where = str(ledger)
    if backup.last_event_ms is not None and backup.last_event_ms > now_ms:
        problem = f"the clock here says {iso(now_ms)}, the backup's last event is of {iso(backup.last_event_ms)}"
        help_ = "set the clock right, or, of a simulated account, start its venue; then run this again"
        raise UsageError(Problem("clock-back", where, problem, help_))
    aside = _free(ledger, now_ms) if ledger.exists() else None
    try:
        with Ledger.open(ledger, read_only=True) as now, Ledger.open(partial, read_only=True) as then:
            current = contents_of(now)
            _same_history(now, then, backup, current)
    except LedgerError:
        return Plan(backup, None, None if aside else 0, aside)
    return Plan(backup, current, current.links - backup.links, aside)


def _same_history(now: Ledger, then: Ledger, backup: Contents, current: Contents) -> None:
    """Refuse a backup of another account, or of a history that the present ledger does not continue."""
    where = str(now.path)
    if current.kind and (backup.kind, then.meta().get("from_ms")) != (current.kind, now.meta().get("from_ms")):
        problem = f"the backup is of a {backup.kind or 'new'} rollout that is not this ledger's"
        help_ = "name this account's backup; to begin anew, move the present ledger away by hand"
        raise UsageError(Problem("other-ledger", where, problem, help_))
    link = now.audit_link(backup.links)
    if backup.links and link != backup.head:
        found = "has no such link" if link is None else "says otherwise there"
        problem = f"link {backup.links:,} of the backup's audit trail is not this ledger's: it {found}"
        help_ = "one of the two was changed, or is of another time; `stagegate ledger check` on each"
        raise UsageError(Problem("other-history", where, problem, help_))


def _free(ledger: Path, now_ms: int) -> Path:
    stamp = iso(now_ms)[:19].replace("-", "").replace(":", "")
    path, number = ledger.with_name(f"{ledger.name}.replaced-{stamp}"), 0
    while path.exists():
        number += 1
        path = ledger.with_name(f"{ledger.name}.replaced-{stamp}-{number}")
    return path


def _note(partial: Path, plan: Plan, by: str, sha256: str, now_ms: int) -> None:
    document = {
        "by": by,
        "backup_sha256": sha256,
        "links": plan.backup.links,
        "lost": plan.lost,
        "kept": plan.aside.name if plan.aside else None,
    }
    with Ledger.open(partial) as opened:
        opened.append(Event(f"{RESTORED}-{now_ms}", now_ms, RESTORED, by, json.dumps(document, sort_keys=True)))


def _swap(partial: Path, ledger: Path, aside: Path | None) -> None:
    """Put the new file in place in one step; the old one has its other name before."""
    try:
        if aside is not None:
            os.link(ledger, aside)
            for suffix in _BESIDE:  # of a damaged file, whose log could not be taken in
                with suppress(FileNotFoundError):
                    ledger.with_name(ledger.name + suffix).replace(aside.with_name(aside.name + suffix))
        partial.replace(ledger)
    except OSError as error:
        problem = f"the backup cannot be put in place: {error.strerror or error}"
        help_ = "check the permissions of the folder; the present ledger stands as it was, halted"
        raise LedgerError(Problem("not-writable", str(ledger), problem, help_)) from error


def _remove(partial: Path) -> None:
    for suffix in ("", *_BESIDE):
        with suppress(OSError):
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)
