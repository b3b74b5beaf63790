"""Text that names environment variables and is resolved only where it is used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Secret:
    """A text such as ``${FUTURES_TELEGRAM_BOT_TOKEN}``, as the file has it; printing it never shows a resolved value.

    Attributes:
        template: the text of the file. The loader refuses a literal bot token, so what is shown here is no secret.
    """

    template: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the environment variables, in order of appearance."""
        return tuple(REFERENCE.findall(self.template))

    def resolve(self, environ: Mapping[str, str]) -> str | None:
        """Return the text with its variables filled in; None where one of them is unset or the result is empty.

        The result is a plain text: hand it to the service that needs it, keep it out of messages and logs (R022).

        >>> Secret("${TOKEN}").resolve({"TOKEN": "42"})
        '42'
        >>> Secret("${TOKEN}").resolve({}) is None
        True
        """
        if any(not environ.get(name) for name in self.names):
            return None
        # One pass: a value that itself reads `${…}` is not expanded again.
        return REFERENCE.sub(lambda found: environ[found[1]], self.template) or None

    def __str__(self) -> str:
        return self.template
