"""The narrow use of durable-rules that is exact: one flat fact in, the names of the fired rules out.

Imported by the worker process, so it imports nothing of this project that takes time. What the engine cannot be
trusted with (2.0.28; measured, see the tests) never reaches it: the compiler emits whole numbers, `and`, `or` and
comparisons with a constant only; here each answer is checked for what the engine would otherwise hide.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from durable import engine as durable_engine

from engine.clock import elapsed_s
from engine.policy.fault import HEARTBEAT, EngineFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["EngineFault", "RulesHost", "message"]

_SID = "now"
_FACT_ID = 1

# The engine measures its actions' leases with a function that Python 3.12 deprecates; a stopwatch serves as well.
durable_engine._unix_now = elapsed_s  # noqa: SLF001 - see above


class RulesHost(durable_engine.Host):  # type: ignore[misc]
    """A host without background threads, whose actions do nothing but note which rule fired."""

    def __init__(self, shards: Sequence[Mapping[str, Any]]) -> None:
        """Compile the shards.

        Args:
            shards: each with `inputs` (numbers of the inputs it reads) and `rules` (a ruleset in the engine's form).

        Raises:
            EngineFault: the engine does not take them.
        """
        self.fired: list[str] = []
        self._shards = [(f"shard{number}", list(shard["inputs"])) for number, shard in enumerate(shards)]
        super().__init__()
        try:
            for (name, _), shard in zip(self._shards, shards, strict=True):
                self.register_rulesets({name: copy.deepcopy(shard["rules"])})  # the engine eats what it is given
        except Exception as failure:  # whatever the C extension raises, it is no answer
            raise EngineFault(f"the engine refuses the rules: {failure}") from failure

    def _run(self) -> None:
        """Start nothing: the stock host's timers never end."""

    def get_action(self, action_name: str) -> Callable[[Any], None]:
        """Return the action of a rule; exactly one argument, for with two it would be asynchronous and silent."""

        def note(_closure: Any) -> None:
            self.fired.append(action_name)

        return note

    def fire(self, values: Sequence[int | None]) -> list[str]:
        """Return the names of the rules that fire, each once, in no particular order.

        Args:
            values: one whole number, or None for unknown, for each input of the policy.

        Raises:
            EngineFault: the engine raised, hid an exception, or did not get to its last rule.
        """
        names: set[str] = set()
        for shard, inputs in self._shards:
            names.update(self._fire_shard(shard, message(inputs, values)))
        return list(names)

    def _fire_shard(self, shard: str, fact: dict[str, int | str]) -> list[str]:
        self.fired.clear()
        try:
            try:
                state = self.assert_fact(shard, fact)
            finally:
                self.retract_fact(shard, fact)
        except Exception as failure:  # whatever the C extension raises, it is no answer
            raise EngineFault(f"the engine raised {type(failure).__name__}: {failure}") from failure
        if not isinstance(state, dict):
            raise EngineFault("the engine went silent")
        if "exception" in state:
            raise EngineFault(f"the engine hid an exception: {state['exception']}")
        if self.fired.count(HEARTBEAT) != 1 or self.fired[-1] != HEARTBEAT:
            raise EngineFault("the engine did not get to its last rule")
        return self.fired[:-1]


def message(inputs: Sequence[int], values: Sequence[int | None]) -> dict[str, int | str]:
    """Return the flat fact: for each input a value and whether it is known.

    Always all of them: an operand that is missing would be compared with whatever lies in memory.
    """
    fact: dict[str, int | str] = {"sid": _SID, "id": _FACT_ID, HEARTBEAT: 1}
    for number in inputs:
        value = values[number]
        fact[f"v{number}"] = 0 if value is None else value
        fact[f"k{number}"] = 0 if value is None else 1
    return fact
