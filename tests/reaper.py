"""Nothing is left behind, also when the test runner is killed.

A process beside each runner is told which directories are in use, by a pipe. When the runner is
gone, however it went, the pipe ends: then what still runs for these directories is ended, and they
are removed.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path


@cache
def _reaper() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C is for the runner
    )
    atexit.register(process.communicate)
    return process


@contextmanager
def watched(directory: Path) -> Iterator[Path]:
    """Have a directory and its processes removed if this process is killed meanwhile."""
    _tell(f"+{directory}")
    try:
        yield directory
    finally:
        _tell(f"-{directory}")


def _tell(line: str) -> None:
    pipe = _reaper().stdin
    assert pipe is not None
    pipe.write(line + "\n")
    pipe.flush()


def end_processes_of(directory: Path) -> list[str]:
    """Kill what still runs for a directory or in it, and return what it was."""
    left: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            works_in = (entry / "cwd").readlink()
        except OSError:
            continue
        of_it = f"{directory}/" in words or works_in.is_relative_to(directory)
        if of_it and int(entry.name) != os.getpid():
            left[int(entry.name)] = words
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
    return [*left.values()]


def _reap() -> None:
    used: set[str] = set()
    for line in sys.stdin:
        (used.add if line[0] == "+" else used.discard)(line[1:].rstrip("\n"))
    for directory in used:
        # what was killed may have had somebody who starts it again
        for _ in range(20):
            if not end_processes_of(Path(directory)):
                break
            time.sleep(0.1)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    _reap()
