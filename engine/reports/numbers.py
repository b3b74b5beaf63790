"""Numbers as people read them: a sign that is a minus, thousands apart, and never without a unit.

Every function returns plain text; an absent value is the word ``unknown``, never a dash that could be read as zero.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, InvalidOperation

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

UNKNOWN = "unknown"
MINUS = "\N{MINUS SIGN}"

_PLACES = {"ratio": 2, "percent": 1, "multiple": 2, "usd": 2, "bps": 1, "minutes": 1, "days": 0, "count": 0}
_SUFFIX = {
    "percent": " %",
    "multiple": "\N{MULTIPLICATION SIGN}",
    "bps": " bps",
    "minutes": " min",
    "days": " days",
}
_OPERATORS = {"<=": "\N{LESS-THAN OR EQUAL TO}", ">=": "\N{GREATER-THAN OR EQUAL TO}", "!=": "\N{NOT EQUAL TO}"}
_TEST = re.compile(r"\s*(<=|>=|!=|<|>|=)\s*(.+?)\s*")
_NUMBER = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*(.*)")
_MOST_PLACES = 6
_MOST_DIGITS = 40  # what is larger is shown as it was written
_RANGE = re.compile(r"(\S+) to (\S.*)")
_HASH_LENGTH = 4


def number(value: float | Decimal | None, places: int = 2, *, signed: bool = False) -> str:
    """Return `value` with thousands apart and a true minus; what rounds to zero has no sign.

    >>> number(-1234.5, 1), number(0.25, signed=True), number(-0.001), number(None)
    ('−1,234.5', '+0.25', '0.00', 'unknown')
    """
    if value is None:
        return UNKNOWN
    text = f"{value:,.{places}f}"
    if not text.strip("-0.,"):
        return text.lstrip("-")
    return text.replace("-", MINUS) if text.startswith("-") else ("+" if signed else "") + text


def percent(value: float | Decimal | None, places: int = 1, *, signed: bool = False) -> str:
    """Return a percentage (12 means 12 %).

    >>> percent(10.44), percent(-3.1, signed=True)
    ('10.4 %', '−3.1 %')
    """
    return UNKNOWN if value is None else f"{number(value, places, signed=signed)} %"


def usd(value: float | Decimal | None, places: int = 2, *, signed: bool = False) -> str:
    """Return an amount in US dollars; the sign stands before the currency.

    >>> usd(13190.44), usd(-228.4, 0), usd(15000, 0, signed=True)
    ('$13,190.44', '−$228', '+$15,000')
    """
    if value is None:
        return UNKNOWN
    text = number(value, places, signed=signed)
    return f"{text[0]}${text[1:]}" if text[0] in {MINUS, "+"} else f"${text}"


def with_unit(value: float | Decimal | str | None, unit: str, *, apart_from: str = "") -> str:
    """Return a fact's value with its unit.

    Args:
        value: number, number as text, or a word (unit ``one of …``, ``flag``); None is unknown.
        unit: a unit of the vocabulary.
        apart_from: a threshold's text; digits are added until a value that differs from it looks different.

    >>> with_unit("10.4", "percent"), with_unit(1.318, "multiple"), with_unit("FLATTEN_ALL", "one of [CLEAR]")
    ('10.4 %', '1.32×', 'FLATTEN_ALL')
    >>> with_unit("12.0001", "percent", apart_from="> 12%")
    '12.0001 %'
    """
    if value is None:
        return UNKNOWN
    exact = _decimal(value)
    if exact is None:
        return str(value)
    if unit == "minutes" and not apart_from:
        return age(int(exact * MINUTE_MS))
    return _measured(exact, _distinct_places(exact, _PLACES.get(unit, 2), apart_from), unit)


def points(value: float | Decimal | str | None, unit: str) -> str:
    """Return a distance between two values of `unit`; percents are apart by points.

    >>> points("1.6", "percent"), points("0.3", "ratio"), points("2", "count")
    ('1.6 points', '0.30', '2')
    """
    exact = None if value is None else _decimal(value)
    if exact is None:
        return UNKNOWN if value is None else str(value)
    exact = abs(exact)
    places = _PLACES.get(unit, 2)
    while exact and places < _MOST_PLACES and not number(exact, places).strip("0."):
        places += 1
    return f"{number(exact, places)} points" if unit == "percent" else _measured(exact, places, unit)


def _measured(value: Decimal, places: int, unit: str) -> str:
    return usd(value, places) if unit == "usd" else number(value, places) + _SUFFIX.get(unit, "")


def comparison(test: str) -> str:
    """Return a policy's comparison in print: real operators, a space before the unit.

    >>> comparison("> 10%"), comparison("<= 1.2"), comparison("-5 to 0%"), comparison("red")
    ('> 10 %', '≤ 1.2', '−5 to 0 %', 'red')
    """
    match = _TEST.fullmatch(test)
    if match is None:
        return _RANGE.sub(lambda found: f"{_printed(found[1])} to {_printed(found[2])}", test)
    operator, right = match.groups()
    return f"{_OPERATORS.get(operator, operator)} {_printed(right)}"


def _printed(quantity: str) -> str:
    figure = _NUMBER.fullmatch(quantity)
    if figure is None:
        return quantity
    digits, unit = figure.groups()
    return digits.replace("-", MINUS) + (f" {unit}" if unit else "")


def bare(quantity: str) -> str:
    """Return a quantity without its unit; a word as it is.

    >>> bare("-5%"), bare("24 hours"), bare("FLAT")
    ('-5', '24', 'FLAT')
    """
    figure = _NUMBER.fullmatch(quantity)
    return figure[1] if figure else quantity


def threshold(test: str) -> Decimal | None:
    """Return the number a comparison compares with; None where it is a word or another fact.

    >>> threshold("> 10%"), threshold("= FLATTEN_ALL")
    (Decimal('10'), None)
    """
    match = _TEST.fullmatch(test)
    figure = _NUMBER.fullmatch(match.group(2)) if match else None
    return Decimal(figure.group(1)) if figure else None


def age(span_ms: int | None) -> str:
    """Return a span of time by its two largest units.

    >>> age(41_000), age(11_520_000), age(190_800_000), age(0)
    ('41 s', '3 h 12 m', '2 d 5 h', '0 s')
    """
    if span_ms is None:
        return UNKNOWN
    if span_ms < MINUTE_MS:
        return f"{span_ms // SECOND_MS} s"
    if span_ms < HOUR_MS:
        return f"{span_ms // MINUTE_MS} m"
    if span_ms < DAY_MS:
        hours, rest = divmod(span_ms, HOUR_MS)
        return f"{hours} h" + (f" {rest // MINUTE_MS} m" if rest >= MINUTE_MS else "")
    days, rest = divmod(span_ms, DAY_MS)
    return f"{days} d" + (f" {rest // HOUR_MS} h" if rest >= HOUR_MS else "")


def day_text(at_ms: int) -> str:
    """Return the UTC date.

    >>> day_text(1667998800000)
    '2022-11-09'
    """
    return dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC).date().isoformat()


def minute_text(at_ms: int) -> str:
    """Return date and time to the minute.

    >>> minute_text(1667998800000)
    '2022-11-09 13:00 UTC'
    """
    return f"{dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC):%Y-%m-%d %H:%M} UTC"


def short_hash(sha256: str | None) -> str:
    """Return a hash's first characters, enough to compare by eye.

    >>> short_hash("3f1c77"), short_hash(None)
    ('3f1c…', 'unknown')
    """
    return f"{sha256[:_HASH_LENGTH]}…" if sha256 else UNKNOWN


def count(many: int, one: str, more: str = "") -> str:
    """Return a number with its noun.

    >>> count(1, "day"), count(3, "day"), count(0, "entry", "entries")
    ('1 day', '3 days', '0 entries')
    """
    return f"{many:,} {one if many == 1 else more or one + 's'}"


def _decimal(value: float | Decimal | str) -> Decimal | None:
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        return None
    return exact if exact.is_finite() and exact.adjusted() < _MOST_DIGITS else None


def _distinct_places(value: Decimal, places: int, test: str) -> int:
    """Return the fewest decimal places, from `places` on, at which `value` does not look like the threshold."""
    edge = threshold(test) if test else None
    if edge is None or edge == value:
        return places
    while places < _MOST_PLACES and number(value, places) == number(edge, places):
        places += 1
    return places
