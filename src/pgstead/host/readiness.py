"""Whether a program that was started has come up, and what it said when it has not."""

from __future__ import annotations

import socket
from pathlib import Path

from pgstead.host.files import LocalFiles
from pgstead.model.layout import Layout


def server_is_ready(layout: Layout, pid: int) -> bool:
    """Read postmaster.pid: its eighth line says `ready` (miscadmin.h, LOCK_FILE_LINE)."""
    found = LocalFiles(layout.state).read(layout.data / "postmaster.pid")
    lines = found.text.split("\n") if found is not None else []
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def pooler_listens(layout: Layout) -> bool:
    """Say whether PgBouncer takes connections on its socket."""
    for path in Path(layout.pooler).glob(".s.PGSQL.*"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            if probe.connect_ex(str(path)) == 0:
                return True
    return False


def tail(layout: Layout, *names: str, lines: int = 4) -> str:
    """Return the last lines of logs of the state, on one line."""
    files = LocalFiles(layout.state)
    parts: list[str] = []
    for name in names:
        found = files.read(layout.logs / name)
        parts += found.text.splitlines()[-lines:] if found is not None else []
    return " | ".join(part.strip() for part in parts if part.strip())


def server_words(layout: Layout) -> str:
    """Return what the server's own log says last, errors only."""
    logs = sorted(Path(layout.server_log).glob("*.log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        return ""
    found = LocalFiles(layout.state).read(layout.server_log / logs[-1].name)
    lines = found.text.splitlines()[-50:] if found is not None else []
    grave = [line for line in lines if any(w in line for w in ("FATAL:", "PANIC:", "ERROR:"))]
    return " | ".join(grave[-3:])
