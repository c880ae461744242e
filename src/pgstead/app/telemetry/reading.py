"""Reading files in threads: a disk that hangs must not hold up the loop, nor gather threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pgstead.app.telemetry.samples import UnreadableSamplesError

Read = TypeVar("Read")

_HANGS = "the samples cannot be read: the disk hangs"


@dataclass(slots=True)
class Reading:
    """At most `most` readings at a time, none waited for longer than `patience` seconds."""

    patience: float
    most: int = 2
    _running: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    async def of(self, work: Callable[[], Read]) -> tuple[Read | None, str]:
        """Return what was read, or None and why it was not."""
        if len(self._running) >= self.most:
            return None, _HANGS
        task = asyncio.create_task(asyncio.to_thread(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.wait({task}, timeout=self.patience)
        if not task.done():
            return None, _HANGS
        error = task.exception()
        if isinstance(error, UnreadableSamplesError):
            return None, str(error)
        return task.result(), ""
