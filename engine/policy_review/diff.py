"""`policy diff OLD NEW`: what changed in words, and on which days of a history it would have mattered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, UsageError
from engine.policy.bundle import Bundle
from engine.policy.difference.compare import Difference, difference
from engine.policy.model import Policy
from engine.revisions import revisions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.policy.difference.compare import Model
    from engine.policy_review.history import HistoryDifference
    from engine.revisions import Loaded


@dataclass(frozen=True)
class DiffReport:
    """Two models side by side.

    Attributes:
        old: what the first is called.
        new: what the second is called.
        difference: between them.
        history: where they decide differently; None where no history was asked for.
    """

    old: str
    new: str
    difference: Difference
    history: HistoryDifference | None

    @property
    def softened(self) -> bool:
        """Whether something became softer, on paper or on a day of the history, or nobody can say."""
        return self.difference.lean.softened or bool(self.history and self.history.softer_days)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "old": self.old,
            "new": self.new,
            "summary": self.difference.summary,
            "direction": self.difference.lean.word,
            "softened": self.softened,
            **difference_json(self.difference),
            "history": None if self.history is None else self.history.to_json(),
        }


def difference_json(found: Difference) -> dict[str, Any]:
    """Return the changes and the direction by outcome as plain values."""
    return {
        "changes": [
            {
                "policy": change.policy,
                "section": change.section,
                "subject": change.subject,
                "sentence": change.sentence,
                "direction": change.lean.word,
                "impacts": [
                    {"outcome": one.outcome, "rule": one.rule, "direction": one.lean.word, "example": one.example}
                    for one in change.impacts
                ],
            }
            for change in found.changes
        ],
        "outcomes": [
            {"policy": policy, "outcome": outcome, "direction": lean.word}
            for (policy, outcome), lean in found.by_outcome.items()
        ],
    }


def diff_report(old: str, new: str, history: Path | None, *, rules: Path) -> DiffReport:
    """Return what changed from `old` to `new`, each a file, a bundle, a git revision, or ``REV:PATH``.

    Args:
        old: the first.
        new: the second.
        history: a ledger to replay both over; None: none.
        rules: the bundle that a revision alone stands for, and whose vocabulary a policy by itself is read with.

    Raises:
        UsageError: one of the two is not there, or they are of different kinds.
        PolicyError: one of the two is wrong.
        LedgerError: the history cannot be read.
    """
    with revisions(rules) as source:
        return compared(source.load(old), source.load(new), history)


def compared(old: Loaded, new: Loaded, history: Path | None) -> DiffReport:
    """Return what changed between two models that were loaded; errors as `diff_report`."""
    if type(old.model) is not type(new.model):
        kinds = [type(one.model).__name__.lower() for one in (old, new)]
        problem = f"`{old.title}` is a {kinds[0]}, `{new.title}` a {kinds[1]}"
        raise UsageError(
            Problem("diff", "policy diff", problem, "compare two bundles, two policies or two vocabularies")
        )
    found = difference(old.model, new.model)
    days = None
    if history is not None:
        from engine.policy_review.history import history_difference  # noqa: PLC0415 - keeps a plain diff fast

        days = history_difference(policies_of(old.model), policies_of(new.model), history)
    return DiffReport(old.title, new.title, found, days)


def policies_of(model: Model) -> Mapping[str, Policy]:
    """Return the policies of a bundle, or the one policy; a vocabulary has none."""
    if isinstance(model, Bundle):
        return model.policies
    return {model.name: model} if isinstance(model, Policy) else {}
