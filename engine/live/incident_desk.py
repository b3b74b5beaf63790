"""Incidents as people and the service work on them: a ledger, its bundle, its account, and where its papers lie."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.config import load_config
from engine.errors import ConfigError, Problem, UsageError
from engine.ledger import Ledger
from engine.live.account_time import clock_of
from engine.live.connection import MODES, connection
from engine.live.time_check import present_of
from engine.operations.incidents.book import Incident, StepRecord, find, incidents
from engine.operations.incidents.caretaker import Caretaker, tick
from engine.operations.incidents.closing import close
from engine.operations.incidents.granting import ask_committee, ask_for_restart, grant
from engine.operations.incidents.opening import open_by_hand
from engine.operations.incidents.post_mortem import missing, read, record
from engine.operations.incidents.releases import pinned_config
from engine.operations.incidents.restarting import POLICY, Restart, decide
from engine.operations.incidents.steps import Means
from engine.operations.signatures import sign, verified
from engine.policy.bundle import Bundle, load_bundle
from engine.policy.worker import Worker
from engine.reports.incident_papers import IncidentPapers
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.config import FrozenConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """An incident, where its post-mortem lies, and which parts of it are still empty."""

    incident: Incident
    path: Path
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        incident = self.incident
        steps = {
            name: {"done": each.done, "at_ms": each.at_ms, "found": each.found, "problems": each.problems}
            for name, each in incident.steps.items()
        }
        return {
            **vars(incident),
            "state": incident.state,
            "left": [*incident.left, *incident.unticked],
            "steps": steps,
            "post_mortem": self.path,
            "missing": self.missing,
        }


@dataclass(frozen=True)
class RestartRequest:
    """What `restart` is asked for.

    Attributes:
        incident: its id.
        key: of the person who asks the others to sign; None: nobody is asked.
        committee: ask the committee to reopen, not the team to restart.
    """

    incident: str
    key: Path | None = None
    committee: bool = False


@dataclass(frozen=True)
class IncidentDesk:
    """Where incidents are worked on.

    Attributes:
        ledger: of the account.
        rules: the bundle.
        signers: the allowed-signers file.
    """

    ledger: Path
    rules: Path
    signers: Path

    def every(self) -> tuple[Incident, ...]:
        """Return all incidents, oldest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with Ledger.open(self.ledger, read_only=True) as ledger:
            return incidents(ledger)

    def show(self, incident_id: str) -> Shown:
        """Return one incident; where its post-mortem is not there yet, it is written.

        Raises:
            UsageError: there is none, or what stands in its post-mortem cannot be understood.
            LedgerError: the ledger cannot be read.
        """
        papers = papers_of(self.rules)
        with Ledger.open(self.ledger, read_only=True) as ledger:
            incident = find(ledger, incident_id)
            path = papers.path_of(incident.incident_id)
            if not path.exists():
                papers.post_mortem(ledger, incident.incident_id, clock_of(ledger).now_ms())
        return Shown(incident, path, tuple(name for name, _ in missing(read(path))))

    def open(self, severity: str, because: str, by: str) -> Shown:
        """Open an incident by hand.

        Raises:
            UsageError: no such severity, or no reason.
            LedgerError: the ledger cannot be written.
        """
        with Ledger.open(self.ledger) as ledger:
            now_ms = present_of(ledger)
            incident = open_by_hand(ledger, severity=severity, because=because, by=by, now_ms=now_ms)
            papers_of(self.rules).log(ledger)
        return self.show(incident.incident_id)

    def step(self, incident_id: str, step: str | None) -> tuple[StepRecord, ...]:
        """Carry out one step, or all whose time has come.

        Raises:
            UsageError: no such incident or step, or it is closed, or the clock has gone back.
            LedgerError: the ledger cannot be read or written.
        """

        async def act(means: Means) -> tuple[StepRecord, ...]:
            incident = find(means.ledger, incident_id)
            wanted = (step,) if step is not None else incident.due(means.clock.now_ms())
            keeper = Caretaker(means)
            return tuple([await keeper.carry_out(incident.incident_id, each) for each in wanted])

        return self._with_means(act)

    def carry_out_due(self) -> tuple[tuple[str, StepRecord], ...]:
        """Open what is demanded and carry out everything that is due, once.

        Raises:
            UsageError: the clock has gone back.
            LedgerError: the ledger cannot be read or written.
        """

        async def act(means: Means) -> tuple[tuple[str, StepRecord], ...]:
            return await Caretaker(means).carry_out_due(means.clock.now_ms())

        return self._with_means(act)

    def tick(self, incident_id: str, what: str, by: str, file: Path | None) -> Shown:
        """Record what a person did by hand.

        Raises:
            UsageError: as `engine.operations.incidents.caretaker.tick`.
            LedgerError: the ledger cannot be written.
        """
        with Ledger.open(self.ledger) as ledger:
            incident = tick(ledger, incident_id, what, by, present_of(ledger), file)
        return self.show(incident.incident_id)

    def close(self, incident_id: str, by: str) -> Shown:
        """Close an incident of which nothing is missing.

        Raises:
            UsageError: everything that is missing.
            LedgerError: the ledger cannot be written.
        """
        with Ledger.open(self.ledger) as ledger:
            incident, _ = close(ledger, incident_id, papers_of(self.rules), by, present_of(ledger))
        return self.show(incident.incident_id)

    def restart(self, request: RestartRequest, confirmed: Callable[[Restart], bool]) -> Restart:
        """Decide whether the desk may restart, and let it where everything holds and the person agrees.

        Args:
            request: whose restart, and who is to be asked.
            confirmed: told what will happen; whether to go on.

        Raises:
            UsageError: there is nothing to restart, or the post-mortem cannot be understood.
            LedgerError: the ledger cannot be read or written.
        """
        bundle = load_bundle(self.rules)
        papers = papers_of(self.rules)
        with Ledger.open(self.ledger) as ledger, Worker(bundle.policies[POLICY]) as engine:
            now_ms = present_of(ledger)
            incident = self._recorded(ledger, papers, request.incident, now_ms)
            if request.key is not None:
                self._ask(ledger, bundle, incident, request.key, now_ms, committee=request.committee)
            restart = decide(ledger, bundle, engine, incident, self.signers, now_ms, version())
            if restart.allowed and confirmed(restart):
                grant(ledger, bundle, incident, restart, now_ms)
                restart = Restart(**{**vars(restart), "granted": True})
            papers.post_mortem(ledger, incident.incident_id, now_ms)
        return restart

    def _recorded(self, ledger: Ledger, papers: IncidentPapers, incident_id: str, now_ms: int) -> Incident:
        """Record what people wrote by now, and return the incident with it."""
        incident = find(ledger, incident_id)
        path = papers.path_of(incident.incident_id)
        if path.exists() and incident.closed is None:
            record(ledger, incident, read(path), now_ms)
        return find(ledger, incident.incident_id)

    def _ask(
        self, ledger: Ledger, bundle: Bundle, incident: Incident, key: Path, now_ms: int, *, committee: bool
    ) -> None:
        """Ask people to sign, in the name of whoever's key it is (A69)."""
        document = f"{incident.incident_id} {now_ms}".encode()
        who = verified(document, sign(document, key), self.signers, now_ms)
        asks = ask_committee if committee else ask_for_restart
        asks(ledger, bundle, incident, who.name, now_ms)

    def _with_means(self, act: Callable[[Means], Awaitable[T]]) -> T:
        """Run some work with the venue of this ledger's account; without one, what needs it says why."""
        papers = papers_of(self.rules)
        with Ledger.open(self.ledger) as ledger:
            present_of(ledger)
            kind = ledger.meta().get("kind", "")
            try:
                reached = connection(MODES[kind], self.ledger) if kind in MODES else None
                why = f"a {kind or 'new'} ledger has no account at a venue"
            except UsageError as error:
                reached, why = None, error.problems[0].problem
            if reached is None:
                means = Means(ledger, clock_of(ledger), papers, None, why)
                return asyncio.run(_awaited(act(means)))
            symbols = _config_of(self.rules).market.symbols

            async def main(clock: Clock) -> T:
                async with reached.venue(symbols, clock, lambda: False) as venue:
                    return await act(Means(ledger, clock, papers, venue))

            return reached.run(main)


def papers_of(rules: Path) -> IncidentPapers:
    """Return where the papers of a bundle's configuration lie.

    Raises:
        UsageError: the bundle does not name a configuration.
        ConfigError: the configuration is wrong.
    """
    return IncidentPapers(Path(_config_of(rules).output.report_dir))


def _config_of(rules: Path) -> FrozenConfig:
    """Return the configuration that a bundle names; an incident is worked on whatever else of the bundle is wrong.

    Raises:
        UsageError: the bundle does not name a configuration.
        ConfigError: the configuration is wrong.
    """
    try:
        return load_config(pinned_config(rules)[0])
    except ConfigError as error:
        help_ = "`stagegate rollback --config` puts back the committed one; `flatten` and `status` work without"
        why = Problem("incident", str(rules), "no incident can be worked on without its configuration", help_)
        raise ConfigError([*error.problems, why]) from None


async def _awaited(work: Awaitable[T]) -> T:
    return await work
