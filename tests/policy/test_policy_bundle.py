"""The bundle: everything it names is read and hashed; a configuration that is not the pinned one blocks (A90)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import PolicyError
from engine.policy.bundle import load_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
CONFIG = b"leverage: 3\n"
VOCABULARY = """vocabulary: v
facts:
  x: {title: x, unit: ratio, worse: higher, range: [0, 1], resolution: 0.01, max_age: 1 hour, from: a test}
"""
POLICY = """policy: action
title: t
outcomes: [STOP, KEEP]
otherwise: KEEP
rules: {stop: {outcome: STOP, when: {x: "> 0.5"}, because: b}}
effects: {STOP: {exposure: 0, until: restart}, KEEP: {}}
exit: {STOP: 30, KEEP: 0}
"""
BUNDLE = """bundle: T1
config: {path: config.yaml, sha256: SHA}
vocabulary: facts.yaml
policies: {action: action.yaml}
execution: {rebalance_dead_band: 5%}
reporting: {periods_per_year: 365, risk_free_rate: 0}
"""
SHA = hashlib.sha256(CONFIG).hexdigest()


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a bundle of small files, with texts replaced in the bundle's."""

    def write(*replaced: tuple[str, str], policy: str = POLICY, vocabulary: str = VOCABULARY) -> Path:
        text = BUNDLE.replace("SHA", SHA)
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "config.yaml").write_bytes(CONFIG)
        (tmp_path / "facts.yaml").write_text(vocabulary)
        (tmp_path / "action.yaml").write_text(policy)
        (tmp_path / "bundle.yaml").write_text(text)
        return tmp_path / "bundle.yaml"

    return write


