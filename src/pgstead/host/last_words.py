"""What a program's log says last, for a message about its failure."""

from __future__ import annotations

from pathlib import Path

from pgstead.host.files import LocalFiles
from pgstead.model.layout import Layout


def tail(layout: Layout, *names: str, lines: int = 4) -> str:
    """Return the last lines of logs."""
    parts: list[str] = []
    for name in names:
        found = LocalFiles(layout.state).read(layout.logs / name)
        parts += found.text.splitlines()[-lines:] if found is not None else []
    return " | ".join(part.strip() for part in parts if part.strip())


def of_server(layout: Layout) -> str:
    """Return what the server's own log says last, errors only."""
    logs = sorted(Path(layout.server_log).glob("*.log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        return ""
    found = LocalFiles(layout.state).read(layout.server_log / logs[-1].name)
    lines = found.text.splitlines()[-50:] if found is not None else []
    grave = [line for line in lines if any(w in line for w in ("FATAL:", "PANIC:", "ERROR:"))]
    return " | ".join(grave[-3:])
