"""Posted facts as text: canonical JSON, so that the same facts give the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.policy.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping


def facts_document(facts: Mapping[str, Fact]) -> str:
    """Return facts as canonical JSON, ``{name: [value, status, as_of_ms]}``: the same facts give the same bytes."""
    plain = {name: [fact.value, fact.status, fact.as_of_ms] for name, fact in facts.items()}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def facts_from(document: str) -> dict[str, Fact]:
    """Return what `facts_document` wrote."""
    return {name: Fact(name, *values) for name, values in json.loads(document).items()}
