"""`stagegate risk-guard`, `flatten` and `resume`: watching, halting, going on."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.shared import (
    LEDGER,
    RULES,
    JsonOption,
    LedgerOption,
    RulesOption,
    agreed,
    output,
    require_agreed,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.execution.flattened import FlattenReport
    from engine.live.connection import Mode
    from engine.live.decision_file import GuardDecision
    from engine.risk_guard.halt import Resumed
    from engine.risk_guard.start import Watching

GuardConfigOption = Annotated[
    Path | None, typer.Option("-c", "--config", help="The bundle, as the SOP calls it; or its frozen configuration.")
]
GuardRulesOption = Annotated[Path | None, typer.Option("--rules", help=f"The bundle of policies. [default: {RULES}]")]
PaperOption = Annotated[bool, typer.Option("--paper", help="The simulated account.")]
RealOption = Annotated[bool, typer.Option("--real", help="The real account.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ReportsOption = Annotated[
    Path | None, typer.Option("--reports", help="Where decisions are published; the configuration's if absent.")
]

ENDED = "ended before the venue showed it; the halt stays, `stagegate flatten` goes on where it was"
STEPS = {
    "latched": "nothing that adds risk leaves any more",
    "cancelled": "every order and stop is cancelled",
    "sent": "the first closing order is at the venue",
    "flat": "no position is left",
    "verified": "the venue shows no stop, no order, no position",
    "sealed": "nothing that was sent before can arrive any more",
}


def risk_guard(
    config: GuardConfigOption = None,
    rules: GuardRulesOption = None,
    ledger: LedgerOption = LEDGER,
    paper: PaperOption = False,
    real: RealOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look once and say; do, write and send nothing.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once, carry out what comes out, and end.")] = False,
    reports: ReportsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch the risk equity by an own connection, and close everything where the policy wants it.

    Example: stagegate risk-guard --config config/prod_scale_rules_R1.yaml

    A look that does nothing: stagegate risk-guard --config config/prod_scale_rules_R1.yaml --dry-run
    """
    from engine.policy.bundle import load_bundle
    from engine.risk_guard.halt import mode_of
    from engine.risk_guard.start import GuardRequest, bundle_of, copied, look_dry, look_once, watch

    bundle = bundle_of(config, rules, RULES)
    mode = mode_of(ledger, paper=paper, real=real, opened=copied)
    request = GuardRequest(bundle, ledger, mode, reports)
    if not (dry_run or once):
        watch(request, lambda watching: _show_watching(watching, as_json), lambda one: _show_decision(one, as_json))
        return
    decided = look_dry(request) if dry_run else look_once(request)
    units = {name: spec.unit for name, spec in load_bundle(bundle, only=("risk_guard",)).vocabulary.facts.items()}
    output(decided.decision.to_json() if as_json else decided.decision, lambda one: decision_text(one, units), as_json)
    raise typer.Exit(decided.exit_code)


