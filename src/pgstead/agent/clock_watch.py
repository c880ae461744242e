"""The clock on the wall, watched by one that nobody sets.

A scheduler goes by the wall: set back by an hour, it would do nothing for an hour. A machine that
slept looks like a clock that was set forward.
"""

from __future__ import annotations

import time
from collections.abc import Callable

NOTICED = 2.0  # seconds; slewing (adjtime(3)) is far slower


class ClockWatch:
    """Says by how much the clock was set since it was asked last."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep what both clocks say now."""
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()

    def jumped(self) -> float:
        """Return the seconds that the clock was set by, less than 0 for back, else 0."""
        offset = self._wall() - self._steady()
        by, self._offset = offset - self._offset, offset
        return by if abs(by) >= NOTICED else 0.0
