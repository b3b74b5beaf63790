"""The real path held against the fast loop over months, and what limit orders first change.

``python -m benchmarks.realpath [--from DAY] [--days N] [--data DIR]`` prints it in full; the suite ``realpath`` has it
in one line a run. Recorded prices where they are, else a synthetic market of the same seed each time.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import Figure
from benchmarks.inputs import CONFIG, KLINES, REAL_DATA, RULES, SEED
from engine.clock import DAY_MS, HOUR_MS, elapsed_s, parse_time
from engine.ledger import Ledger
from engine.real_path.loop import on_real_path
from engine.rehearsal.run import RehearsalRequest, on_fast_loop, rehearse
from engine.simulator.specs import Liquidity, usual_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.inputs import Inputs
    from engine.ledger.rows import Fill
    from engine.policy.decide import Engine
    from engine.rehearsal.loop import Plan, Progress

START, MONTHS_DAYS = "2024-01-01", 91
STAGE = 3
AT_THE_OPEN = dataclasses.replace(usual_spec(), liquidity=Liquidity(on_tick=False))
"""Market orders fill at O·(1 ± 3 bps), not rounded to the tick, as the fast loop assumes."""

_BP = 1e4
_SAME_QTY = 1e-8  # ratio
_SAME_PRICE = 1e-5  # ratio, 0.1 bp: the venue takes a stop's trigger on its tick, the fast loop as it is


@dataclass(frozen=True)
class Span:
    """What is rehearsed: recorded prices, or a synthetic market where `data` is None."""

    from_ms: int
    to_ms: int
    data: Path | None

    def __str__(self) -> str:
        days = (self.to_ms - self.from_ms) // DAY_MS
        return f"{days} days of {'recorded prices' if self.data else f'a synthetic market, seed {SEED}'}"


@dataclass(frozen=True)
class Run:
    """One rehearsal.

    Attributes:
        trades: (hour, symbol) -> base asset and USDT, both signed: a flip is one trade in the fast loop and two orders
            on the real path.
        at_ms: of the marks.
        equity_usd: at each.
        fills: how many.
        maker_ratio: share of the fills, by value, that paid less than the taker's fee.
        slippage_bps: against the execution bar's open, by value; more is worse.
        fees_bps: of the value traded.
        took_s: wall time.
    """

    trades: dict[tuple[int, str], tuple[float, float]]
    at_ms: tuple[int, ...]
    equity_usd: tuple[float, ...]
    fills: int
    maker_ratio: float
    slippage_bps: float
    fees_bps: float
    took_s: float


@dataclass(frozen=True)
class Comparison:
    """The real path with market orders and with limit orders first, beside the fast loop.

    Attributes:
        span: what was rehearsed.
        fast: the loop of the rehearsal.
        market: the real path, market orders only: must be the same.
        patient: the real path as it runs, limit orders first.
        compared: trades that were held against each other.
        differing: trades that are not the same, as hour and symbol: another quantity, or a price further off than a
            tick.
        price_bps: the largest deviation of a trade's price, such as of a stop whose trigger lies on the tick.
        deviation_bps: the largest deviation of the equity at any hour.
    """

    span: Span
    fast: Run
    market: Run
    patient: Run
    compared: int
    differing: tuple[tuple[int, str], ...]
    price_bps: float
    deviation_bps: float


def compare(span: Span, told: Callable[[str], None] = lambda _: None) -> Comparison:
    """Run all three and hold them together."""
    plans: dict[str, tuple[Callable[..., None], bool]] = {
        "fast loop": (on_fast_loop, False),
        "real path, market orders": (partial(on_real_path, seed=SEED, spec=AT_THE_OPEN), False),
        "real path, limit first": (partial(on_real_path, seed=SEED), True),
    }
    runs = []
    for name, (carry_out, patient) in plans.items():
        runs.append(_run(span, carry_out, patient=patient))
        told(f"{name}: {runs[-1].fills} fills in {runs[-1].took_s:.0f} s")
    fast, market, patiently = runs
    keys = fast.trades.keys() | market.trades.keys()
    differing = tuple(sorted(key for key in keys if not _same(fast.trades.get(key), market.trades.get(key))))
    both = fast.trades.keys() & market.trades.keys()
    apart = [abs(fast.trades[key][1] / market.trades[key][1] - 1) for key in both if market.trades[key][1]]
    price_bps = _BP * max(apart, default=0.0)
    return Comparison(span, fast, market, patiently, len(keys), differing, price_bps, _deviation_bps(fast, market))


def _run(span: Span, carry_out: Callable[..., None], *, patient: bool) -> Run:
    def act(plan: Plan, ledger: Ledger, engine: Engine, progress: Callable[[Progress], None]) -> None:
        live = dataclasses.replace(plan.config.live, prefer_limit_order=patient)
        carry_out(
            dataclasses.replace(plan, config=dataclasses.replace(plan.config, live=live)), ledger, engine, progress
        )

    with tempfile.TemporaryDirectory(prefix="stagegate-realpath-") as folder:
        days = (span.to_ms - span.from_ms) // DAY_MS
        request = RehearsalRequest(
            config=CONFIG, rules=RULES, out=Path(folder), seed=SEED, days=days, data=span.data, klines=KLINES,
            from_ms=span.from_ms, to_ms=span.to_ms, stage=STAGE, approve="all", command="benchmark",
        )  # fmt: skip
        began_s = elapsed_s()
        done = rehearse(request, lambda _: None, report=False, carry_out=act)
        took_s = elapsed_s() - began_s
        with Ledger.open(done.ledger, read_only=True) as ledger:
            marks = ledger.marks("risk", to_ms=span.to_ms)
            fills = ledger.fills("risk", to_ms=span.to_ms)  # the real path does the work of the bar that closes there
            return Run(
                trades=_trades(fills),
                at_ms=tuple(marks.at_ms.tolist()),
                equity_usd=tuple(marks.equity_usd.tolist()),
                fills=len(fills),
                took_s=took_s,
                **_quality(fills),
            )


def _trades(fills: Sequence[Fill]) -> dict[tuple[int, str], tuple[float, float]]:
    sums: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for fill in fills:
        sums[fill.at_ms // HOUR_MS, fill.symbol][0] += fill.side * fill.qty
        sums[fill.at_ms // HOUR_MS, fill.symbol][1] += fill.side * fill.qty * fill.price
    return {key: (qty, usd) for key, (qty, usd) in sums.items()}


def _quality(fills: Sequence[Fill]) -> dict[str, float]:
    value = np.array([fill.qty * fill.price for fill in fills])
    total = float(value.sum()) or 1.0
    fees = np.array([fill.fee_usd for fill in fills])
    slipped = sum(fill.side * fill.qty * (fill.price - fill.ref_price) for fill in fills)
    rates = fees / value if len(value) else value
    makers = rates < rates.max() * (1 - 1e-3) if len(value) else rates.astype(bool)
    return {
        "maker_ratio": float(value[makers].sum()) / total,
        "slippage_bps": _BP * slipped / total,
        "fees_bps": _BP * float(fees.sum()) / total,
    }


def _same(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    if one is None or other is None:
        return False
    pairs = zip(one, other, (_SAME_QTY, _SAME_PRICE), strict=True)
    return all(abs(a - b) <= max(ratio * abs(a), 1e-6) for a, b, ratio in pairs)


def _deviation_bps(one: Run, other: Run) -> float:
    if one.at_ms != other.at_ms:
        return float("inf")
    ours, theirs = np.array(one.equity_usd), np.array(other.equity_usd)
    return float(np.max(np.abs(ours / theirs - 1))) * _BP if len(ours) else 0.0


def figures(inputs: Inputs) -> list[Figure]:
    """Return the times of all three, with what came of the comparison beside them."""
    found = compare(_span(inputs.data, MONTHS_DAYS if inputs.scale.full_length else 2))
    same = (
        f"{found.compared:,} trades compared, {len(found.differing)} differ; equity within {found.deviation_bps:.1e} bp"
    )
    patient, market = found.patient, found.market
    return [
        _figure(f"fast loop, {found.span}", found.fast, f"{found.fast.fills:,} fills"),
        _figure("real path, market orders", market, f"{same}; virtual time, the desk's shadow account included"),
        _figure("real path, limit first", patient, "; ".join(changes(market, patient))),
    ]


def _figure(what: str, run: Run, note: str) -> Figure:
    return Figure(what, ours=True, p50=run.took_s, note=note)


def changes(market: Run, patient: Run) -> tuple[str, ...]:
    """Return in words what limit orders first change."""
    gained = _BP * (patient.equity_usd[-1] / market.equity_usd[-1] - 1) if market.equity_usd else 0.0
    return (
        f"fills {market.fills:,} → {patient.fills:,}, {100 * patient.maker_ratio:.0f} % of the value as maker",
        f"slippage {market.slippage_bps:+.2f} → {patient.slippage_bps:+.2f} bps",
        f"fees {market.fees_bps:.2f} → {patient.fees_bps:.2f} bps",
        f"equity at the end {gained:+.1f} bp",
    )


def _span(data: Path | None, days: int, start: str = START) -> Span:
    from_ms = parse_time(start)
    return Span(from_ms, from_ms + days * DAY_MS, data)


def main() -> None:
    """Compare, print, and fail where the two are not one."""
    parser = argparse.ArgumentParser("benchmarks.realpath", description="The real path held against the fast loop")
    parser.add_argument("--from", dest="start", default=START)
    parser.add_argument("--days", type=int, default=MONTHS_DAYS)
    parser.add_argument("--data", type=Path, default=REAL_DATA)
    asked = parser.parse_args()
    data = asked.data if (asked.data / "klines").is_dir() else None
    found = compare(_span(data, asked.days, asked.start), lambda line: print(line, flush=True))
    print(f"{found.span}, stage {STAGE}")
    print(f"trades   {found.compared:,} compared (all fills of a symbol in an hour), {len(found.differing)} differ")
    for hour, symbol in found.differing[:10]:
        ours, theirs = found.market.trades.get((hour, symbol)), found.fast.trades.get((hour, symbol))
        print(f"         {np.datetime64(hour, 'h')}Z {symbol}: real path {ours}, fast loop {theirs}")
    print(f"prices   within {found.price_bps:.2e} bp: the venue takes a stop's trigger on its tick")
    print(f"equity   within {found.deviation_bps:.2e} bp at each of {len(found.fast.at_ms):,} hours")
    for line in changes(found.market, found.patient):
        print(f"limit first  {line}")
    raise SystemExit(0 if not found.differing and found.deviation_bps < 1 else 1)


if __name__ == "__main__":
    main()
