"""What the operating system shows of processes and sockets (Linux: /proc). Read-only."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket that takes connections."""

    address: str
    port: int
    inode: int

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


def available() -> bool:
    """Say whether this system shows its processes in /proc."""
    return (PROC / "self" / "stat").exists()


def _address(packed: str) -> str:
    # Words of four bytes in the machine's order (proc(5), /proc/net/tcp).
    raw = bytes.fromhex(packed)
    words = [raw[i : i + 4][::-1] for i in range(0, len(raw), 4)]
    return str(ipaddress.ip_address(b"".join(words)))


def listeners() -> Iterator[Listener]:
    """Yield the listening TCP sockets of this network namespace."""
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            for line in (PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN:
                    packed, port = fields[1].split(":")
                    yield Listener(_address(packed), int(port, 16), int(fields[9]))


def sockets_of(pid: int) -> frozenset[int]:
    """Return the inodes of the sockets that a process holds. Raises PermissionError."""
    found: set[int] = set()
    for link in (PROC / str(pid) / "fd").iterdir():
        with suppress(FileNotFoundError):
            target = str(link.readlink())
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    return frozenset(found)


def listening(pid: int) -> tuple[Listener, ...]:
    """Return where a process takes TCP connections."""
    mine = sockets_of(pid)
    return tuple(sorted((s for s in listeners() if s.inode in mine), key=str))


def pids() -> Iterator[int]:
    """Yield the processes of this system."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def owner(pid: int) -> int:
    """Return the effective user of a process. Raises FileNotFoundError when it is gone."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[2])
    raise FileNotFoundError(pid)


def parent(pid: int) -> int:
    """Return the parent of a process."""
    # The name may hold spaces and brackets; what follows the last one is fixed (proc(5)).
    after = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return int(after[1])


def children(pid: int) -> tuple[int, ...]:
    """Return the children of a process."""
    found: list[int] = []
    for other in pids():
        with suppress(FileNotFoundError, ProcessLookupError):
            if parent(other) == pid:
                found.append(other)
    return tuple(found)


def command_line(pid: int) -> bytes:
    """Return what `ps` shows of a process."""
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        return (PROC / str(pid) / "cmdline").read_bytes()
    return b""


def mode(path: Path) -> int:
    """Return the permission bits of a path. Raises OSError."""
    return stat.S_IMODE(path.stat().st_mode)
