"""Mutated policy files, very many: each is read or refused in words, within a second and 200 MB; never a traceback.

The second is one of the processor: other programs do not count. Reading a file waits for nothing.
``python -m benchmarks fuzz`` reads 100,000 of them. ``python -m benchmarks.fuzz 20260220 4711`` makes file 4711 of a
seed again, prints it and what becomes of it.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fuzz_files import BUNDLE, TESTS, VOCABULARY, bases, mutated
from benchmarks.harness import Figure, NotMeasured, Target, percentile, processor_s
from benchmarks.inputs import CONFIG, ROOT, RULES
from engine.errors import StagegateError
from engine.policy.bundle import load_bundle
from engine.policy.durable import compile_policy
from engine.policy.load import load_policy, load_vocabulary
from engine.policy.testing.casefile import load_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.fuzz_files import Base, Mutated
    from benchmarks.inputs import Inputs

SEED = 20260220
FILES = {"full": 100_000, "quick": 5_000, "tiny": 40}
LIMIT_S, LIMIT_MB = 1.0, 200.0

_HANGS_AFTER_S = 20.0
_OF_A_RULE = ("hash-collision",)  # stands in no line
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Finding(Exception):  # noqa: N818 - what the fuzz looks for
    """A mutated file that was neither read nor refused in words; the text names it."""


class _Hang(BaseException):
    """The alarm: whatever reads the file must not catch it."""


@dataclass(frozen=True)
class Answer:
    """What became of one file: refused with these codes (none: it was read), in how long, and the peak of memory."""

    codes: tuple[str, ...]
    took_s: float
    growth_mb: float


@dataclass
class Tally:
    """What became of all files so far."""

    files: int = 0
    refused: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)
    largest: tuple[float, int] = (0.0, 0)

    def add(self, number: int, answer: Answer) -> None:
        """Count one more file."""
        self.files += 1
        self.refused += bool(answer.codes)
        self.codes.update(set(answer.codes))
        self.took_s.append(answer.took_s)
        self.slowest = max(self.slowest, (answer.took_s, number))
        self.largest = max(self.largest, (answer.growth_mb, number))


class Reader:
    """Reads files as the program does: from a folder, beside the files that they name.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        shipped, small = ROOT / "policies" / "facts.yaml", ROOT / "tests" / "policies" / "vocabulary.yaml"
        self._vocabularies = {False: load_vocabulary(shipped), True: load_vocabulary(small)}
        self._policies = load_bundle(RULES).policies
        for source in (CONFIG.parent, shipped.parent):
            shutil.copytree(source, folder / source.name)
        self._folder = folder

    def answer(self, base: Base, file: Mutated) -> Answer:
        """Read one file.

        Raises:
            Finding: it ended in anything but a value or an error in words.
        """
        place = self._folder / "config" if base.kind == BUNDLE else self._folder / "policies"
        path = place / ("tests/mutated.yaml" if base.kind == TESTS else "mutated.yaml")
        path.write_bytes(file.raw)
        before_mb = _peak_mb(clear=True)
        start_s = processor_s()
        codes: tuple[str, ...] = ()
        try:
            with _alarm():
                self._read(base, path)
        except StagegateError as error:
            codes = tuple(problem.code for problem in error.problems)
            _check_words(file, path, error)
        except _Hang:
            raise Finding(f"{_named(file)} takes more than {_HANGS_AFTER_S:.0f} s") from None
        except Exception as failure:
            raise Finding(f"{_named(file)}: {type(failure).__name__}: {failure}") from failure
        return Answer(codes, processor_s() - start_s, max(0.0, _peak_mb() - before_mb))

    def _read(self, base: Base, path: Path) -> None:
        if base.kind == VOCABULARY:
            load_vocabulary(path)
        elif base.kind == BUNDLE:
            load_bundle(path, only=("restart",))
        elif base.kind == TESTS:
            load_cases([path], self._policies)
        else:
            compile_policy(load_policy(path, self._vocabularies[base.small]))


