from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.reports import palette, plots
from engine.reports.lines import Edge, Frame, Line, Span, thinned
from engine.reports.ribbon import Cell, legend_svg, ribbon_svg

START_MS = parse_time("2022-01-01")
EDGES = (Edge("green < 8 %", 8.0, "green"), Edge("red > 10 %", 10.0, "red"), Edge("hard stop > 12 %", 12.0, "stop"))


def hours(days: int) -> np.ndarray:
    return START_MS + np.arange(1, days * 24 + 1) * HOUR_MS


def frame(days: int = 90) -> Frame:
    middle = START_MS + days // 2 * DAY_MS
    spans = (
        Span("KEEP", START_MS, middle),
        Span("REDUCE", middle, middle + DAY_MS * 5),
        Span("NEW", middle + DAY_MS * 5, middle + DAY_MS * 6),
    )
    return Frame(START_MS, START_MS + days * DAY_MS, spans)


def pictures(days: int = 90) -> dict[str, str]:
    at_ms = hours(days)
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(0, 1, len(at_ms)))
    equity = Line("with the policy", at_ms, 15_000 + 30 * walk)
    other = Line("without it", at_ms, 15_000 + 20 * walk[::-1], palette.WITHOUT_POLICY, (5.0, 2.0))
    ends = at_ms[23::24]
    sharpe = np.where(np.arange(days) < 20, np.nan, walk[23::24] / 10)
    steps = np.where(np.arange(len(at_ms)) > 500, 0.5, 1.0)
    return {
        "equity": plots.equity_plot(frame(days), [equity, other]),
        "drawdown": plots.drawdown_plot(frame(days), [Line("with", at_ms, np.abs(walk) / 5)], EDGES),
        "sharpe": plots.sharpe_plot(
            frame(days), Line("20-day Sharpe", ends, sharpe), sharpe - 8, sharpe + 8, EDGES[:2], "95 %"
        ),
        "bounds": plots.bounds_plot(
            frame(days),
            Line("exposure", at_ms, steps),
            Line("cap", at_ms, steps * 30_000),
            Line("invested", at_ms, steps * 9_000),
        ),
        "sleeves": plots.curves_plot(frame(days), [Line("BTCUSDT", at_ms, walk)], "USD", "sleeves"),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return pictures()


def test_the_same_numbers_give_the_same_bytes(drawn: dict[str, str]) -> None:
    assert pictures() == drawn


def test_another_process_gives_the_same_bytes() -> None:
    at_ms = hours(90)
    spans = (Span("REDUCE", START_MS, START_MS + 9 * DAY_MS),)
    here = plots.curves_plot(
        Frame(START_MS, START_MS + 90 * DAY_MS, spans), [Line("x", at_ms, np.sin(np.arange(2160) / 99))], "USD", "x"
    )
    script = (
        "import hashlib, numpy as np\n"
        "from engine.reports.lines import Frame, Line, Span\n"
        "from engine.reports.plots import curves_plot\n"
        f"at_ms = {START_MS} + np.arange(1, 2161) * {HOUR_MS}\n"
        f"spans = (Span('REDUCE', {START_MS}, {START_MS + 9 * DAY_MS}),)\n"
        f"frame = Frame({START_MS}, {START_MS + 90 * DAY_MS}, spans)\n"
        "picture = curves_plot(frame, [Line('x', at_ms, np.sin(np.arange(2160) / 99))], 'USD', 'x')\n"
        "print(hashlib.sha256(picture.encode()).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert there.stdout.strip() == hashlib.sha256(here.encode()).hexdigest()


def test_pictures_are_well_formed_and_refer_to_nothing_outside(drawn: dict[str, str]) -> None:
    for name, svg in drawn.items():
        root = ET.fromstring(svg)  # noqa: S314 - our own picture
        assert root.tag == "svg", name
        assert "http" not in svg, name
        assert "<script" not in svg
        assert "<style" not in svg, "a style inside an inline picture would hold for the whole page"


def test_ids_are_unique_over_all_pictures_of_a_page(drawn: dict[str, str]) -> None:
    ids = [found for svg in drawn.values() for found in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    for name, svg in drawn.items():
        for target in re.findall(r'(?:url\(#|href="#)([^")]+)', svg):
            assert f'id="{target}"' in svg, f"{name} refers to {target}"


def test_axes_name_their_units_and_lines_their_names(drawn: dict[str, str]) -> None:
    assert ">USD<" in drawn["equity"]
    assert ">with the policy<" in drawn["equity"]
    assert ">without it<" in drawn["equity"]
    assert "% below the peak" in drawn["drawdown"]
    for edge in EDGES:
        assert edge.name.replace("<", "&lt;").replace(">", "&gt;") in drawn["drawdown"]
    assert "exposure multiplier" in drawn["bounds"]


def test_text_is_text_in_the_page_s_font(drawn: dict[str, str]) -> None:
    assert all("<text" in svg and "font-family" not in svg for svg in drawn.values())


@pytest.mark.parametrize("name", ["sleeves", "sharpe"])
def test_minus_is_a_minus(drawn: dict[str, str], name: str) -> None:
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", drawn[name])
    assert any(label.startswith("\N{MINUS SIGN}") for label in labels)
    assert not any(re.match(r"-\d", label) for label in labels)


def test_a_picture_with_one_mark_or_none_can_be_drawn() -> None:
    nothing = np.array([], dtype=np.int64)
    for at_ms in (nothing, hours(1)[:1]):
        line = Line("x", at_ms, np.zeros(len(at_ms)))
        assert plots.equity_plot(frame(1), [line]).startswith("<svg")
        assert plots.drawdown_plot(frame(1), [line], EDGES).startswith("<svg")
        assert plots.sharpe_plot(frame(1), line, line.values, line.values, (), "95 %").startswith("<svg")
        assert plots.bounds_plot(frame(1), line, line, None).startswith("<svg")
    assert plots.equity_plot(frame(1), []).startswith("<svg")


def test_a_name_is_no_formula_and_no_markup() -> None:
    at_ms = hours(1)
    svg = plots.curves_plot(frame(1), [Line("$\\frac<b>$", at_ms, np.arange(24.0))], "USD", "x")
    ET.fromstring(svg)  # noqa: S314 - it must stay well-formed
    assert "$\\frac&lt;b&gt;$" in svg


@settings(max_examples=40)
@given(days=st.integers(61, 120), seed=st.integers(0, 1000))
def test_thinning_keeps_every_day_s_extremes_and_both_ends(days: int, seed: int) -> None:
    at_ms = hours(days)
    values = np.random.default_rng(seed).normal(0, 1, len(at_ms))
    kept_ms, kept = thinned(at_ms, values)
    assert len(kept) <= 4 * (days + 1) + 2
    assert (kept_ms[0], kept_ms[-1]) == (at_ms[0], at_ms[-1])
    assert np.all(np.diff(kept_ms) > 0)
    for day in np.unique(at_ms // DAY_MS):
        whole, part = values[at_ms // DAY_MS == day], kept[kept_ms // DAY_MS == day]
        assert (part.min(), part.max()) == (whole.min(), whole.max())


def test_short_series_are_drawn_whole() -> None:
    at_ms = hours(30)
    kept_ms, _ = thinned(at_ms, np.arange(len(at_ms), dtype=float))
    assert len(kept_ms) == len(at_ms)


# ── the ribbon ──


def test_the_ribbon_has_a_cell_a_day_that_says_why() -> None:
    cells = [
        Cell(START_MS, "KEEP", "all green"),
        Cell(START_MS + DAY_MS, "REDUCE", "drawdown 10.4 % > 10 %"),
        Cell(START_MS + 40 * DAY_MS, "PAUSE", "stop"),
    ]
    svg = ribbon_svg(cells)
    root = ET.fromstring(svg)  # noqa: S314 - our own picture
    titles = [title.text for title in root.iter("title")]
    assert len(titles) == 31 + 28
    assert titles[0] == "2022-01-01 KEEP: all green"
    assert titles[1] == "2022-01-02 REDUCE: drawdown 10.4 % > 10 %"
    assert titles[2] == "2022-01-03: no verdict"
    shapes = {f"#{group.get('id')}": group for group in root.iter("g")}
    drawn = [shapes[use.get("href", "")] for use in root.iter("use")]
    assert [[text.text for text in shape.iter("text")] for shape in drawn] == [["K"], ["R"], ["P"]]


def test_hostile_reasons_stay_text_in_the_ribbon() -> None:
    svg = ribbon_svg([Cell(START_MS, '<b x="1">', "</title><script>alert(1)</script>&")])
    ET.fromstring(svg)  # noqa: S314 - it must stay well-formed
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


def test_outcomes_differ_without_colour() -> None:
    looks = {outcome: legend_svg(outcome) for outcome in ("KEEP", "SCALE_UP", "REDUCE", "PAUSE")}
    drawn_by = {
        outcome: (re.findall(r'<path d="([^"]*)"', svg), re.findall(r">(\w)</text>", svg))
        for outcome, svg in looks.items()
    }
    assert len({str(value) for value in drawn_by.values()}) == 4
    assert len({str(strokes) for strokes, _ in drawn_by.values()}) == 4


def test_an_empty_ribbon_is_a_picture() -> None:
    ET.fromstring(ribbon_svg([]))  # noqa: S314 - our own picture


def lightness(color: str) -> float:
    return sum(weight * int(color[at : at + 2], 16) for weight, at in ((0.299, 1), (0.587, 3), (0.114, 5))) / 255


def test_outcomes_print_in_different_greys() -> None:
    greys = sorted(lightness(palette.outcome_look(outcome).fill) for outcome in ("KEEP", "REDUCE", "PAUSE"))
    assert all(right - left > 0.15 for left, right in pairwise(greys))
