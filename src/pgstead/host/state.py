"""The state directory: where it is, whose it is, that it can be used, who holds its lock."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import sys
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pgstead.errors import BusyError, ForeignStateError, OtherMajorError, StateDirectoryError
from pgstead.host import clock, users
from pgstead.host.files import LocalFiles, problem
from pgstead.model.host import HostFacts
from pgstead.model.layout import Layout

STATE = ".pgstead"
_ROOTS = PurePosixPath("/var/lib/pgstead")
# sun_path has 108 bytes with its terminating zero (unix(7)); five digits for the port.
_LONGEST = 107
_SOCKET = "server/run/.s.PGSQL.65535"
# A fresh cluster with its first WAL segments takes about 60 MB; less room than this ends badly.
NEEDED = 256 * 1024 * 1024
_HINT = 'choose another directory in the manifest: state = "/a/short/directory"'


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose state this is."""

    stead_id: str
    name: str
    major: int
    created: str
    directory: str  # of the manifest
    build: Mapping[str, str] = field(default_factory=dict[str, str])  # as recorded at initdb


def locate(manifest_directory: Path, state_from_manifest: str | None, host: HostFacts) -> Layout:
    """Return where the state lies. Looks, and changes nothing.

    Raises StateDirectoryError for a place that cannot work: a path too long for a socket, or
    one that the servers' user cannot enter.
    """
    directory = manifest_directory.resolve()
    beside = directory / STATE
    pointer = _pointer(beside)
    if state_from_manifest:
        state = (directory / Path(state_from_manifest).expanduser()).absolute()
        _must_be_open(state, host)
    elif pointer is not None:
        state = pointer
    elif users.can_traverse(beside, host.server_user):
        state = beside
    elif host.os_user == host.server_user:
        raise StateDirectoryError(f"{beside} cannot be entered by {host.os_user!r}", hint=_HINT)
    else:
        state = _elsewhere(directory, beside, host)
    layout = Layout(PurePosixPath(state), PurePosixPath(directory))
    _must_fit(layout)
    return layout


