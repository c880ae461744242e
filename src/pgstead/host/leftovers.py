"""The processes of a stead, found by what they work on, with or without a supervisor."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pgstead.host import guard, processes
from pgstead.host.processes import Process
from pgstead.model.layout import Layout

# Programs of PostgreSQL that Barman starts; when it is killed they go on.
_STREAMERS = frozenset({"pg_receivewal", "pg_basebackup"})
_BACKUP_ROLE = "pgstead_backup"


@dataclass(frozen=True, slots=True)
class Record:
    """What a start script wrote down right before it became the program."""

    pid: int
    start: int
    digest: str


def record(layout: Layout, name: str) -> Record | None:
    """Return a program's record, None where there is none or it is torn."""
    try:
        words = Path(guard.folder(layout, name), "started").read_text(encoding="ascii").split()
        return Record(int(words[0]), int(words[1]), words[2])
    except (OSError, ValueError, IndexError):
        return None


def supervisors(layout: Layout) -> list[Process]:
    """Return the supervisord of this stead (more than one only by a mishap)."""
    mark = str(layout.run / "supervisord.conf")
    return _with_argument(mark, "supervisor.supervisord")


def keepers(layout: Layout) -> list[Process]:
    """Return the shell loops that bring supervisord back."""
    mark = str(layout.run / "supervisord.conf")
    return _with_argument(mark, str(layout.run / "keeper.sh"))


def _with_argument(*wanted: str) -> list[Process]:
    return [
        process
        for process in processes.everyone()
        if set(wanted) <= set(processes.arguments(process.pid))
    ]


def servers(layout: Layout) -> list[Process]:
    """Return all PostgreSQL processes that work in the data directory."""
    data = layout.data
    try:
        user = Path(data).stat().st_uid
    except OSError:  # no data directory, no servers
        return []
    return [
        process
        for process in processes.everyone()
        if process.name == "postgres"
        and processes.owner(process.pid) == user
        and (processes.works_in(process.pid, data) or _is_postmaster(process, data))
    ]


def _is_postmaster(process: Process, data: PurePosixPath) -> bool:
    """Say so by the command line: root in a container may be unable to see a process's cwd."""
    return str(data) in processes.arguments(process.pid)


def postmaster(layout: Layout) -> Process | None:
    """Return the postmaster of the data directory, if it is alive."""
    try:
        first = Path(layout.data, "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]
        pid = int(first)
    except (OSError, ValueError):
        return None
    return next((process for process in servers(layout) if process.pid == pid), None)


def others(layout: Layout) -> list[Process]:
    """Return the poolers on our configuration, and the recorded programs, that are alive."""
    config = str(layout.pooler / "pgbouncer.ini")
    found = {
        process.pid: process
        for process in processes.everyone()
        if _is_pooler(processes.arguments(process.pid), config)
    }
    mark = f"passfile={layout.passfile(_BACKUP_ROLE)}"
    found |= {
        process.pid: process
        for process in processes.everyone()
        if process.name in _STREAMERS and mark in " ".join(processes.arguments(process.pid))
    }
    for entry in Path(layout.run, "programs").glob("*/started"):
        process = _recorded(layout, entry)
        if process is not None and process.name != "postgres":
            found[process.pid] = process
    return list(found.values())


def _recorded(layout: Layout, entry: Path) -> Process | None:
    """Return the living process of a record.

    A record that is not ours may name the processes of its own writer only, or the servers'
    user could make root end anything.
    """
    written = record(layout, entry.parent.name)
    process = processes.look(written.pid) if written else None
    if written is None or process is None or process.start != written.start:
        return None
    try:
        writer = entry.stat().st_uid
    except FileNotFoundError:  # of a program that was started or taken away in between
        return None
    trusted = writer in {os.geteuid(), processes.owner(process.pid)}
    return process if trusted else None


def _is_pooler(arguments: tuple[str, ...], config: str) -> bool:
    return config in arguments and any(
        PurePosixPath(part).name.startswith("pgbouncer") and part != config for part in arguments
    )


def everything(layout: Layout) -> list[Process]:
    """Return all processes of this stead except for the supervisor and its keeper."""
    found = {process.pid: process for process in (*servers(layout), *others(layout))}
    return list(found.values())


def unsupervised(layout: Layout) -> list[Process]:
    """Return those that no living supervisord of this stead started."""
    family: Mapping[int, Process] = {process.pid: process for process in processes.everyone()}
    above = [process.pid for process in supervisors(layout)]
    return [
        process
        for process in everything(layout)
        if not any(processes.descends(process, pid, family) for pid in above)
    ]


def end(layout: Layout, group: list[Process], *, patience: float = 30) -> None:
    """End processes: fast shutdown first, then immediate, SIGKILL last."""
    ours = {process.pid for process in group}
    master = postmaster(layout)
    if master is not None and master.pid in ours:
        processes.send(master, signal.SIGINT)
    pooled = [process for process in group if process.name != "postgres"]
    for process in pooled:
        processes.send(process, signal.SIGTERM)
    processes.wait_until_gone(pooled, 5)
    if master is not None and master.pid in ours and processes.wait_until_gone([master], patience):
        processes.send(master, signal.SIGQUIT)
        processes.wait_until_gone([master], 5)
    for process in processes.wait_until_gone(group, 0.2):
        processes.send(process, signal.SIGKILL)
    processes.wait_until_gone(group, 10)
