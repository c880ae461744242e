"""Whether a program that was started has come up."""

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
