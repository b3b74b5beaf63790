"""What metrics read of the ledger's rows; the names are those of its columns, the rows live a floor above."""

from __future__ import annotations

from typing import Protocol


class FillLike(Protocol):
    """What is read of a fill; `engine.ledger.Fill` is one."""

    @property
    def at_ms(self) -> int: ...  # noqa: D102 - the ledger's column, documented there
    @property
    def side(self) -> int: ...  # noqa: D102
    @property
    def qty(self) -> float: ...  # noqa: D102
    @property
    def price(self) -> float: ...  # noqa: D102
    @property
    def ref_price(self) -> float: ...  # noqa: D102
    @property
    def ref_kind(self) -> str: ...  # noqa: D102
    @property
    def fee_usd(self) -> float: ...  # noqa: D102
    @property
    def parent_id(self) -> str: ...  # noqa: D102


class PaymentLike(Protocol):
    """What is read of a funding settlement; `engine.ledger.FundingPayment` is one."""

    @property
    def at_ms(self) -> int: ...  # noqa: D102
    @property
    def qty(self) -> float: ...  # noqa: D102
    @property
    def mark_price(self) -> float: ...  # noqa: D102
    @property
    def rate(self) -> float: ...  # noqa: D102
    @property
    def hours(self) -> float: ...  # noqa: D102
    @property
    def amount_usd(self) -> float: ...  # noqa: D102
    @property
    def assumed(self) -> bool: ...  # noqa: D102
