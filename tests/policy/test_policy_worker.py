"""The engine's own process: a crash, a hang or nonsense there is a fault, and the next decision finds a fresh one."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.policy import child
from engine.policy.decide import decide
from engine.policy.durable import compile_policy
from engine.policy.host import EngineFault
from engine.policy.interpreter import evaluate
from engine.policy.model import Snapshot
from engine.policy.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy.model import Policy

OVER = Snapshot(0, {"x": 60})
UNDER = Snapshot(0, {"x": 50})


@pytest.fixture(scope="module")
def policy(small_policy: Callable[[str], Policy]) -> Policy:
    rules = """
  over: {outcome: STOP, when: {x: "> 0.5"}, because: b}
  under: {outcome: RISE, when: {x: "< -1"}, because: b}
"""
    return small_policy(f"rules:{rules}")


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def pid_of(worker: Worker) -> int:
    assert worker.pid is not None
    return worker.pid


def test_it_answers_as_the_interpreter_does(policy: Policy) -> None:
    with Worker(policy) as worker:
        for snapshot in (OVER, UNDER, Snapshot(0, {"x": None}), OVER):
            assert worker.fired(snapshot) == evaluate(policy, snapshot)
        assert worker.restarts == 0


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_crash_is_a_fault_and_the_next_decision_is_fresh(policy: Policy, signal_number: signal.Signals) -> None:
    with Worker(policy) as worker:
        assert worker.fired(OVER) == ("over",)
        first = pid_of(worker)
        os.kill(first, signal_number)
        with pytest.raises(EngineFault, match=f"killed by signal {signal_number.value}"):
            worker.fired(OVER)
        assert worker.restarts == 1
        assert pid_of(worker) != first
        assert worker.fired(OVER) == ("over",)
        assert not alive(first)


def test_a_crash_leaves_the_interpreters_outcome_and_says_so(policy: Policy) -> None:
    with Worker(policy) as worker:
        worker.fired(OVER)
        os.kill(pid_of(worker), signal.SIGKILL)
        decision = worker.decide(OVER)
        assert (decision.outcome, decision.fired) == ("STOP", ("over",))
        assert decision.fault is not None
        assert (decision.durable_fired, decision.interpreter_fired) == (None, ("over",))
        assert decision.agree is None, "one that says nothing neither agrees nor disagrees"
        assert not decision.trusted
        assert worker.decide(OVER).trusted


def test_a_hang_is_a_fault_within_the_limit(policy: Policy) -> None:
    with Worker(policy, limit_ms=100) as worker:
        worker.fired(OVER)
        hung = pid_of(worker)
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(EngineFault, match="no answer in 100 ms"):
            worker.fired(OVER)
        assert not alive(hung)
        assert worker.fired(UNDER) == ()


def test_a_start_that_hangs_is_a_fault(policy: Policy) -> None:
    with Worker(policy, start_limit_ms=1) as worker:
        os.kill(pid_of(worker), signal.SIGSTOP)
        with pytest.raises(EngineFault, match="no answer in 1 ms"):
            worker.fired(OVER)


def fake(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let the worker start `script` instead of the engine; it has read the first line and said that it is ready."""
    ready = "import sys, json; sys.stdin.readline(); print(json.dumps({'ready': True}), flush=True); "

    def spawn() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-S", "-c", ready + script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    monkeypatch.setattr("engine.policy.worker._spawn", spawn)


NONSENSE = [
    ("print('hello', flush=True); sys.stdin.read()", "no JSON"),
    ("print('[]', flush=True); sys.stdin.read()", "no object"),
    ("print('{}', flush=True); sys.stdin.read()", "not asked"),
    ('print(\'{"n": 7, "fired": []}\', flush=True); sys.stdin.read()', "not asked"),
    ('sys.stdin.readline(); print(\'{"n": 1, "fired": "r0"}\', flush=True); sys.stdin.read()', "not asked"),
    ('sys.stdin.readline(); print(\'{"n": 1, "fired": ["r99"]}\', flush=True); sys.stdin.read()', "do not exist"),
    ('sys.stdin.readline(); print(\'{"n": 1, "fired": ["stop"]}\', flush=True); sys.stdin.read()', "do not exist"),
    (
        'sys.stdin.readline(); print(\'{"n": 1, "fired": []}\\n{"n": 2, "fired": []}\', flush=True); sys.stdin.read()',
        "not asked",
    ),
    ('sys.stdin.readline(); print(\'{"n": 1, "fault": "it broke"}\', flush=True); sys.stdin.read()', "it broke"),
    ("sys.stdout.write('x' * 3_000_000); sys.stdout.flush(); sys.stdin.read()", "without end"),
    ("sys.exit(3)", "ended with code 3"),
]


