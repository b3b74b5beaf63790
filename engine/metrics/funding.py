"""What holding cost: funding against equity and against the configured rate (A45-A48).

Windows are half-open, as in `engine.metrics.costs`; a payment is positive when received, a cost when paid.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS
from engine.metrics.returns import DAYS_PER_YEAR
from engine.metrics.values import MISSING, YOUNG, Metric, floored, known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.metrics.nav import Daily
    from engine.metrics.records import PaymentLike

FUNDING_DAYS = 30
"""domain.md, funding_drag; funding_drift looks at the same window."""

DRIFT_SETTLEMENTS = 21
"""domain.md, funding_drift: unknown with fewer."""

_DEFAULT_RATE_HOURS = 8  # the configured default rate is per 8 hours


def assumed_funding(payment: PaymentLike, default_rate_8h: float) -> float:
    """Return what this settlement would have cost at the configured rate, in USD, never negative."""
    return abs(payment.qty) * payment.mark_price * default_rate_8h * payment.hours / _DEFAULT_RATE_HOURS


def funding_drag(payments: Iterable[PaymentLike], equity: Daily, at_ms: int) -> Metric:
    """Return what funding cost in 30 days, annualised, as a ratio of the mean equity (A45, A46).

    Args:
        payments: of one account, covering the 30 days before `at_ms`; others are cut off here.
        equity: daily closes in USD up to `at_ms` (`daily_closes`).
        at_ms: now.

    Returns:
        max(0, paid - received) / mean of the last 30 closes * 365 / 30; young below 30 complete days, missing with a
        hole among their closes.
    """
    status = equity.status(FUNDING_DAYS + 1)
    if status != "ok":
        return Metric(None, status)
    with np.errstate(all="ignore"):
        mean_usd = known(float(np.mean(equity.value[-FUNDING_DAYS:]))).value
    if mean_usd is None or mean_usd <= 0:
        return MISSING
    start_ms = at_ms - FUNDING_DAYS * DAY_MS
    paid = -sum(payment.amount_usd for payment in payments if start_ms <= payment.at_ms < at_ms)
    return known(floored(paid) / mean_usd * DAYS_PER_YEAR / FUNDING_DAYS)


def funding_drift(payments: Iterable[PaymentLike], at_ms: int, *, default_rate_8h: float) -> Metric:
    """Return the funding of 30 days over what the configured rate would have cost (A45, A47).

    Args:
        payments: of one account, covering the 30 days before `at_ms`; others are cut off here.
        at_ms: now.
        default_rate_8h: the configuration's, a ratio per 8 hours.

    Returns:
        max(0, sum(qty * mark * rate)) / sum(|qty| * mark * default * hours / 8) over recorded settlements of open
        positions; young below 21 instants of settlement. A settlement that had to be assumed says nothing of drift.
    """
    start_ms = at_ms - FUNDING_DAYS * DAY_MS
    recorded = [
        payment
        for payment in payments
        if start_ms <= payment.at_ms < at_ms and payment.qty != 0 and not payment.assumed
    ]
    if len({payment.at_ms for payment in recorded}) < DRIFT_SETTLEMENTS:
        return YOUNG
    cost = sum(payment.qty * payment.mark_price * payment.rate for payment in recorded)
    assumed = sum(assumed_funding(payment, default_rate_8h) for payment in recorded)
    return known(floored(cost) / assumed) if 0 < assumed < math.inf else MISSING
