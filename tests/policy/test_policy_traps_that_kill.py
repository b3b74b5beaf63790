"""The traps of durable-rules 2.0.28 that end the process or mix up memory, each shown in a process of its own.

Beside each: why the narrow use does not fall in, and that the worker, should it ever, makes it a fault like any other.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import pytest

from engine.policy.durable import MAX_LEAVES, DurableEngine, compile_policy
from engine.policy.host import EngineFault, RulesHost, message
from engine.policy.interpreter import evaluate
from engine.policy.model import Snapshot
from engine.policy.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.policy.model import Policy

# The stock host, but for its timers; `told` asserts facts one after another and prints what fired.
NAIVE = """
import sys, threading
from durable.engine import Host

class Naive(Host):
    def __init__(self, rules):
        self.fired = []
        super().__init__()
        self.register_rulesets({"naive": rules})
    def _run(self):
        pass
    def get_action(self, name):
        return lambda closure: self.fired.append(name)

def rule(test, name="r"):
    return {name: {"all": [{"m": test}], "run": name}}

def told(rules, *facts):
    naive = Naive(rules)
    for number, fact in enumerate(facts):
        naive.assert_fact("naive", {"sid": "s", "id": number + 1, **fact})
    return naive.fired
"""


def naive(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own; it may die."""
    command = [sys.executable, "-W", "ignore", "-c", NAIVE + script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def policy(small_policy: Callable[[str], Policy]) -> Policy:
    rules = """
  over: {outcome: STOP, when: {x: "> 0.5"}, because: b}
  any: {outcome: RISE, when: {any: [{x: "> 0"}, {n: "> 0"}]}, because: b}
"""
    return small_policy(f"rules:{rules}")


@pytest.fixture(scope="module")
def crowded(small_policy: Callable[[str], Policy]) -> Policy:
    """270 rules of one condition, told apart by their effects, and 520 of different ones."""
    flags = [f"{one}{other}" for one in ascii_uppercase for other in ascii_uppercase][:270]
    alike = (
        f'  a{n}: {{outcome: STOP, when: {{x: "> 0.5"}}, effects: {{flag: {flag}}}, because: b}}\n'
        for n, flag in enumerate(flags)
    )
    other = (f'  d{n}: {{outcome: RISE, when: {{x: "= {n / 100}"}}, because: b}}\n' for n in range(520))
    return small_policy("rules:\n" + "".join([*alike, *other]))


def emitted(policy: Policy) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of what the engine is given."""

    def walk(value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key, inner
                yield from walk(inner)
        if isinstance(value, list | tuple):
            for inner in value:
                yield from walk(inner)

    return walk(json.loads(json.dumps(compile_policy(policy).shards)))


def test_hundreds_of_rules_of_one_condition_crash_it_so_no_ruleset_has_so_many(crowded: Policy) -> None:
    script = "rules = dict()\nfor n in range(MANY): rules |= rule({'v': 1}, f'r{n}')\ntold(rules, {'v': 1})\n"
    assert naive(script.replace("MANY", "256")).returncode == -signal.SIGSEGV
    assert "error code: 108" in naive(script.replace("MANY", "257")).stderr
    assert all(len(shard["rules"]) <= MAX_LEAVES for shard in compile_policy(crowded).shards)


def test_hundreds_of_rules_are_decided_as_the_interpreter_does(crowded: Policy) -> None:
    """257 rules of one condition crash the engine, 513 distinct first conditions hang it."""
    engine = DurableEngine(crowded)
    for steps in (None, 50, 51, 7):
        snapshot = Snapshot(0, {"x": steps})
        assert engine.fired(snapshot) == evaluate(crowded, snapshot)


def test_a_division_by_zero_kills_the_process_so_there_is_no_arithmetic(policy: Policy, crowded: Policy) -> None:
    division = "rule({'$gt': {'v': {'$div': {'$l': {'$m': 'a'}, '$r': {'$m': 'b'}}}}})"
    assert naive(f"told({division}, {{'v': 1, 'a': 1, 'b': 0}})").returncode == -signal.SIGFPE
    words = {"$and", "$or", "$gt", "$gte", "$lt", "$lte", "$neq"}
    for one in (policy, crowded):
        assert {key for key, _ in emitted(one) if key.startswith("$")} <= words


def test_arithmetic_truncates_and_overflows_so_there_is_none() -> None:
    def sums(operation: str, value: int, a: int, b: int) -> str:
        test = f"{{'$gte': {{'v': {{'{operation}': {{'$l': {{'$m': 'a'}}, '$r': {{'$m': 'b'}}}}}}}}}}"
        return naive(f"print(told(rule({test}), {{'v': {value}, 'a': {a}, 'b': {b}}}))").stdout.strip()

    assert sums("$div", 3, 7, 2) == "['r']", "3 >= 7 / 2"
    assert sums("$mul", 3, 7, 2**62) == "['r']", "3 >= 7 * 2**62"


def test_a_missing_operand_is_compared_with_what_lies_in_memory_so_no_fact_is_compared_with_a_fact(
    small_policy: Callable[[str], Policy],
) -> None:
    script = """
naive = Naive(rule({"$gt": {"a": {"$m": "b"}}}) | rule({"$lte": {"a": {"$m": "b"}}}, "q") | rule({"z": 1}, "beat"))
decided = 0
for number in range(300):
    naive.fired.clear()
    operand = {} if number % 3 else {"b": number % 5}
    fact = {"sid": "s", "id": number + 1, "a": number % 7, "z": 1, **operand}
    naive.assert_fact("naive", fact)
    naive.retract_fact("naive", fact)
    decided += not operand and len(naive.fired) > 1
print(decided)
"""
    assert int(naive(script).stdout) > 100, "it compares with what is not there"
    rules = """
  more: {outcome: STOP, when: {n: "> stage"}, because: b}
  many: {outcome: RISE, when: {n: "> 7"}, because: b}
"""
    compared = small_policy(f"rules:{rules}")
    assert "$m" not in {key for key, _ in emitted(compared)}, "the difference is a fact of its own"
    constants = [value for key, value in emitted(compared) if key[0] in "vk" and key[1:].isdigit()]
    assert constants
    assert all(type(value) is int for value in constants)


def test_not_depends_on_the_order_of_facts_so_there_is_one_fact_and_no_not(policy: Policy, crowded: Policy) -> None:
    script = """
for facts in ({"x": 1}, {"y": 1}), ({"y": 1}, {"x": 1}):
    print(told({"r": {"all": [{"m_0": {"y": 1}}, {"m_1$not": {"x": 1}}], "run": "r"}}, *facts))
"""
    assert naive(script).stdout.strip() == "[]\n['r']"
    for one in (policy, crowded):
        for shard in compile_policy(one).shards:
            assert {tuple(part) for each in shard["rules"].values() for part in each["all"]} == {("m",)}


def test_sids_and_fact_ids_are_32_bit_hashes_so_there_is_one_of_each() -> None:
    script = """
one, other = "api_down_age_sleeve_drift", "down_min_max_draw_api"  # of one hash
naive = Naive({"r": {"all": [{"m": {"v": 1}}, {"n": {"w": 1}}], "run": "r"}})
naive.assert_fact("naive", {"sid": one, "id": 1, "v": 1})
naive.assert_fact("naive", {"sid": other, "id": 2, "w": 1})
print(naive.fired)
naive.assert_fact("naive", {"sid": "s", "id": one, "v": 1})
naive.assert_fact("naive", {"sid": "s", "id": other, "v": 1})
"""
    found = naive(script)
    assert found.stdout.strip() == "['r']", "the facts of two sessions met"
    assert "MessageObservedException" in found.stderr
    sent = [message([0], [value]) for value in (1, 2, None)]
    assert len({(fact["sid"], fact["id"]) for fact in sent}) == 1


def test_the_1025th_sid_is_refused_and_delete_state_crashes_so_facts_are_retracted(policy: Policy) -> None:
    sids = """
naive = Naive(rule({"v": 1}))
try:
    for number in range(1025):
        naive.assert_fact("naive", {"sid": f"s{number}", "id": 1, "v": 1})
except MemoryError:
    print(number)
"""
    assert naive(sids).stdout.strip() == "1024"
    deleted = """
naive = Naive({"r": {"all": [{"a": {"w": 1}}, {"b": {"w": 2}}], "run": "r"}})
fact = {"sid": "s", "id": 1, "w": 1}
naive.assert_fact("naive", fact)
naive.delete_state("naive", "s")
naive.retract_fact("naive", fact)
"""
    assert naive(deleted).returncode in {-signal.SIGSEGV, -signal.SIGABRT}  # as the allocator notices it

    class Deleting(RulesHost):
        def delete_state(self, *_: Any) -> None:
            raise AssertionError("delete_state is never called")

    host = Deleting(compile_policy(policy).shards)
    for number in range(1100):
        assert host.fire([60, number % 2]) != []
    assert host.get_facts("shard0", "now") == []


def test_the_stock_host_starts_threads_that_never_end() -> None:
    script = """
import gc
host = Host()
started = threading.active_count()
del host
gc.collect()
print(started > 1, threading.active_count() == started, flush=True)
import os
os._exit(0)
"""
    assert naive(script).stdout.strip() == "True True"


def test_numbers_are_read_by_the_locale_so_the_worker_has_the_plain_one(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "LC_NUMERIC", "LC_ALL"):
        monkeypatch.setenv(name, "de_DE.UTF-8")
    with Worker(policy) as worker:
        worker.fired(Snapshot(0, {"x": 60, "n": None}))
        environment = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
    assert b"LC_ALL=C" in environment
    assert not any(line.startswith((b"LANG=", b"LC_NUMERIC=")) for line in environment)


DIVISION = {"$gt": {"v0": {"$div": {"$l": {"$m": "k0"}, "$r": {"$m": "k1"}}}}}


def test_a_crash_in_the_engines_own_code_is_a_fault_and_the_next_decision_finds_a_fresh_one(policy: Policy) -> None:
    """The rule divides by whether `n` is known: with an unknown `n` the engine dies of SIGFPE in C."""
    with Worker(policy) as worker:
        [shard] = worker._compiled.shards
        trapped = {**shard["rules"], "r0": {"all": [{"m": DIVISION}], "run": "r0"}}
        worker._compiled = dataclasses.replace(worker._compiled, shards=({**shard, "rules": trapped},))
        deadly, harmless = Snapshot(0, {"x": 60, "n": None}), Snapshot(0, {"x": 60, "n": 0})
        assert worker.fired(harmless) == ("over", "any")
        decision = worker.decide(deadly)
        assert decision.fault == f"the engine was killed by signal {signal.SIGFPE.value}"
        assert (decision.outcome, decision.agree, decision.trusted) == ("STOP", None, False)
        assert worker.restarts == 1
        assert worker.decide(harmless).trusted


def test_a_hang_in_the_engines_own_code_is_a_fault_within_the_limit(policy: Policy) -> None:
    """513 distinct first conditions: the engine hangs while it compiles them, in C."""
    rules = {f"r{n}": {"all": [{"m": {f"v{n}": 1}}], "run": f"r{n}"} for n in range(513)}
    with Worker(policy, start_limit_ms=300) as worker:
        sound = worker._compiled
        worker._compiled = dataclasses.replace(sound, shards=({"inputs": [], "rules": rules},))
        with pytest.raises(EngineFault, match="no answer in 300 ms"):
            worker.fired(Snapshot(0, {"x": 60, "n": 1}))
        worker._compiled, worker._start_limit_s = sound, 10.0
        assert worker.fired(Snapshot(0, {"x": 60, "n": 1})) == ("over", "any")