@pytest.mark.parametrize(("script", "reason"), NONSENSE, ids=[str(number) for number in range(len(NONSENSE))])
def test_nonsense_is_a_fault(policy: Policy, monkeypatch: pytest.MonkeyPatch, script: str, reason: str) -> None:
    fake(monkeypatch, script)
    with Worker(policy) as worker, pytest.raises(EngineFault, match=reason):
        worker.fired(OVER)


def test_an_engine_that_does_not_say_ready_is_a_fault(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-S", "-c", "print('{}')"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    monkeypatch.setattr("engine.policy.worker._spawn", spawn)
    with Worker(policy) as worker, pytest.raises(EngineFault, match="ready"):
        worker.fired(OVER)


@pytest.mark.parametrize("failure", [OSError("no more processes"), EngineFault("durable-rules is not installed")])
def test_an_engine_that_cannot_be_started_is_a_fault_each_time(
    policy: Policy, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def spawn() -> subprocess.Popen[bytes]:
        raise failure

    monkeypatch.setattr("engine.policy.worker._spawn", spawn)
    with Worker(policy) as worker:
        for _ in range(2):
            with pytest.raises(EngineFault, match=str(failure)):
                worker.fired(OVER)
        assert worker.pid is None
        monkeypatch.undo()
        assert worker.fired(OVER) == ("over",), "it is tried again at the next decision"


def test_a_closed_worker_is_a_fault_and_closing_twice_is_none(policy: Policy) -> None:
    worker = Worker(policy)
    worker.fired(OVER)
    pid = pid_of(worker)
    worker.close()
    worker.close()
    assert not alive(pid)
    with pytest.raises(EngineFault, match="closed"):
        worker.fired(OVER)


def test_it_closes_without_warnings_and_leaves_no_process(policy: Policy) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pids = []
        for answered in (True, False):
            worker = Worker(policy)
            pids.append(pid_of(worker))
            if answered:
                worker.fired(OVER)
            worker.close()
            del worker
        gc.collect()
    assert not any(alive(pid) for pid in pids)


def test_a_hung_worker_is_closed_by_force(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.policy.worker._CLOSE_LIMIT_S", 0.05)
    worker = Worker(policy)
    pid = pid_of(worker)
    os.kill(pid, signal.SIGSTOP)
    worker.close()
    assert not alive(pid)


def test_the_worker_dies_with_its_parent(policy: Policy) -> None:
    """The parent is killed: nothing of it can run; the worker sees the end of its input."""
    script = f"""
import os, sys
from engine.policy.load import parse_policy, parse_vocabulary
from engine.policy.model import Snapshot
from engine.policy.worker import Worker
v = parse_vocabulary({policy.vocabulary.text.encode()!r}, "v")
w = Worker(parse_policy({policy.text.encode()!r}, "p", v))
w.fired(Snapshot(0, {{"x": 1}}))
print(w.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", script]
    parent = subprocess.run(command, cwd=root, capture_output=True, check=False)
    pid = int(parent.stdout)
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.pidfd_open(pid) if alive(pid) else None
        if descriptor is not None:
            import select  # noqa: PLC0415 - only where the race is lost

            select.select([descriptor], [], [], 5)
            os.close(descriptor)
    assert not alive(pid)


def test_the_worker_sees_no_secrets(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_API_SECRET", "sentinel")
    with Worker(policy) as worker:
        worker.fired(OVER)
        assert b"sentinel" not in Path(f"/proc/{worker.pid}/environ").read_bytes()


LIMITS = {"limit_s": 1.0, "start_limit_s": 10.0}
HANGS = [{"inputs": [], "rules": {f"r{n}": {"all": [{"m": {f"v{n}": 1}}], "run": f"r{n}"} for n in range(513)}}]


def conversation(script: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a script that imports `main` of the worker's side, with `given` on its input."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", f"import os\nfrom engine.policy.child import main\n{script}"]
    return subprocess.run(command, cwd=root, input=given, capture_output=True, check=False, timeout=30)


def test_a_hang_without_a_parent_ends_by_itself() -> None:
    """513 distinct first conditions hang the engine in C while it compiles: only a signal ends that."""
    setup = {"shards": HANGS, "limit_s": 0.05, "start_limit_s": 0.05}
    assert conversation("main()", json.dumps(setup).encode() + b"\n").returncode == -signal.SIGALRM


def test_what_the_engine_prints_is_no_answer() -> None:
    ended = conversation("main()\nos.write(1, b'noise')")
    assert (ended.stdout, ended.stderr) == (b"", b"noise")


def test_ctrl_c_at_the_terminal_is_the_parents_affair(policy: Policy) -> None:
    with Worker(policy) as worker:
        worker.fired(OVER)
        os.kill(pid_of(worker), signal.SIGINT)
        assert worker.fired(OVER) == ("over",)
        assert worker.restarts == 0


def served(*lines: Any) -> list[dict[str, Any]]:
    answers = io.BytesIO()
    child.serve(io.BytesIO(b"".join(json.dumps(line).encode() + b"\n" for line in lines)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_the_childs_side_of_the_conversation(policy: Policy) -> None:
    setup = {"shards": compile_policy(policy).shards, **LIMITS}
    assert served() == []
    assert served(setup, [1, [60]], [2, [None]]) == [{"ready": True}, {"n": 1, "fired": ["r0"]}, {"n": 2, "fired": []}]
    assert served({"shards": [{"inputs": [], "rules": {"r": 1}}], **LIMITS})[0]["fault"].startswith(
        "the engine refuses"
    )
    assert "fault" in served(setup, [1, []])[1]


def test_a_new_policy_takes_over_without_a_gap(policy: Policy, small_policy: Callable[[str], Policy]) -> None:
    text = """
  over: {outcome: STOP, when: {x: "> 0.4"}, because: b}
  under: {outcome: RISE, when: {x: "< -1"}, because: b}
"""
    with Worker(policy) as old:
        assert old.fired(UNDER) == ()
        with Worker.started(small_policy(f"rules:{text}"), limit_ms=500) as new:
            assert pid_of(new) != pid_of(old)
            assert old.decide(UNDER).trusted, "it decides while the new one starts and until it is closed"
            old.close()
            with pytest.raises(EngineFault, match="closed"):
                old.fired(UNDER)
            assert new._ready, "the next decision waits for no start"
            assert new.decide(UNDER).outcome == "STOP"
            assert new.restarts == 0


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("sys.exit(3)", "ended with code 3"),
        ('sys.stdin.readline(); print(\'{"n": 1, "fired": ["r0"]}\', flush=True); sys.stdin.read()', "differ"),
    ],
)
def test_a_policy_whose_engine_cannot_be_trusted_does_not_take_over(
    policy: Policy, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    with Worker(policy) as old:
        assert old.decide(OVER).trusted
        with monkeypatch.context() as patched:
            fake(patched, script)
            with pytest.raises(EngineFault, match=reason):
                Worker.started(policy)
        assert old.decide(OVER).trusted
        assert old.restarts == 0


def test_two_engines_that_differ_are_both_heard(policy: Policy) -> None:
    class Other:
        def fired(self, snapshot: Snapshot) -> tuple[str, ...]:
            return ("over",) if snapshot.values["x"] == 50 else ()

    more = decide(policy, UNDER, Other())
    assert (more.outcome, more.fired, more.agree, more.trusted, more.fault) == ("STOP", ("over",), False, False, None)
    less = decide(policy, OVER, Other())
    assert (less.outcome, less.durable_fired, less.interpreter_fired) == ("STOP", (), ("over",))
    both = decide(policy, Snapshot(0, {"x": 0}), Other())
    assert (both.outcome, both.agree, both.trusted) == ("KEEP", True, True)
