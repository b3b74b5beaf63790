"""The running service: the tree of one account, its sign of life, and bundles that take over while it runs."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.clock import SystemClock
from engine.config import load_config
from engine.live.decision_file import DecisionFiles
from engine.live.heartbeat import heartbeat_beside
from engine.live.service_sign import ServiceSign, service_beside, write_sign
from engine.reports.numbers import short_hash
from engine.risk_guard.record import LedgerDesk
from engine.service.book import RELEASE, ServiceBook
from engine.service.caretaker import beat_beside
from engine.service.children import Part, Processes
from engine.service.kept import kept
from engine.service.notify import ALIVE, READY, STOPPING, Systemd
from engine.service.settings import CARETAKER, GUARD, RUNNER
from engine.service.supervisor import Supervisor
from engine.service.turnover import Turnover

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.live.connection import Connection, Mode
    from engine.live.paper import PaperPrices
    from engine.live.service_sign import ChildSign
    from engine.policy.bundle import Bundle
    from engine.service.settings import Settings

LAUNCH_GUARD_S = 120.0
"""How long the launch guard may take over a changed bundle; it needs seconds."""


@dataclass(frozen=True)
class ServeRequest:
    """What is asked for.

    Attributes:
        config: the frozen configuration.
        rules: the bundle.
        ledger: of the account.
        mode: whose money.
        signers: whose key is whose.
        settings: the service's file.
        market: the market store, for replays and the launch guard.
        prices: of a paper account; None: as before.
        shadow: a candidate bundle beside production; None: there is none.
        telegram: commands by chat are heard.
    """

    config: Path
    rules: Path
    ledger: Path
    mode: Mode
    signers: Path
    settings: Path
    market: Path
    prices: PaperPrices | None = None
    shadow: Path | None = None
    telegram: bool = False

    @property
    def what(self) -> str:
        """As it is called, for the record."""
        return f"serve --{self.mode}"


@dataclass(frozen=True)
class AccountClock:
    """The account's time in the service's own process, which lives in the machine's."""

    connection: Connection

    def now_ms(self) -> int:
        """Return the machine's time, or the simulated venue's."""
        said, now_ms = self.connection.announcement, SystemClock().now_ms()
        return now_ms if said is None else said.simulated_ms(now_ms)


def parts_of(request: ServeRequest, settings: Settings, bundle: Bundle) -> tuple[Part, ...]:
    """Return the processes of the tree, in the order in which they are ended."""
    ledger, rules = str(request.ledger), str(bundle.path)
    common = ("--rules", rules, f"--{request.mode}", "--ledger", ledger)
    runner = ["stream", "-c", str(bundle.config_path), *common, "--signers", str(request.signers)]
    # it is the caretaker that hears commands by chat: a /halt must not depend on the runner
    caretaker = ["caretake", *common, "--settings", str(request.settings), "--signers", str(request.signers)]
    caretaker += ["--db", str(request.market)] + (["--telegram-commands"] if request.telegram else [])
    caretaker += [] if request.shadow is None else ["--shadow", str(request.shadow)]
    decision = DecisionFiles.under(load_config(bundle.config_path).output.report_dir).decision
    limits = settings.children
    return (
        Part(RUNNER, tuple(runner), heartbeat_beside(request.ledger), limits[RUNNER]),
        Part(GUARD, ("risk-guard", *common), decision, limits[GUARD]),
        Part(CARETAKER, tuple(caretaker), beat_beside(request.ledger), limits[CARETAKER]),
    )


async def keep(
    request: ServeRequest, settings: Settings, bundle: Bundle, reached: Connection, show: Callable[[str], None]
) -> None:
    """Keep the tree of an account until SIGTERM or SIGINT.

    Args:
        request: what was asked for.
        settings: of the service.
        bundle: the release in force, kept beside the ledger.
        reached: the account.
        show: a line for the terminal.
    """
    clock = AccountClock(reached)
    async with LedgerDesk(request.ledger, clock) as desk:
        tree = _Tree(request, settings, bundle, clock, ServiceBook(desk, clock, show))
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, tree.stop)
        show(f"serving the {request.mode} account at {reached.where}: {bundle.name}, {short_hash(bundle.digest)}")
        await tree.run()
        show("ended: what was under way is done, stops stay with the venue")


class _Tree:
    """The tree of one account."""

    def __init__(
        self, request: ServeRequest, settings: Settings, bundle: Bundle, clock: AccountClock, book: ServiceBook
    ) -> None:
        self._request = request
        self._settings = settings
        self._book = book
        self._systemd = Systemd.of()
        self._spawner = Processes(settings.stop_within_s)
        self._turnover = Turnover(
            request.rules,
            request.ledger,
            request.signers,
            request.mode,
            clock,
            bundle,
            self._take,
            self._launch_guard,
            book,
        )
        parts = parts_of(request, settings, bundle)
        self._supervisor = Supervisor(parts, self._spawner, settings, book, self._beat, [self._watch])

    def stop(self) -> None:
        """End in order; told twice, by force."""
        self._systemd.tell(STOPPING)
        self._supervisor.stop()

    async def run(self) -> None:
        """Keep it until told to stop."""
        self._note_release(self._turnover.in_force)
        self._systemd.tell(READY)
        await self._supervisor.run()

    async def _watch(self, _: Supervisor) -> None:
        await self._turnover.watch(self._settings.bundle_every_s)

    def _beat(self, children: tuple[ChildSign, ...]) -> None:
        request = self._request
        digest = self._turnover.in_force.digest
        sign = ServiceSign(os.getpid(), request.what, SystemClock().now_ms(), digest, children)
        write_sign(service_beside(request.ledger), sign)
        self._systemd.tell(ALIVE)

    def _note_release(self, bundle: Bundle) -> None:
        self._book.note(RELEASE, digest=bundle.digest, bundle=bundle.sha256, config=bundle.config_sha256)

    def _take(self, found: Bundle) -> None:
        """Put another bundle in force: its processes end what is under way, and start again with it."""
        copy = kept(found, self._request.ledger)
        self._note_release(copy)
        what = f"the bundle {found.name}, {short_hash(found.digest)}, is in force from now on"
        self._book.alert(Severity.HIGH, f"bundle {found.digest}", what, done="every process starts again with it")
        for part in parts_of(self._request, self._settings, copy):
            self._supervisor.renew(part)

    async def _launch_guard(self) -> None:
        request = self._request
        arguments = ["launch-guard", "-c", str(request.config), "--rules", str(request.rules), f"--{request.mode}"]
        arguments += ["--ledger", str(request.ledger), "--signers", str(request.signers)]
        arguments += ["--db", str(request.market)]
        beat, limits = service_beside(request.ledger), self._settings.children[RUNNER]
        try:
            child = await self._spawner.start(Part("launch guard", tuple(arguments), beat, limits))
        except OSError as error:
            self._book.show(f"launch guard: cannot be started: {error.strerror or error}")
            return
        try:
            async with asyncio.timeout(LAUNCH_GUARD_S):
                self._book.show(f"launch guard: {await child.ended()}")
        except TimeoutError:
            child.kill()
