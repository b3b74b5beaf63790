"""The fuzz of policy files: a short run of it, and that it would find what it looks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import fuzz
from benchmarks.fuzz import LIMIT_MB, LIMIT_S, SEED, Finding, Reader, run
from benchmarks.fuzz_files import POLICY, Base, bases, mutated
from benchmarks.fuzz_mutations import GENTLE, IN_BYTES, IN_TEXT
from engine.errors import PolicyError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = 200


def test_mutated_files_are_read_or_refused_in_words_within_a_second_and_200_mb(tmp_path: Path) -> None:
    tally = run(SEED, FILES, tmp_path)
    assert tally.files == FILES
    assert tally.slowest[0] < LIMIT_S
    assert tally.largest[0] < LIMIT_MB
    assert 0 < tally.refused < FILES, "some are still sound"
    assert len(tally.codes) > 20, "the checks behind the syntax are reached"


def test_a_file_of_a_seed_is_always_the_same_and_every_change_occurs() -> None:
    among = bases()
    made = [mutated(SEED, number, among)[1] for number in range(FILES)]
    assert made[17] == mutated(SEED, 17, bases())[1]
    assert made[17].raw != mutated(SEED + 1, 17, among)[1].raw
    assert {how for one in made for how in one.how} == {*IN_TEXT, *IN_BYTES}
    assert set(GENTLE) < set(IN_TEXT)
    assert {one.kind for one in made} == {base.kind for base in among}
    assert sum(len(one.raw) > 100_000 for one in made) > 2, "some are far too large"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("fuzz"))


def met_with(monkeypatch: pytest.MonkeyPatch, reader: Reader, loader: Callable[..., Any]) -> fuzz.Answer:
    monkeypatch.setattr(fuzz, "load_policy", loader)
    base = Base(POLICY, "a.yaml", b"")
    return reader.answer(base, mutated(1, 1, (base,))[1])


def refusing(problem: Problem) -> Callable[..., Any]:
    def loader(*_: Any) -> None:
        raise PolicyError(problem)

    return loader


def test_it_finds_a_traceback_and_names_the_file(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    def loader(*_: Any) -> None:
        raise KeyError("x")

    with pytest.raises(Finding, match=r"file 1 \(a.yaml: .*KeyError"):
        met_with(monkeypatch, reader, loader)


def test_it_finds_words_that_no_terminal_may_show_and_places_in_no_file(
    monkeypatch: pytest.MonkeyPatch, reader: Reader
) -> None:
    monkeypatch.setattr(Problem, "__str__", lambda problem: problem.problem)
    for problem in (Problem("x", str(reader._folder), "a\x1b[2J"), Problem("x", "elsewhere.yaml:1:1", "wrong")):
        with pytest.raises(Finding):
            met_with(monkeypatch, reader, refusing(problem))


def test_it_finds_a_hang(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    def loader(*_: Any) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzz, "_HANGS_AFTER_S", 0.05)
    with pytest.raises(Finding, match="takes more than"):
        met_with(monkeypatch, reader, loader)


def test_it_measures_what_one_file_takes(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    def loader(*_: Any) -> None:
        bytearray(64_000_000)
        raise PolicyError(Problem("x", str(reader._folder), "wrong"))

    answer = met_with(monkeypatch, reader, loader)
    assert answer.codes == ("x",)
    assert answer.growth_mb > 50
    assert met_with(monkeypatch, reader, refusing(Problem("x", str(reader._folder), "wrong"))).growth_mb < 20
