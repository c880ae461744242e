"""Programs that a container engine keeps running, seen from the container of the toolbox.

Nobody here can talk to the engine, and nobody should: its socket is root on the machine. A
program is seen by what it answers; it is restarted by being asked to end, for the engine starts
again what has ended. What is described in compose.yml is started by the engine alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psycopg

from pgstead.errors import NotRunningError
from pgstead.model.design import Design, Program
from pgstead.ports import PoolerConsole, ProgramState, Sql

_POLL = 0.05
_HINT = "`docker compose ps` shows its state, `docker compose up --detach` starts it"


class EngineSupervisor:
    """`ports.Supervisor` by asking the programs themselves."""

    def __init__(self, design: Design, sql: Sql, console: PoolerConsole) -> None:
        """Keep what the programs are and where they answer."""
        self._design = design
        self._programs = {program.name: program for program in design.programs}
        self._sql = sql
        self._console = console

    def states(self) -> Mapping[str, ProgramState]:
        """Return all programs of the design.

        The engine starts services, agent and receiver after this process has done its work, and
        always as compose.yml says: they count as wanted, and `docker compose ps` tells of them.
        """
        return {name: self._state(program) for name, program in self._programs.items()}

    def _state(self, program: Program) -> ProgramState:
        running = self._answers(program)
        return ProgramState(
            name=program.name,
            running=running,
            state="RUNNING" if running else "STOPPED",
            pid=None,
            digest=program.digest if running else "",
            detail="kept by the container engine",
        )

    def _answers(self, program: Program) -> bool:
        match program.kind:
            case "postgres":
                return self._sql.answers()
            case "pgbouncer":
                return self._console.answers()
            case _:
                return True

    def configure(self, programs: Sequence[Program]) -> None:
        """Do nothing: compose.yml is the configuration."""

    def start(self, name: str, *, timeout: float = 60) -> None:
        """Wait until the engine has started it. Raises NotRunningError."""
        self._wait(name, lambda: self._state(self._programs[name]).running, timeout)

    def _wait(self, name: str, holds: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not holds():
            if time.monotonic() > deadline:
                raise NotRunningError(
                    f"the container of {name} was not ready within {timeout:g} s", hint=_HINT
                )
            time.sleep(_POLL)

    def stop(self, name: str, *, timeout: float = 60) -> None:
        """Be content where it is stopped. Raises NotRunningError: only the engine can stop it."""
        del timeout
        if self._answers(self._programs[name]):
            raise NotRunningError(
                f"{name} runs in a container, which cannot be kept stopped from another one",
                hint=f"`docker compose stop {name}`",
            )

    def restart(self, name: str, *, timeout: float = 60) -> None:
        """Ask a server or a pooler to end, and wait until the engine has started it again."""
        program = self._programs[name]
        match program.kind:
            case "postgres":
                self._restart_server(timeout)
            case "pgbouncer":
                self._console.run("SHUTDOWN")
                self._wait(name, self._console.answers, timeout)
            case _:
                raise NotRunningError(
                    f"{name} runs in a container, which cannot be restarted from another one",
                    hint=f"`docker compose restart {name}`",
                )

    def speak_first(self) -> None:
        """Have the new server's container speak to the pooler's.

        It has the address of the one before, and other hardware: not every engine announces that,
        and the pooler's container would send to the old one until it forgets it, which takes
        seconds.
        """
        door = self._design.door("pooler")
        if door is None:
            return
        asks = f"{self._design.build.bindir}/pg_isready -q -t 2 -h {door.hosts[0]} -p {door.port}"
        with suppress(NotRunningError, psycopg.Error), self._sql.connect() as connection:
            told = f"COPY (SELECT) TO PROGRAM 'cat >/dev/null; {asks}; true'"
            connection.execute(told.encode())

    def relaunch(self, name: str, *, timeout: float = 60) -> None:
        """Do as `restart` does: the engine starts again what has ended, whatever becomes of us."""
        self.restart(name, timeout=timeout)

    def _restart_server(self, timeout: float) -> None:
        """Send the postmaster a fast shutdown by a program of its own: COPY ... TO PROGRAM.

        There is no function for it, and no signal reaches into another container. Its number is
        the one that it has there (postmaster.pid, first line).
        """
        before = self._started()
        pid = int(before[0])
        # What it is sent it must read, or COPY fails by a broken pipe. The shutdown may end this
        # connection too, before it says that the program has run.
        with suppress(psycopg.OperationalError, NotRunningError), self._sql.connect() as connection:
            connection.execute(
                f"COPY (SELECT) TO PROGRAM 'cat >/dev/null; kill -INT {pid}'".encode()
            )

        def again() -> bool:
            return self._started() not in (before, ("", "")) and self._sql.answers()

        self._wait("postgres", again, timeout)

    def _started(self) -> tuple[str, str]:
        """Return pid and start time of the postmaster; a new one may have the old number."""
        try:
            lines = Path(self._design.layout.data, "postmaster.pid").read_text("utf-8").split("\n")
        except OSError:
            return "", ""
        return (lines[0], lines[2]) if len(lines) > 2 else ("", "")

    def shutdown(self, *, timeout: float = 120) -> None:
        """Be content where server and pooler are stopped. Raises NotRunningError elsewhere."""
        for name, program in self._programs.items():
            if program.kind in {"postgres", "pgbouncer"}:
                self.stop(name, timeout=timeout)

    def forget(self) -> None:
        """Do nothing: compose.yml and the engine's own records are the engine's to remove."""

    def orphans(self) -> Iterator[int]:
        """Yield nothing: what a container leaves ends with it."""
        yield from ()

    def end_orphans(self) -> None:
        """Do nothing: there are none."""
