"""Changes of a policy file: gentle ones that leave it YAML, any others, and some of its bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

_TOKEN = re.compile(r"[\w.$%-]+|\S")
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?")
_KEY = re.compile(r"(?<![\w$])[\w$]{1,60}(?=:)")
_VALUE = re.compile(r"(?<=: )(?:\{[^{}\n]*\}|\[[^\[\]\n]*\]|\"[^\"\n]*\"|[\w.$%-]{1,60})")
_WORDS = (
    "all", "any", "not", "unknown", "band", "every_band", "green", "yellow", "red", "when", "unless", "for", "gap",
    "effects", "outcome", "rules", "stages", "promote", "abort", "parameters", "range", "facts", "unit", "policy",
    "> 12%", "< -5", "= yes", ">= $hard_stop_drawdown", "!= 3 days", "10 of 9 days", "366 days", "x1.5", "none", "~",
    "true", "no", ".nan", "-.inf", "0x1F", "1e999", "1_000", "2024-01-01", "yes", "{}", "[]", "''", "null", "<<", "=",
)  # fmt: skip
_VALUES = (
    "{}", "[]", "''", "~", "yes", "no", "true", "0", "-1", "1.5", ".nan", "[1, 2]", "{a: b}", "[{x: unknown}]", "red",
    "unknown", '"> 12%"', '"<= $equity_late"', '"= 1e5"', '"> drawdown"', '"!= CLEAR"', "9 days", "3 of 2 days", "60 %",
    '"\\e[31m"', '"\\0"', '"a\\nb"', "1000000000000000000000", "one of [a]", "[ok, ok]", "x" * 100, "..", "/",
)  # fmt: skip
_MARKS = (
    ":", ": ", "-", "- ", "? ", ",", "{", "}", "[", "]", '"', "'", "#", " #", "&a ", "*a", "!!int ", "!x ", "|", ">",
    "|+\n", "%YAML 9.9\n", "---\n", "...\n", "@", "`", "\t", "\r", "\r\n", "\n", "\n\n", "\\", '"\\uD800"',
)  # fmt: skip
_STRANGE = (
    "\x00", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1b[31m", "\x7f", "\x85", "\xa0", "\xad", "\u200b", "\u2028",
    "\u2029", "\u202e", "\ufeff", "\ufffe", "\uffff", "\U0001f600", "\U0010ffff", "é", "\u0301", "−", "０", "٣", "≥",
)  # fmt: skip
_BOMB = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def pick(rng: np.random.Generator, items: tuple[str, ...]) -> str:
    """Return one of the items."""
    return items[int(rng.integers(len(items)))]


def _any(found: list[re.Match[str]], rng: np.random.Generator) -> re.Match[str]:
    return found[int(rng.integers(len(found)))]


def _put(text: str, one: re.Match[str], piece: str) -> str:
    """Return `text` with `piece` where `one` was found."""
    return text[: one.start()] + piece + text[one.end() :]


def _place(rng: np.random.Generator, length: int) -> int:
    return int(rng.integers(length + 1))


def _characters(text: str, rng: np.random.Generator) -> str:
    start = _place(rng, len(text))
    piece = pick(rng, (*_MARKS, "", "", *_STRANGE))
    return text[:start] + piece + text[start + int(rng.integers(12)) :]


def _token(text: str, rng: np.random.Generator) -> str:
    """Replace one word or mark by another one of the file or of the language, or repeat it."""
    found = list(_TOKEN.finditer(text))
    if not found:
        return text
    one = _any(found, rng)
    other = _any(found, rng)[0]
    piece = pick(rng, (other, pick(rng, _WORDS), pick(rng, _MARKS), f"{one[0]} {one[0]}", ""))
    return _put(text, one, piece)


def _line(text: str, rng: np.random.Generator) -> str:
    """Remove, repeat, move or swap lines."""
    lines = text.split("\n")
    one, other = int(rng.integers(len(lines))), int(rng.integers(len(lines)))
    match pick(rng, ("remove", "repeat", "many", "swap", "cut")):
        case "remove":
            del lines[one : one + int(rng.integers(1, 6))]
        case "repeat":
            lines.insert(other, lines[one])
        case "many":
            lines[one:one] = [lines[one]] * (4 ** int(rng.integers(1, 8)))
        case "swap":
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            del lines[one:]
    return "\n".join(lines)


def _indentation(text: str, rng: np.random.Generator) -> str:
    lines = text.split("\n")
    first = int(rng.integers(len(lines)))
    shift = int(rng.integers(-4, 9))
    for number in range(first, min(len(lines), first + int(rng.integers(1, 12)))):
        line = lines[number]
        lines[number] = " " * shift + line if shift > 0 else line[min(-shift, len(line) - len(line.lstrip(" "))) :]
    return "\n".join(lines)


def _key(text: str, rng: np.random.Generator) -> str:
    """Rename a key, or turn it into something that is no plain word."""
    found = list(_KEY.finditer(text))
    if not found:
        return text
    one = _any(found, rng)
    other = _any(found, rng)[0]
    odd = (
        '"\\e[31m"',
        '"a\\nb"',
        '"\\0"',
        "? [x]\n",
        "{x: 1}",
        "[x]",
        "~",
        "1",
        "1.5",
        "true",
        "<<",
        "''",
        "-1",
        "x" * 300,
    )
    piece = pick(rng, (other, pick(rng, odd), one[0][:-1], f"{one[0]}{one[0]}", one[0].upper()))
    return _put(text, one, piece)


def _nesting(text: str, rng: np.random.Generator) -> str:
    """Wrap a value into another shape, a few times or far too often."""
    found = list(re.finditer(r"(?<=: )[^\n#]+", text))
    if not found:
        return text
    one = _any(found, rng)
    deep = 4 ** int(rng.integers(9))
    shapes = {"[": "]", "{not: ": "}", "{all: [": "]}", "{any: [": "]}", "{x: ": "}", '{"': '": 1}', "- ": "", "? ": ""}
    begin = pick(rng, tuple(shapes))
    value = one[0] if rng.random() < 0.8 else ""
    ends = shapes[begin] * deep if rng.random() < 0.8 else ""
    return f"{text[: one.start()]}{begin * deep}{value}{ends}{text[one.end() :]}"


def _number(text: str, rng: np.random.Generator) -> str:
    found = list(_NUMBER.finditer(text))
    if not found:
        return text
    one = _any(found, rng)
    digits = "9" * (4 ** int(rng.integers(1, 9)))
    near = str(float(one[0]) + float(rng.choice([-1, -1e-4, 1e-4, 1, 1e18]))) if len(one[0]) < 20 else "0"
    others = (
        digits, f"-{digits}", f"0.{digits}", f"1e{digits[:4096]}", f"1{'0' * 400}", near, "0", "-0", "1e308", "1e-400",
        ".inf", ".nan", "٣", "1__0", "0o17", "0b1", f"{one[0]}%", f"{one[0]} days", f"{one[0]}x{digits[:64]}",
        f"{one[0]}..{digits[:16]}x9",
    )  # fmt: skip
    return _put(text, one, pick(rng, others))


def _long(text: str, rng: np.random.Generator) -> str:
    """Blow up one word, comment, list or mapping."""
    found = list(_TOKEN.finditer(text))
    if not found:
        return text
    one = _any(found, rng)
    times = 4 ** int(rng.integers(1, 10))
    piece = pick(
        rng,
        (
            one[0] * times,
            f'"{one[0]} {"é " * times}"',
            f"# {one[0] * times}",
            f"[{f'{one[0]}, ' * times}]",
            "{" + ", ".join(f"k{number}: {one[0]}" for number in range(min(times, 80_000))) + "}",
            "\n".join(f"    k{number}: {one[0]}" for number in range(min(times, 80_000))),
            " " * times,
            "\n" * times,
        ),
    )
    return _put(text, one, piece)


def _anchors(text: str, rng: np.random.Generator) -> str:
    bomb = _BOMB if rng.random() < 0.5 else _BOMB.replace("\n", "\n  ")
    if rng.random() < 0.5:
        return bomb + text
    found = list(re.finditer(r"(?<=: )(?=\S)", text))
    if not found:
        return text + bomb
    for one in sorted(rng.choice(len(found), size=min(3, len(found)), replace=False), reverse=True):
        at = found[int(one)].start()
        text = (
            text[:at]
            + pick(rng, ("&a ", "*a ", "&a &b ", "!!python/object/apply:os.getcwd [] ", "! ", "!!map "))
            + text[at:]
        )
    return text


def _strange(text: str, rng: np.random.Generator) -> str:
    for _ in range(int(rng.integers(1, 4))):
        at = _place(rng, len(text))
        text = text[:at] + pick(rng, _STRANGE) + text[at:]
    return text


def _splice(text: str, rng: np.random.Generator) -> str:
    """Move one part of the file to another place."""
    first, last = sorted((_place(rng, len(text)), _place(rng, len(text))))
    at = _place(rng, len(text))
    return text[:at] + text[first : min(last, first + 2000)] + text[at:]


def _breaks(text: str, rng: np.random.Generator) -> str:
    return text.replace("\n", pick(rng, ("\r\n", "\r", "\n\r", "\x85", "\u2028", "\n\n", "\n\t", " \n", "\n---\n")))


def _value(text: str, rng: np.random.Generator) -> str:
    """Put the value of one key, an item or a scalar, in the place of another."""
    found = list(_VALUE.finditer(text))
    if not found:
        return text
    one, other = (_any(found, rng) for _ in range(2))
    piece = other[0] if rng.random() < 0.7 else pick(rng, _VALUES)
    return _put(text, one, piece)


def _whole_line(text: str, rng: np.random.Generator) -> str:
    """Remove, repeat or move one line to where another of its depth stands."""
    lines = text.split("\n")
    one = int(rng.integers(len(lines)))
    depth = len(lines[one]) - len(lines[one].lstrip(" "))
    alike = [number for number, line in enumerate(lines) if len(line) - len(line.lstrip(" ")) == depth]
    other = alike[int(rng.integers(len(alike)))]
    match pick(rng, ("remove", "copy", "move", "swap")):
        case "remove":
            del lines[one]
        case "copy":
            lines.insert(other, lines[one])
        case "move":
            lines.insert(other, lines.pop(one))
        case _:
            lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def _near(text: str, rng: np.random.Generator) -> str:
    """Change one number a little, or to one that means something else."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return text
    one = _any(found, rng)
    number = float(one[0])
    others = (number + 1, number - 1, -number, number * 10, number / 10, number + 1e-4, 0, 366, 367, 1e15, 0.5)
    return _put(text, one, f"{others[int(rng.integers(len(others)))]:.10g}")


