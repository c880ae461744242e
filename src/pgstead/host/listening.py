"""Who listens on a TCP port of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pgstead.host import processes

_LISTEN = "0A"  # TCP_LISTEN (include/net/tcp_states.h)
_SOCKET = re.compile(r"^socket:\[(\d+)\]$")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens; None for both where it belongs to somebody else."""

    pid: int | None
    name: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return "a process of another user"
        return f"{self.name} (pid {self.pid})"


def holder(port: int) -> Holder | None:
    """Return who listens on a port, None where nobody does."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _inodes(table, port)}
    if not inodes:
        return None
    for process in sorted(processes.everyone(), key=lambda process: process.start):
        if inodes & _sockets(process.pid):
            return Holder(process.pid, process.name)
    return Holder(None, None)


def _inodes(table: str, port: int) -> set[str]:
    """Read /proc/net/tcp: local address, state and inode are columns 2, 4 and 10 (proc_net(5))."""
    try:
        lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return set()
    rows = [line.split() for line in lines]
    return {
        row[9]
        for row in rows
        if len(row) > 9 and row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port
    }


def _sockets(pid: int) -> set[str]:
    found: set[str] = set()
    try:
        entries = list(Path("/proc", str(pid), "fd").iterdir())
    except OSError:  # another user's, or gone
        return found
    for entry in entries:
        try:
            match = _SOCKET.match(str(entry.readlink()))
        except OSError:
            continue
        if match is not None:
            found.add(match[1])
    return found
