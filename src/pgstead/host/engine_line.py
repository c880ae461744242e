"""The line to who started this container, and who alone can stop and start the others.

Nobody in a container can talk to the engine. An upgrade has to stop the server and to start one of
another image: it says so on its standard output, and reads on its standard input that it was done.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from functools import cache

from pgstead.errors import NotRunningError
from pgstead.host.engine_supervisor import EngineSupervisor
from pgstead.model.design import Design
from pgstead.ports import PoolerConsole, Sql

ASKED = "PGSTEAD_ENGINE_LINE"  # the variable that says that somebody listens
MARK = "@engine "  # begins a line that is for the engine; all others are for the user
_SILENCE = 60.0  # seconds; who listens speaks each second, and may be starved for many of them
_TRIAL = 120.0  # seconds, for a container in which somebody sleeps
_HINT = "`pgstead upgrade --target compose` finishes it, or takes it back"


class EngineLine:
    """Asks, and waits until it was done."""

    def __init__(self) -> None:
        """Begin to listen."""
        self._answers: queue.Queue[tuple[str, str]] = queue.Queue()
        self._heard = time.monotonic()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._heard = time.monotonic()
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "interrupt":
                os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C here would
            elif word in {"done", "failed"}:
                self._answers.put((word, rest))
        self._heard = 0.0

    def ask(self, word: str, name: str, major: int, timeout: float) -> str:
        """Have a container stopped or started; return what is told. Raises NotRunningError."""
        sys.stdout.write(f"{MARK}{word} {name} {major}\n")
        sys.stdout.flush()
        end = time.monotonic() + timeout
        while time.monotonic() < min(end, self._heard + _SILENCE):
            try:
                told, why = self._answers.get(timeout=0.2)
            except queue.Empty:
                continue
            if told == "failed":
                raise NotRunningError(f"the engine did not {word} {name}: {why}", hint=_HINT)
            return why
        raise NotRunningError(f"nobody out there had the engine {word} {name}", hint=_HINT)


class LineSupervisor(EngineSupervisor):
    """An `EngineSupervisor` that can have a container stopped, and started of another image."""

    def __init__(self, design: Design, sql: Sql, console: PoolerConsole) -> None:
        """Keep which version is meant; all of a process have one line, and hear it from now on."""
        super().__init__(design, sql, console)
        self._major = design.build.major
        self._line = _line()

    def start(self, name: str, *, timeout: float = 60) -> None:
        """Have it started, and wait until it answers. Raises NotRunningError."""
        self._line.ask("start", name, self._major, timeout)
        super().start(name, timeout=timeout)
        if name == "postgres":
            self.speak_first()

    def stop(self, name: str, *, timeout: float = 60) -> None:
        """Have it stopped, and kept so. Raises NotRunningError."""
        self._line.ask("stop", name, self._major, timeout)
        if name == "postgres":
            super().stop(name)


@cache
def _line() -> EngineLine:
    """Return the one that this process has."""
    return EngineLine()


def pace() -> float:
    """Return what the engine takes to end the server's container and to make another; in seconds.

    0 where there is no engine. Raises NotRunningError where it makes none.
    """
    return float(_line().ask("try", "postgres", 0, _TRIAL)) if os.environ.get(ASKED) else 0.0


def supervising(design: Design, sql: Sql, console: PoolerConsole) -> EngineSupervisor:
    """Return who has programs started and stopped, as far as anybody can from in here."""
    kind = LineSupervisor if os.environ.get(ASKED) else EngineSupervisor
    return kind(design, sql, console)
