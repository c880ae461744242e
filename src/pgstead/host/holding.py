"""PgBouncer's clients made to wait for a while, and let go on whatever becomes of us."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress

from pgstead.errors import BusyError, HostError, NotRunningError, SteadError
from pgstead.host import guard, leftovers, processes, programs
from pgstead.model.layout import Layout
from pgstead.ports import PoolerConsole

_POOLER = "pgbouncer"
_TO_END = 10.0

Keeper = Callable[[], Sequence[str] | None]
"""Returns a command that resumes the pooler where its input ends untold; None without a pooler."""


@contextmanager
def kept(keeper: Keeper) -> Generator[bool]:
    """Have a shell beside the block, which resumes the pooler where we are killed in it.

    Say whether there is a pooler.
    """
    command = keeper()
    if command is None:
        yield False
        return
    beside = _started(command)
    try:
        yield True
    finally:
        _dismiss(beside)


class PoolerHold:
    """`ports.Hold` by PAUSE and RESUME, with a shell that resumes where we were killed."""

    def __init__(self, console: PoolerConsole, keeper: Keeper) -> None:
        """Keep whose pooler it is, and what resumes it where we are killed."""
        self._console = console
        self._keeper = keeper

    @contextmanager
    def waiting(self, *, patience: float, anyway: bool = False) -> Generator[bool]:
        """Have every client wait while the block lasts; say whether there is a pooler.

        What is in a transaction may end it, for `patience` seconds: then BusyError is raised and
        nobody waits any longer, or with `anyway` the block begins, and they fail.
        """
        with kept(self._keeper) as pooled:
            if not pooled:
                yield False
                return
            try:
                self._pause(patience, anyway=anyway)
                yield True
            finally:
                self._resume()

    def release(self) -> bool:
        """Let clients go on that a killed command left waiting; say whether there were any.

        Before 1.20 no SHOW tells of a pause; RESUME refuses where there is none.
        """
        try:
            self._console.run("RESUME")
        except SteadError:
            return False
        return True

    def _pause(self, patience: float, *, anyway: bool) -> None:
        """Pause. It has no time-out of its own: PgBouncer answers when all is at rest."""
        failed: list[SteadError] = []
        try:
            pause = self._console.prepared("PAUSE")
        except NotRunningError:
            if anyway:
                return
            raise

        def pausing() -> None:
            try:
                pause()
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


def by_signal(layout: Layout) -> Sequence[str] | None:
    """Return what resumes a pooler of this machine by a signal; None where none runs."""
    written = leftovers.record(layout, _POOLER)
    found = processes.look(written.pid) if written else None
    if not written or not found or found.start != written.start:
        return None
    return _keeper(layout, _script("resume.sh", str(found.pid), str(found.start)))


def by_console(layout: Layout, console: PoolerConsole, asks: Sequence[str]) -> Sequence[str] | None:
    """Return what resumes a pooler that no signal reaches, by `asks`; None where none answers."""
    if not console.answers():
        return None
    return _keeper(layout, asks)


def _keeper(layout: Layout, resumes: Sequence[str]) -> Sequence[str]:
    return _script("hold.sh", str(layout.data / "postmaster.pid"), *resumes)


def _script(name: str, *words: str) -> Sequence[str]:
    return ["/bin/sh", "-c", guard.shell_file(name), name, *words]


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=programs.plain_environment(),
        start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
    )


def _dismiss(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    with suppress(OSError):
        keeper.stdin.write(b"done\n")
        keeper.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        keeper.wait(_TO_END)
