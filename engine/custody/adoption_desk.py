"""`ledger adopt` step by step: look at the account, say what would be written, ask people, write once they signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.backstop import require_backstop
from engine.clock import SystemClock
from engine.config import load_config, require_supported
from engine.custody.adopting import Account, Adoption, Wish, adopt, ask_adoption, finish, planned, standing
from engine.errors import ConfigError, Problem
from engine.ledger import Ledger
from engine.live.connection import connection
from engine.live.first_look import first_look
from engine.live.lock import InstanceLock
from engine.live.opening import Release
from engine.policy.bundle import load_bundle
from engine.version import version

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock
    from engine.live.connection import Connection, Mode

SHOWN, ASKED, WAITING, DONE = "shown", "asked", "waiting", "adopted"


@dataclass(frozen=True)
class AdoptRequest:
    """What is asked for.

    Attributes:
        ledger: a new one.
        mode: whose money.
        rules: the bundle.
        signers: the allowed-signers file.
        wish: what is said of the account.
        key: of who asks; None: nobody is asked.
    """

    ledger: Path
    mode: Mode
    rules: Path
    signers: Path
    wish: Wish
    key: Path | None


@dataclass(frozen=True)
class Came:
    """What it came to.

    Attributes:
        state: shown, asked, waiting or adopted.
        adoption: what would be written, or was.
        request_id: of what people sign; empty where nobody was asked.
        signed: how many have signed, of `needed`.
    """

    state: str
    adoption: Adoption
    request_id: str = ""
    signed: int = 0
    needed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        counted = {"request_id": self.request_id, "signed": self.signed, "needed": self.needed}
        return {"state": self.state, **counted, "adoption": self.adoption.to_json()}


def take_over(request: AdoptRequest) -> Came:
    """Go one step: show, ask, or write.

    Raises:
        UsageError, ConfigError, PolicyError, LedgerError, VenueError: what is missing; nothing was changed.
    """
    Ledger.check_usable(request.ledger)
    release = _release(request.rules)
    reached = connection(request.mode, request.ledger)

    async def main(clock: Clock) -> Came:
        async with reached.venue(release.config.market.symbols, clock, lambda: False) as venue:
            await venue.server_time_ms()
            stops, orders = await venue.open_stops(), await venue.open_orders()
            positions, balance = await venue.positions(), await venue.balance()
            account = Account(venue.asker.clock.now_ms(), positions, orders, stops, balance)
        return _step(request, release, account, reached)

    with InstanceLock(request.ledger, "ledger adopt", SystemClock().now_ms()):
        return reached.run(main)


def _step(request: AdoptRequest, release: Release, account: Account, reached: Connection) -> Came:
    if not request.ledger.is_file():  # what is only shown, or refused, makes no ledger
        with first_look(request.ledger) as tried:
            came = _step_on(tried, request, release, account, reached)
        if came.state == SHOWN:
            return came
    with Ledger.open(request.ledger, create=True) as ledger:
        return _step_on(ledger, request, release, account, reached)


def _step_on(ledger: Ledger, request: AdoptRequest, release: Release, account: Account, reached: Connection) -> Came:
    now_ms = SystemClock().now_ms()  # of signatures: people sign by their own clocks, wherever the venue's stands
    finish(ledger, release)
    adoption = planned(ledger, release, request.wish, account)
    tally = standing(ledger, adoption, release, request.signers, now_ms, anew=request.key is not None)
    if tally is not None and tally.granted:
        reached.mark(ledger)
        adopt(ledger, adoption, release, tally)
        identity = tally.request.request_id
        return Came(DONE, adoption, identity, len(tally.signers), tally.request.approvals)
    if tally is not None:
        return Came(WAITING, adoption, tally.request.request_id, len(tally.signers), tally.request.approvals)
    if request.key is None:
        return Came(SHOWN, adoption)
    identity = ask_adoption(ledger, adoption, release, request.key, request.signers, now_ms)
    asked = standing(ledger, adoption, release, request.signers, now_ms)
    return Came(ASKED, adoption, identity, 0, asked.request.approvals if asked else 0)


def _release(rules: Path) -> Release:
    bundle = load_bundle(rules)
    config = load_config(bundle.config_path)
    require_supported(config)
    if config.sha256 != bundle.config_sha256:
        problem = f"SHA-256 is {config.sha256[:8]}…, the bundle {bundle.name} pins {bundle.config_sha256[:8]}…"
        raise ConfigError(Problem("config-hash", str(bundle.config_path), problem, "restore the configuration"))
    require_backstop(config, bundle)
    return Release(config, bundle, version())
