"""A weekly or monthly report from a ledger to its files: replay, compare, judge, write, note that it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.comparison.compare import Comparison, Window, compared, review_facts
from engine.comparison.prices import require_covered
from engine.comparison.recorded import read_recorded
from engine.comparison.regimes import regimes
from engine.comparison.replay import Rules
from engine.config import load_config, load_filters
from engine.errors import DataError, LedgerError, Problem
from engine.ledger import Ledger
from engine.ledger.rows import sha256_of
from engine.operations.incidents.book import incidents
from engine.operations.reviews.book import MONTHLY, Written, held, launched_ms
from engine.operations.reviews.judging import POLICY, judge_review, news_of
from engine.operations.reviews.periods import period_at
from engine.policy.bundle import load_bundle
from engine.policy.model import Compare, facts_of
from engine.policy.worker import Worker
from engine.reports.archive import PROD, archive
from engine.reports.conditions import sentence
from engine.reports.fill_rates import fill_rates
from engine.reports.incident_papers import FOLDER, LOG
from engine.reports.index_page import write_index
from engine.reports.review_report import CONTEXT_DAYS, review_documents
from engine.reports.review_view import ReviewView
from engine.reports.verdicts import parse_verdict
from engine.reports.view import read_view
from engine.verdict import Situation
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.comparison.regimes import Regime
    from engine.config import FrozenConfig
    from engine.market.series import Market
    from engine.operations.reviews.periods import Period
    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy
    from engine.reports.archive import Archived
    from engine.verdict import Verdict

ALL_WELL = "live and replay are as near as the review policy asks, and the reviews are in time"


@dataclass(frozen=True)
class ReviewRequest:
    """What is asked for.

    Attributes:
        ledger: the account's.
        config: the frozen configuration.
        rules: the bundle of policies.
        report_dir: `output.report_dir` of the configuration.
        kind: weekly or monthly.
        prices: returns what the period is replayed on, told what the ledger says of itself.
    """

    ledger: Path
    config: Path
    rules: Path
    report_dir: Path
    kind: str
    prices: Callable[[Mapping[str, str]], Market]


@dataclass(frozen=True)
class ReviewWritten:
    """What came of it.

    Attributes:
        archived: the files.
        outcome: of the review policy.
        because: its reason.
        verdict_id: of the verdict.
        exit_code: that the policy declares for it.
        period: of the report.
        no_comparison: why nothing could be compared; empty where it could.
    """

    archived: Archived
    outcome: str
    because: str
    verdict_id: str
    exit_code: int
    period: Period
    no_comparison: str


@dataclass(frozen=True)
class _Found:
    comparison: Comparison | None
    windows: tuple[Window, ...]
    regimes: tuple[Regime, ...]
    problem: str = ""


def write_review_report(request: ReviewRequest, now_ms: int) -> ReviewWritten:
    """Write the report of the last period that is over at `now_ms`, with the review policy's verdict on it.

    Where the period cannot be replayed (no prices), the report says so and the policy decides without those facts.

    Raises:
        LedgerError: the ledger cannot be read or written.
        UsageError: no day is complete, or too few for a month.
        ConfigError, PolicyError: configuration or bundle are wrong.
        ReportError: the report cannot be written.
    """
    config, bundle = load_config(request.config), load_bundle(request.rules)
    policy = bundle.policies[POLICY]
    with Ledger.open(request.ledger) as ledger:
        begun_ms = launched_ms(ledger)
        if begun_ms is None:
            problem = "nothing was launched on this ledger yet"
            raise LedgerError(Problem("nothing-yet", str(request.ledger), problem, "`stagegate run` launches a desk"))
        period = period_at(request.kind, now_ms, begun_ms)
        found = _compare(ledger, request, config, bundle, period)
        verdict = _judged(ledger, bundle, policy, found, period, now_ms)
        told = parse_verdict(verdict.document)
        because = sentence(told) if told.fired else ALL_WELL
        view = ReviewView(
            view=read_view(ledger, period.to_ms, days=CONTEXT_DAYS + 1),
            period=period,
            comparison=found.comparison,
            window=found.windows[0] if found.windows else None,
            whole=found.windows[1] if len(found.windows) > 1 else None,
            no_comparison=found.problem,
            regimes=found.regimes,
            rates=fill_rates(ledger, period.from_ms, period.to_ms),
            verdict=told,
            because=because,
            tolerances=tolerances(policy),
            held=held(ledger, request.kind),
            incidents=incidents(ledger),
            log=request.report_dir / FOLDER / LOG,
            hashes={"bundle": bundle.digest, "config": bundle.config_sha256},
        )
        documents = review_documents(view)
        archived = archive(request.report_dir / PROD / request.kind, period.name, documents)
        page = next(path for path in archived.paths if path.suffix == ".html")
        report = Written(
            request.kind, period.name, period.from_ms, period.to_ms, sha256_of(documents[".json"]), str(page),
            now_ms, verdict.outcome, verdict.verdict_id,
        )  # fmt: skip
        ledger.append([report.row(), *(alert.row() for alert in news_of(ledger, policy, report, because))])
        write_index(request.report_dir, ledger)
    return ReviewWritten(
        archived,
        verdict.outcome,
        because,
        verdict.verdict_id,
        policy.exit_codes[verdict.outcome],
        period,
        found.problem,
    )


def tolerances(policy: Policy) -> dict[str, str]:
    """Return fact -> what the review policy allows, as its file has it."""
    found = {}
    for instance in policy.instances:
        allowed = instance.rule.unless
        if isinstance(allowed, Compare) and facts_of(allowed) == (allowed.fact,):
            found[allowed.fact] = allowed.text
    return found


def _compare(ledger: Ledger, request: ReviewRequest, config: FrozenConfig, bundle: Bundle, period: Period) -> _Found:
    """Replay and compare; what keeps it from being possible is no error: the policy reads it as unknown."""
    symbols = config.market.symbols
    try:
        record = read_recorded(ledger, period.to_ms)
        market = request.prices(record.meta)
        require_covered(market, symbols, record.from_ms, period.to_ms, record.meta)
        filters = load_filters(bundle.filters.path, symbols) if bundle.filters else {}
        found = compared(ledger, record, market, Rules(config, bundle.rebalance_dead_band_ratio, filters))
    except (DataError, LedgerError) as error:
        problem = error.problems[0]
        where = f"{problem.where}: " if problem.where else ""
        return _Found(None, (), (), f"{where}{problem.problem}; {problem.help}".rstrip("; "))
    spans = [(period.from_ms, period.to_ms), (record.from_ms, period.to_ms)]
    windows = tuple(found.window(*span) for span in dict.fromkeys(spans))
    return _Found(found, windows, regimes(market, period.from_ms, period.to_ms))


def _judged(ledger: Ledger, bundle: Bundle, policy: Policy, found: _Found, period: Period, now_ms: int) -> Verdict:
    """Return the review policy's verdict; a month is judged by the worse of itself and of all since the launch."""
    windows = found.windows if period.kind == MONTHLY else found.windows[:1]
    last = ledger.last_mark("risk", now_ms)
    situation = Situation(
        stage=_stage(ledger, now_ms),
        exposure=last.exposure if last else 0.0,
        cap_usd=last.cap_usd if last else 0.0,
        equity_usd=last.equity_usd if last else None,
    )
    with Worker(policy) as engine:
        return judge_review(ledger, bundle, engine, review_facts(windows, now_ms), situation, now_ms, version())


def _stage(ledger: Ledger, now_ms: int) -> int:
    events = ledger.events("posture", to_ms=now_ms)
    return int(events[-1].subject) if events else 0
