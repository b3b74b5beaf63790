"""Everything that a weekly or monthly report is made of, read and worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from engine.comparison.compare import Comparison, Window
    from engine.comparison.regimes import Regime
    from engine.operations.incidents.book import Incident
    from engine.operations.reviews.book import Held
    from engine.operations.reviews.periods import Period
    from engine.reports.fill_rates import FillRates
    from engine.reports.verdicts import Verdict
    from engine.reports.view import LedgerView


@dataclass(frozen=True)
class ReviewView:
    """A period as its report shows it.

    Attributes:
        view: the ledger as it stood at the period's end.
        period: what the report is about.
        comparison: live against replay since the launch; None where it could not be made.
        window: the same over the period; None likewise.
        whole: the same since the launch; None likewise.
        no_comparison: why it could not be made; empty where it was.
        regimes: of the market; empty where there are no prices.
        rates: how orders fared.
        verdict: of the review policy.
        because: its reason in words.
        tolerances: fact -> what the policy allows, as written.
        held: earlier reviews of this kind, oldest first.
        incidents: of the whole ledger, oldest first.
        log: the incident log's file.
        hashes: of bundle and configuration that the replay used.
    """

    view: LedgerView
    period: Period
    comparison: Comparison | None
    window: Window | None
    whole: Window | None
    no_comparison: str
    regimes: tuple[Regime, ...]
    rates: FillRates
    verdict: Verdict
    because: str
    tolerances: dict[str, str]
    held: tuple[Held, ...]
    incidents: tuple[Incident, ...]
    log: Path
    hashes: dict[str, str]
