"""`stagegate signals` and `backtest`: what the strategies decide, and what that would have earned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.shared import (
    CONFIG,
    MARKET,
    RULES,
    ConfigOption,
    DataOption,
    FromOption,
    JsonOption,
    KlinesOption,
    RulesOption,
    SymbolsOption,
    ToOption,
    moment,
    output,
    show,
)


def signals(
    config: ConfigOption = CONFIG,
    symbols: SymbolsOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    data: DataOption = MARKET,
    klines: KlinesOption = "klines",
    indicators: Annotated[bool, typer.Option("--indicators", help="Add the breakout's indicators.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="A CSV file; the terminal if absent.")] = None,
) -> None:
    """Write what each strategy decides at the close of every bar: time (of the bar's open), symbol, position.

    Example: stagegate signals --data ../shared/data --from 2024-01-01 --indicators --out signals.csv
    """
    from engine.backtest import signals_rows, write_signals_csv
    from engine.config import load_config
    from engine.market.imports import open_market

    settings = load_config(config)
    chosen, span = symbols or settings.market.symbols, (moment(from_, "--from"), moment(to, "--to"))
    market = open_market(data, chosen, klines=klines)
    rows = signals_rows(settings, market, symbols=chosen, from_ms=span[0], to_ms=span[1], indicators=indicators)
    if out:
        write_signals_csv(rows, out)
    else:
        show("\n".join(rows))


def backtest(
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    symbols: SymbolsOption = None,
    weights: Annotated[
        list[float] | None, typer.Option("--weights", help="One a symbol; the configuration's if absent.")
    ] = None,
    from_: FromOption = None,
    to: ToOption = None,
    data: DataOption = MARKET,
    klines: KlinesOption = "klines",
    out: Annotated[Path, typer.Option("--out", help="The folder of trades, equity and picture.")] = Path(
        "reports/backtest"
    ),
    as_json: JsonOption = False,
) -> None:
    """Run the ensemble over recorded prices without any policy; print a summary, write trades, equity and a picture.

    Example: stagegate backtest --symbols BTCUSDT ETHUSDT SOLUSDT --weights 0.34 0.33 0.33 --from 2022-07-01
    """
    from engine.backtest.report import BacktestRequest, backtest_report
    from engine.backtest.text import report_text

    span = (moment(from_, "--from"), moment(to, "--to"))
    request = BacktestRequest(config, rules, data, klines, symbols, weights, *span, out)
    output(backtest_report(request), report_text, as_json)
