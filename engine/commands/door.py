"""Which command lies where. A command's module is imported, and its options are read, only when it is called.

Typer reads every option of every command before it answers anything, 2.5 ms a command; `--help` needs one line of each.
"""

from __future__ import annotations

import inspect
from collections.abc import MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from click.utils import make_default_short_help
from typer.core import TyperGroup
from typer.main import get_command_from_info, get_group_from_info
from typer.models import CommandInfo, TyperInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

COMMANDS = {
    "ack": "launch:ack",
    "alerts": "alerts:alerts_app",
    "approvals": "approvals:approvals",
    "approve": "approvals:approve",
    "audit": "approvals:audit_app",
    "backtest": "backtest:backtest",
    "caretake": "serve:caretake",
    "consistency": "consistency:consistency",
    "data": "data:data_app",
    "facts": "facts:facts",
    "flatten": "guard:flatten",
    "incident": "incident:incident_app",
    "launch-guard": "launch:launch_guard",
    "ledger": "ledger:ledger_app",
    "policy": "policy:policy_app",
    "rehearse": "rehearse:rehearse",
    "report": "report:report",
    "review": "review:review_app",
    "restart": "incident:restart",
    "resume": "guard:resume",
    "risk-guard": "guard:risk_guard",
    "rollback": "incident:rollback",
    "run": "run:run",
    "serve": "serve:serve",
    "signals": "backtest:signals",
    "simulate-exchange": "simulate:simulate_exchange",
    "stage": "stage:stage_app",
    "status": "run:status",
    "stream": "run:stream",
    "verdict": "verdict:verdict_app",
    "waive": "waive:waive",
}
"""Name to ``module of engine.commands:function, or Typer of several``."""


_PLAIN: Any = {"pretty_exceptions_short": True, "rich_markup_mode": None}


class Commands(MutableMapping[str, "click.Command"]):
    """The commands by name, in the order of the alphabet, each built when it is asked for, and once.

    Attributes:
        built: those that were asked for.
    """

    def __init__(self) -> None:
        self.built: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self.built:
            if name not in COMMANDS:
                raise KeyError(name)
            self.built[name] = _built(name)
        return self.built[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self.built[name] = command

    def __delitem__(self, name: str) -> None:
        del self.built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*COMMANDS, *self.built}))

    def __len__(self) -> int:
        return len({*COMMANDS, *self.built})


class Door(TyperGroup):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names; Typer's own builds every command to tell them."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line a command."""
        limit = formatter.width - len("  ") * 3 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, make_default_short_help(_about(name), limit)) for name in self.list_commands(ctx)]
            )


def _target(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    return getattr(import_module(f"engine.commands.{module}"), attribute)


def _built(name: str) -> click.Command:
    target = _target(name)
    if isinstance(target, typer.Typer):
        info = TyperInfo(target, name=name)
        return get_group_from_info(info, **_PLAIN, suggest_commands=False)
    return get_command_from_info(CommandInfo(name, callback=target), **_PLAIN)


def _about(name: str) -> str:
    target = _target(name)
    if isinstance(target, typer.Typer):
        callback = target.registered_callback
        text = target.info.help or (callback and callback.callback and inspect.getdoc(callback.callback)) or ""
    else:
        text = inspect.getdoc(target) or ""
    return str(text).split("\n\n", maxsplit=1)[0].replace("\n", " ")
