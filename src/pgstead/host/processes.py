"""Processes as /proc shows them. A pid alone names nothing: its start time belongs to it."""

from __future__ import annotations

import os
import pwd
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pgstead.host import programs

_PROC = Path("/proc")
_BOOT = _PROC / "sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class Process:
    """A process at one moment; pid and start time name it for as long as the machine is up."""

    pid: int
    start: int  # clock ticks since boot
    parent: int
    name: str

    @property
    def alive(self) -> bool:
        """It still runs, and its pid was not given to another."""
        now = look(self.pid)
        return now is not None and now.start == self.start


def look(pid: int) -> Process | None:
    """Return a process; None where it is gone or a zombie (proc_pid_stat(5))."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    before, _, after = line.rpartition(")")  # the name may hold spaces and parentheses
    fields = after.split()
    if len(fields) < 20 or fields[0] in "ZXx":
        return None
    return Process(pid, int(fields[19]), int(fields[1]), before.partition("(")[2])


def born(pid: int) -> str:
    """Return when a process started, on any boot; empty where there is none of that number."""
    found = look(pid)
    return "" if found is None else f"{_BOOT.read_text(encoding='ascii').strip()}/{found.start}"


def everyone() -> Iterator[Process]:
    """Yield all processes that we can see."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (found := look(int(entry.name))) is not None:
            yield found


def arguments(pid: int) -> tuple[str, ...]:
    """Return a process's command line; empty where it cannot be read."""
    try:
        told = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(part) for part in told.split(b"\0")[:-1])


def owner(pid: int) -> int | None:
    """Return the user id of a process, None where it is gone."""
    try:
        return (_PROC / str(pid)).stat().st_uid
    except OSError:
        return None


def works_in(pid: int, directory: os.PathLike[str]) -> bool:
    """Say whether a process's working directory is this one.

    Root in a container may lack CAP_SYS_PTRACE, and then sees this of its own processes only:
    the process's user is asked instead (ptrace(2), "Ptrace access mode checking").
    """
    place = _PROC / str(pid) / "cwd"
    try:
        return place.samefile(directory)
    except PermissionError:
        user = owner(pid)
    except OSError:
        return False
    if user is None or os.geteuid() != 0:
        return False
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        return False
    return programs.run(["test", str(place), "-ef", str(directory)], user=name).ok


def descends(process: Process, ancestor: int, family: Mapping[int, Process]) -> bool:
    """Say whether a process was started by another one, directly or not."""
    current: Process | None = process
    for _ in range(64):
        if current is None:
            return False
        if current.parent == ancestor:
            return True
        current = family.get(current.parent)
    return False


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal, unless the process is gone."""
    if process.alive:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def wait_until_gone(group: Iterable[Process], timeout: float) -> list[Process]:
    """Wait for the end of some processes; return those that are left."""
    deadline = time.monotonic() + timeout
    left = [process for process in group if process.alive]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [process for process in left if process.alive]
    return left


def end_working_on(place: os.PathLike[str], timeout: float, *names: str) -> None:
    """End the processes whose command line names a place, or one below it.

    Only programs of these names, where names are given; never ourselves. What does not end within
    the time-out (seconds) is killed.
    """
    below = f"{os.fspath(place)}/"
    group = [
        process
        for process in everyone()
        if process.pid != os.getpid()
        and (not names or process.name in names)
        and any(below in f"{word}/" for word in arguments(process.pid))
    ]
    for process in group:
        send(process, signal.SIGINT)
    for process in wait_until_gone(group, timeout):
        send(process, signal.SIGKILL)
    wait_until_gone(group, timeout)
