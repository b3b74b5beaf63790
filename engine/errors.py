"""Every error a user can meet: what is wrong, where, and what to do next.

StagegateError
├── UsageError           the command was called in a way that cannot work (exit code 2)
├── PolicyError          a policy, bundle or fact declaration is wrong (may carry many problems)
├── ConfigError          the frozen configuration is wrong
├── DataError            prices or funding are missing, broken or contradictory
├── LedgerError          the ledger is missing, locked, corrupt or of another schema
└── VenueError           the venue said no, said nothing, or cannot be reached
    ├── RejectedError
    ├── OutcomeUnknownError
    ├── UnavailableError
    └── PermissionMissingError

Wording (style guide): lower case, no full stop, one line; user text in backticks; expected and found, with units;
`help` says what to write or what happens next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Problem:
    """One mistake, printed as ``where: error[code]: problem`` with an optional ``help:`` line."""

    code: str
    where: str
    problem: str
    help: str = ""

    def __str__(self) -> str:
        said = f"error[{self.code}]: {self.problem}"
        first = _one_line(f"{self.where}: {said}" if self.where else said)
        return f"{first}\n  help: {_one_line(self.help)}" if self.help else first


def _one_line(text: str) -> str:
    r"""Return text as any terminal may show it: what is no printable character, also a line's end, is spelt out.

    >>> print(_one_line("no fact `a\x1b[2Jb`"))
    no fact `a\x1b[2Jb`
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class StagegateError(Exception):
    """Base of every error that is shown to a user.

    Args:
        problems: one or more mistakes; all of a file's mistakes travel together.
    """

    exit_code = 1

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def because(cls, code: str, where: str, problem: str, help_: str = "") -> StagegateError:
        """Return this kind of error with a single problem."""
        return cls(Problem(code, where, problem, help_))


class UsageError(StagegateError):
    """The command cannot work as it was called."""

    exit_code = 2


class PolicyError(StagegateError):
    """A policy, a bundle or the fact vocabulary is wrong."""


class ConfigError(StagegateError):
    """The frozen configuration is wrong."""


class DataError(StagegateError):
    """Prices or funding are missing, broken or contradictory."""


class LedgerError(StagegateError):
    """The ledger is missing, locked, corrupt or of another schema."""


class VenueError(StagegateError):
    """The venue said no, said nothing, or cannot be reached."""


class RejectedError(VenueError):
    """The venue proved that it refused the request."""


class OutcomeUnknownError(VenueError):
    """Nothing proves what became of the request; it must be queried, never resent."""


class UnavailableError(VenueError):
    """The venue cannot be reached."""


class PermissionMissingError(VenueError):
    """The key lacks a permission, or has one that it must not have."""
