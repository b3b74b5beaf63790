"""Starting the service: files, lock, release in force, account, and then the tree of processes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from engine.alerts.settings import alert_settings
from engine.clock import SECOND_MS, SystemClock, wait_s
from engine.config import load_config
from engine.errors import ConfigError, Problem, StagegateError, UsageError
from engine.inquiry import ALLOW
from engine.launch_word import LAUNCH
from engine.ledger import Ledger
from engine.live.account_time import clock_of
from engine.live.connection import Mode, connection
from engine.live.first_look import first_look
from engine.live.lock import InstanceLock, holder
from engine.live.opening import launched_ms
from engine.live.paper import paper_account
from engine.live.service_sign import locked_as
from engine.policy.bundle import load_bundle
from engine.reports.numbers import short_hash
from engine.runner.launch import check_kind, check_real
from engine.runner.run import release_of
from engine.service.book import RELEASE, SERVICE
from engine.service.candidate import check_candidate
from engine.service.kept import kept, kept_before
from engine.service.settings import load_settings
from engine.service.tree import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.live.connection import Connection
    from engine.policy.bundle import Bundle
    from engine.service.tree import ServeRequest


def serve(request: ServeRequest, show: Callable[[str], None]) -> None:
    """Keep a desk running until SIGTERM or SIGINT: everything is ended in order; told twice, by force.

    Args:
        request: what.
        show: a line for the terminal.

    Raises:
        StagegateError: it cannot be started, with what is missing and how to get it; nothing was started then.
    """
    settings = load_settings(request.settings)
    with InstanceLock(locked_as(request.ledger), request.what, SystemClock().now_ms()):
        if request.mode is Mode.REAL:
            connection(request.mode, request.ledger)  # no keys, no ledger either
        with first_look(request.ledger) as ledger:
            check_kind(ledger, request.mode)
            bundle = in_force(request, ledger, show)
        if request.shadow is not None:
            check_candidate(load_bundle(request.shadow), bundle)
        _wait_for_others(request.ledger, settings.stop_within_s, show)
        bundle = kept(bundle, request.ledger)
        reached = _account(request, bundle, show)
        with Ledger.open(request.ledger, create=True):
            """Each child finds one, whichever comes first."""
        asyncio.run(keep(request, settings, bundle, reached, show))


def in_force(request: ServeRequest, ledger: Ledger, show: Callable[[str], None]) -> Bundle:
    """Return the release that is to run: the files as named, or where those may not run, the last that was kept.

    Raises:
        StagegateError: what is wrong with the files, or with the launch, where no release was in force before; of the
            alerts file, where nothing was launched yet.
    """
    try:
        found = release_of(request.config, request.rules).bundle
        if request.mode is Mode.REAL:
            check_real(ledger, found, clock_of(ledger, request.ledger).now_ms())
    except StagegateError as error:
        before = _last(request, ledger)
        if before is None:
            raise
        show(f"{error}\ngoing on with the release that was in force, {short_hash(before.digest)}")
        _check_alerts(before, ledger, show)
        return before
    _check_alerts(found, ledger, show)
    return found


def _check_alerts(bundle: Bundle, ledger: Ledger, show: Callable[[str], None]) -> None:
    """Refuse to begin with alerts that reach nobody; a desk that was launched before goes on, and it is told.

    Raises:
        ConfigError: with every mistake of the alerts file.
    """
    try:
        alert_settings(load_config(bundle.config_path), bundle.path)
    except ConfigError as error:
        if launched_ms(ledger) is None:
            raise
        show(f"{error}\ngoing on without alerts")


def _last(request: ServeRequest, ledger: Ledger) -> Bundle | None:
    """Return the release that was in force last, where it may still run; None: there is none."""
    if request.mode is Mode.REAL:
        verdicts = [one for one in ledger.verdicts(policy=LAUNCH) if one.outcome == ALLOW]
        said = [json.loads(one.document)["hashes"].get("digest", "") for one in verdicts[-1:]]
    else:
        events = [event for event in ledger.events(SERVICE) if event.subject == RELEASE]
        said = [json.loads(event.document)["digest"] for event in events[-1:]]
    found = kept_before(request.ledger, said[0], request.rules.name) if said else None
    if found is not None and request.mode is Mode.REAL:
        try:
            check_real(ledger, found, clock_of(ledger).now_ms())
        except UsageError:
            return None
    return found


def _account(request: ServeRequest, bundle: Bundle, show: Callable[[str], None]) -> Connection:
    if request.mode is Mode.REAL:
        return connection(request.mode, request.ledger)
    return paper_account(request.ledger, request.prices, load_config(bundle.config_path), show)


def _wait_for_others(ledger: Path, patience_s: float, show: Callable[[str], None]) -> None:
    """Wait for the children of a service that died: they end by themselves what is under way.

    Raises:
        UsageError: second-instance: somebody runs on this ledger by himself.
    """
    until_ms = SystemClock().now_ms() + round(patience_s * SECOND_MS)
    said = False
    while (others := list(_others(ledger))) and SystemClock().now_ms() < until_ms:
        if not said:
            show(f"waiting for {others[0]} to end")
            said = True
        wait_s(1.0)
    if others:
        problem = f"another instance runs on this ledger: {others[0]}"
        help_ = "one account has one bot: stop that one first; the service starts its own"
        raise UsageError(Problem("second-instance", str(ledger), problem, help_))


def _others(ledger: Path) -> Iterator[str]:
    for name in (ledger.name, f"{ledger.name}.guard", f"{ledger.name}.caretaker"):
        found = holder(ledger.with_name(name))
        if found is not None:
            yield str(found)
