"""Processes that hang: they are there, and do nothing until they are let go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import until


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Let a process and its children hang: a server accepts connections and never answers."""
    family = [pid]
    try:
        # it first: meanwhile it makes no further children, and takes none away that ended
        os.kill(pid, signal.SIGSTOP)
        until(lambda: _stands(pid), "it stands still")
        family += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        for one in family[1:]:
            os.kill(one, signal.SIGSTOP)
        yield
    finally:
        for one in reversed(family):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def _stands(pid: int) -> bool:
    # the state comes after the name, which may hold anything
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
