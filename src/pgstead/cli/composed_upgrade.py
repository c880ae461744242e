"""`pgstead upgrade --target compose`: done in a container, which asks for the others from inside.

A container of its own, with the binaries of both versions, does what `pgstead upgrade` does on one
machine. Only the engine can stop the server's container and start one of another image: it says so
on its output (`pgstead.host.engine_line`), and this side does it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pgstead.cli.composed_up import failure, make_server_anew, refuse, speaking, start
from pgstead.cli.composing import BEFORE_UPGRADE
from pgstead.cli.console import Console
from pgstead.errors import ExitStatus, NotRunningError, SteadError, UsageError
from pgstead.model.containers import HOME, UPGRADE
from pgstead.model.operation import Impact

if TYPE_CHECKING:
    from pgstead.cli.elsewhere import Line
    from pgstead.cli.wiring import Source
    from pgstead.host.compose_engine import ComposeEngine

_RECEIVER = "wal-receiver"
_LOOK = (
    f"cat {HOME}/server/data/PG_VERSION || cat {HOME}/server/data.next/PG_VERSION;"
    f" cat {HOME}/upgrade/pending.json"
)
_PATIENCE = "600"  # seconds for a fast shutdown


@dataclass
class _Upgrade:
    """One upgrade, from out here."""

    engine: ComposeEngine
    directory: Path
    wanted: int  # major version
    name: str  # of the container that upgrades
    renewed: bool = field(default=False, init=False)  # the server's container is the new one
    interrupted: bool = field(default=False, init=False)
    status: int | None = field(default=None, init=False)  # as it was told from inside

    @property
    def before(self) -> Path:
        return self.directory / BEFORE_UPGRADE

    @property
    def compose(self) -> Path:
        return self.directory / "compose.yml"

    def keep(self) -> None:
        """Keep what the older version runs by; one that a killed run kept is the right one."""
        if not self.before.exists():
            self.before.write_bytes(self.compose.read_bytes())

    def return_to_before(self) -> None:
        """Have compose.yml describe the older version again."""
        self.compose.write_bytes(self.before.read_bytes())

    def over(self) -> None:
        self.before.unlink(missing_ok=True)

    # -- what is asked from inside ------------------------------------------------------------

    def obey(self, line: str) -> str:
        """Do what is asked; return the answer."""
        word, name, major = line.split()
        if word == "ended":
            self.status = int(name)
            return "done"
        try:
            if word == "try":
                return self._paced()
            if word == "stop":
                self._stop(name)
            elif name != "postgres":
                self._started(name)
            else:
                self._start_server(int(major))
        except SteadError as error:
            return f"failed {' '.join(error.message.split())}"
        return "done"

    def _paced(self) -> str:
        """Answer with the seconds that the engine takes for what an upgrade asks of it."""
        # Not on one like the server's: that has an address of its own, which is taken.
        pace = self.engine.pace("provision", f"{self.name}-trial")
        # as in _stop and make_server_anew: a command for each stop, one that tells the services;
        # one that tells what depends on what, one that makes and one that starts
        stops = 2 if _RECEIVER in self.engine.services() else 1
        ended = stops * (pace.stopped + pace.said) + pace.said
        return f"done {ended + pace.removed + pace.made + 2 * pace.said:.3f}"

    def _stop(self, name: str) -> None:
        self._asked("stop", "--timeout", _PATIENCE, name)
        if name == "postgres" and _RECEIVER in self.engine.services():
            self._asked("stop", _RECEIVER)  # last: the server ends when it has sent everything

    def _start_server(self, major: int) -> None:
        if major == self.wanted:
            self.renewed = True
            make_server_anew(self.engine)
            return
        if self.renewed:
            self.return_to_before()
            make_server_anew(self.engine)
        else:
            self._started("postgres")
        if _RECEIVER in self.engine.services():
            self._started(_RECEIVER)

    def _started(self, name: str) -> None:
        """Start a container as it is; `docker compose start` would begin with `prepare`."""
        self._asked("up", "--detach", "--no-deps", "--no-recreate", name)

    def _asked(self, *words: str) -> None:
        told = self.engine.ask(*words)
        if told.status:
            raise failure(self.engine, told.status)


def upgrade(line: Line, directory: Path) -> int:
    """Rehearse, upgrade, go back, or finish what was killed. Raises SteadError."""
    from pgstead.cli.composing import rendered
    from pgstead.cli.wiring import read_manifest
    from pgstead.design.containers import label
    from pgstead.host.compose_engine import ComposeEngine

    console, source = Console(line.invocation), read_manifest(line.manifest)
    engine = ComposeEngine.find(directory)
    engine.must_answer()
    wanted = source.manifest.server.major
    name = f"pgstead-{label(source.manifest.name)}-{UPGRADE}"
    engine.end(name)  # one that a killed command left: what it had begun is written down
    older, pending = _found(engine)
    _must_differ(line, older, wanted, pending=pending)
    made = rendered(source, older=wanted if "--back" in line.words else older)
    refuse(engine, made.composition)
    work = _Upgrade(engine, directory, wanted, name)
    work.keep()
    with _as_before_after_failure(work, pending=pending):
        with console.working():
            console.step("writing what the images of both versions are built of")
            made.write(directory)
        engine.build(UPGRADE)
    if "--rehearse" in line.words:
        return _rehearsed(work, line, pending=pending)
    return _done(work, line, source, console)


@contextmanager
def _as_before_after_failure(work: _Upgrade, *, pending: bool) -> Generator[None]:
    try:
        yield
    except BaseException:
        if not pending:
            _as_before(work)
        raise


def _rehearsed(work: _Upgrade, line: Line, *, pending: bool) -> int:
    try:
        return _conducted(work, line)
    finally:
        if not pending:
            _as_before(work)


def _found(engine: ComposeEngine) -> tuple[int, bool]:
    """Return the major version of the cluster, and whether an upgrade was killed."""
    shell = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "sh", "provision", "-c")
    told = engine.ask(*shell, f"{{ {_LOOK}; }} 2>/dev/null; true").out.split(maxsplit=1)
    if not told or not told[0].isdigit():
        raise NotRunningError(
            "there is no cluster in containers yet", hint="`pgstead up --target compose` makes it"
        )
    return int(told[0]), len(told) > 1


def _must_differ(line: Line, older: int, wanted: int, *, pending: bool) -> None:
    if pending or older != wanted:
        return
    if "--back" in line.words:
        raise UsageError(
            f"the cluster is of PostgreSQL {older}, and so is the manifest",
            hint="set server.major, and the images, to the version before; then `--back`",
        )
    raise UsageError(
        f"the cluster is of PostgreSQL {older} already",
        hint="a minor version is another image: `pgstead up --target compose --allow restart`",
    )


def _as_before(work: _Upgrade) -> None:
    work.return_to_before()
    work.over()


def _done(work: _Upgrade, line: Line, source: Source, console: Console) -> int:
    """Have it done, and all containers be of the version that serves then."""
    engine = work.engine
    status = _conducted(work, line)
    major, pending = _found(engine)
    if pending:
        raise SteadError(
            "the upgrade has not ended, one way or the other",
            hint="`pgstead upgrade --target compose` finishes it, or takes it back",
        )
    if major != work.wanted:  # whatever the engine says of how it ended
        _as_before(work)
        if work.interrupted:
            raise KeyboardInterrupt
        return status or ExitStatus.FAILED
    work.over()
    start(engine, console, Impact.RESTART)
    if not source.manifest.backup.enabled:
        return ExitStatus.DONE
    with console.working():
        console.step("making the first base backup of the new cluster")
        told = engine.ask("exec", "-T", "agent", "pgstead", "-q", "backup", "now", "--verify")
    if told.status:
        raise SteadError(
            f"it serves, and its first base backup failed: {' '.join(told.err.split())}",
            hint="`pgstead backup now --verify --target compose`",
        )
    return ExitStatus.DONE


def _conducted(work: _Upgrade, line: Line) -> int:
    """Run it in its container, and do what it asks for; return its exit status."""
    from pgstead.host.engine_line import ASKED

    words = ("run", "--rm", "-T", "--no-deps", "--name", work.name, "-e", f"{ASKED}=1", UPGRADE)
    with work.engine.converse(*words, "conduct", *line.words, heard=False) as inside:
        assert inside.stdin is not None
        assert inside.stdout is not None
        with speaking(inside.stdin), _passed_on(work, inside.stdin):
            for told in inside.stdout:
                _answer(work, told.decode("utf-8", "replace"), inside.stdin)
            status = inside.wait()
    return status if work.status is None else work.status


@contextmanager
def _passed_on(work: _Upgrade, listener: IO[bytes]) -> Generator[None]:
    """Pass Ctrl-C inside: it is taken back there, and what that takes is asked for as well."""

    def say(*_: object) -> None:
        work.interrupted = True
        with suppress(OSError, ValueError):
            os.write(listener.fileno(), b"interrupt\n")

    before = signal.signal(signal.SIGINT, say)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _answer(work: _Upgrade, text: str, listener: IO[bytes]) -> None:
    from pgstead.host.engine_line import MARK

    if text.startswith(MARK):
        _say(listener, work.obey(text.removeprefix(MARK)))
    else:
        sys.stdout.write(text)
        sys.stdout.flush()


def _say(listener: IO[bytes], word: str) -> None:
    with suppress(OSError):
        listener.write(f"{word}\n".encode())
        listener.flush()
