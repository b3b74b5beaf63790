"""Mutated policy files: file N of a seed is always the same, so one number is enough to see it again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.fuzz_mutations import GENTLE, IN_BYTES, IN_TEXT, pick
from benchmarks.inputs import ROOT, RULES

POLICY, VOCABULARY, BUNDLE, TESTS = "policy", "vocabulary", "bundle", "tests"

_BLOWN_UP = 100_000  # characters: further changes would take longer to make than to read
_MOST_BYTES = 1_200_000  # a little more than is ever read


@dataclass(frozen=True)
class Mutated:
    """One file: what it was made of, how, and its bytes."""

    number: int
    kind: str
    base: str
    how: tuple[str, ...]
    raw: bytes = b""


@dataclass(frozen=True)
class Base:
    """One file as it is written; `small` files are read against the small vocabulary of the tests."""

    kind: str
    name: str
    raw: bytes
    small: bool = False


def bases() -> tuple[Base, ...]:
    """Return the shipped policies, vocabulary, bundle and tests, and every file of mistakes."""
    shipped = sorted((ROOT / "policies").glob("*.yaml"))
    found = [Base(VOCABULARY if path.stem == "facts" else POLICY, path.name, path.read_bytes()) for path in shipped]
    found.append(Base(BUNDLE, RULES.name, RULES.read_bytes()))
    found += [
        Base(TESTS, f"tests/{path.name}", path.read_bytes())
        for path in sorted((ROOT / "policies" / "tests").glob("*.yaml"))
    ]
    for path in sorted((ROOT / "tests" / "policies" / "bad").glob("*.yaml")):
        raw = path.read_bytes()
        found.append(Base(VOCABULARY if b"\nvocabulary:" in raw else POLICY, f"bad/{path.name}", raw, small=True))
    return tuple(found)


def mutated(seed: int, number: int, among: tuple[Base, ...]) -> tuple[Base, Mutated]:
    """Return file `number` of `seed`, and the file it was made of: one to three changes.

    Most files get gentle changes, which leave it YAML and reach the checks behind; the others any, down to its bytes.
    """
    rng = np.random.default_rng([seed, number])
    base = among[int(rng.choice(len(among), p=_weights(among)))]
    text, how = base.raw.decode(), []
    is_gentle = rng.random() < _GENTLE_SHARE
    for _ in range(int(rng.integers(1, 4))):
        name = pick(rng, GENTLE if is_gentle else tuple(IN_TEXT))
        text = IN_TEXT[name](text, rng)[:_MOST_BYTES]
        how.append(name)
        if len(text) > _BLOWN_UP:
            break
    raw = text.encode(errors="surrogatepass")
    if not is_gentle and rng.random() < _RAW_SHARE:
        name = pick(rng, tuple(IN_BYTES))
        raw = IN_BYTES[name](raw, rng)
        how.append(name)
    return base, Mutated(number, base.kind, base.name, tuple(how), raw[:_MOST_BYTES])


_GENTLE_SHARE = 0.6
_RAW_SHARE = 0.4
# The bundle and the tests read other files, which takes as long as twenty policies: they come up less often.
_SHARES = {POLICY: 0.5, "small": 0.36, VOCABULARY: 0.08, TESTS: 0.04, BUNDLE: 0.02}


def _weights(among: tuple[Base, ...]) -> list[float]:
    groups = ["small" if base.small else base.kind for base in among]
    total = sum(_SHARES[group] for group in set(groups))
    return [_SHARES[group] / groups.count(group) / total for group in groups]
