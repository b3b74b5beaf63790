"""`policy explain` as people meet it: verdicts, facts, ids, and every way to ask wrongly."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import DAY_MS, HOUR_MS, iso
from engine.ledger import FactsSnapshot, Ledger
from engine.policy.bundle import load_bundle
from engine.policy.durable import DurableEngine
from engine.policy.facts import MISSING, OK, Fact
from engine.posted import facts_document
from engine.verdict import Judge, Situation, bundle_documents, bundle_hashes
from tests.cli.test_commands import ROOT, run
from tests.policy_review.conftest import START_MS, make_repository

if TYPE_CHECKING:
    from engine.verdict import Verdict

GOLDEN = Path(__file__).parent / "golden"
UNITS = {"drawdown": 9.0, "sharpe_20d": -0.5, "stage": 3, "equity_age": 0.0, "days_in_stage": 12.0}
NOW_MS = START_MS + 2 * DAY_MS + 14 * HOUR_MS


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small bundle."""
    return make_repository(tmp_path_factory.mktemp("explain") / "repository").folder / "rules" / "bundle.yaml"


def facts_at(at_ms: int, **values: float | None) -> dict[str, Fact]:
    return {
        name: Fact(name, value, MISSING if value is None else OK, at_ms) for name, value in {**UNITS, **values}.items()
    }


