"""The `simulate-exchange` command: the simulated exchange by itself, for any client."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.shared import JsonOption, output

if TYPE_CHECKING:
    from engine.simulator.standalone import Serving

DEFAULT_PORT = 8790


def simulate_exchange(
    data: Annotated[
        Path | None, typer.Option("--data", help="Recorded prices: a folder of CSV files, or a market store.")
    ] = None,
    klines: Annotated[str, typer.Option("--klines", help="The folder of --data that holds the prices.")] = "klines",
    live: Annotated[bool, typer.Option("--live", help="Follow the venue's public prices.")] = False,
    venue_url: Annotated[
        str | None, typer.Option("--venue-url", help="With --live: where they are, if not at the venue.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of synthetic prices, and of all that is drawn.")] = 7,
    days: Annotated[int, typer.Option(help="Of synthetic prices.")] = 366,
    from_: Annotated[
        str | None, typer.Option("--from", help="The simulated instant to begin at, UTC; now if absent.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="On 127.0.0.1; 0 takes a free one.")] = DEFAULT_PORT,
    speed: Annotated[float, typer.Option("--speed", help="Simulated seconds a second.")] = 1.0,
    faults: Annotated[Path | None, typer.Option("--faults", help="A file of faults.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="A file by which it goes on after a restart.")] = None,
    balance: Annotated[float, typer.Option("--balance", help="Of the account, USDT.")] = 10_000.0,
    isolated: Annotated[
        int | None,
        typer.Option(
            "--isolated", help="Isolated margin with this leverage, as a person sets it at the venue.", min=1, max=20
        ),
    ] = None,
    announce: Annotated[
        Path | None,
        typer.Option("--announce", help="Tell commands where it is: the ledger, or what STAGEGATE_DRILL_VENUE names."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Serve a simulated Binance USDⓈ-M exchange on this machine until Ctrl-C; prices are synthetic unless told.

    Example: stagegate simulate-exchange --seed 7 --speed 60 --state state/exchange.json

    A drill: stagegate simulate-exchange --isolated 3 --announce state/drill
    """
    from dataclasses import replace

    from engine.clock import SystemClock, parse_time
    from engine.errors import Problem, UsageError
    from engine.simulator.standalone import SimulateRequest, simulate

    try:
        from_ms = None if from_ is None else parse_time(from_)
    except ValueError:
        problem = f"`{from_}` is no date or time"
        raise UsageError(Problem("time", "--from", problem, "write 2022-03-01 or 2022-03-01T14:00:00Z")) from None
    request = SimulateRequest(data, klines, seed, days, live, venue_url, from_ms, port, speed, faults, state, balance)
    request = replace(request, isolated=isolated)

    def ready(serving: Serving) -> None:
        if announce is not None:
            _announce(announce, serving, SystemClock().now_ms())
        output(serving, serving_text, as_json)
        sys.stdout.flush()  # whoever started this through a pipe waits for the address

    simulate(request, SystemClock(), ready)


def _announce(ledger: Path, serving: Serving, real_ms: int) -> None:
    from engine.live.connection import Announcement, announce, announced_beside

    said = Announcement(
        serving.rest_url,
        serving.stream_url,
        serving.api_key,
        serving.api_secret,
        serving.now_ms,
        real_ms,
        serving.speed,
    )
    announce(announced_beside(ledger), said)


def serving_text(serving: Serving) -> str:
    """Return where to connect, for people."""
    from engine.clock import iso

    rows = {
        "requests": serving.rest_url,
        "streams": serving.stream_url,
        "key": serving.api_key,
        "secret": serving.api_secret,
        "prices": serving.prices,
        "time": f"{iso(serving.now_ms)}, {serving.speed:g} simulated seconds a second",
        "faults": str(serving.faults),
        "state": "goes on" if serving.resumed else "new",
    }
    return "\n".join(f"{name:<9} {value}" for name, value in rows.items())
