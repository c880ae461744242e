"""supervisord and the programs that it runs (docs/adr: why supervisor needs a guard)."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pgstead.errors import NotRunningError, SteadError
from pgstead.host import guard, leftovers, processes, program_logs, programs, readiness
from pgstead.host.files import LocalFiles
from pgstead.host.supervisord import Client, RefusedError
from pgstead.model.design import Program
from pgstead.model.host import HostFacts
from pgstead.model.layout import Layout, file_label
from pgstead.ports import ProgramState

_POLL = 0.03
_AT_ONCE = False  # do not hold the one-threaded supervisord until the program is done
_AT_REST = frozenset({"STOPPED", "EXITED", "FATAL"})
# supervisord imports and starts within half a second; a loaded machine takes longer.
_TO_START = 20.0


class LocalSupervisor:
    """`ports.Supervisor` by supervisord, kept alive by a shell loop."""

    def __init__(self, layout: Layout, host: HostFacts) -> None:
        """Keep whose processes these are."""
        self._layout = layout
        self._host = host
        self._files = LocalFiles(layout.state)
        self._client = Client(layout.run / "sv.sock")
        self._as_root = os.geteuid() == 0

    # -- looking ------------------------------------------------------------------------------

    def states(self) -> Mapping[str, ProgramState]:
        """Return all programs that it knows; empty when no supervisor runs."""
        if not self._alive():
            return {}
        try:
            told = self._client.call("getAllProcessInfo")
        except (NotRunningError, RefusedError):  # it has ended, or is about to
            return {}
        names = self._names()
        found = (self._state(info, names) for info in told)
        return {state.name: state for state in found}

    def _alive(self) -> bool:
        """Say whether it answers; one that was just killed is given the time to be back."""
        deadline = time.monotonic() + 3
        while not self._client.answers():
            if time.monotonic() > deadline or not leftovers.keepers(self._layout):
                return False
            time.sleep(_POLL)
        return True

    def _names(self) -> Mapping[str, str]:
        """Return the programs' names by their labels."""
        folder = Path(self._layout.run, "programs")
        return {
            path.parent.name: path.read_text(encoding="utf-8") for path in folder.glob("*/name")
        }

    def _state(self, info: Mapping[str, Any], names: Mapping[str, str]) -> ProgramState:
        name = names.get(info["name"], info["name"])
        written = leftovers.record(self._layout, name)
        pid = info["pid"] or None
        became = written is not None and written.pid == pid
        state = info["statename"]
        return ProgramState(
            name=name,
            # STARTING lasts a second; what has become the program by then runs
            running=state == "RUNNING" or (state == "STARTING" and became),
            state=state,
            pid=pid,
            digest=written.digest if written is not None and became else "",
            detail=info["spawnerr"] or info["description"],
        )

    # -- configuring --------------------------------------------------------------------------

    def configure(self, programs: Sequence[Program]) -> None:
        """Write the supervisor's configuration, and start it (or make it re-read).

        A program that changed goes on as it was started until it is restarted.
        """
        self._write(programs)
        if self._client.answers():
            self._reread()
        else:
            self.end_orphans()
        self._start_keeper()

    def _write(self, wanted: Sequence[Program]) -> None:
        run = self._layout.run
        self._files.make_directory(run / "programs", mode=0o755)
        self._put("guard.sh", guard.shell_file("guard.sh"))
        self._put("keeper.sh", guard.shell_file("keeper.sh"))
        for program in wanted:
            self._write_program(program)
        self._put("supervisord.conf", guard.configuration(wanted, as_root=self._as_root))

    def _put(self, name: str, text: str) -> None:
        found = self._files.read(self._layout.run / name)
        if found is None or found.text != text:
            self._files.write(self._layout.run / name, text, mode=0o644)

    def _write_program(self, program: Program) -> None:
        here = guard.folder(self._layout, program.name)
        starter = program_logs.starter(program)
        # The script writes its record there. It belongs to the one who starts it, so that root
        # never writes into a directory of somebody else's.
        self._files.make_directory(here, mode=0o755, owner=starter)
        part = f"programs/{file_label(program.name)}"
        self._put(f"{part}/name", program.name)
        script = guard.start_script(program, self._layout, self._command(program))
        self._put(f"{part}/start", script)
        program_logs.prepare(self._layout, program)

    def _command(self, program: Program) -> Sequence[str]:
        command = list(program.command)
        if program.kind != "service":
            return command
        if command[0] in {"python", "python3"}:  # a design does not know the interpreter
            command[0] = sys.executable
        return [*command, "--user", program.user] if self._as_root else command

    def _reread(self) -> None:
        """Take in what was added and removed. Changed groups are swapped at their restart."""
        ((added, _changed, removed),) = self._client.call("reloadConfig")
        for label in removed:
            self._halt(label, 60)
            self._client.call("removeProcessGroup", label)
        for label in added:
            self._client.call("addProcessGroup", label)

    def _start_keeper(self) -> None:
        self._files.remove(self._layout.run / "stop")
        deadline = time.monotonic() + _TO_START
        again = 0.0
        while not (leftovers.keepers(self._layout) and self._client.answers()):
            now = time.monotonic()
            if now > deadline:
                said = program_logs.tail(self._layout, "keeper.log", "supervisord.log")
                raise NotRunningError(
                    f"supervisord did not start: {said}",
                    hint=f"its logs are in {self._layout.logs}",
                )
            if now > again and not leftovers.keepers(self._layout):
                self._spawn_keeper()
                again = now + 2
            time.sleep(_POLL)

    def _spawn_keeper(self) -> None:
        run = self._layout.run
        told = str(self._layout.logs / "keeper.log")
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", str(run / "keeper.sh"), sys.executable, str(run / "supervisord.conf")],
            # Nothing of the caller's environment: it may hold secrets, and a restart days later
            # must not depend on somebody's shell.
            {**programs.plain_environment(), "LC_ALL": "C.UTF-8"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, told, append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    # -- starting and stopping ----------------------------------------------------------------

    def start(self, name: str, *, timeout: float = 60) -> None:
        """Start a program and wait until it runs. Raises SteadError with the log's last lines."""
        label = file_label(name)
        info = self._info(name)
        if info["statename"] in _AT_REST:
            self._renew(label)
            self._ask("startProcess", label, _AT_ONCE, tolerate="ALREADY_STARTED")
        deadline = time.monotonic() + timeout
        while not self._is_up(info := self._info(name)):
            if info["statename"] in {"BACKOFF", "FATAL", "EXITED"}:
                raise self._failed(name, info, "does not start")
            if time.monotonic() > deadline:
                raise self._failed(name, info, f"was not ready within {timeout:g} s")
            time.sleep(_POLL)

    def _renew(self, label: str) -> None:
        """Make supervisord take a stopped program's configuration anew (it may have changed)."""
        ((_added, changed, _removed),) = self._client.call("reloadConfig")
        if label in changed:
            self._client.call("removeProcessGroup", label)
            self._client.call("addProcessGroup", label)

    def _ask(self, method: str, *arguments: object, tolerate: str) -> None:
        try:
            self._client.call(method, *arguments)
        except RefusedError as error:
            if error.word != tolerate:
                raise

    def _info(self, name: str) -> Mapping[str, Any]:
        try:
            return self._client.call("getProcessInfo", file_label(name))
        except RefusedError as error:
            if error.word == "BAD_NAME":
                raise NotRunningError(
                    f"the supervisor knows no program {name!r}", hint="`pgstead up` adds it"
                ) from error
            raise

    def _is_up(self, info: Mapping[str, Any]) -> bool:
        written = self._became(info)
        if written is None:
            return False
        process = processes.look(written.pid)
        if process is None or process.start != written.start:
            return False
        if self._kind(info["name"]) == "postgres":
            return readiness.server_is_ready(self._layout, written.pid)
        if info["statename"] == "RUNNING":
            return True
        kind = self._kind(info["name"])
        return kind == "pgbouncer" and readiness.pooler_listens(self._layout)

    def _became(self, info: Mapping[str, Any]) -> leftovers.Record | None:
        """Return a program's record; None while it is still the guard, waiting for the last one."""
        written = leftovers.record(self._layout, self._names()[info["name"]])
        return written if written is not None and written.pid == info["pid"] else None

    def _kind(self, label: str) -> str:
        return self._told(label, "kind")

    def _told(self, label: str, name: str) -> str:
        """Return a plain value of a program's start script."""
        script = Path(self._layout.run, "programs", label, "start").read_text(encoding="utf-8")
        lines = script.splitlines()
        return next((line.partition("=")[2] for line in lines if line.startswith(f"{name}=")), "")

    def _failed(self, name: str, info: Mapping[str, Any], what: str) -> SteadError:
        log = self._layout.log(name)
        said = program_logs.tail(self._layout, log.name)
        if self._kind(info["name"]) == "postgres":
            said = f"{said} {program_logs.server_words(self._layout)}".strip()
        state = f"{info['statename']}: {info['spawnerr'] or info['description']}"
        return SteadError(
            f"{name} {what} ({state}). It said: {said or 'nothing'}",
            hint=f"`pgstead logs {name}`, or {log}",
        )

    def stop(self, name: str, *, timeout: float = 60) -> None:
        """Stop a program with its own signal and wait."""
        self._info(name)
        self._halt(file_label(name), timeout)

    def _halt(self, label: str, timeout: float) -> None:
        self._ask("stopProcess", label, _AT_ONCE, tolerate="NOT_RUNNING")
        deadline = time.monotonic() + timeout
        hurried = False
        while (info := self._client.call("getProcessInfo", label))["statename"] not in _AT_REST:
            if time.monotonic() > deadline and not hurried:
                # fast shutdown did not end it: immediate for PostgreSQL, any signal for others
                self._ask("signalProcess", label, "QUIT", tolerate="NOT_RUNNING")
                hurried, deadline = True, time.monotonic() + 10
            elif time.monotonic() > deadline:
                self._ask("signalProcess", label, "KILL", tolerate="NOT_RUNNING")
                deadline = time.monotonic() + 10
            elif not self._became(info):
                # Between fork and exec it is supervisord's own handler that takes a signal, and
                # it is lost. The script that waits then to become the program is told again.
                stop_signal = self._told(label, "stop_signal")
                self._ask("signalProcess", label, stop_signal, tolerate="NOT_RUNNING")
            time.sleep(_POLL)
        if self._kind(label) == "postgres":
            leftovers.end(self._layout, leftovers.servers(self._layout), patience=5)

    def restart(self, name: str, *, timeout: float = 60) -> None:
        """Stop and start a program."""
        self.stop(name, timeout=timeout)
        self.start(name, timeout=timeout)

    def relaunch(self, name: str, *, timeout: float = 60) -> None:
        """End a program by its own signal; supervisord starts it again, also where we are killed.

        Its start script is read anew, its section of supervisord.conf is not: see `start`.
        """
        label, before = file_label(name), self._info(name)
        if before["statename"] in _AT_REST:
            self.start(name, timeout=timeout)
            return
        self._ask("signalProcess", label, self._told(label, "stop_signal"), tolerate="NOT_RUNNING")
        deadline = time.monotonic() + timeout
        # each question wakes supervisord, which would look once a second otherwise
        while (info := self._info(name))["pid"] == before["pid"] or not self._is_up(info):
            if info["statename"] in {"BACKOFF", "FATAL"}:
                raise self._failed(name, info, "does not start")
            if time.monotonic() > deadline:
                self.restart(name, timeout=timeout)
                return
            time.sleep(_POLL)

    # -- ending -------------------------------------------------------------------------------

    def shutdown(self, *, timeout: float = 120) -> None:
        """Stop all programs and the supervisor itself; leaves no process, socket or pid file."""
        if Path(self._layout.run).is_dir():
            self._files.write(self._layout.run / "stop", "")
        deadline = time.monotonic() + timeout
        while True:
            self._end_supervisors(deadline)
            for process in processes.wait_until_gone(leftovers.keepers(self._layout), 3):
                processes.send(process, signal.SIGKILL)
            # the keeper may have started one more before it saw that it has to stop
            if not leftovers.supervisors(self._layout):
                break
        self.end_orphans()
        self._sweep()

    def _end_supervisors(self, deadline: float) -> None:
        while living := leftovers.supervisors(self._layout):
            self._ask_to_end(living, deadline)
            for process in processes.wait_until_gone(living, 1):
                processes.send(process, signal.SIGKILL)

    def _ask_to_end(self, living: list[processes.Process], deadline: float) -> None:
        try:
            self._stop_all(deadline)
            self._client.call("shutdown")
        except (NotRunningError, RefusedError):
            for process in living:  # deaf: a signal reaches it still
                processes.send(process, signal.SIGTERM)
        # Each question wakes its loop, which would sleep a second at a time otherwise.
        while any(process.alive for process in living) and time.monotonic() < deadline:
            self._client.answers()
            time.sleep(_POLL)

    def _stop_all(self, deadline: float) -> None:
        """Stop the server last: the others still want to say goodbye to it."""
        labels = [info["name"] for info in self._client.call("getAllProcessInfo")]
        servers = [label for label in labels if self._kind(label) == "postgres"]
        others = [label for label in labels if label not in servers]
        for group in (others, servers):
            for label in group:
                self._ask("stopProcess", label, _AT_ONCE, tolerate="NOT_RUNNING")
            for label in group:
                self._halt(label, max(1.0, deadline - time.monotonic()))

    def _sweep(self) -> None:
        """Remove what only living processes have a use for."""
        run = self._layout.run
        for name in ("sv.sock", "supervisord.pid", "keeper.lock", "stop"):
            self._files.remove(run / name)
        for path in Path(run).glob("programs/*/started*"):
            self._files.remove(run / "programs" / path.parent.name / path.name)
        for path in Path(run).glob("sv.sock.*"):
            self._files.remove(run / path.name)
        for directory in (self._layout.socket, self._layout.pooler):
            for path in Path(directory).glob(".s.PGSQL.*"):
                self._files.remove(directory / path.name)

    def forget(self) -> None:
        """Keep nothing beyond the state directory: there is nothing to remove."""

    def orphans(self) -> Iterator[int]:
        """Yield pids of our servers that run without a living supervisor."""
        for process in leftovers.unsupervised(self._layout):
            yield process.pid

    def end_orphans(self) -> None:
        """End them: fast shutdown first, SIGKILL last."""
        found = leftovers.unsupervised(self._layout)
        if found:
            leftovers.end(self._layout, found)
