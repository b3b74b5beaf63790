"""Reports and reviews of a ledger, as commands and the service work on them: its prices, its time, its sign of life."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import day_start
from engine.config import load_config
from engine.inquiry import ACTION, is_in_force, now_of, verdict_at
from engine.ledger import Ledger
from engine.ledger.rows import sha256_of
from engine.live.account_time import clock_of
from engine.live.decision_file import guard_word
from engine.live.heartbeat import heartbeat_beside, read_beat
from engine.live.time_check import check_time
from engine.operations.reviews.book import DAILY, REVIEWED, Written, held, review_age_days, state_of, written
from engine.policy.bundle import load_bundle
from engine.reports.daily import write_daily_report
from engine.reports.index_page import write_index
from engine.reports.liveness import SignOfLife

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.alerts.alert import Alert
    from engine.comparison.signals import Consistency
    from engine.market.series import Market
    from engine.operations.reviews.book import Held
    from engine.policy.bundle import Bundle
    from engine.reports.archive import Archived
    from engine.reports.review_writing import ReviewWritten

REHEARSAL, PAPER = "rehearsal", "paper"
POLICY = "review"
_DAYS = re.compile(r"(\d+) days")


@dataclass(frozen=True)
class ReviewDesk:
    """Where reports and reviews of one ledger are made.

    Attributes:
        ledger: the account's.
        config: the frozen configuration.
        rules: the bundle of policies.
        data: prices that were named: a store or a folder; None: the ledger's own, else `store`.
        klines: the folder of `data` that holds them.
        store: the market store of this checkout.
    """

    ledger: Path
    config: Path
    rules: Path
    data: Path | None
    klines: str
    store: Path

    @property
    def report_dir(self) -> Path:
        """Where the configuration wants its reports."""
        return Path(load_config(self.config).output.report_dir)

    def daily(self) -> Archived:
        """Write the daily report of now with the verdict of now, note that it was written, and renew the index (R110).

        Raises:
            LedgerError: the ledger cannot be read or written.
            ConfigError, PolicyError: configuration or bundle are wrong.
            ReportError: the report cannot be written.
        """
        report_dir = self.report_dir
        with Ledger.open(self.ledger, read_only=True) as ledger:
            clock = clock_of(ledger)
            decides = is_in_force(ledger, load_bundle(self.rules, only=(ACTION,)))
            at_ms = now_of(ledger, clock)
        if decides:  # else the desk's own verdicts are what there is to tell
            guard = partial(guard_word, ledger=self.ledger, clock=clock)
            at_ms = verdict_at(self.ledger, self.rules, clock, guard=guard).record.at_ms
        archived = write_daily_report(self.ledger, report_dir, at_ms=at_ms, sign=self._sign())
        page = next(path for path in archived.paths if path.suffix == ".html")
        text = page.with_suffix(".json").read_text(encoding="utf-8")
        day_ms = day_start(at_ms - 1)
        period = json.loads(text)["day"]
        row = Written(DAILY, period, day_ms, at_ms, sha256_of(text), str(page), at_ms).row()
        with Ledger.open(self.ledger) as ledger:
            if all(known.row().event_id != row.event_id for known in written(ledger, DAILY)):
                ledger.append(row)
            write_index(report_dir, ledger)
        return archived

    def report(self, kind: str) -> ReviewWritten:
        """Write the weekly or monthly report of now, with the review policy's verdict.

        Raises:
            StagegateError: as `write_review_report`.
        """
        from engine.reports.review_writing import ReviewRequest, write_review_report  # noqa: PLC0415 - keeps the daily report fast

        with Ledger.open(self.ledger, read_only=True) as ledger:
            now_ms = now_of(ledger, clock_of(ledger))
        request = ReviewRequest(self.ledger, self.config, self.rules, self.report_dir, kind, self.prices)
        return write_review_report(request, now_ms)

    def consistency(self, from_ms: int | None, to_ms: int | None) -> Consistency:
        """Hold the recorded signals against a replay and record what was found (R233).

        Args:
            from_ms: None: the launch.
            to_ms: None: the last mark.

        Raises:
            LedgerError: the ledger cannot be read or written, or holds nothing.
            DataError: the prices do not cover the period.
            ConfigError, PolicyError: configuration or bundle are wrong.
        """
        from engine.comparison.prices import require_covered  # noqa: PLC0415 - keeps the daily report fast
        from engine.comparison.recorded import read_recorded  # noqa: PLC0415 - the same
        from engine.comparison.replay import Rules, replayed  # noqa: PLC0415 - the same
        from engine.comparison.signals import consistency  # noqa: PLC0415 - the same
        from engine.config import load_filters  # noqa: PLC0415 - the same

        config, bundle = load_config(self.config), load_bundle(self.rules)
        symbols = config.market.symbols
        with Ledger.open(self.ledger) as ledger:
            record = read_recorded(ledger, to_ms)
            market = self.prices(record.meta)
            require_covered(market, symbols, record.from_ms, record.to_ms, record.meta)
            filters = load_filters(bundle.filters.path, symbols) if bundle.filters else {}
            replay = replayed(record, market, Rules(config, bundle.rebalance_dead_band_ratio, filters))
            since_ms = record.from_ms if from_ms is None else max(from_ms, record.from_ms)
            hashes = {"bundle": bundle.digest, "config": bundle.config_sha256}
            found = consistency(record, replay, since_ms, record.to_ms, hashes)
            row = found.row(now_of(ledger, clock_of(ledger)))
            ledger.append(row)
        return found

    def every(self) -> list[tuple[Written, str, Held | None]]:
        """Return the weekly and monthly reports, newest first, with the state of their review.

        Raises:
            LedgerError: the ledger cannot be read.
            PolicyError: the bundle is wrong.
        """
        bundle = load_bundle(self.rules)
        with Ledger.open(self.ledger, read_only=True) as ledger:
            now_ms = now_of(ledger, clock_of(ledger))
            rows = [row for kind in REVIEWED for row in _states(ledger, bundle, kind, now_ms)]
        return sorted(rows, key=lambda row: row[0].at_ms, reverse=True)

    def one(self, kind: str, period: str | None) -> tuple[Written, str, tuple[Held, ...]]:
        """Return one report, the state of its review, and the reviews of it.

        Raises:
            UsageError: there is none.
            LedgerError: the ledger cannot be read.
        """
        from engine.operations.reviews.signing import report_to_review  # noqa: PLC0415 - keeps the daily report fast

        with Ledger.open(self.ledger, read_only=True) as ledger:
            report = report_to_review(ledger, kind, period)
            reviews = tuple(review for review in held(ledger, kind) if review.period == report.period)
        state = next(state for row, state, _ in self.every() if row.row().event_id == report.row().event_id)
        return report, state, reviews

    def sign(self, kind: str, period: str | None, decision: str, notes: str, key: Path, signers: Path) -> Held:
        """Record that a person reviewed a report, and renew the index.

        Raises:
            UsageError, SignatureError, LedgerError: as `sign_review`.
            ReportError: the index cannot be written.
        """
        from engine.operations.reviews.signing import sign_review  # noqa: PLC0415 - keeps the daily report fast

        with Ledger.open(self.ledger) as ledger:
            now_ms = now_of(ledger, clock_of(ledger))
            check_time(ledger, now_ms, self.ledger)
            review = sign_review(
                ledger, kind, decision, notes, key=key, signers=signers, now_ms=now_ms, period=period
            )  # fmt: skip
            write_index(self.report_dir, ledger)
        return review

    def remind(self) -> tuple[Alert, ...]:
        """Queue what is missing or overdue, once a day (R105, R106).

        Raises:
            LedgerError: the ledger cannot be read or written.
            PolicyError: the bundle is wrong.
        """
        from engine.operations.reviews.due import remind  # noqa: PLC0415 - keeps the daily report fast

        bundle = load_bundle(self.rules, only=(POLICY,))
        with Ledger.open(self.ledger) as ledger:
            return remind(ledger, bundle.policies[POLICY], now_of(ledger, clock_of(ledger)))

    def prices(self, meta: Mapping[str, str]) -> Market:
        """Return what the ledger's period is replayed on: what was named, else what the account itself lives on.

        Raises:
            DataError: there are no such prices.
        """
        from engine.comparison.prices import market_of_ledger  # noqa: PLC0415 - keeps the daily report fast
        from engine.market.imports import open_market  # noqa: PLC0415 - the same

        symbols = load_config(self.config).market.symbols
        if self.data is not None:
            return open_market(self.data, symbols, klines=self.klines)
        paper = _paper_market(self.ledger, symbols)
        if paper is not None:
            return paper
        named = None if meta.get("kind") == REHEARSAL and meta.get("source") else self.store
        return market_of_ledger(meta, symbols, named, self.klines)

    def _sign(self) -> SignOfLife:
        beat = read_beat(heartbeat_beside(self.ledger))
        if beat is None:
            return SignOfLife("", None)
        return SignOfLife(beat.state, beat.age_ms(), beat.unheard, beat.doubts)


def _states(ledger: Ledger, bundle: Bundle, kind: str, now_ms: int) -> list[tuple[Written, str, Held | None]]:
    from engine.operations.reviews.due import overdue_rule  # noqa: PLC0415 - keeps the daily report fast

    reports, reviews = written(ledger, kind), held(ledger, kind)
    overdue = overdue_rule(bundle.policies[POLICY], kind, review_age_days(ledger, kind, now_ms), now_ms) is not None
    by_period = {review.period: review for review in reviews}
    return [
        (report, state_of(report, reviews, reports[-1], overdue=overdue), by_period.get(report.period))
        for report in reports
    ]


def _paper_market(ledger: Path, symbols: Sequence[str]) -> Market | None:
    """Return the prices that a paper account lives on; None: the public ones, or it is no paper account."""
    from engine.live.paper import PaperPrices, started_beside  # noqa: PLC0415 - keeps the daily report fast
    from engine.market.imports import open_market  # noqa: PLC0415 - the same
    from engine.market.synthetic import synthetic_market  # noqa: PLC0415 - the same
    from engine.simulator.state import StateFile  # noqa: PLC0415 - the same

    try:
        document = json.loads(started_beside(ledger).read_text(encoding="utf-8"))
        prices = PaperPrices(**document["prices"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if prices.data is not None:
        return open_market(Path(prices.data), symbols, klines=prices.klines)
    if prices.seed is None:
        return None
    state = StateFile(Path(f"{ledger}.exchange.state.json")).read()
    days = _DAYS.search(state[0].prices) if state is not None else None
    if state is None or days is None:
        return None
    return synthetic_market(prices.seed, start_ms=day_start(state[0].start_ms), days=int(days[1]))
