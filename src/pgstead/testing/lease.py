"""The process under test: gets a stead of its own, and holds on to it while it needs it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pgstead.errors import SteadError
from pgstead.testing.place import ANSWER, LEASE, LOG, MARK, REQUEST, Answer, Place, Request

_PATIENCE = 600.0  # seconds; migrations may be long
_TO_END = 60.0  # seconds that the host may take to remove everything
_POLL = 0.02


class StartError(SteadError):
    """The stead for the tests did not come up."""

    code = "test-stead"


@dataclass(frozen=True, slots=True)
class Worker:
    """Which process of a test run this is; with pytest-xdist there are several."""

    name: str = "main"
    run: str = ""  # the same for all workers of a run; empty without pytest-xdist
    count: int = 1


@contextmanager
def leased(request: Request, worker: Worker) -> Generator[Answer]:
    """Hold a stead that fits the request: the run's own, brought up by whoever needs it first.

    A process alone waits at its end until everything is removed; where there are several,
    `wait_until_removed` is for the one that outlives them. Raises StartError with what the host
    said where the stead does not come up.
    """
    place, handle = _hold(_name(request, worker))
    host = 0
    try:
        if _first(place, request):
            host = _start(place)
        yield _wait(place, host)
    finally:
        os.close(handle)
        if host and not worker.run:
            _wait_for(lambda: not _runs(host))


def wait_until_removed(run: str) -> None:
    """Wait until nothing of a run is left, at most a minute."""
    parent = _parent()
    _wait_for(lambda: not any(parent.glob(f"{_of_run(run)}*/")))


def _wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + _TO_END
    while not done() and time.monotonic() < until:
        time.sleep(_POLL)


def _of_run(run: str) -> str:
    return f"{MARK}{hashlib.sha256(run.encode()).hexdigest()[:12]}"


def _name(request: Request, worker: Worker) -> str:
    """Return a name that all workers of a run come to, and nobody else; else a new one."""
    if not worker.run:
        return f"{MARK}{secrets.token_hex(6)}"
    told = json.dumps(asdict(request), sort_keys=True)
    return f"{_of_run(worker.run)}-{hashlib.sha256(told.encode()).hexdigest()[:6]}"


def _hold(name: str) -> tuple[Place, int]:
    """Take the lease of a directory that nobody removes meanwhile."""
    parent = _parent()
    while True:
        place = Place(_directory(parent / name))
        try:
            handle = place.lock(LEASE, fcntl.LOCK_SH)
        except FileNotFoundError:  # just removed
            continue
        path = place.directory / LEASE
        if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
            return place, handle
        os.close(handle)


def _parent() -> Path:
    from pgstead.host import temporary

    return temporary.parent()


def _directory(path: Path) -> Path:
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        raise StartError(f"{path} belongs to somebody else", hint="remove it, or set TMPDIR")
    return path


def _first(place: Place, request: Request) -> bool:
    """Write the request, unless another worker has."""
    try:
        with (place.directory / REQUEST).open("x", encoding="utf-8") as file:
            file.write(json.dumps(asdict(request)))
    except FileExistsError:
        return False
    return True


def _start(place: Place) -> int:
    """Start the host in a session of its own: a Ctrl-C is for the tests alone. Return its pid."""
    log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "pgstead.testing.host", str(place.directory)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(place.directory / LOG), log, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _runs(pid: int) -> bool:
    """Say whether a child still runs; its end is taken note of."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    return False


def _wait(place: Place, host: int) -> Answer:
    until = time.monotonic() + _PATIENCE
    path = place.directory / ANSWER
    while not path.exists():
        if host and not _runs(host):
            place.write(ANSWER, _silent(place))  # the other workers wait for it too
        elif time.monotonic() > until:
            raise StartError(f"the stead for the tests did not come up within {_PATIENCE:g} s")
        time.sleep(_POLL)
    told = json.loads(path.read_text(encoding="utf-8"))
    if "error" in told:
        raise StartError(told["message"], hint=told["hint"])
    return Answer(**told)


def _silent(place: Place) -> dict[str, str]:
    log = place.directory / LOG
    words = log.read_text(errors="replace").splitlines()[-3:] if log.exists() else []
    said = " / ".join(words) or "nothing"
    return {
        "error": "test-stead",
        "message": f"the host of the tests' stead ended: {said}",
        "hint": "`pgstead up` of the same manifest shows whether it can come up at all",
    }
