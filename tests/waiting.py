"""Waiting for what comes about by itself. How long it takes is judged by nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(looks: Callable[[], Found | None], what: str = "", seconds: float = 120) -> Found:
    """Return the first answer that is one; say what did not come."""
    end = time.monotonic() + seconds
    while not (found := looks()):
        assert time.monotonic() < end, f"waited {seconds} s: {what or 'it did not come about'}"
        time.sleep(0.05)
    return found
