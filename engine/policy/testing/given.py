"""Facts in a file, for a question: a value each, or days in the short form of policy tests.

```yaml
drawdown: 10.4%
slippage_ratio: "1.6x3"          # three days, the last of them is the one that is asked about
sharpe_20d: "0.9 _ 0.9"
```

JSON is read as well. A fact that is not named is missing; one value stands for every day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import DAY_MS
from engine.documents import parse_document
from engine.errors import PolicyError, Problem
from engine.policy.quantity import nearest, quoted
from engine.policy.schema import Findings
from engine.policy.testing.cases import day_ms
from engine.policy.testing.defaults import common_length, read_series

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.documents import Key
    from engine.policy.facts import Fact
    from engine.policy.model import FactSpec, Vocabulary
    from engine.policy.testing.series import Entry


@dataclass(frozen=True)
class Given:
    """Facts as someone gave them.

    Attributes:
        source: the file.
        moments: time and facts, oldest first: the ends of complete days, or one moment within a day.
    """

    source: str
    moments: tuple[tuple[int, Mapping[str, Fact]], ...]

    @property
    def has_days(self) -> bool:
        """Whether days were given, not a moment alone."""
        return len(self.moments) > 1


def read_given(path: Path, vocabulary: Vocabulary) -> Given:
    """Return the facts in a YAML or JSON file.

    Raises:
        PolicyError: no such file, unknown facts, values that a fact cannot have, series of different length: all at
            once, with file, line and column.
    """
    try:
        raw = path.read_bytes()
    except OSError as failure:
        problem = f"cannot be read: {(failure.strerror or 'unknown reason').lower()}"
        raise PolicyError(Problem("no-file", str(path), problem, "write a file such as `drawdown: 10.4%`")) from None
    findings = Findings(parse_document(raw.replace(b"\t", b" "), str(path), error=PolicyError))  # JSON may have tabs
    series = _series(findings, vocabulary.facts)
    lengths: dict[Key, int] = {(name,): len(entries) for name, entries in series.items() if len(entries) > 1}
    days = common_length(findings, lengths) if lengths else 1
    if findings.problems:
        raise PolicyError(findings.in_order())
    ends = [day_ms(day + 1) for day in range(days)] if lengths else [day_ms(0) + DAY_MS // 2]
    return Given(
        str(path), tuple((at_ms, _posted(vocabulary.facts, series, day, at_ms)) for day, at_ms in enumerate(ends))
    )


def _series(findings: Findings, specs: Mapping[str, FactSpec]) -> dict[str, tuple[Entry, ...]]:
    data = findings.document.data
    if not isinstance(data, dict):
        findings.add((), "type", "expected facts and their values", "write a line such as `drawdown: 10.4%` for each")
        return {}
    known = [name for name, spec in specs.items() if spec.difference is None]
    series: dict[str, tuple[Entry, ...]] = {}
    for name in data:
        if name not in known:
            findings.add((name,), "unknown-fact", f"there is no fact {quoted(name)}", nearest(name, known), key=True)
            continue
        entries = read_series(findings, (name,), specs[name])
        if entries:
            series[name] = entries
    return series


def _posted(
    specs: Mapping[str, FactSpec], series: Mapping[str, tuple[Entry, ...]], day: int, at_ms: int
) -> dict[str, Fact]:
    return {
        name: entries[day if len(entries) > 1 else 0].posted(specs[name], at_ms) for name, entries in series.items()
    }
