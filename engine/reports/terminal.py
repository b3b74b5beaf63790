"""What commands show in the terminal: texts and tables that work in 80 columns, without colour, and through a pipe.

Nothing here prints; rich is imported when the first table is made.
"""

from engine.reports.progress import progress_bar, rehearsal_progress
from engine.reports.terminal_data import download_table, import_table, quality_table
from engine.reports.terminal_verdicts import (
    archived_text,
    changes_table,
    facts_table,
    rehearsal_summary,
    replay_text,
    verdict_log_table,
    verdict_text,
)

__all__ = [
    "archived_text",
    "changes_table",
    "download_table",
    "facts_table",
    "import_table",
    "progress_bar",
    "quality_table",
    "rehearsal_progress",
    "rehearsal_summary",
    "replay_text",
    "verdict_log_table",
    "verdict_text",
]