def flatten(
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "by hand",
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    paper: PaperOption = False,
    real: RealOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Halt, cancel every order and stop, close every position, and look until the venue says that nothing stands.

    It needs neither the ledger nor disk space, and may be run again at any time. Exit code 0 only when verified flat.

    Example: stagegate flatten --real --reason "exchange maintenance"
    """
    from engine.risk_guard.halt import BY_HAND, HaltRequest, close_everything, mode_of, symbols_or_none

    mode = mode_of(ledger, paper=paper, real=real)
    symbols, unread = symbols_or_none(lambda: _symbols(rules))
    if not yes:
        print(plan_text(mode, ledger, symbols), file=sys.stderr)
        require_agreed("close everything?")
    _end_by_hand_only()
    if unread:
        print(f"{unread}\n  going on with what the venue names", file=sys.stderr)
    request = HaltRequest(ledger, mode, reason, symbols)
    try:
        report = close_everything(
            request,
            lambda step, ms: None if as_json else show(step_text(step, ms)),
            lambda problem: print(f"  {problem}; trying again until it is flat, the halt stays", file=sys.stderr),
        )
    except KeyboardInterrupt:
        ended = {"flat": False, "reason": reason, "problems": [ENDED]}
        output(ended, lambda _: "\n".join([f"NOT FLAT: {ENDED}", *by_hand_lines(BY_HAND)]), as_json)
        raise typer.Exit(1) from None
    output(report_json(report) if as_json else report, lambda one: report_text(one, BY_HAND), as_json)
    raise typer.Exit(0 if report.flat else 1)


def resume(
    reason: Annotated[str, typer.Option("--reason", help="Why it may go on; the cause of the halt if absent.")] = "",
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    paper: PaperOption = False,
    real: RealOption = False,
    reports: ReportsOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Allow risk to be added again after a halt: flat, cause known, and the restart in force.

    Example: stagegate resume --reason "maintenance is over"
    """
    from getpass import getuser

    from engine.config import load_config
    from engine.policy.bundle import load_bundle
    from engine.risk_guard.halt import ResumeRequest, mode_of
    from engine.risk_guard.halt import resume as grant

    mode = mode_of(ledger, paper=paper, real=real)
    bundle = load_bundle(rules, only=("risk_guard",))
    folder = reports or load_config(bundle.config_path).output.report_dir
    request = ResumeRequest(ledger, mode, bundle.policies["risk_guard"], folder, getuser(), reason)

    def confirmed(cause: str) -> bool:
        return yes or agreed(f"it was halted because of `{cause}`: allow risk to be added again?")

    output(grant(request, confirmed), resumed_text, as_json)


def _end_by_hand_only() -> None:
    """Have a closing outlive its terminal, and say how far it came where a person ends it, by Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def _symbols(rules: Path) -> tuple[str, ...]:
    from engine.config import load_config
    from engine.policy.bundle import load_bundle

    return load_config(load_bundle(rules, only=("risk_guard",)).config_path).market.symbols


def _show_watching(watching: Watching, as_json: bool) -> None:
    if not as_json:
        show(f"watching the {watching.mode} account at {watching.where}; decisions: {watching.decision}")
    sys.stdout.flush()


def _show_decision(decision: GuardDecision, as_json: bool) -> None:
    output(decision.to_json() if as_json else decision, line_text, as_json)
    sys.stdout.flush()  # whoever reads through a pipe must see it now


def line_text(decision: GuardDecision) -> str:
    """Return a decision in one line."""
    from engine.clock import iso

    why = f"  {'; '.join(decision.because)}" if decision.because else ""
    return f"{iso(decision.at_ms)}  {decision.outcome}{why}"


def decision_text(decision: GuardDecision, units: Mapping[str, str]) -> str:
    """Return a decision with what it is made of.

    Args:
        decision: of the risk guard.
        units: fact -> its unit.
    """
    from engine.clock import iso
    from engine.reports.numbers import usd

    entries = "blocked" if decision.entries_blocked else "allowed"
    agree = "both engines agree" if decision.trusted else "THE ENGINES DIFFER"
    lines = [f"{decision.outcome}   entries {entries} · {agree} · {iso(decision.at_ms)}", ""]
    lines += [f"  why      {rule:<22} {text}" for rule, text in zip(decision.fired, decision.because, strict=True)]
    equity = decision.equity
    if equity:
        drop = 1 - equity["nav"] / equity["peak_nav"]
        marked = iso(int(equity["marked_at_ms"]))
        lines.append(f"  equity   {usd(equity['equity_usd'])}, {max(drop, 0):.2%} below its peak, marked {marked}")
    known = {name: value for name, value in decision.facts.items() if value is not None}
    lines += [f"  fact     {name:<22} {_value(value, units.get(name, ''))}" for name, value in known.items()]
    lines += [f"  doing    {decision.doing}"] if decision.doing else []
    lines += [f"  problem  {text}" for text in decision.problems]
    lines.append(f"  id       {decision.decision_id}, since {iso(decision.since_ms)}")
    return "\n".join(lines)


def _value(value: Any, unit: str) -> str:
    from engine.reports.numbers import with_unit

    if isinstance(value, bool):
        return "yes" if value else "no"
    return with_unit(value, unit)


def plan_text(mode: Mode, ledger: Path, symbols: tuple[str, ...]) -> str:
    """Return what a flatten is about to do."""
    names = ", ".join(symbols) or "every symbol that the venue names"
    return (
        f"on the {mode} account this will now\n"
        f"  1 halt: take the permit away ({ledger}.permit); only `stagegate resume` gives it back\n"
        f"  2 cancel every order and every stop of {names}, and whatever else stands\n"
        "  3 close every position at market, reduce-only\n"
        "  4 look at the venue until nothing stands"
    )


def step_text(step: str, after_ms: int) -> str:
    """Return one step of a flatten, with its time."""
    return f"{after_ms / 1000:8.2f} s  {step:<10} {STEPS[step]}"


def report_json(report: FlattenReport) -> Mapping[str, object]:
    """Return a report as plain values."""
    return {
        "flat": report.flat,
        "reason": report.reason,
        "started_ms": report.started_ms,
        "steps_ms": {step: report.took_ms(step) for step in report.steps},
        "closes": [
            {"symbol": one.symbol, "side": one.side, "qty": f"{one.qty:f}", "outcome": one.outcome}
            for one in report.closes
        ],
        "left": {symbol: f"{qty:f}" for symbol, qty in report.left.items()},
        "problems": list(report.problems),
        "unrecorded": report.unrecorded,
    }


def report_text(report: FlattenReport, by_hand: tuple[str, ...]) -> str:
    """Return what a flatten came to; where it is not flat, what a person must do."""
    side = {1: "bought", -1: "sold"}
    lines = [f"  {side[one.side]} {one.qty:f} {one.symbol}: {one.outcome}" for one in report.closes]
    lines += [f"  on the way: {text}" for text in report.problems]
    lines += [f"  not recorded: {report.unrecorded}"] if report.unrecorded else []
    took_ms = report.took_ms("verified")
    if report.flat and took_ms is not None:
        stays = "the halt stays, `stagegate status` says what lifts it"
        return "\n".join([*lines, f"FLAT, verified after {took_ms / 1000:.2f} s; {stays}"])
    left = ", ".join(f"{qty:f} {symbol}" for symbol, qty in report.left.items()) or "unknown"
    return "\n".join([*lines, f"NOT FLAT: last seen {left}", *by_hand_lines(by_hand)])


def by_hand_lines(by_hand: tuple[str, ...]) -> list[str]:
    """Return what a person must do where this program does not bring it about."""
    return ["close it by hand, now:", *(f"  {number} {step}" for number, step in enumerate(by_hand, 1))]


def resumed_text(resumed: Resumed) -> str:
    """Return what a resume came to."""
    if resumed.already:
        return f"{resumed.ledger} is not halted: the permit is there"
    return f"{resumed.ledger}: risk may be added again, granted by {resumed.by}\n  the halt was: {resumed.cause}"
