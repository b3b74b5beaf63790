"""Progress of long work: one line on stderr in a terminal, nothing through a pipe."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from engine.reports.numbers import day_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.market.download import DownloadStep
    from engine.market.imports import ImportStep


class RehearsalStep(Protocol):
    """Where a rehearsal stands; `engine.rehearsal.loop.Progress` is one."""

    @property
    def at_ms(self) -> int: ...  # noqa: D102 - the names are the rehearsal's
    @property
    def bars(self) -> int: ...  # noqa: D102
    @property
    def total_bars(self) -> int: ...  # noqa: D102
    @property
    def outcome(self) -> str: ...  # noqa: D102
    @property
    def equity_usd(self) -> float: ...  # noqa: D102


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[ImportStep | DownloadStep], None]]:
    """Show how far an import or a download is, until the block ends.

    Args:
        what: such as ``importing``.

    Yields:
        What to call with every step.
    """
    with _bar() as bar:
        task = bar.add_task(what, total=None)

        def advance(step: ImportStep | DownloadStep) -> None:
            text, done, total = _step(step)
            bar.update(task, description=f"{what} {text}", completed=done, total=total)

        yield advance


@contextmanager
def rehearsal_progress() -> Iterator[Callable[[RehearsalStep], None]]:
    """Show the simulated date, the count of bars and the current verdict, until the block ends.

    Yields:
        What to call with every step.
    """
    with _bar() as bar:
        task = bar.add_task("rehearsing", total=None)

        def advance(step: RehearsalStep) -> None:
            text = f"{day_text(step.at_ms - 1)}  {step.outcome:<8}  ${step.equity_usd:,.0f}  {step.bars:,} bars"
            bar.update(task, description=text, completed=step.bars, total=step.total_bars)

        yield advance


def _step(step: ImportStep | DownloadStep) -> tuple[str, int, int]:
    """Return a step in words, how much is done, and how much there is."""
    values: Any = step
    if hasattr(step, "rows_done"):
        return f"{values.name} ({values.index + 1} of {values.count})", values.rows_done, values.rows
    text = f"{values.symbol} {values.kind} to {day_text(values.at_ms)}"
    return text, values.at_ms - values.start_ms, values.end_ms - values.start_ms


@contextmanager
def _bar() -> Iterator[Any]:
    from rich.console import Console  # noqa: PLC0415 - keeps the command line fast
    from rich.progress import (  # noqa: PLC0415 - the same
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield bar