def _pointer(beside: Path) -> Path | None:
    try:
        text = (beside / "location").read_text(encoding="utf-8").removesuffix("\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise problem(error, beside / "location", "reading") from error
    if not text.startswith("/"):
        raise StateDirectoryError(
            f"{beside / 'location'} does not name a directory: {text!r}",
            hint="remove it, or write the absolute path of the state directory into it",
        )
    return Path(text)


def _must_be_open(state: Path, host: HostFacts) -> None:
    if not users.can_traverse(state, host.server_user):
        raise StateDirectoryError(
            f"the servers' user {host.server_user!r} cannot enter the state directory {state}",
            hint=f"open it and its parents (`chmod a+x`), or {_HINT}",
        )


def _elsewhere(directory: Path, beside: Path, host: HostFacts) -> Path:
    """Return the place for a checkout that the servers' user cannot enter."""
    if (beside / "server" / "data" / "PG_VERSION").exists():
        raise StateDirectoryError(
            f"{beside} holds a data directory, but the servers' user {host.server_user!r}"
            " can no longer enter it",
            hint=f"open its parents again: `chmod a+x {shlex.quote(str(directory))}` and above",
        )
    mark = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(_ROOTS / mark)


def _must_fit(layout: Layout) -> None:
    socket = os.fsencode(layout.state / _SOCKET)
    if len(socket) > _LONGEST:
        raise StateDirectoryError(
            f"the path of the state directory is too long for a Unix socket: {layout.state}"
            f" ({len(socket) - _LONGEST} bytes over the limit of {_LONGEST})",
            hint=_HINT,
        )
    # libpq takes a comma in `host` for a list of hosts, and there is no way to escape it.
    bad = next((c for c in ",\n\0" if c in str(layout.state)), None)
    if bad is not None:
        raise StateDirectoryError(
            f"the path of the state directory has {bad!r} in it, which no PostgreSQL client"
            f" can connect to: {str(layout.state)!r}",
            hint=_HINT,
        )


def prepare(layout: Layout, host: HostFacts) -> None:
    """Make the directories with their modes and owners, and the pointer where one is needed.

    Raises StateDirectoryError when the place cannot be written to or is full.
    """
    files = LocalFiles(layout.state)
    as_root = host.os_user != host.server_user
    server = host.server_user
    if layout.state.parent == _ROOTS:
        files.make_directory(_ROOTS, mode=0o755)
    files.make_directory(layout.state, mode=0o755 if as_root else 0o700)
    _must_have_room(layout)
    beside = layout.manifest_directory / STATE
    if layout.state != beside and layout.state.parent == _ROOTS:
        files.make_directory(beside, mode=0o755)
        _write_once(files, beside / "location", f"{layout.state}\n")
    if Path(beside).is_dir():
        _write_once(files, beside / ".gitignore", "*\n")
    for path in (layout.server, layout.socket, layout.server_log, layout.pooler):
        files.make_directory(path, mode=0o700, owner=server)
    for path in (layout.tls, layout.connections, layout.run, layout.logs):
        files.make_directory(path, mode=0o755)
    if not Path(layout.toolchain).is_dir():  # it may be a link to one that several steads share
        files.make_directory(layout.toolchain, mode=0o755)
    files.make_directory(layout.secrets, mode=0o700)
    files.make_directory(layout.passfiles, mode=0o711)
    files.make_directory(layout.keys, mode=0o711)
    # a person's secret is made when an application writes their first value
    files.make_directory(layout.persons, mode=0o700, owner=host.service_user)
    if as_root:
        _give_secrets(Path(layout.persons), host.service_user)
    files.make_directory(layout.proofs, mode=0o755)


def _give_secrets(persons: Path, user: str) -> None:
    """Give what was unpacked or copied here by root to whom applications run as."""
    try:
        for place in persons.iterdir():
            if place.owner() != user:
                for path in (*place.rglob("*"), place):
                    shutil.chown(path, user)
    except (OSError, LookupError) as error:
        told = error if isinstance(error, OSError) else OSError(0, str(error))
        raise problem(told, persons, "giving away") from error


def _write_once(files: LocalFiles, path: PurePosixPath, text: str) -> None:
    found = files.read(path)
    if found is None or found.text != text:
        files.write(path, text, mode=0o644)


def _must_have_room(layout: Layout) -> None:
    if Path(layout.data, "PG_VERSION").exists():
        return
    try:
        free = shutil.disk_usage(layout.state).free
    except OSError as error:
        raise problem(error, layout.state, "looking for room in") from error
    if free < NEEDED:
        raise StateDirectoryError(
            f"the file system of {layout.state} is nearly full: {free // 2**20} MB are free,"
            f" a new stead needs {NEEDED // 2**20} MB",
            hint=f"free some space, or {_HINT}",
        )


def identify(layout: Layout, name: str, major: int) -> Identity:
    """Return whose state this is: as stored, or new where there is none yet (not stored by this).

    Raises ForeignStateError when the state belongs to another stead or another major version.
    """
    known = stored(layout)
    if known is None:
        return Identity(
            stead_id=uuid.uuid4().hex,
            name=name,
            major=major,
            created=clock.stamp(),
            directory=str(layout.manifest_directory),
        )
    if known.name != name:
        raise ForeignStateError(
            f"the state in {layout.state} belongs to the stead {known.name!r}, not to {name!r}",
            hint=f'set name = "{known.name}" again, or choose another directory: state = "..."',
        )
    if known.major != major and Path(layout.data, "PG_VERSION").exists():
        raise OtherMajorError(
            f"the data directory in {layout.state} is of PostgreSQL {known.major},"
            f" and the manifest asks for {major}",
            hint=f"`pgstead upgrade --rehearse` tries the way to {major}; without it, set"
            f" server.major = {known.major} again",
        )
    return replace(known, major=major)


def stored(layout: Layout) -> Identity | None:
    """Return whose state this is, None where there is none yet. Raises ForeignStateError."""
    found = LocalFiles(layout.state).read(layout.identity)
    if found is None:
        return None
    try:
        told: dict[str, Any] = json.loads(found.text)
        return Identity(**told)
    except (ValueError, TypeError, KeyError):
        raise ForeignStateError(
            f"{layout.identity} cannot be read as the identity of a stead",
            hint="restore it from a backup of the state directory, or `pgstead destroy`",
        ) from None


def remember(layout: Layout, identity: Identity) -> None:
    """Store whose state this is, unless it is stored already."""
    text = json.dumps(asdict(identity), indent=2, sort_keys=True) + "\n"
    _write_once(LocalFiles(layout.state), layout.identity, text)


@contextmanager
def lock(layout: Layout, command: str | None = None) -> Generator[None]:
    """Hold the state directory for one command. Raises BusyError that names the holder."""
    doing = command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    handle = _locked(layout)
    try:
        told = json.dumps({"pid": os.getpid(), "command": doing, "since": clock.stamp()})
        os.ftruncate(handle, 0)
        os.pwrite(handle, told.encode() + b"\n", 0)
        yield
    finally:
        # The file stays: removing it would let two commands hold two locks of one name.
        os.close(handle)


def _locked(layout: Layout) -> int:
    """Return the file of the lock, locked: the one that everybody finds there."""
    while True:
        try:
            Path(layout.state).mkdir(parents=True, exist_ok=True)
            handle = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise problem(error, layout.lock, "locking") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = _busy(handle)
            os.close(handle)
            raise told from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), Path(layout.lock).stat()):
                return handle
        os.close(handle)  # `destroy` has removed it since it was opened: the next one is locked


def _busy(handle: int) -> BusyError:
    try:
        told = json.loads(os.pread(handle, 4096, 0))
        holder = f"`{told['command']}` (pid {told['pid']}, since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        holder = "another pgstead command"
    return BusyError(
        f"{holder} is working on this stead", hint="wait for it, or end it; it can be run again"
    )
