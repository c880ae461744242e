"""A lane: one connection, asked in a thread of its own, so that what hangs holds up nobody.

A server that is stopped (SIGSTOP, a frozen disk) accepts connections and never answers; its own
time-outs do not run. So each look has a deadline here: then the socket is shut down, the thread
ends by that, and the next look connects anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg

from pgstead.errors import SteadError

_log = logging.getLogger("pgstead.agent")
Told = TypeVar("Told")
Connection = psycopg.Connection[dict[str, Any]]

# what a server says while it cannot be used by anybody
_AWAY = ("starting up", "shutting down", "in recovery", "not yet accepting")


@dataclass(frozen=True, slots=True)
class Silence:
    """Why a look gave nothing."""

    reason: str
    away: bool = True  # False: it answers, and refuses us


class Lane(Generic[Told]):
    """One target."""

    def __init__(self, name: str, opens: Callable[[], Connection]) -> None:
        """Keep how it is connected to; nothing is opened yet."""
        self.name = name
        self._opens = opens
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None
        self._told: Told | Silence = Silence("it was not looked at yet")
        self._began = 0.0

    def begin(self, work: Callable[[Connection], Told]) -> None:
        """Begin a look, unless the last one still hangs."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._began = time.monotonic()
        self._told = Silence("it has not answered")
        self._thread = threading.Thread(
            target=self._look, args=(work,), name=f"pgstead-lane-{self.name}", daemon=True
        )
        self._thread.start()

    def end(self, deadline: float) -> Told | Silence:
        """Return what the look gave, at the deadline (time.monotonic) at the latest."""
        if self._thread is None:
            return self._told
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if not self._thread.is_alive():
            return self._told
        self._cut()
        return Silence(f"it has not answered for {time.monotonic() - self._began:.1f} s")

    def close(self) -> None:
        """Let go of the connection."""
        if self._thread is not None and self._thread.is_alive():
            self._cut()
        elif self._connection is not None:
            self._connection.close()

    def _look(self, work: Callable[[Connection], Told]) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._opens()
            self._told = work(self._connection)
        except (psycopg.Error, OSError) as error:
            self._told = silence(error)
            self._forget()
        except SteadError:
            # it was not asked: that says nothing about it. The error names a path.
            self._told = Silence("the monitoring role's password cannot be read", away=False)
            self._forget()
        except Exception as error:  # noqa: BLE001 - a thread that dies of it would say "no answer"
            _log.exception("what %s answered is not understood", self.name)
            what = type(error).__name__
            self._told = Silence(f"its answer is not understood: {what}", away=False)
            self._forget()

    def _forget(self) -> None:
        kept, self._connection = self._connection, None
        if kept is not None:
            with contextlib.suppress(psycopg.Error):
                kept.close()

    def _cut(self) -> None:
        """Shut the socket down under the thread that waits for it; closing would race with it."""
        kept = self._connection
        if kept is None or kept.closed:
            return  # it is connecting, which has a time-out of its own
        with contextlib.suppress(OSError, psycopg.Error):
            copy = socket.socket(fileno=os.dup(kept.fileno()))
            with copy:
                copy.shutdown(socket.SHUT_RDWR)


def silence(error: BaseException) -> Silence:
    """Tell a target that is away from one that answers, and refuses us."""
    words = " ".join(str(error).split()) or type(error).__name__
    told = words.partition("FATAL: ")[2].strip()
    if told and not any(sign in told for sign in _AWAY):
        return Silence(f"it refuses the monitoring role: {told}", away=False)
    return Silence(_without_place(words))


def _without_place(words: str) -> str:
    """Leave out addresses and paths: health is read by more than the owner."""
    for sign, meaning in (
        ("Connection refused", "nobody listens there"),
        ("No such file", "nobody listens there"),
        ("timeout", "it has not answered in time"),
        ("timed out", "it has not answered in time"),
        ("starting up", "it is starting up"),
        ("shutting down", "it is shutting down"),
        ("recovery", "it is in recovery"),
        ("certificate", "its certificate is not accepted"),
    ):
        if sign in words:
            return meaning
    return "the connection was lost"
