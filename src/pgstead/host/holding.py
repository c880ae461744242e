"""PgBouncer's clients made to wait for a while, and let go on whatever becomes of us."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from pgstead.errors import BusyError, HostError, NotRunningError, SteadError
from pgstead.host import guard, leftovers, processes, programs
from pgstead.host.processes import Process
from pgstead.model.layout import Layout
from pgstead.ports import PoolerConsole

_POOLER = "pgbouncer"
_TO_END = 10.0


class PoolerHold:
    """`ports.Hold` by PAUSE and RESUME, with a shell that resumes where we were killed."""

    def __init__(self, layout: Layout, console: PoolerConsole) -> None:
        """Keep whose pooler it is."""
        self._layout = layout
        self._console = console

    @contextmanager
    def waiting(self, *, patience: float, anyway: bool = False) -> Generator[bool]:
        """Have every client wait while the block lasts; say whether there is a pooler.

        What is in a transaction may end it, for `patience` seconds: then BusyError is raised and
        nobody waits any longer, or with `anyway` the block begins, and they fail.
        """
        pooler = self._pooler()
        if pooler is None:
            yield False
            return
        keeper = self._start_keeper(pooler)
        try:
            self._pause(patience, anyway=anyway)
            yield True
        finally:
            self._resume()
            _dismiss(keeper)

    def release(self) -> bool:
        """Let clients go on that a killed command left waiting; say whether there were any.

        Before 1.20 no SHOW tells of a pause; RESUME refuses where there is none.
        """
        try:
            self._console.run("RESUME")
        except SteadError:
            return False
        return True

    def _pooler(self) -> Process | None:
        written = leftovers.record(self._layout, _POOLER)
        found = processes.look(written.pid) if written else None
        return found if written and found and found.start == written.start else None

    def _start_keeper(self, pooler: Process) -> subprocess.Popen[bytes]:
        told = [str(pooler.pid), str(pooler.start), str(self._layout.data / "postmaster.pid")]
        return subprocess.Popen(
            ["/bin/sh", "-c", guard.shell_file("hold.sh"), "hold.sh", *told],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=programs.plain_environment(),
            start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
        )

    def _pause(self, patience: float, *, anyway: bool) -> None:
        """Pause. It has no time-out of its own: PgBouncer answers when all is at rest."""
        failed: list[SteadError] = []

        def pausing() -> None:
            try:
                self._console.run("PAUSE")
            except (NotRunningError, HostError) as error:
                failed.append(error)

        asking = threading.Thread(target=pausing, daemon=True)
        asking.start()
        asking.join(patience)
        if anyway:
            return
        if failed:
            raise failed[0]
        if asking.is_alive():
            raise BusyError(
                f"after {patience:g} s a transaction has not ended yet: {self._busy()}",
                hint="nothing was restarted, and nobody waits any longer; end it, or give it time:"
                " --patience SECONDS; with --anyway it fails",
            )

    def _busy(self) -> str:
        """Return whose transactions are open."""
        with suppress(SteadError):
            told = [
                f"{row['user']} in {row['database']} (server process {row['remote_pid']})"
                for row in self._console.rows("SHOW SERVERS")
                if row["state"] == "active"
            ]
            if told:
                return ", ".join(told[:5])
        return "the pooler does not say whose"

    def _resume(self) -> None:
        with suppress(SteadError):  # one that was started anew does not pause
            self._console.run("RESUME")


def _dismiss(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    with suppress(OSError):
        keeper.stdin.write(b"done\n")
        keeper.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        keeper.wait(_TO_END)