def refused(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(PolicyError) as caught:
        load_bundle(path)
    return [(problem.code, problem.where.rsplit("/", 1)[-1]) for problem in caught.value.problems]


def test_R226_the_shipped_bundle() -> None:
    shipped = load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml")
    assert shipped.name == "R1"
    assert {"action", "stages"} <= set(shipped.policies)
    assert (
        shipped.config_sha256 == hashlib.sha256((ROOT / "config" / "prod_candidate_R1.yaml").read_bytes()).hexdigest()
    )
    assert shipped.sha256 == hashlib.sha256(shipped.path.read_bytes()).hexdigest()
    assert shipped.text == shipped.path.read_text()
    assert (shipped.periods_per_year, shipped.risk_free_rate_ratio) == (365, 0.0)


def test_A31_the_rebalance_dead_band_is_a_ratio() -> None:
    assert load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml").rebalance_dead_band_ratio == 0.05


def test_a_bundle_reads_what_it_names(bundle: Callable[..., Path]) -> None:
    loaded = load_bundle(bundle())
    assert loaded.policies["action"].vocabulary == loaded.vocabulary
    assert loaded.config_text.encode() == CONFIG
    assert loaded.config_path.read_bytes() == CONFIG


def test_R002_R030_a_flipped_byte_of_the_configuration_is_refused(bundle: Callable[..., Path]) -> None:
    path = bundle()
    path.with_name("config.yaml").write_bytes(CONFIG.replace(b"3", b"2"))
    assert refused(path) == [("config-hash", "bundle.yaml:2:37")]


@pytest.mark.parametrize("pinned", ["''", "~", SHA.upper(), SHA[:-1], SHA[:-1] + "g", "b84a"])
def test_A90_a_hash_that_is_none_blocks(bundle: Callable[..., Path], pinned: str) -> None:
    assert [code for code, _ in refused(bundle((SHA, pinned)))] in (["config-hash"], ["empty"])


def test_A90_no_hash_at_all_blocks(bundle: Callable[..., Path]) -> None:
    assert [code for code, _ in refused(bundle((f", sha256: {SHA}", "")))] == ["config-hash"]


BAD = [
    (("config.yaml", "other.yaml"), [("no-file", "bundle.yaml:2:16")]),
    (("facts.yaml", "other.yaml"), [("no-file", "bundle.yaml:3:13")]),
    (("action.yaml", "other.yaml"), [("no-file", "bundle.yaml:4:20")]),
    (("{action:", "{risk_guard:"), [("policy-name", "bundle.yaml:4:24")]),
    (("5%", "0.05"), [("type", "bundle.yaml:5:34")]),
    (("5%", '"0.05"'), [("unit", "bundle.yaml:5:34")]),
    (("5%", "100%"), [("unit", "bundle.yaml:5:34")]),
    (("365", "0"), [("number", "bundle.yaml:6:31")]),
    (("risk_free_rate: 0", "risk_free_rte: 0"), [("missing", "bundle.yaml:6:1"), ("unknown-key", "bundle.yaml:6:36")]),
    (("vocabulary: facts.yaml\n", ""), [("missing", "bundle.yaml:1:1")]),
    (("policies: {action: action.yaml}", "policies: {}"), [("empty", "bundle.yaml:4:11")]),
]


@pytest.mark.parametrize(("replaced", "expected"), BAD, ids=["-".join(case[0]).strip() for case in BAD])
def test_mistakes_of_a_bundle(
    bundle: Callable[..., Path], replaced: tuple[str, str], expected: list[tuple[str, str]]
) -> None:
    assert refused(bundle(replaced)) == expected


def test_the_mistakes_of_all_files_come_together(bundle: Callable[..., Path]) -> None:
    path = bundle((SHA, "'0'"), policy=POLICY.replace("> 0.5", "> 5"))
    assert refused(path) == [("config-hash", "bundle.yaml:2:37"), ("range", "action.yaml:5:41")]


def test_a_wrong_vocabulary_is_reported_once_and_no_policy_is_read_against_it(bundle: Callable[..., Path]) -> None:
    assert refused(bundle(vocabulary=VOCABULARY.replace("ratio", "ration"))) == [("unit", "facts.yaml:3:23")]


def test_a_configuration_that_cannot_be_read(bundle: Callable[..., Path]) -> None:
    path = bundle()
    path.with_name("config.yaml").unlink()
    path.with_name("config.yaml").mkdir()
    assert refused(path) == [("no-file", "bundle.yaml:2:16")]


def test_A90_the_digest_covers_every_byte_that_the_bundle_decides_with(bundle: Callable[..., Path]) -> None:
    path = bundle()
    before = load_bundle(path)
    assert before.digest == hashlib.sha256(before.manifest.encode()).hexdigest()
    lines = [line.split("  ") for line in before.manifest.splitlines()]
    assert [name for _, name in lines] == ["action.yaml", "bundle.yaml", "config.yaml", "facts.yaml"]
    assert {sha256 for sha256, _ in lines} == {
        hashlib.sha256(one.read_bytes()).hexdigest() for one in before.folder.iterdir()
    }
    digests = {before.digest}
    for name in ("action.yaml", "facts.yaml", "bundle.yaml"):
        changed = path.with_name(name)
        whole = changed.read_bytes()
        changed.write_bytes(whole + b"\n")  # one byte, which changes no meaning
        digests.add(load_bundle(path).digest)
        changed.write_bytes(whole)
    config = path.with_name("config.yaml")
    config.write_bytes(CONFIG + b"\n")
    path.write_bytes(path.read_bytes().replace(SHA.encode(), hashlib.sha256(CONFIG + b"\n").hexdigest().encode()))
    digests.add(load_bundle(path).digest)
    assert len(digests) == 5
    assert load_bundle(bundle()).digest == before.digest


def test_A90_the_digest_does_not_depend_on_where_the_files_lie(bundle: Callable[..., Path], tmp_path: Path) -> None:
    digest = load_bundle(bundle()).digest
    elsewhere = tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    for one in tmp_path.glob("*.yaml"):
        (elsewhere / one.name).write_bytes(one.read_bytes())
    assert load_bundle(elsewhere / "bundle.yaml").digest == digest
    (elsewhere / "action.yaml").rename(elsewhere / "deed.yaml")
    path = elsewhere / "bundle.yaml"
    path.write_text(path.read_text().replace("action.yaml", "deed.yaml"))
    assert load_bundle(path).digest != digest


def test_A90_the_digest_covers_policies_that_were_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml")
    part = load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml", only=("review",))
    assert set(part.policies) == {"review"}
    assert part.digest == whole.digest
    monkeypatch.chdir(ROOT / "policies")
    assert load_bundle(Path("../config/prod_scale_rules_R1.yaml")).digest == whole.digest
    assert whole.folder == ROOT
    for sha256, name in (line.split("  ") for line in whole.manifest.splitlines()):
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize("name", ["x" * 300 + ".yaml", '"a\\0b.yaml"', "/dev/null"])
def test_a_name_that_no_file_can_have_is_no_file(bundle: Callable[..., Path], name: str) -> None:
    assert refused(bundle(("action: action.yaml", f"action: {name}"))) == [("no-file", "bundle.yaml:4:20")]
    path = bundle(("{action: action.yaml}", f"{{action: action.yaml, other: {name}}}"))
    assert set(load_bundle(path, only=("action",)).policies) == {"action"}
