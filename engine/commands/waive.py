"""`stagegate waive`: launching without a check that may be done without, for a while, when people have signed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, moment, output


def waive(
    check: Annotated[str, typer.Argument(metavar="CHECK", help="As `launch-guard` prints it: telegram.")],
    until: Annotated[str, typer.Option("--until", help="A UTC date or time, 30 days away at most.")],
    because: Annotated[str, typer.Option("--because", help="Why it may be launched without.")],
    key: Annotated[Path, typer.Option("--key", help="Your private OpenSSH key: who asks does not sign.")],
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    signers: SignersOption = SIGNERS,
    as_json: JsonOption = False,
) -> None:
    """Ask others to waive a check of the launch guard for a while; it holds once enough of them have signed.

    Example: stagegate waive telegram --until 2026-12-01 --because "no phone on site" --key ~/.ssh/id_ed25519
    """
    from engine.launch.release import read_rules
    from engine.launch.waiving import Wish, ask_waiver, waiver_text
    from engine.ledger import Ledger
    from engine.live.time_check import present_of

    until_ms = moment(until, "--until")
    assert until_ms is not None, "a text was given"
    wish = Wish(check, until_ms, because)
    with Ledger.open(ledger) as opened:
        asked = ask_waiver(opened, wish, read_rules(rules), key.expanduser(), signers, present_of(opened))
    output(asked, waiver_text, as_json)