def _wrapped(text: str, rng: np.random.Generator) -> str:
    """Wrap one value in flow style into another shape, whole."""
    found = list(re.finditer(r"(?<=: )\{[^{}\n]*\}", text))
    if not found:
        return text
    one = _any(found, rng)
    deep = int(rng.integers(1, 30)) if rng.random() < 0.3 else 1
    begin, end = (("{not: ", "}"), ("{all: [", "]}"), ("{any: [", "]}"), ("[", "]"))[int(rng.integers(4))]
    return f"{text[: one.start()]}{begin * deep}{one[0]}{end * deep}{text[one.end() :]}"


IN_TEXT: Mapping[str, Callable[[str, np.random.Generator], str]] = {
    "characters": _characters,
    "token": _token,
    "line": _line,
    "indentation": _indentation,
    "key": _key,
    "nesting": _nesting,
    "number": _number,
    "long": _long,
    "anchors": _anchors,
    "strange characters": _strange,
    "splice": _splice,
    "line breaks": _breaks,
    "value": _value,
    "whole line": _whole_line,
    "near number": _near,
    "wrapped": _wrapped,
}
GENTLE = ("key", "value", "whole line", "near number", "wrapped")


def _byte(raw: bytes, rng: np.random.Generator) -> bytes:
    edited = bytearray(raw)
    for _ in range(int(rng.integers(1, 9))):
        if edited:
            edited[int(rng.integers(len(edited)))] = int(rng.integers(256))
    return bytes(edited)


def _bom(raw: bytes, rng: np.random.Generator) -> bytes:
    marks = (b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
    return marks[int(rng.integers(len(marks)))] + raw


def _encoding(raw: bytes, rng: np.random.Generator) -> bytes:
    return raw.decode(errors="replace").encode(
        pick(rng, ("utf-16", "utf-32", "utf-16-le", "latin-1")), errors="replace"
    )


def _cut(raw: bytes, rng: np.random.Generator) -> bytes:
    return raw[: _place(rng, len(raw))]


def _not_utf8(raw: bytes, rng: np.random.Generator) -> bytes:
    at = _place(rng, len(raw))
    pieces = (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\xc0\xaf")
    return raw[:at] + pieces[int(rng.integers(len(pieces)))] + raw[at:]


IN_BYTES: Mapping[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "byte": _byte,
    "byte order mark": _bom,
    "encoding": _encoding,
    "cut": _cut,
    "not UTF-8": _not_utf8,
}
