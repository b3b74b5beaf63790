"""From what the command line asks for to a running desk: files, lock, ledger, account, engines, signals."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.backstop import require_backstop
from engine.clock import SystemClock
from engine.config import load_config, require_supported
from engine.errors import ConfigError, Problem
from engine.ledger import Ledger
from engine.live.account_time import clock_of
from engine.live.connection import Mode, connection
from engine.live.first_look import first_look
from engine.live.lock import InstanceLock
from engine.live.opening import Release
from engine.live.paper import PaperPrices, paper_account
from engine.live.stages import Staging
from engine.operations.incidents.granting import SignedRestarts
from engine.operations.stages.rollout import STAGES
from engine.policy.bundle import load_bundle
from engine.policy.worker import Worker
from engine.runner.check import Checked, check
from engine.runner.dry import DryRun, dry_run
from engine.runner.launch import capital_of, check_kind, check_real, needed_usd
from engine.runner.open import Place, opened
from engine.runner.runner import Runner
from engine.runner.text import start_text
from engine.runner.voice import Voice
from engine.verdict import bundle_hashes
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from engine.clock import Clock
    from engine.governor import Approvals
    from engine.live.connection import Connection
    from engine.policy.bundle import Bundle
    from engine.runner.bar import BarView
    from engine.runner.open import Post
    from engine.telegram import ChatDesk

T = TypeVar("T")

ACTION = "action"


@dataclass(frozen=True)
class RunRequest:
    """What is asked for.

    Attributes:
        config: the frozen configuration.
        rules: the bundle.
        ledger: of the account.
        mode: whose money.
        signers: whose key is whose.
        prices: of a paper account; None: as before.
        command: as it is called, for the record.
        streaming: the venue's streams are listened to.
        chat: commands by chat are heard.
    """

    config: Path
    rules: Path
    ledger: Path
    mode: Mode
    signers: Path
    prices: PaperPrices | None
    command: str
    streaming: bool = False
    chat: bool = False


def run(request: RunRequest, show: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT: what is under way is ended, stops stay with the venue.

    Args:
        request: what.
        show: a line for the terminal.

    Raises:
        StagegateError: it cannot be started, or the ledger cannot be written any more; nothing was sent that is not in
            it, and stops stay with the venue.
    """

    async def act(post: Post) -> None:
        voice = Voice(post.ledger, post.clock, show)
        beside = _beside(post, request, show)
        runner = Runner(post, voice, request.command, streaming=request.streaming, beside=beside)
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, runner.stop)
        show(start_text(post))
        await runner.run()
        show("ended: what was under way is done, stops stay with the venue")

    if request.chat:
        from engine.telegram import require_line  # noqa: PLC0415 - only where somebody listens

        require_line(_chat_desk(request), os.environ)
    _at_post(request, show, act)


def run_once(request: RunRequest, show: Callable[[str], None]) -> BarView:
    """Do the work of the last closed bar; the errors are those of `run`."""

    async def act(post: Post) -> BarView:
        return await Runner(post, Voice(post.ledger, post.clock, show), request.command).once()

    return _at_post(request, show, act)


def run_dry(request: RunRequest, show: Callable[[str], None]) -> DryRun:
    """Do the same and send nothing; no lock is taken, so it may run beside the bot.

    Raises:
        StagegateError: as `run`, but for the launch, which a dry run comes before.
    """
    place = _place(request, show)

    def approvals_of(copy: Ledger) -> Approvals:
        return _approvals(copy, request.signers, place.release.bundle)

    async def main(clock: Clock) -> DryRun:
        return await dry_run(place, request.ledger, engine, approvals_of, clock)

    with Worker(place.release.bundle.policies[ACTION]) as engine:
        return place.connection.run(main)


def run_check(request: RunRequest, show: Callable[[str], None]) -> Checked:
    """Ask the venue what a run would begin with.

    Raises:
        StagegateError: the files are wrong, the keys not set, or venue or ledger do not answer.
    """
    place = _place(request, show)
    needed: float | None = capital_of(request.mode, place.release).usd
    with ExitStack() as stack:
        ledger = None
        if request.ledger.exists():
            ledger = stack.enter_context(Ledger.open(request.ledger, read_only=True))
            needed = needed_usd(ledger, request.mode, place.release)

        async def main(clock: Clock) -> Checked:
            return await check(place, needed, ledger, clock)

        return place.connection.run(main)


