"""Where a ledger stands among the stages: what is known now, and what decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.book import AccountBook
from engine.bounds import initial_posture
from engine.config import load_config
from engine.errors import Problem, UsageError
from engine.inquiry import RISK, SHADOW, facts_at, posture_at
from engine.live.account_time import clock_of
from engine.live.decision_file import guard_word
from engine.live.opening import FOR_EVER_MS, launched_ms
from engine.live.stages import ACTION, PAPER, Books, Staging, rollout_of
from engine.operations.stages.facts import PAPER_STAGE, Moment
from engine.operations.stages.tenure import Tenure
from engine.policy.decide import Decision
from engine.policy.interpreter import evaluate, outcome_of
from engine.version import version

if TYPE_CHECKING:
    from engine.config import FrozenConfig
    from engine.ledger import Ledger
    from engine.operations.stages.rollout import Decided, Rollout
    from engine.policy.bundle import Bundle
    from engine.policy.facts import Facts
    from engine.policy.model import Policy, Snapshot


@dataclass(frozen=True)
class InterpreterAlone:
    """The interpreter, for questions that decide nothing: what counts is decided by both engines."""

    policy: Policy

    def decide(self, snapshot: Snapshot) -> Decision:
        """Return what the interpreter says."""
        fired = evaluate(self.policy, snapshot)
        return Decision(outcome_of(self.policy, fired), fired, True, None, fired, fired)  # noqa: FBT003 - it agrees


@dataclass(frozen=True)
class Stand:
    """A ledger, looked at: what is known now, and what decides."""

    ledger: Ledger
    bundle: Bundle
    config: FrozenConfig
    rollout: Rollout
    moment: Moment
    posted: Facts
    equity_usd: float | None
    launched: bool

    @property
    def kind(self) -> str:
        """Of the ledger; live where it does not say yet."""
        return self.ledger.meta().get("kind", "live")

    def decide(self) -> Decided:
        """Return what the stage policy decides now."""
        moment = self.moment
        return self.rollout.decide(
            moment.now_ms, moment.posture, self.posted, moment.flattened_ms, self.equity_usd or 0.0
        )


def stand_of(ledger: Ledger, bundle: Bundle, staging: Staging) -> Stand:
    """Look at a ledger.

    Args:
        ledger: of the account; one on which nothing was launched stands before the first stage.
        bundle: what decides.
        staging: the engine that answers for the stage policy, and who may sign.

    Raises:
        UsageError: nothing was launched on a paper ledger.
        LedgerError: it cannot be read.
        ConfigError: the configuration is wrong.
    """
    config = load_config(bundle.config_path)
    clock = clock_of(ledger)
    now_ms = clock.now_ms()
    launched = launched_ms(ledger) is not None
    if not launched and ledger.meta().get("kind") == PAPER:
        help_ = "run `stagegate run --paper` on it"
        raise UsageError(Problem("not-launched", str(ledger.path), "nothing was launched here", help_))
    books = Books(*(AccountBook.read(ledger, account, config.market.symbols, now_ms) for account in (RISK, SHADOW)))
    posture = posture_at(ledger, FOR_EVER_MS) if launched else initial_posture(PAPER_STAGE, 0.0, 0)
    mark = ledger.last_mark(RISK)
    rollout = rollout_of(ledger, bundle, config, staging, books, version())
    outcomes = frozenset(bundle.policies[ACTION].outcomes)
    begun = tuple(event.at_ms for event in ledger.events("episode_start") if event.subject in outcomes)
    flattened = tuple(event.at_ms for event in ledger.events("flatten"))
    return Stand(
        ledger,
        bundle,
        config,
        rollout,
        Moment(now_ms, posture, Tenure.read(ledger), flattened, begun),
        facts_at(ledger, bundle, posture, now_ms, guard_word(bundle, ledger.path, clock)) if launched else {},
        None if mark is None else mark.equity_usd,
        launched,
    )
