"""Starting the risk guard: from a request to a running guard, or to one look that leaves no trace (R074)."""

from __future__ import annotations

import asyncio
import shutil
import signal
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.config import load_config
from engine.documents import read_document
from engine.errors import LedgerError, Problem, UsageError
from engine.execution.permit import Permit
from engine.ledger import Ledger
from engine.live.connection import connection
from engine.live.decision_file import DecisionFiles
from engine.live.lock import InstanceLock
from engine.policy.bundle import load_bundle
from engine.policy.worker import Worker
from engine.risk_guard.books import read_books
from engine.risk_guard.facts import guard_facts, value_of
from engine.risk_guard.guard import Guard, GuardParts
from engine.risk_guard.mind import POLICY, Mind, require_timeless
from engine.risk_guard.record import LedgerDesk
from engine.risk_guard.senses import Senses
from engine.verdict import bundle_documents, bundle_hashes
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.live.connection import Connection, Mode
    from engine.live.decision_file import GuardDecision
    from engine.policy.bundle import Bundle
    from engine.policy.guard_times import GuardTimes
    from engine.risk_guard.books import Books

ENGINE_LIMIT_MS, ENGINE_START_LIMIT_MS = 500, 3_000
"""A hang of the rules engine must not cost the seconds in which a breach is acted on."""


@dataclass(frozen=True)
class GuardRequest:
    """What the command line asks for.

    Attributes:
        rules: the bundle.
        ledger: of the account.
        mode: paper or real.
        report_dir: where decisions are published; None: the configuration's.
    """

    rules: Path
    ledger: Path
    mode: Mode
    report_dir: Path | None = None


@dataclass(frozen=True)
class Decided:
    """A decision, and the exit code that the policy declares for it."""

    decision: GuardDecision
    exit_code: int


@dataclass(frozen=True)
class Watching:
    """A guard that runs: what it watches, for whoever started it."""

    mode: Mode
    where: str
    ledger: Path
    decision: Path


def bundle_of(config: Path | None, rules: Path | None, usual: Path) -> Path:
    """Return the bundle that is meant by ``--config`` and ``--rules``.

    The SOP calls the guard with the bundle as ``--config`` (§3.1); other commands name the frozen configuration so.

    Args:
        config: a bundle, or the frozen configuration of one.
        rules: the bundle.
        usual: the bundle where neither names one.

    Raises:
        UsageError: other-config: the configuration is not the one that the bundle pins.
        ConfigError: a file cannot be read.
    """
    found = rules or usual
    if config is None:
        return found
    document = read_document(config)
    if isinstance(document.data, dict) and "bundle" in document.data and "policies" in document.data:
        return rules or config
    pinned = load_bundle(found, only=(POLICY,))
    if document.sha256 != pinned.config_sha256:
        problem = f"this is not the configuration that `{found}` pins"
        raise UsageError(Problem("other-config", str(config), problem, "name its bundle with --rules"))
    return found


def watch(request: GuardRequest, ready: Callable[[Watching], None], told: Callable[[GuardDecision], None]) -> None:
    """Watch until SIGTERM or SIGINT.

    Args:
        request: what to watch.
        ready: called when it begins.
        told: called with each decision that is another than the one before.

    Raises:
        UsageError: no keys, no simulator, or a guard runs on this ledger already.
        PolicyError: the bundle is wrong.
        ConfigError: the configuration is.
    """
    start = _Start(request)

    async def main(clock: Clock) -> None:
        async with start.guard(clock, told) as guard:
            ready(Watching(request.mode, start.connection.where, request.ledger, start.files.decision))
            running = asyncio.ensure_future(guard.run())
            for name in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(name, running.cancel)
            await asyncio.gather(running, return_exceptions=True)

    start.connection.run(main)


def look_once(request: GuardRequest) -> Decided:
    """Look once, and carry out what comes out; the errors are those of `watch`."""
    start = _Start(request)

    async def main(clock: Clock) -> Decided:
        async with start.guard(clock) as guard:
            decision = await guard.once()
            return Decided(decision, start.bundle.policies[POLICY].exit_codes[decision.outcome])

    return start.connection.run(main)