def _at_post(request: RunRequest, show: Callable[[str], None], act: Callable[[Post], Awaitable[T]]) -> T:
    """Open everything that a desk needs, in the order in which it may be refused, and act on it."""
    release = release_of(request.config, request.rules)
    with ExitStack() as stack:
        stack.enter_context(InstanceLock(request.ledger, request.command, SystemClock().now_ms()))
        if request.mode is Mode.REAL:
            connection(request.mode, request.ledger)  # no keys, no ledger either
        with first_look(request.ledger) as ledger:
            check_kind(ledger, request.mode)
            if request.mode is Mode.REAL:
                check_real(ledger, release.bundle, clock_of(ledger, request.ledger).now_ms())
        place = Place(_account(request, release, show), release, Path(release.config.output.report_dir))
        ledger = stack.enter_context(Ledger.open(request.ledger, create=True))
        engine = stack.enter_context(Worker(release.bundle.policies[ACTION]))
        staging = Staging(stack.enter_context(Worker(release.bundle.policies[STAGES])), request.signers)
        place = replace(place, staging=staging)
        approvals = _approvals(ledger, request.signers, release.bundle)

        async def main(clock: Clock) -> T:
            async with opened(place, ledger, engine, approvals, clock) as post:
                return await act(post)

        return place.connection.run(main)


def _place(request: RunRequest, show: Callable[[str], None]) -> Place:
    release = release_of(request.config, request.rules)
    return Place(_account(request, release, show), release, Path(release.config.output.report_dir))


def _account(request: RunRequest, release: Release, show: Callable[[str], None]) -> Connection:
    if request.mode is Mode.REAL:
        return connection(request.mode, request.ledger)
    return paper_account(request.ledger, request.prices, release.config, show)


def release_of(path: Path, rules: Path) -> Release:
    """Return what runs: the configuration must be the one that the bundle pins, byte for byte (R002, A90).

    Raises:
        ConfigError: it is another one, or wrong.
        PolicyError: the bundle is wrong.
    """
    config = load_config(path)
    require_supported(config)
    bundle = load_bundle(rules)
    if config.sha256 != bundle.config_sha256:
        problem = f"SHA-256 is {config.sha256[:8]}…, the bundle {bundle.name} pins {bundle.config_sha256[:8]}…"
        help_ = "name the configuration of this bundle, or restore it"
        raise ConfigError(Problem("config-hash", str(path), problem, help_))
    require_backstop(config, bundle)
    return Release(config, bundle, version())


def _approvals(ledger: Ledger, signers: Path, bundle: Bundle) -> SignedRestarts:
    return SignedRestarts(ledger, signers, bundle_hashes(bundle), bundle.request_valid_ms)


def _beside(
    post: Post, request: RunRequest, show: Callable[[str], None]
) -> Callable[[], Coroutine[object, object, None]] | None:
    """Return what runs as long as the desk does, each in a thread of its own: the outbox, and who hears commands.

    A mistake in the alerts file, which nobody signs and which may change at any time, is told and keeps no desk from
    its work: a runner that died would come back to the same file.
    """
    from engine.alerts.apart import apart  # noqa: PLC0415 - only where something runs for long
    from engine.alerts.outbox import deliver_alerts  # noqa: PLC0415 - the same
    from engine.alerts.settings import alert_settings  # noqa: PLC0415 - the same
    from engine.telegram import serve_commands  # noqa: PLC0415 - the same

    release = post.place.release
    try:
        settings = alert_settings(release.config, release.bundle.path)
    except ConfigError as error:
        show(f"no alerts and no commands by chat until this is mended and the runner started again: {error}")
        return None
    works: list[Callable[[], Coroutine[object, object, None]]] = []

    async def deliver(stop: asyncio.Event) -> None:
        await deliver_alerts(post.ledger.path, settings, os.environ, post.clock, stop, show)

    async def hear(stop: asyncio.Event) -> None:
        await serve_commands(_chat_desk(request), os.environ, SystemClock(), stop, show)

    if any(route.url.resolve(os.environ) is not None for route in settings.routes):
        works.append(lambda: apart(deliver, "outbox"))
    if request.chat:
        works.append(lambda: apart(hear, "telegram"))

    async def all_of_them() -> None:
        await asyncio.gather(*(work() for work in works))

    return all_of_them if works else None


def _chat_desk(request: RunRequest) -> ChatDesk:
    from engine.telegram import ChatDesk  # noqa: PLC0415 - the same

    return ChatDesk(request.ledger, request.rules, request.config, request.mode, request.signers)
