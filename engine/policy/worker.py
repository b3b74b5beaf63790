"""The rules engine behind a process of its own: a crash, a hang or nonsense there is a fault here, never more."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engine.clock import elapsed_s
from engine.policy.decide import Decision, decide
from engine.policy.durable import compile_policy
from engine.policy.fault import EngineFault
from engine.policy.model import Snapshot

if TYPE_CHECKING:
    from types import TracebackType

    from engine.policy.model import Policy

LIMIT_MS = 1_000
START_LIMIT_MS = 10_000

_CLOSE_LIMIT_S = 1.0
_MAX_ANSWER = 1_000_000
# The worker needs no secrets: only what Python itself reads is handed down.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")


class Worker:
    """durable-rules in a spawned process, for one policy; a new policy is a new worker.

    Policies change without a gap: `started` returns a worker that has answered, then the one before is closed.

    The process is started at once and awaited at the first decision. After a fault it is killed and a new one started,
    so that the next decision finds a fresh engine. Use it as a context manager, or close it. Not for several threads.

    Attributes:
        policy: what it decides.
        restarts: how often the process had to be replaced.
    """

    def __init__(self, policy: Policy, *, limit_ms: int = LIMIT_MS, start_limit_ms: int = START_LIMIT_MS) -> None:
        self.policy = policy
        self.restarts = 0
        self._compiled = compile_policy(policy)
        self._limit_s = limit_ms / 1000
        self._start_limit_s = start_limit_ms / 1000
        self._number = 0
        self._buffer = b""
        self._ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._start_fault = ""
        self._closed = False
        self._start()

    @classmethod
    def started(cls, policy: Policy, *, limit_ms: int = LIMIT_MS, start_limit_ms: int = START_LIMIT_MS) -> Self:
        """Return a worker that has answered once, so that a new policy takes over from one that decides until then.

        Raises:
            EngineFault: the engine does not start, or does not agree with the interpreter; nothing is left running.
        """
        worker = cls(policy, limit_ms=limit_ms, start_limit_ms=start_limit_ms)
        with ExitStack() as stack:
            stack.callback(worker.close)
            decision = worker.decide(Snapshot(0, dict.fromkeys(policy.inputs)))
            if not decision.trusted:
                raise EngineFault(decision.fault or "the engines differ where nothing is known")
            stack.pop_all()
        return worker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the engine, None where it is not running."""
        return self._process.pid if self._process else None

    def decide(self, snapshot: Snapshot) -> Decision:
        """Return the decision of both engines; a fault of this one is part of it."""
        return decide(self.policy, snapshot, self)

    def fired(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the ids of the rules that fire, in the policy's order.

        Raises:
            EngineFault: the engine died, did not answer in time, or answered nonsense; it has been replaced.
        """
        try:
            self._await_ready()
            self._number += 1
            deadline_s = elapsed_s() + self._limit_s
            self._send([self._number, self._compiled.values(snapshot)], deadline_s)
            return self._understood(self._receive(deadline_s, self._limit_s))
        except (
            BaseException
        ):  # also Ctrl-C, and raised again: an answer still on its way would be taken for the next question's
            self._replace()
            raise

    def close(self) -> None:
        """End the process: politely, then by force. Closing twice is no mistake."""
        process, self._process = self._process, None
        self._ready, self._closed = False, True
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _start(self) -> None:
        self._ready = False
        self._buffer = b""
        self._start_fault = ""
        try:
            self._process = _spawn()
        except (OSError, EngineFault) as failure:
            self._start_fault = f"the engine cannot be started: {failure}"
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        os.set_blocking(self._process.stdout.fileno(), False)

    def _await_ready(self) -> None:
        if self._ready:
            return
        if self._closed:
            raise EngineFault("the worker is closed")
        if self._process is None:
            self._start()
        if self._process is None:
            raise EngineFault(self._start_fault)
        deadline_s = elapsed_s() + self._start_limit_s
        limits = {"limit_s": self._limit_s, "start_limit_s": self._start_limit_s}
        self._send({"shards": self._compiled.shards, **limits}, deadline_s)
        answer = self._receive(deadline_s, self._start_limit_s)
        if answer.get("ready") is not True:
            raise EngineFault(str(answer.get("fault") or "the engine did not say that it is ready"))
        self._ready = True

    def _understood(self, answer: dict[str, Any]) -> tuple[str, ...]:
        if answer.get("n") != self._number or not isinstance(answer.get("fired"), list) or self._buffer:
            raise EngineFault(str(answer.get("fault") or "the engine answered something that was not asked"))
        return self._compiled.fired(answer["fired"])

    def _replace(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            self.restarts += 1
            self._start()

    def _send(self, document: Any, deadline_s: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        descriptor = self._process.stdin.fileno()
        rest = memoryview(json.dumps(document, separators=(",", ":")).encode() + b"\n")
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                self._wait(descriptor, select.POLLOUT, deadline_s, "the engine does not read")
            except OSError:
                raise EngineFault(self._obituary()) from None

    def _receive(self, deadline_s: float, limit_s: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            self._wait(descriptor, select.POLLIN, deadline_s, f"the engine gave no answer in {limit_s * 1000:.0f} ms")
            part = os.read(descriptor, 65536)
            if not part:
                raise EngineFault(self._obituary())
            self._buffer += part
            if len(self._buffer) > _MAX_ANSWER:
                raise EngineFault("the engine talks without end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            raise EngineFault("the engine answered something that is no JSON") from None
        if not isinstance(answer, dict):
            raise EngineFault("the engine answered something that is no object")
        return answer

    def _wait(self, descriptor: int, event: int, deadline_s: float, otherwise: str) -> None:
        """Wait until the pipe can be used or the other side is gone."""
        poll = select.poll()
        poll.register(descriptor, event)
        left_ms = (deadline_s - elapsed_s()) * 1000
        if left_ms <= 0 or not poll.poll(left_ms):
            raise EngineFault(otherwise)

    def _obituary(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(_CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            return "the engine closed its pipes"
        return f"the engine was killed by signal {-code}" if code < 0 else f"the engine ended with code {code}"


def _spawn() -> subprocess.Popen[bytes]:
    """Start the worker: a fresh interpreter that sees this project, durable-rules and the standard library only."""
    found = importlib.util.find_spec("durable")
    if found is None or found.origin is None:
        raise EngineFault("durable-rules is not installed")
    root = Path(__file__).resolve().parents[2]
    packages = Path(found.origin).resolve().parents[1]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # The engine's parser reads numbers by the locale.
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, (root, packages))), "LC_ALL": "C"}
    return subprocess.Popen(
        [sys.executable, "-S", "-P", "-m", "engine.policy.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        bufsize=0,
    )
