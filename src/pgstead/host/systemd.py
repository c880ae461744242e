"""systemd as the supervisor of a stead: units written, started and asked by systemctl(1).

It supervises as soon as the stead's target lies in /etc/systemd/system (`pgstead render systemd`).
What a killed program leaves behind ends with its control group, so nothing of the guard of the
embedded supervisor is needed here (docs/adr/0031).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pgstead.errors import HostError, NotRunningError, SteadError
from pgstead.host import leftovers, program_logs, programs, readiness
from pgstead.host.files import LocalFiles
from pgstead.host.processes import Process
from pgstead.host.supervisor import LocalSupervisor
from pgstead.model.design import Program
from pgstead.model.file_tree import Units
from pgstead.model.host import HostFacts
from pgstead.model.layout import Layout
from pgstead.ports import ProgramState

_POLL = 0.05
_ROOT = PurePosixPath("/")
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_STATES: Mapping[str, str] = {
    "active": "RUNNING",
    "reloading": "RUNNING",
    "activating": "STARTING",
    "deactivating": "STOPPING",
    "inactive": "STOPPED",
    "failed": "FATAL",
}


def supervising(
    layout: Layout, host: HostFacts, units: Callable[[], Units]
) -> SystemdSupervisor | None:
    """Return systemd as the supervisor, None where it runs no stead of this state."""
    if not _BOOTED.is_dir():
        return None
    made = units()
    try:
        text = Path(_ROOT / made.target.path).read_text(encoding="utf-8")
    except OSError:
        return None
    if made.target.owner not in text.splitlines():
        return None  # another stead's, of the same name
    return SystemdSupervisor(layout, host, made)


class SystemdSupervisor:
    """`ports.Supervisor` by systemd."""

    def __init__(self, layout: Layout, host: HostFacts, units: Units) -> None:
        """Keep whose units these are."""
        self._layout = layout
        self._host = host
        self._units = units
        self._files = LocalFiles(_ROOT)

    # -- looking ------------------------------------------------------------------------------

    def states(self) -> Mapping[str, ProgramState]:
        """Return all programs that have a unit."""
        names = {unit: name for name, unit in self._units.services.items()}
        wanted = "Id,LoadState,ActiveState,SubState,MainPID,Result"
        told = self._ask("show", f"--property={wanted}", "--", *names)
        found: dict[str, ProgramState] = {}
        for block in told.split("\n\n"):
            facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if facts.get("LoadState") == "loaded" and facts["Id"] in names:
                name = names[facts["Id"]]
                found[name] = self._state(name, facts)
        return found

    def _state(self, name: str, facts: Mapping[str, str]) -> ProgramState:
        active, sub = facts["ActiveState"], facts["SubState"]
        pid = int(facts["MainPID"]) or None
        state = "BACKOFF" if sub == "auto-restart" else _STATES.get(active, active.upper())
        starts = active == "activating" and sub == "start" and pid is not None
        return ProgramState(
            name=name,
            running=state == "RUNNING" or starts,
            state=state,
            pid=pid,
            digest=self._digest(name) if pid else "",
            detail=f"{sub}, {facts['Result']}",
        )

    def _digest(self, name: str) -> str:
        """Return what the unit wrote down when it started the program."""
        unit = self._units.services[name].removesuffix(".service")
        found = self._files.read(PurePosixPath("/run") / unit / "digest")
        return found.text.strip() if found is not None else ""

    # -- configuring --------------------------------------------------------------------------

    def configure(self, programs: Sequence[Program]) -> None:
        """Write the units of the stead, whichever programs are to start now, and have them read.

        Nothing is started by it. A supervisord of before gives way.
        """
        if os.geteuid() != 0:
            raise HostError(
                "systemd runs this stead, and only root may change its units",
                hint="`sudo pgstead up`",
            )
        if leftovers.keepers(self._layout) or leftovers.supervisors(self._layout):
            LocalSupervisor(self._layout, self._host).shutdown()
        for program in programs:
            # Made here: systemd would make it root's, and an embedded supervisor could not write.
            program_logs.prepare(self._layout, program)
        changed = [self._put(file.path, file.text, file.mode) for file in self._units.files]
        gone = list(self._stale())
        for path in gone:
            self._ask("stop", "--", path.name)
            self._files.remove(PurePosixPath(path))
        if any(changed) or gone:
            self._ask("daemon-reload")
        self._ask("enable", "--quiet", "--", self._target, *self._units.timers)

    @property
    def _target(self) -> str:
        return self._units.target.path.name

    def _put(self, path: PurePosixPath, text: str, mode: int) -> bool:
        """Write a file if it differs; say whether it did."""
        found = self._files.read(_ROOT / path)
        if found is not None and found.text == text and found.mode == mode:
            return False
        self._files.write(_ROOT / path, text, mode=mode)
        return True

    def _stale(self) -> Iterator[Path]:
        """Yield units of this stead that belong to no program any more."""
        directory = Path(_ROOT / self._units.target.path).parent
        wanted = {file.path.name for file in self._units.files}
        for path in directory.glob("pgstead-*"):
            if path.name in wanted or not path.is_file():
                continue
            if self._units.target.owner in path.read_text(encoding="utf-8").splitlines():
                yield path

    # -- starting and stopping ----------------------------------------------------------------

    def start(self, name: str, *, timeout: float = 60) -> None:
        """Start a program and wait until it runs. Raises SteadError with the log's last lines."""
        unit = self._unit(name)
        programs.run(["systemctl", "reset-failed", "--", unit])
        done = programs.run(["systemctl", "start", "--", unit], timeout=timeout)
        if not done.ok:
            raise self._failed(name, "does not start", done.words)
        deadline = time.monotonic() + timeout
        while not self._is_up(name):
            if time.monotonic() > deadline:
                raise self._failed(name, f"was not ready within {timeout:g} s", "")
            time.sleep(_POLL)
        if all(state.running for state in self.states().values()):
            self._ask("start", "--", self._target)

    def _unit(self, name: str) -> str:
        unit = self._units.services.get(name)
        if unit is None:
            raise NotRunningError(
                f"systemd knows no program {name!r} of this stead", hint="`pgstead up` adds it"
            )
        return unit

    def _is_up(self, name: str) -> bool:
        state = self.states().get(name)
        if state is None or not state.running or state.pid is None:
            return False
        match name:
            case "postgres":
                return readiness.server_is_ready(self._layout, state.pid)
            case "pgbouncer":
                return readiness.pooler_listens(self._layout)
            case _:
                return True

    def _failed(self, name: str, what: str, words: str) -> SteadError:
        log = self._layout.log(name)
        said = program_logs.tail(self._layout, log.name)
        if name == "postgres":
            said = f"{said} {program_logs.server_words(self._layout)}".strip()
        told = " ".join(words.split())
        return SteadError(
            f"{name} {what}. It said: {said or 'nothing'}. systemctl said: {told or 'nothing'}",
            hint=f"`systemctl status {self._unit(name)}`, or {log}",
        )

    def stop(self, name: str, *, timeout: float = 60) -> None:
        """Stop a program with its own signal and wait."""
        self._ask("stop", "--", self._unit(name), timeout=timeout + 30)

    def restart(self, name: str, *, timeout: float = 60) -> None:
        """Stop and start a program."""
        self.stop(name, timeout=timeout)
        self.start(name, timeout=timeout)

    def relaunch(self, name: str, *, timeout: float = 60) -> None:
        """Do as `restart` does."""
        self.restart(name, timeout=timeout)

    # -- ending -------------------------------------------------------------------------------

    def shutdown(self, *, timeout: float = 120) -> None:
        """Stop all programs and timers; what is ordered after another one stops before it."""
        known = [unit for name, unit in self._units.services.items() if name in self.states()]
        if known:
            units = [self._target, *self._units.timers, *known]
            self._ask("stop", "--", *units, timeout=timeout)

    def forget(self) -> None:
        """Remove the units, and what lies beside them on the host."""
        self._ask("disable", "--quiet", "--", self._target, *self._units.timers)
        for file in self._units.files:
            self._files.remove(_ROOT / file.path)
        for path in self._stale():
            self._files.remove(PurePosixPath(path))
        self._ask("daemon-reload")

    def orphans(self) -> Iterator[int]:
        """Yield pids of our servers that run outside of our units."""
        for process in self._strangers():
            yield process.pid

    def end_orphans(self) -> None:
        """End them: fast shutdown first, SIGKILL last."""
        if found := self._strangers():
            leftovers.end(self._layout, found)

    def _strangers(self) -> list[Process]:
        # An embedded supervisor of before would only start them again: `configure` ends it.
        if leftovers.supervisors(self._layout):
            return []
        return [p for p in leftovers.everything(self._layout) if not self._in_unit(p.pid)]

    def _in_unit(self, pid: int) -> bool:
        try:
            text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
        except OSError:
            return True  # it is gone
        return any(f"/{unit}" in text for unit in self._units.services.values())

    def _ask(self, *arguments: str, timeout: float = 90) -> str:
        done = programs.run(["systemctl", *arguments], timeout=timeout)
        if not done.ok:
            raise HostError(
                f"`systemctl {' '.join(arguments)}` failed: {' '.join(done.words.split())}",
                hint="`journalctl -b -p warning` says more; as root?",
            )
        return done.out
