"""`stagegate data`: prices and funding into the store, and what is odd about them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.shared import CONFIG, MARKET, ConfigOption, DbOption, JsonOption, KlinesOption, output

data_app = typer.Typer(help="Prices and funding: import, download, check.", no_args_is_help=True, rich_markup_mode=None)


@data_app.command("import")
def data_import(
    files: Annotated[list[Path], typer.Argument(help="CSV files, gzipped or not.")],
    db: DbOption = MARKET,
    as_json: JsonOption = False,
) -> None:
    """Read prices and funding from CSV files into the store; importing a file again changes nothing.

    Example: stagegate data import klines/*.csv.gz klines_mark/*.csv.gz funding/*.csv
    """
    from engine.market.imports import import_files
    from engine.reports.terminal import import_table, progress_bar

    with progress_bar("importing") as advance:
        summary = import_files(db, files, advance)
    output(summary, import_table, as_json)


@data_app.command("download")
def data_download(config: ConfigOption = CONFIG, db: DbOption = MARKET, as_json: JsonOption = False) -> None:
    """Download what is missing of prices, mark prices and funding from the venue; it may be interrupted and run again.

    Example: stagegate data download -c config/prod_candidate_R1.yaml
    """
    from engine.config import load_config
    from engine.live.public import public_market
    from engine.market.download import download
    from engine.reports.terminal import download_table, progress_bar

    market, venue = load_config(config).market, public_market(db)
    if venue.said:
        print(venue.said, file=sys.stderr)
    with progress_bar("downloading") as advance:
        summary = download(
            db,
            market.symbols,
            start_ms=market.start_ms,
            end_ms=market.end_ms,
            clock=venue.clock,
            url=venue.url,
            progress=advance,
        )
    output(summary, download_table, as_json)


@data_app.command("check")
def data_check(
    data: Annotated[Path, typer.Argument(help="A market store, or a folder of CSV files.")] = MARKET,
    config: ConfigOption = CONFIG,
    klines: KlinesOption = "klines",
    as_json: JsonOption = False,
) -> None:
    """Look for gaps, impossible bars, wicks far from the mark price, and changes of the funding interval.

    Example: stagegate data check state/market.db --json
    """
    from engine.config import load_config
    from engine.market.quality import check_path
    from engine.reports.terminal import quality_table

    output(check_path(data, load_config(config).market.symbols, klines=klines), quality_table, as_json)
