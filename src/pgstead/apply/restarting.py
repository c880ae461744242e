"""The server started anew, while the pooler's clients wait for it instead of failing."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from pgstead.errors import NotRunningError, SteadError
from pgstead.ports import Ports

PATIENCE = 10.0  # seconds for transactions to end
# What the pooler's clients wait for is longer than what they wait for otherwise.
_WAITING = ("query_wait_timeout", "client_login_timeout")
_LONG = 3600


@dataclass(frozen=True, slots=True)
class Stall:
    """How long nobody was served, in seconds."""

    seconds: float  # from when new transactions had to wait until they went on
    pausing: float  # of these, until those that were open had ended
    pooled: bool  # there is a pooler that had its clients wait


def restart(ports: Ports, *, patience: float = PATIENCE, anyway: bool = False) -> Stall:
    """Restart the server; clients of the pooler wait. Raises BusyError, nothing done then.

    What is in memory is written before, while all are served: a fast shutdown ends with a
    checkpoint, and would take as long as writing all of it does.
    """
    checkpoint(ports)
    began = time.monotonic()
    with ports.hold.waiting(patience=patience, anyway=anyway) as pooled:
        paused = time.monotonic() - began
        ports.progress.step("restarting postgres")
        ports.supervisor.relaunch("postgres")
    return Stall(time.monotonic() - began, paused, pooled)


def checkpoint(ports: Ports) -> None:
    """Write what is in memory; the second time what was changed during the first."""
    with suppress(NotRunningError), ports.sql.connect() as connection:
        ports.progress.step("writing what is in memory")
        connection.execute("SET statement_timeout = 0")
        for _ in range(2):
            connection.execute("CHECKPOINT")


def give_time(ports: Ports) -> None:
    """Have the pooler's clients wait for as long as it takes; a RELOAD ends that."""
    with suppress(SteadError):
        for name in _WAITING:
            ports.console.run(f"SET {name} = {_LONG}")


def usual_times(ports: Ports) -> None:
    """Have the pooler read its file: its clients wait as long as the design says."""
    with suppress(SteadError):
        ports.console.at_rest("RELOAD")
