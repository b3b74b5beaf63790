"""The launch guard in the terminal: every check, the cure below each failure, and the outcome in the last lines.

It shows the archived report (``reports/prod_guard/…json``) and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.reports.numbers import count, minute_text, short_hash, usd
from engine.reports.tables import table
from engine.reports.terminal_tables import rich_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Group

HARD = "HARD"
_NOT_MADE = ("off", "n/a")


def launch_text(report: Mapping[str, Any], path: str) -> Group:
    """Return a report of the launch guard.

    Args:
        report: as it is archived.
        path: where.
    """
    from rich.console import Group  # noqa: PLC0415 - keeps the command line fast
    from rich.text import Text  # noqa: PLC0415 - the same

    rows = [
        (check["severity"], check["result"], check["name"].replace("_", " "), _told(check, report))
        for check in report["checks"]
    ]
    checks = rich_table(table("=kind | =is | =check | seen, and the cure", rows))
    return Group(Text(_head(report)), checks, Text("\n".join(_foot(report, path))))


def ack_text(done: Mapping[str, Any]) -> str:
    """Return an acknowledgement."""
    why = f": {done['reason']}" if done["reason"] else ""
    return f"{done['name']} acknowledged by {done['by']}{why}; it holds as long as the warning says the same"


def _head(report: Mapping[str, Any]) -> str:
    hashes = ", ".join(f"{kind} {short_hash(report['hashes'].get(kind))}" for kind in ("policy", "config", "digest"))
    stage = f"stage {report['stage']}, {usd(report['capital_usd'], 0)}"
    return f"launch guard · {report['mode']}, {report['where']} · {stage} · {hashes} · {minute_text(report['at_ms'])}"


def _foot(report: Mapping[str, Any], path: str) -> list[str]:
    hard = sum(check["severity"] == HARD and check["result"] not in _NOT_MADE for check in report["checks"])
    failed, waiting = report["failed"], report["unacknowledged"]
    checks = count(hard, "HARD check")
    parts = [f"{len(failed)} of {checks} fail" if failed else f"all {checks} hold"]
    if waiting:
        parts.append(f"{count(len(waiting), 'SOFT warning')} not acknowledged")
    lines = [f"{report['outcome']}  {' · '.join(parts)}"]
    if failed:
        lines.append(f"  fails    {', '.join(failed)}")
    lines += [f"  sign     stagegate approve {request}   {name}" for name, request in report["requests"].items()]
    lines += [f"  seen?    stagegate ack {name}" for name in waiting]
    return [*lines, f"  verdict  {report['verdict_id']}, in {report['took_s']:.1f} s", f"  report   {path}"]


def _told(check: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Return what was seen; below it, for what does not hold, what a person does about it."""
    told = ": ".join(filter(None, (check["because"], check["said"])))
    done = report["acknowledged"].get(check["name"])
    if done is not None:
        return f"{told} (acknowledged by {done['by']})"
    return f"{told}\n\N{RIGHTWARDS ARROW} {check['cure']}" if check["cure"] else told
