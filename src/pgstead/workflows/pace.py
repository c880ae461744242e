"""How far long work has come: bytes done of bytes expected, and how long it will take yet.

Shown where somebody watches a terminal; elsewhere each step is a plain line. What is expected comes
from the catalog: how long the last runs took, by the size of the cluster.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from pgstead.model.backup import Ending, Task
from pgstead.ports import Progress
from pgstead.ports.backup import BackupPorts

_LOOK = 0.5  # seconds between two looks
_RUNS = 5  # the last ones that count
_MB = 2**20


def usual(backup: BackupPorts, task: Task, cluster_size: int) -> float | None:
    """Return the seconds that a run of a task takes on a cluster of a size; None without history.

    Nothing of that is promised: it is the median of the last five, by their size.
    """
    rates: list[float] = []
    for run in backup.catalog.runs(task, limit=4 * _RUNS):
        size = run.detail.get("cluster_size")
        if run.ending is Ending.DONE and run.seconds is not None and isinstance(size, int) and size:
            rates.append(run.seconds / size)
    return median(rates[:_RUNS]) * cluster_size if rates else None


def bytes_below(place: Path) -> int:
    """Return the bytes of the files below a directory; 0 while it is not there."""
    total = 0
    with suppress(OSError):  # it comes, and parts of it go, while we look
        for folder, _, names in os.walk(place):
            for name in names:
                with suppress(OSError):
                    total += Path(folder, name).lstat().st_size
    return total


def told(what: str, done: int, expected: int, left: float | None) -> str:
    """Return a step in words, with what is known of it."""
    parts: list[str] = []
    if expected:
        done = min(done, expected)  # WAL is laid out besides, how much is not known before
        share = done / expected
        parts.append(f"{done / _MB:.0f} of about {expected / _MB:.0f} MB ({share:.0%})")
    elif done:
        parts.append(f"{done / _MB:.0f} MB")
    if left is not None:
        parts.append(f"about {left:.0f} s left" if left > 0 else "longer than usual")
    return f"{what}: {', '.join(parts)}" if parts else what


class Pace:
    """A run of a task, from when this was made."""

    def __init__(self, progress: Progress, expected: float | None) -> None:
        """Keep whom to tell, and how many seconds the run usually takes."""
        self._progress = progress
        self._expected = expected
        self._began = time.monotonic()

    def _left(self) -> float | None:
        if self._expected is None:
            return None
        return self._expected - (time.monotonic() - self._began)

    @contextmanager
    def step(
        self, what: str, measure: Callable[[], int] | None = None, expected: int = 0
    ) -> Generator[None]:
        """Tell of a step while the block runs: on a terminal over and over, with what is done."""
        self._progress.step(what)
        if not self._progress.watched:
            yield
            return
        ended = threading.Event()

        def tell() -> None:
            while not ended.wait(_LOOK):
                done = 0 if measure is None else measure()
                self._progress.step(told(what, done, expected, self._left()))

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()