@pytest.fixture(scope="module")
def recorded(rules: Path) -> tuple[Path, Verdict]:
    """A ledger with two yellow days of a negative Sharpe ratio, and the verdict of a moment with a red drawdown."""
    bundle = load_bundle(rules)
    policy = bundle.policies["action"]
    judge = Judge(policy, DurableEngine(policy), bundle_hashes(bundle), "0")
    path = rules.parent.parent / "ledger.db"
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(kind="rehearsal", created_at_ms=START_MS)
        for day in (1, 2):
            at_ms = START_MS + day * DAY_MS
            judge.add_day(at_ms, facts_at(at_ms))
            ledger.append(FactsSnapshot.of(at_ms, facts_document(facts_at(at_ms)), day_close=True))
        verdict = judge.verdict(
            facts_at(NOW_MS, drawdown=10.4, sharpe_20d=None), NOW_MS, Situation(3, 1.0, 15_000.0, 13_440.0)
        )
        ledger.append([*bundle_documents(bundle), *verdict.rows()])
    return path, verdict


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A moment without days before it."""
    path = tmp_path / "facts.yaml"
    path.write_text("drawdown: 9%\nsharpe_20d: -0.5\nstage: 3\n")
    return path


def explained(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    result = run(capsys, "policy", "explain", *arguments, "--json")
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


def same(name: str, text: str) -> None:
    """Compare with the text on file; STAGEGATE_WRITE_GOLDEN=1 puts the new one there, to be read and judged."""
    assert max(map(len, text.splitlines())) <= 80
    if os.environ.get("STAGEGATE_WRITE_GOLDEN"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


# ── a recorded verdict ──


def test_a_verdict(
    capsys: pytest.CaptureFixture[str], rules: Path, recorded: tuple[Path, Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rules.parent.parent)
    ledger, verdict = recorded
    result = run(capsys, "policy", "explain", verdict.verdict_id, "--ledger", ledger)
    assert result.code == 0
    same("verdict.txt", result.out.replace(verdict.verdict_id, "V<id>"))


def test_a_verdict_as_json_says_what_was_recorded(
    capsys: pytest.CaptureFixture[str], recorded: tuple[Path, Verdict]
) -> None:
    ledger, verdict = recorded
    document = json.loads(verdict.document)
    told = explained(capsys, verdict.verdict_id, "--ledger", ledger)
    assert list(told) == [
        "of", "at", "recorded_outcome", "policy", "outcome", "fired", "causes", "undecided", "harder", "promotions",
        "softer", "unknown", "rules",
    ]  # fmt: skip
    assert (told["of"], told["at"]) == (verdict.verdict_id, iso(NOW_MS))
    assert (told["recorded_outcome"], told["outcome"], told["fired"]) == ("REDUCE", "REDUCE", document["fired"])
    assert told["unknown"] == document["unknown"]
    assert [(rule["id"], rule["truth"]) for rule in told["rules"]] == [
        (rule["id"], rule["truth"]) for rule in document["rules"]
    ]
    assert told["causes"] == [
        {
            "rule": "drawdown_red",
            "conditions": [
                {"fact": "drawdown", "value": "10.4", "unit": "percent", "test": "> 10%", "truth": "TRUE",
                 "margin": "0.4"}
            ],
        },
        {"rule": "sharpe_low", "conditions": []},
    ]  # fmt: skip
    (stop, lost) = told["harder"]
    assert (stop["rule"], stop["lacking"][0]["margin"], stop["days"]) == ("hard_stop", "1.6", 0)
    assert lost["rule"] == "equity_lost"
    assert told["softer"]["outcome"] == "KEEP"


def test_what_the_ledger_recorded_differently_is_said(
    capsys: pytest.CaptureFixture[str], recorded: tuple[Path, Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, verdict = recorded
    monkeypatch.setattr("engine.policy.account.outcome_of", lambda *_: "KEEP")
    result = run(capsys, "policy", "explain", verdict.verdict_id, "--ledger", ledger)
    assert "the ledger recorded REDUCE: `stagegate verdict replay` says what differs" in result.out


# ── facts in a file ──


def test_a_moment_without_days(
    capsys: pytest.CaptureFixture[str], rules: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(given.parent)
    result = run(capsys, "policy", "explain", "--facts", given.name, "--rules", rules)
    assert result.code == 0
    same("moment.txt", result.out)


@pytest.mark.parametrize(
    ("series", "outcome", "missing"),
    [('"9%x3"', "REDUCE", 0), ('"9%x2"', "KEEP", 1), ('"9% _ 9%"', "KEEP", 1), ('"9% 9% 1%"', "KEEP", 3)],
)
def test_days_count_in_streaks(
    capsys: pytest.CaptureFixture[str], rules: Path, given: Path, series: str, outcome: str, missing: int
) -> None:
    given.write_text(f"drawdown: {series}\nsharpe_20d: 0.5\nstage: 3\nequity_age: 0 minutes\n")
    told = explained(capsys, "--facts", given, "--rules", rules)
    assert told["outcome"] == outcome
    yellow = next(rule for rule in told["rules"] if rule["id"] == "yellow_too_long[drawdown]")
    assert (yellow["streak"]["missing"], yellow["days_unknown"]) == (missing, False)


def test_json_is_read_with_its_tabs(capsys: pytest.CaptureFixture[str], rules: Path, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text('{\n\t"drawdown": "12.1%",\n\t"stage": 3\n}\n')
    assert explained(capsys, "--facts", path, "--rules", rules)["outcome"] == "PAUSE"


def test_another_policy(capsys: pytest.CaptureFixture[str], rules: Path, given: Path) -> None:
    told = explained(capsys, "--facts", given, "--rules", rules, "--policy", "stages")
    assert told["policy"] == "stages"


# ── ids ──


def test_a_rule(
    capsys: pytest.CaptureFixture[str], rules: Path, recorded: tuple[Path, Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rules.parent.parent)
    result = run(
        capsys, "policy", "explain", "yellow_too_long", "--rules", "rules/bundle.yaml", "--ledger", recorded[0].name
    )
    assert result.code == 0
    same("rule.txt", result.out)


def test_a_rule_as_json(capsys: pytest.CaptureFixture[str], rules: Path, given: Path) -> None:
    told = explained(capsys, "yellow_too_long[drawdown]", "--rules", rules, "--facts", given)
    (found,) = told["found"]
    assert (told["kind"], found["rule"], found["for"]) == ("rule", "yellow_too_long", "3 days")
    (now,) = found["now"]["rules"]
    assert (now["id"], now["truth"], now["days_unknown"]) == ("yellow_too_long[drawdown]", "UNKNOWN", True)
    (alone,) = explained(capsys, "drawdown_red", "--rules", rules)["found"]
    assert alone["now"] is None
    assert alone["sentence"] == "REDUCE when the current drawdown is red (above 10 %)"


@pytest.mark.parametrize("name", ["drawdown_red", "R118", "A01", "drawdown", "abort_1[drawdown]", "yellow_too_long"])
def test_every_id_of_the_shipped_bundle_leads_somewhere(capsys: pytest.CaptureFixture[str], name: str) -> None:
    result = run(capsys, "policy", "explain", name)
    assert result.code == 0
    assert name in result.out
    assert max(map(len, result.out.splitlines())) <= 80


def test_every_rule_fact_and_reference_is_found() -> None:
    from engine.policy_explain.subjects import subject  # noqa: PLC0415 - one test needs it
    from engine.policy_explain.text import subject_text  # noqa: PLC0415 - the same

    bundle = load_bundle(ROOT / "config/prod_scale_rules_R1.yaml")
    names = {name for policy in bundle.policies.values() for name in [*policy.rules, *policy.by_id]}
    names |= {ref for policy in bundle.policies.values() for rule in policy.rules.values() for ref in rule.refs}
    names |= {name for name, spec in bundle.vocabulary.facts.items() if spec.difference is None}
    for name in names:
        assert subject_text(subject(bundle, name))


# ── asked wrongly ──


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drawdon: 1%\n", ("1:1: error[unknown-fact]: there is no fact `drawdon`", "did you mean `drawdown`?")),
        ("drawdown: 0.12\n", ("1:11: error[unit]: `drawdown` is in percent, `0.12` has no unit", 'write `"12%"`')),
        ("drawdown: 120%\n", ("1:11: error[range]", "")),
        ("drawdown: '1%x3'\nstage: '3x2'\n", ("2:8: error[length]: `stage` has 2 days, `drawdown` has 3", "")),
        ("- drawdown\n", ("error[type]: expected facts and their values", "drawdown: 10.4%")),
    ],
)
def test_mistakes_in_facts_have_a_place_and_a_remedy(
    capsys: pytest.CaptureFixture[str], rules: Path, given: Path, text: str, said: tuple[str, str]
) -> None:
    given.write_text(text)
    result = run(capsys, "policy", "explain", "--facts", given, "--rules", rules)
    assert (result.code, result.out) == (1, "")
    assert all(part in result.err for part in said)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["drawdown_rd"], 2, "did you mean `drawdown_red`?"),
        (["yellow_too_long[stage]"], 2, "did you mean `yellow_too_long[drawdown]`?"),
        (["R999"], 2, "`R999` is no rule, fact, requirement or verdict"),
        (["drawdown_red", "--policy", "guard"], 2, "`drawdown_red` is no rule"),
        (["--policy", "actoin", "--facts", "FACTS"], 2, "did you mean `action`?"),
        (["--facts", "nowhere.yaml"], 1, "nowhere.yaml: error[no-file]"),
        (["V20240301-1400-action-abcdef", "--ledger", "LEDGER"], 1, "there is no verdict"),
        (
            ["V20240301-1400-action-abcdef", "--ledger", "LEDGER", "--facts", "FACTS"],
            2,
            "a verdict has facts of its own",
        ),
        (["V20240301-1400-action-abcdef"], 2, "add --ledger"),
        ([], 2, "name a rule such as `drawdown_red`, a verdict with --ledger, or a file with --facts"),
        (["--ledger", "nowhere.db"], 1, "nowhere.db"),
    ],
)
def test_questions_that_cannot_be_answered(
    capsys: pytest.CaptureFixture[str],
    rules: Path,
    given: Path,
    recorded: tuple[Path, Verdict],
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(rules.parent)
    monkeypatch.delenv("STAGEGATE_LEDGER", raising=False)
    words: dict[str, str | Path] = {"FACTS": given, "LEDGER": recorded[0]}
    result = run(capsys, "policy", "explain", *(words.get(one, one) for one in arguments), "--rules", rules)
    assert (result.code, result.out) == (code, "")
    assert said in result.err


def test_a_ledger_without_facts(capsys: pytest.CaptureFixture[str], rules: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(kind="paper", created_at_ms=START_MS)
    result = run(capsys, "policy", "explain", "--ledger", path, "--rules", rules)
    assert (result.code, "no facts were recorded yet" in result.err) == (1, True)
