"""Jobs that may last for hours: backups, drills, exports, copies to object storage.

Python waits for their threads before a process ends. An agent that ended beside one would be there
for as long as that lasts, and do nothing else: no sample, no alert, no heartbeat.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable


class LongWork:
    """Counts what is at work, and has the agent leave between two jobs, never beside one."""

    def __init__(self, leave: Callable[[], None]) -> None:
        """Keep how the agent leaves."""
        self._leave = leave
        self._lock = threading.Lock()
        self._at_work: Counter[str] = Counter()
        self._asked = False
        self._over = False

    def do(self, job: Callable[[], object], what: str, *, beside: bool = False) -> None:
        """Do a job, unless the agent is to leave: whoever comes after it does what is due then.

        With `beside` it is done also while the last of the others is waited for.
        """
        with self._lock:
            if self._over or (self._asked and not beside):
                return
            self._at_work[what] += 1
        try:
            job()
        finally:
            with self._lock:
                self._at_work[what] -= 1
                self._left()

    def leave(self) -> tuple[str, ...]:
        """Leave as soon as nothing is at work; return what is waited for."""
        with self._lock:
            self._asked = True
            self._left()
            return tuple(sorted(what for what, times in self._at_work.items() if times))

    def _left(self) -> None:
        if self._asked and not self._over and not any(self._at_work.values()):
            self._over = True
            self._leave()
