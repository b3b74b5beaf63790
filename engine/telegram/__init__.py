"""Commands by chat: what the desk is asked and told through Telegram (A82).

`serve_commands(desk, environ, clock, stop, show)` is all that others need; see `engine.telegram.serving`.
"""

from engine.telegram.desk import ChatDesk
from engine.telegram.serving import require_line, serve_commands

__all__ = ["ChatDesk", "require_line", "serve_commands"]
