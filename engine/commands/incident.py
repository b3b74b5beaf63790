"""`stagegate incident`, `restart` and `rollback`: what happened, what is to be done, and when it may go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.shared import (
    LEDGER,
    RULES,
    JsonOption,
    LedgerOption,
    RulesOption,
    agreed,
    output,
    require_agreed,
)

if TYPE_CHECKING:
    from engine.live.incident_desk import IncidentDesk
    from engine.live.release_desk import ReleaseDesk
    from engine.operations.incidents.restarting import Restart

HERE = Path()

incident_app = typer.Typer(
    help="Incidents, from the alert to the post-mortem.", no_args_is_help=True, rich_markup_mode=None
)

IncidentArgument = Annotated[str, typer.Argument(metavar="INC", help="As `incident list` prints it, or a part of it.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who; the signed-in user if absent.")]
TreeOption = Annotated[Path, typer.Option("--tree", help="The checkout that is deployed.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@incident_app.command("open")
def incident_open(
    because: Annotated[str, typer.Option("--because", help="What happened, in one line.")],
    severity: Annotated[
        str, typer.Option("--severity", help="CRITICAL (the book must be flat), HIGH or MEDIUM.")
    ] = "MEDIUM",
    by: ByOption = None,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Open an incident by hand; what the policies and the desk itself find is opened without it.

    Example: stagegate incident open --because "the venue's API answers with stale prices"
    """
    from engine.reports.terminal_incidents import incident_text

    output(_desk(ledger, rules).open(severity, because, by or _user()), incident_text, as_json)


@incident_app.command("list")
def incident_list(ledger: LedgerOption = LEDGER, rules: RulesOption = RULES, as_json: JsonOption = False) -> None:
    """List all incidents, newest first.

    Example: stagegate incident list
    """
    from engine.reports.terminal_incidents import incidents_table

    output(_desk(ledger, rules).every(), incidents_table, as_json)


@incident_app.command("show")
def incident_show(
    incident: IncidentArgument, ledger: LedgerOption = LEDGER, rules: RulesOption = RULES, as_json: JsonOption = False
) -> None:
    """Show one incident: what happened, where its steps stand, and what to do next.

    Example: stagegate incident show INC-20221109-01
    """
    from engine.reports.terminal_incidents import incident_text

    output(_desk(ledger, rules).show(incident), incident_text, as_json)


