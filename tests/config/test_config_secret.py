from __future__ import annotations

import copy
import pickle

import pytest

from engine.config import Secret

SENTINEL = "SENTINEL-8123"


@pytest.mark.parametrize(
    ("template", "environ", "expected"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A}", {}, None),
        ("${A}", {"A": ""}, None),
        ("a ${A} b ${B}", {"A": "1", "B": "2"}, "a 1 b 2"),
        ("a ${A} b ${B}", {"A": "1"}, None),
        ("bot ${A}", {"A": ""}, None),
        ("plain", {}, "plain"),
        ("", {}, None),
        ("$A", {"A": "x"}, "$A"),
        ("${A}", {"A": "${B}", "B": "never"}, "${B}"),
        ("${A}", {"A": r"\1 \g<0>"}, r"\1 \g<0>"),
    ],
)
def test_resolve(template: str, environ: dict[str, str], expected: str | None) -> None:
    assert Secret(template).resolve(environ) == expected


def test_names() -> None:
    assert Secret("${A_1}:${b}").names == ("A_1", "b")


def test_R022_no_printed_form_shows_the_resolved_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SENTINEL)
    secret = Secret("${TOKEN}")
    assert secret.resolve({"TOKEN": SENTINEL}) == SENTINEL
    forms = [str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", "%s" % secret, str([secret]), str(vars(secret))]  # noqa: UP031  each way to print
    assert not any(SENTINEL in form for form in forms)
    assert SENTINEL.encode() not in pickle.dumps(secret)
    assert copy.deepcopy(secret) == secret
