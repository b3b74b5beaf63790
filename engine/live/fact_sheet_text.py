"""Every fact in the terminal: what it is worth, how old that is, and who reads it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from engine.clock import iso
from engine.policy.facts import OK
from engine.reports.numbers import age, with_unit

if TYPE_CHECKING:
    from engine.live.fact_sheet import FactLine, FactSheet

_WIDTH, _INDENT = 80, "    "


def facts_text(sheet: FactSheet) -> str:
    """Return every fact, in the order of the vocabulary, each with its source below it."""
    known = sum(each.status == OK for each in sheet.facts)
    lines = [f"{known} of {len(sheet.facts)} facts are known at {iso(sheet.at_ms)}", ""]
    lines.append(f"{'fact':<26} {'value':>16}  {'status':<8} {'age':>8}  read by")
    for each in sheet.facts:
        readers = ", ".join(each.read_by) or "no policy"
        lines.append(f"{each.name:<26} {_value(each):>16}  {each.status:<8} {_age(each):>8}  {readers}")
        lines += textwrap.wrap(each.source, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return "\n".join([*lines, *sheet.problems])


def _value(each: FactLine) -> str:
    if each.value is None:
        return ""
    if isinstance(each.value, bool):
        return "yes" if each.value else "no"
    return with_unit(each.value, each.unit)


def _age(each: FactLine) -> str:
    return "" if each.age_ms is None else age(max(0, each.age_ms))
