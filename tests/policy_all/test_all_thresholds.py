"""Every threshold of the SOP stands in one place, in a policy file, beside the id of what it implements."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "policies").glob("*.yaml"))

# A number of the SOP as a policy writes it: compared, or the value of a parameter, a span, a cap, a factor, a count.
_NUMBER = re.compile(
    r"""(?P<fact>\w+):\s*"?(?:(?P<operator>>=|<=|!=|>|<|=)\s*)?(?P<value>-?x?\d[\d.]*\s?(?:%|usd|bps|ms|days?|hours?|minutes?)?)"?"""
)
_ID = re.compile(r"\b[RA]\d{2,3}\b")
_RULE = re.compile(r"  (\w+):\s*(?:#.*)?$")
_SKIPPED = ("range", "resolution", "max_age", "about", "because", "cure", "title", "from")


@dataclass(frozen=True)
class Place:
    """Where one number stands: file and line, what it is compared with, and the ids beside it."""

    file: str
    line: int
    key: str
    text: str
    ids: frozenset[str]

    @property
    def is_compared(self) -> bool:
        """Whether a fact is compared with it."""
        return self.text[0] in "<>=!"

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.key} {self.text}"


def places(path: Path) -> Iterator[Place]:
    """Yield the numbers of one file; a line's ids are its own, or those of the rule or parameter it stands in."""
    above: frozenset[str] = frozenset()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        code, _, comment = line.partition(" #")
        if line.startswith("#") or not code.strip():
            continue
        if _RULE.fullmatch(line) or not line.startswith(" "):
            above = frozenset(_ID.findall(comment))
        if code.strip().split(":")[0] in _SKIPPED:
            continue
        own = frozenset(_ID.findall(comment)) or above
        for found in _NUMBER.finditer(code):
            operator = f"{found['operator']} " if found["operator"] else ""
            yield Place(path.name, number, found["fact"], f"{operator}{found['value'].strip()}", own)


PLACES = [place for path in FILES for place in places(path)]

# Every row of the requirements with a number of the SOP: the number as it is written. A row with two numbers has two.
ROWS: list[tuple[str, str, str]] = [
    ("R020", "clock_offset", ">= 100 ms"),
    ("R033", "config_fee", "= 5 bps"),
    ("R034", "config_slippage", "= 3 bps"),
    ("R037", "weight_btc", "= 34%"),
    ("R037", "weight_eth", "= 33%"),
    ("R037", "weight_sol", "= 33%"),
    ("R039", "symbols_with_data", "= 3"),
    ("R040", "last_bar_age", "< 2 hours"),
    ("R041", "largest_gap_30d", "<= 3 hours"),
    ("R057", "min_days", "30"),
    ("R059", "sharpe_30d", "> -0.3"),
    ("R060", "max_drawdown_30d", "< 12%"),
    ("R061", "signal_consistency", "> 98%"),
    ("R064", "cap", "5000 usd"),
    ("R065", "min_days", "14"),
    ("R075", "sharpe_14d", "> 0"),
    ("R076", "max_drawdown_stage", "< 10%"),
    ("R077", "value", "1.3"),
    ("R078", "flatten_events_stage", "= 0"),
    ("R080", "drawdown", "> 12%"),
    ("R081", "sharpe_14d", "< -0.5"),
    ("R082", "value", "3"),
    ("R085", "cap", "10000 usd"),
    ("R086", "min_days", "14"),
    ("R092", "sharpe_14d", "> 0.3"),
    ("R093", "max_drawdown_stage", "< 10%"),
    ("R094", "positive_sleeves", "= 3"),
    ("R095", "value", "1.3"),
    ("R097", "drawdown", "> 10%"),
    ("R098", "sharpe_14d", "< 0"),
    ("R099", "worst_sleeve_14d", "< -5%"),
    ("R101", "cap", "15000 usd"),
    ("R102", "live_days", ">= 28 days"),
    ("R113", "green", "> 0.5"),
    ("R115", "red", "< 0"),
    ("R116", "green", "< 8%"),
    ("R118", "red", "> 10%"),
    ("R119", "value", "0%"),
    ("R121", "value", "-5%"),
    ("R122", "green", "<= 1.2"),
    ("R124", "red", "> 1.5"),
    ("R125", "green", "< 1%"),
    ("R127", "red", "> 2%"),
    ("R128", "green", "= 0"),
    ("R130", "red", ">= 2"),
    ("R133", "for", "10 days"),
    ("R134", "cap", "x1.5"),
    ("R136", "for", "4 days"),
    ("R138", "exposure", "0.5"),
    ("R143", "sharpe_20d", "> 0.8"),
    ("R144", "max_drawdown_30d", "< 8%"),
    ("R146", "funding_drift", "<= 1.5"),
    ("R147", "flatten_events_30d", "= 0"),
    ("R152", "for", "3 days"),
    ("R153", "worst_sleeve_14d", "< -3%"),
    ("R155", "value", "12%"),
    ("R156", "value", "-10%"),
    ("R179", "sharpe_positive_days", ">= 5 days"),
    ("R181", "restart_signers", ">= 2"),
    ("R218", "sharpe_deviation", "<= 0.3"),
    ("R219", "drawdown_deviation", "<= 3%"),
]


@pytest.mark.requirement("R142")
@pytest.mark.parametrize(("row", "key", "text"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_R142_a_threshold_of_the_sop_stands_in_one_place(row: str, key: str, text: str) -> None:
    found = [place for place in PLACES if row in place.ids and (place.key, place.text) == (key, text)]
    assert len(found) == 1, [str(place) for place in found]


def test_R142_no_row_has_its_number_on_two_lines() -> None:
    """Whatever it is called there: two lines with one row's number are two places to change."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for place in PLACES:
        for one in place.ids:
            seen[one, place.text.lstrip("<>=! ")].add(f"{place.file}:{place.line}")
    twice = {key: sorted(lines) for key, lines in seen.items() if len(lines) > 1 and key[0].startswith("R")}
    assert twice == {}


def test_every_number_of_a_rule_or_stage_names_what_it_implements() -> None:
    # What the committee may switch on comes from no requirement: the rules are off and their section says so.
    optional = {"return_1d", "liquidation_distance", "gap_loss", "cost_drag"}
    bare = [str(place) for place in PLACES if not place.ids and place.is_compared and place.key not in optional]
    assert bare == []
