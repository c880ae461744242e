"""Where programs write their own output: made for their user, read when one of them fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pgstead.host import listing
from pgstead.host.files import LocalFiles
from pgstead.model.design import Program
from pgstead.model.layout import Layout

_LIMIT = 10_000_000  # bytes


def starter(program: Program) -> str | None:
    """Return who starts a program, None for us: a service becomes its user by itself."""
    return None if program.kind == "service" else program.user


def prepare(layout: Layout, program: Program) -> None:
    """Make a log that the program can append to, and keep a large one short.

    It is emptied in place: a program that runs has it open, and appends.
    """
    output = layout.log(program.name)
    try:
        size = os.lstat(output).st_size
    except FileNotFoundError:
        LocalFiles(layout.state).write(output, "", mode=0o640, owner=starter(program))
        return
    if size > _LIMIT:
        shutil.copyfile(output, f"{output}.1")
        os.truncate(output, 0)


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
    newest = max(Path(layout.server_log).glob("*.log"), key=listing.written, default=None)
    if newest is None:
        return ""
    found = LocalFiles(layout.state).read(layout.server_log / newest.name)
    lines = found.text.splitlines()[-50:] if found is not None else []
    grave = [line for line in lines if any(w in line for w in ("FATAL:", "PANIC:", "ERROR:"))]
    return " | ".join(grave[-3:])