def _check_words(file: Mutated, path: Path, error: StagegateError) -> None:
    """See to it that each problem is one line that a terminal can show, with a place in a file."""
    if not error.problems:
        raise Finding(f"{_named(file)} is refused without a word")
    if not all(line.isprintable() for line in str(error).split("\n")):
        raise Finding(f"{_named(file)} is refused in words that no terminal may show: {str(error)[:200]!a}")
    for problem in error.problems:
        if not problem.problem or not (problem.where.startswith(str(path.parents[1])) or problem.code in _OF_A_RULE):
            raise Finding(f"{_named(file)}: error[{problem.code}] is about `{problem.where}`")


def _named(file: Mutated) -> str:
    return f"file {file.number} ({file.base}: {', '.join(file.how)})"


@contextmanager
def _alarm() -> Iterator[None]:
    """End a block that hangs, wherever Python itself still runs."""

    def ring(_number: int, _frame: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, _HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _peak_mb(*, clear: bool = False) -> float:
    """Return the greatest resident memory of this process since it was last cleared, in MB.

    Raises:
        NotMeasured: this system does not say.
    """
    try:
        if clear:
            _CLEAR.write_text("5")
        lines = _STATUS.read_text().splitlines()
    except OSError:
        raise NotMeasured("the peak of memory is read from /proc, which this system lacks") from None
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def run(seed: int, count: int, folder: Path, *, progress: int = 0) -> Tally:
    """Read files 0 to `count` of a seed.

    Args:
        seed: 0 or more.
        count: how many.
        folder: an empty one.
        progress: say so on standard error after so many files; 0: never.

    Raises:
        Finding: the first file that was neither read nor refused in words.
        NotMeasured: this system does not tell the peak of memory.
    """
    reader, among, tally = Reader(folder), bases(), Tally()
    gc.collect()
    for number in range(count):
        tally.add(number, reader.answer(*mutated(seed, number, among)))
        if progress and tally.files % progress == 0:
            told = f"{tally.files:,} files, {tally.refused:,} refused, slowest {tally.slowest[0]:.3f} s"
            print(f"{told}, largest {tally.largest[0]:.0f} MB", file=sys.stderr, flush=True)
    return tally


def figures(inputs: Inputs) -> list[Figure]:
    """Read the scale's number of files and return the slowest and the largest."""
    count = FILES[inputs.scale.name]
    try:
        tally = run(SEED, count, inputs.folder, progress=5_000)
    except Finding as finding:
        raise NotMeasured(f"seed {SEED}, {finding}") from finding
    ordered = sorted(tally.took_s)
    slow_s, slow = tally.slowest
    large_mb, large = tally.largest
    note = f"seed {SEED}, {tally.refused:,} refused in words, {count - tally.refused:,} read; no traceback, no hang"
    seconds, megabytes = Target("p50", LIMIT_S, "#3"), Target("p50", LIMIT_MB, "#3")
    typical = Figure(
        what="read a mutated policy file",
        ours=True,
        p50=percentile(ordered, 50),
        p99=percentile(ordered, 99),
        best=ordered[0],
        repeats=count,
        note=note,
    )
    slowest = Figure(what="the slowest of them", ours=True, p50=slow_s, targets=(seconds,), note=f"file {slow}")
    what = "the greatest growth of memory for one"
    largest = Figure(what=what, ours=True, p50=large_mb, unit="MB", targets=(megabytes,), note=f"file {large}")
    return [typical, slowest, largest]


def main() -> None:
    """Make one file again, print it and what becomes of it."""
    seed, number = (int(word) for word in sys.argv[1:])
    base, file = mutated(seed, number, bases())
    with tempfile.TemporaryDirectory(prefix="stagegate-fuzz-") as folder:
        reader = Reader(Path(folder))
        sys.stdout.flush()
        os.write(1, file.raw + b"\n")
        print(f"── {_named(file)}, {len(file.raw):,} bytes")
        answer = reader.answer(base, file)
    print(f"{'refused: ' + ', '.join(sorted(set(answer.codes))) if answer.codes else 'read'}")
    print(f"{answer.took_s:.3f} s, {answer.growth_mb:.1f} MB")


if __name__ == "__main__":
    main()