@incident_app.command("step")
def incident_step(
    incident: IncidentArgument,
    step: Annotated[str | None, typer.Argument(help="T+0, T+5, T+15 or T+30; all that are due if absent.")] = None,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Carry out a step and record it with its time; exit code 1 where it is not done.

    Example: stagegate incident step INC-20221109-01 T+5
    """
    from engine.reports.terminal_incidents import steps_text

    records = _desk(ledger, rules).step(incident, step)
    output(records, steps_text, as_json)
    raise typer.Exit(0 if all(record.done for record in records) else 1)


@incident_app.command("due")
def incident_due(ledger: LedgerOption = LEDGER, rules: RulesOption = RULES, as_json: JsonOption = False) -> None:
    """Open what is demanded, carry out every step whose time has come, say what is overdue; the service does it too.

    Example: stagegate incident due
    """
    from engine.reports.terminal_incidents import due_text

    tried = _desk(ledger, rules).carry_out_due()
    output(tried, due_text, as_json)
    raise typer.Exit(0 if all(record.done for _, record in tried) else 1)


@incident_app.command("tick")
def incident_tick(
    incident: IncidentArgument,
    what: Annotated[str, typer.Argument(help="screenshot: the venue's position page was photographed.")],
    by: Annotated[str, typer.Option("--by", help="Who did it.")],
    file: Annotated[Path | None, typer.Option("--file", help="The picture; its hash is recorded.")] = None,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Record that a person did something by hand that no program can do.

    Example: stagegate incident tick INC-20221109-01 screenshot --by alice --file positions.png
    """
    from engine.reports.terminal_incidents import incident_text

    output(_desk(ledger, rules).tick(incident, what, by, file), incident_text, as_json)


@incident_app.command("close")
def incident_close(
    incident: IncidentArgument,
    by: ByOption = None,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Read the post-mortem and close the incident; refused while a part is missing, which is then named.

    Example: stagegate incident close INC-20221109-01
    """
    from engine.reports.terminal_incidents import incident_text

    output(_desk(ledger, rules).close(incident, by or _user()), incident_text, as_json)


@incident_app.command("test-fix")
def incident_test_fix(
    tree: TreeOption = HERE, ledger: LedgerOption = LEDGER, rules: RulesOption = RULES, as_json: JsonOption = False
) -> None:
    """Run the whole suite on the deployed release and record what it said: a restart after a bug needs it green.

    Example: stagegate incident test-fix
    """
    from engine.reports.terminal_incidents import tested_text

    release, run = _releases(ledger, rules, tree).test_fix(_user())
    output((release, run), tested_text, as_json)
    raise typer.Exit(0 if run.green else 1)


def restart(
    incident: IncidentArgument,
    key: Annotated[
        Path | None, typer.Option("--key", help="Your private OpenSSH key: asks the others to sign, in your name.")
    ] = None,
    committee: Annotated[bool, typer.Option("--committee", help="With --key: ask the committee to reopen.")] = False,
    yes: YesOption = False,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    signers: SignersOption = SIGNERS,
    as_json: JsonOption = False,
) -> None:
    """Say what a restart still needs; where all of it holds, let the desk restart one stage down.

    The exit code is the restart policy's (0 ALLOW_RESTART, 30 STAY_FLAT); 1 where it is allowed and you say no.

    Example: stagegate restart INC-20221109-01
    """
    from engine.live.incident_desk import RestartRequest
    from engine.reports.terminal_incidents import restart_question, restart_text

    def confirmed(decided: Restart) -> bool:
        return yes or agreed(restart_question(decided))

    desk = _desk(ledger, rules, signers)
    decided = desk.restart(RestartRequest(incident, None if key is None else key.expanduser(), committee), confirmed)
    output(decided, restart_text, as_json)
    declined = decided.allowed and not decided.granted
    raise typer.Exit(1 if declined else decided.exit_code)


def rollback(
    to: Annotated[
        str | None, typer.Option("--to", help="The tag to go back to; the tags are listed if absent.")
    ] = None,
    config: Annotated[
        bool, typer.Option("--config", help="Only put the frozen configuration back as committed.")
    ] = False,
    suite: Annotated[bool, typer.Option("--suite/--no-suite", help="Run the whole suite afterwards.")] = True,
    tree: TreeOption = HERE,
    yes: YesOption = False,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Go back to a whole tag in a clean tree, hash the frozen configuration again, and run the suite.

    Example: stagegate rollback --to v0.1.0
    """
    from engine.reports.terminal_incidents import restored_text, rollback_text, tags_table

    desk = _releases(ledger, rules, tree)
    if to is None and not config:
        output(desk.tags(), tags_table, as_json)
        return
    what = f"check out the whole tag `{to}`" if to else "replace the frozen configuration by the committed one"
    if not yes:
        require_agreed(f"{what}: go on?")
    if to is None:
        output(desk.restore_config(), restored_text, as_json)
        return
    done = desk.roll_back(to, _user(), suite=suite)
    output(done, rollback_text, as_json)
    raise typer.Exit(0 if done.release.config_holds and (done.run is None or done.run.green) else 1)


def _desk(ledger: Path, rules: Path, signers: Path = SIGNERS) -> IncidentDesk:
    from engine.live.incident_desk import IncidentDesk

    return IncidentDesk(ledger, rules, signers)


def _releases(ledger: Path, rules: Path, tree: Path) -> ReleaseDesk:
    from engine.live.release_desk import ReleaseDesk

    return ReleaseDesk(ledger, rules, tree)


def _user() -> str:
    from getpass import getuser

    return getuser()
