"""The paper account before its first run: its exchange is started for the launch guard as `stagegate run` starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.config import load_config
from engine.errors import ConfigError
from engine.launch.release import read_rules
from engine.ledger import Ledger
from engine.live.connection import Mode
from engine.live.paper import paper_account
from engine.runner.launch import check_kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.launch.case import LaunchRequest
    from engine.live.paper import PaperPrices


def open_paper(request: LaunchRequest, prices: PaperPrices | None, tell: Callable[[str], None]) -> None:
    """See to it that the paper account answers; with a configuration that cannot be read the guard says so itself.

    Args:
        request: of the launch guard, on paper.
        prices: that were asked for; None: where they came from before, at first from the venue's public market.
        tell: a line for the terminal.

    Raises:
        UsageError: the ledger is of something else, or its account lives on other prices.
        UnavailableError: the exchange does not start, such as without a network for the venue's public prices.
        PolicyError: the bundle is wrong.
        LedgerError: the ledger cannot be read.
    """
    rules = read_rules(request.rules, request.config)
    if request.ledger.exists():
        with Ledger.open(request.ledger, read_only=True) as ledger:
            check_kind(ledger, Mode.PAPER)
    try:
        config = load_config(rules.config)
    except ConfigError:
        return
    paper_account(request.ledger, prices, config, tell)