def look_dry(request: GuardRequest) -> Decided:
    """Look once, and do nothing: no row, no file, no order, no stream (R074); the errors are those of `watch`."""
    start = _Start(request)

    async def main(clock: Clock) -> Decided:
        with ExitStack() as stack:
            mind = start.mind(stack)
            books, problem = _books_of_copy(request.ledger, clock)
            async with start.connection.venue(start.symbols, clock, lambda: False) as venue:
                time = venue.asker.clock
                senses = Senses(venue, time, start.times.outage_ends_after_ms)
                await senses.read(books)
            mark = senses.mark(books)
            value = None if books is None else value_of(books, mark, 0.0, time.now_ms())
            seen = senses.watch(books, mark, permitted=Permit.beside(request.ledger).present())
            problems = [text for text in (problem, senses.problem) if text]
            facts = guard_facts(books, value, seen)
            decision = mind.judge(facts, books, value, seen.now_ms, problems=problems).decision
        return Decided(decision, mind.exit_code(decision.outcome))

    return start.connection.run(main)


class _Start:
    """Everything that a guard needs before there is a loop."""

    def __init__(self, request: GuardRequest) -> None:
        self.request = request
        self.bundle: Bundle = load_bundle(request.rules, only=(POLICY,))
        self.config: FrozenConfig = load_config(self.bundle.config_path)
        self.times = _times(self.bundle)
        self.symbols = self.config.market.symbols
        self.connection: Connection = connection(request.mode, request.ledger)
        self.files = DecisionFiles.under(request.report_dir or self.config.output.report_dir)

    def mind(self, stack: ExitStack) -> Mind:
        """Return the policy with both engines, which end with the stack."""
        policy = self.bundle.policies[POLICY]
        engine = Worker(policy, limit_ms=ENGINE_LIMIT_MS, start_limit_ms=ENGINE_START_LIMIT_MS)
        stack.enter_context(engine)
        return Mind(
            policy,
            engine,
            bundle_hashes(self.bundle),
            version(),
            ledger=self.request.ledger,
            valid_ms=self.times.decision_valid_for_ms,
            before=self.files.read(),
        )

    @contextmanager
    def _locked(self, clock: Clock) -> Iterator[None]:
        """Hold the lock of this ledger's guard; where a full disk has no room for it, go without."""
        ledger = self.request.ledger
        lock = InstanceLock(ledger.with_name(f"{ledger.name}.guard"), "risk-guard", clock.now_ms())
        with ExitStack() as held:
            try:
                held.enter_context(lock)
            except UsageError as error:
                if error.problems[0].code != "lock":
                    raise
            yield

    @asynccontextmanager
    async def guard(
        self, clock: Clock, told: Callable[[GuardDecision], None] = lambda _decision: None
    ) -> AsyncIterator[Guard]:
        """Open a guard, and close all that it works with at the end."""
        ledger = self.request.ledger
        permit = Permit.beside(ledger)
        documents = tuple(bundle_documents(self.bundle))
        with ExitStack() as stack:
            stack.enter_context(self._locked(clock))
            mind = self.mind(stack)
            async with (
                self.connection.venue(self.symbols, clock, permit.present) as venue,
                LedgerDesk(ledger, venue.asker.clock) as desk,
            ):
                time = venue.asker.clock  # the runner's time; the machine's until the venue told its own
                parts = (venue, permit, time, desk, self.files, mind, self.times, ledger, self.symbols, documents)
                yield Guard(GuardParts(*parts, told=told))


def require_watchable(bundle: Bundle) -> None:
    """Refuse a bundle on which no risk guard would start: a desk must not go on without one.

    Raises:
        UsageError: timed-guard, no-times.
    """
    _times(bundle)
    require_timeless(bundle.policies["risk_guard"])


def _times(bundle: Bundle) -> GuardTimes:
    if bundle.guard_times is None:
        problem = "the bundle does not say how long the risk guard waits for whom"
        raise UsageError(Problem("no-times", str(bundle.path), problem, "add the block `execution: risk_guard:`"))
    return bundle.guard_times


@contextmanager
def copied(ledger: Path) -> Iterator[Ledger]:
    """Open a copy of a ledger: opening the file itself may tidy up what a killed process left, and that is a trace.

    Raises:
        LedgerError: it cannot be copied or read.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder) / ledger.name
        try:
            for suffix in ("", "-wal"):
                source = ledger.with_name(f"{ledger.name}{suffix}")
                if source.exists():
                    shutil.copyfile(source, copy.with_name(f"{copy.name}{suffix}"))
        except OSError as error:
            problem = f"it cannot be copied: {error.strerror or error}"
            raise LedgerError(
                Problem("copy", str(ledger), problem, "a look that leaves no trace reads a copy")
            ) from None
        with Ledger.open(copy, read_only=True) as opened:
            yield opened


def _books_of_copy(ledger: Path, clock: Clock) -> tuple[Books | None, str]:
    """Return what a ledger tells, and why it tells nothing."""
    try:
        with copied(ledger) as opened:
            return read_books(opened, clock.now_ms()), ""
    except LedgerError as error:
        return None, error.problems[0].problem
