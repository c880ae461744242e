"""A base backup of the running cluster into a directory, by the low-level API.

https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
The files are copied by `cp` as the servers' user: root would follow whatever link that user
planted in the data directory. Where the file system can, a copied file shares its blocks with the
original (`--reflink`, ioctl_ficlone(2)), and costs neither time nor room.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from pgstead.errors import HostError, StateDirectoryError
from pgstead.host import programs

if TYPE_CHECKING:
    from pgstead.ports import Progress, Sql

# What the manual leaves out of a backup; the directories themselves have to be there.
_EMPTY = frozenset(
    {
        *("pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots"),
        *("pg_stat_tmp", "pg_subtrans"),
    }
)
_LEFT_OUT = frozenset({"postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map"})
_BATCH = 400  # files that one `cp` gets: their names stay below the limit of execve(2)
_BATCH_BYTES = 128 * 1024**2
_SPARE = 256 * 1024**2  # bytes, for WAL and what a server needs to come up
_SEGMENT = 24  # characters of a WAL segment's name
_GONE = "No such file or directory"
_PATIENCE = 3600.0  # seconds for one batch; a network's file system may be slow

# A temporary slot keeps the WAL of the backup for as long as this session lives, as pg_basebackup
# does; SELECT pg_backup_start(..., fast => true) makes the checkpoint at once.
_RESERVE = "SELECT pg_create_physical_replication_slot(%(slot)s, true, true)"
_START = "SELECT pg_walfile_name(pg_backup_start(%(label)s, fast => true)) AS segment"
_STOP = """
    SELECT pg_walfile_name(lsn) AS segment, labelfile, spcmapfile
    FROM pg_backup_stop(wait_for_archive => false)
"""


@dataclass(frozen=True, slots=True)
class Backup:
    """What was made."""

    bytes: int  # of the files, shared or not
    cloned: bool  # their blocks are shared with the original
    seconds: float


@dataclass(frozen=True, slots=True)
class _File:
    path: str  # relative to the data directory
    size: int


def make(
    sql: Sql, data: Path, target: Path, *, user: str, headroom: int, progress: Progress
) -> Backup:
    """Copy the cluster in `data` to `target`, a new directory of the servers' user.

    `headroom` are the bytes that will be needed beside the copy. Raises StateDirectoryError
    where there is no room for both, HostError where the cluster cannot be copied.
    """
    began = time.monotonic()
    copier = _Copier(data, target, user)
    with _session(sql) as session:
        _refuse_tablespaces(session)
        files = _files(data)
        size = sum(file.size for file in files)
        cloned = copier.clones()
        _refuse_small_disk(target.parent, 0 if cloned else size, headroom)
        first = _row(session, _START, label="pgstead rehearsal")["segment"]
        copier.directories()
        # listed again: what is made from here on is in the WAL, what was there has to be copied
        copier.copy(_files(data), progress)
        stopped = _row(session, _STOP)
        copier.copy(_segments(data, first, stopped["segment"]), progress)
        put(target / "backup_label", stopped["labelfile"], user=user)
    copier.flush()
    return Backup(size, cloned, time.monotonic() - began)


@contextmanager
def _session(sql: Sql) -> Generator[psycopg.Connection[dict[str, Any]]]:
    """Give a session that may last; the slot and the backup end with it, whatever happens."""
    with sql.connect() as session:
        session.execute("SET statement_timeout = 0")
        session.execute("SET idle_session_timeout = 0")
        try:
            session.execute(_RESERVE, {"slot": f"pgstead_{secrets.token_hex(4)}"})
            yield session
        except psycopg.Error as error:
            words = " ".join(str(error).split())
            raise HostError(
                f"the cluster cannot be copied while it runs: {words}",
                hint="that needs wal_level = replica or higher, and a free replication slot",
            ) from error


def _row(
    session: psycopg.Connection[dict[str, Any]], statement: str, **values: object
) -> dict[str, Any]:
    row = session.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row


def _refuse_tablespaces(session: psycopg.Connection[dict[str, Any]]) -> None:
    names = session.execute(
        "SELECT string_agg(spcname, ', ') AS names FROM pg_tablespace WHERE oid >= 16384"
    ).fetchone()
    if names and names["names"]:
        raise HostError(
            f"the cluster has tablespaces ({names['names']}), which are not copied",
            hint="rehearse on a stead that was restored elsewhere, without them",
        )


def _refuse_small_disk(directory: Path, copied: int, headroom: int) -> None:
    free = shutil.disk_usage(directory).free
    needed = copied + headroom + _SPARE
    if free < needed:
        raise StateDirectoryError(
            f"a rehearsal needs about {_mb(needed)} MB on the file system of {directory}"
            f" ({_mb(copied)} MB for the copy, {_mb(headroom + _SPARE)} MB for what the migrations"
            f" write), and {_mb(free)} MB are free",
            hint="free some space, or rehearse on a stead that was restored elsewhere",
        )


def _mb(size: int) -> int:
    return round(size / 1024**2)


def _files(data: Path) -> list[_File]:
    """Return what has to be copied; temporary files and what is made anew are left out."""
    return [*_below(data, "")]


def _below(data: Path, folder: str) -> Iterator[_File]:
    try:
        entries = sorted(os.scandir(data / folder), key=lambda entry: entry.name)
    except FileNotFoundError:  # a database that was dropped just now
        return
    for entry in entries:
        path = f"{folder}{entry.name}"
        if entry.name.startswith(("pgsql_tmp", "pg_internal.init")) or path in _LEFT_OUT:
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(found.st_mode):
            if path not in _EMPTY:
                yield from _below(data, f"{path}/")
        elif stat.S_ISREG(found.st_mode):
            yield _File(path, found.st_size)


def _segments(data: Path, first: str, last: str) -> list[_File]:
    """Return the WAL from one segment on. Raises HostError where one of the backup's is gone.

    Those behind the last one were made ready to be written to, from old ones: without them the
    copy would have to make its own, which takes as long as writing to them, and the original has
    not to. What is in them already is replayed, as after a crash.
    """
    files = [
        _File(f"pg_wal/{path.name}", path.stat().st_size)
        for path in sorted((data / "pg_wal").iterdir())
        if len(path.name) == _SEGMENT and path.name >= first
    ]
    if not {f"pg_wal/{first}", f"pg_wal/{last}"} <= {file.path for file in files}:
        raise HostError(
            "the WAL that was written while the cluster was copied is gone already",
            hint="max_slot_wal_keep_size is too small for it; try when less is written",
        )
    return files


def _batches(files: Sequence[_File]) -> Iterator[list[_File]]:
    batch: list[_File] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.size
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@dataclass(frozen=True)
class _Copier:
    """Copies by programs that run as the servers' user."""

    data: Path
    target: Path
    user: str

    def clones(self) -> bool:
        """Say whether files of the one place can share their blocks in the other."""
        probe = self.target.with_name("probe")
        source = str(self.data / "global" / "pg_control")
        done = programs.run(["cp", "--reflink=always", source, str(probe)], user=self.user)
        programs.run(["rm", "-f", str(probe)], user=self.user)
        return done.ok

    def directories(self) -> None:
        """Make the directories of the cluster."""
        found = [Path(path).relative_to(self.data) for path, _, _ in os.walk(self.data)]
        # a slot below pg_replslot without its file would stop the server
        kept = [path for path in found if len(path.parts) < 2 or path.parts[0] not in _EMPTY]
        made = [str(self.target / path) for path in kept if "pgsql_tmp" not in path.name]
        for at in range(0, len(made), _BATCH):
            self._run("mkdir", "-p", "-m", "700", "--", *made[at : at + _BATCH])

    def copy(self, files: Sequence[_File], progress: Progress) -> None:
        """Copy files; those that were dropped meanwhile are passed over."""
        whole, done = sum(file.size for file in files), 0
        flags = ["-P", "--preserve=mode", "--reflink=auto", "--parents", "-t", str(self.target)]
        for batch in _batches(files):
            self._run("cp", *flags, "--", *(file.path for file in batch), vanishing=True)
            done += sum(file.size for file in batch)
            if whole > _BATCH_BYTES:
                progress.step(f"copying the cluster: {_mb(done)} of {_mb(whole)} MB")

    def flush(self) -> None:
        """Have the copy on disk: writing it shall not slow down what is measured on it."""
        self._run("sync", "-f", str(self.target))

    def _run(self, *command: str, vanishing: bool = False) -> None:
        done = programs.run(
            command, user=self.user, directory=str(self.data), timeout=_PATIENCE, umask=0o077
        )
        if vanishing and all(line.endswith(_GONE) for line in done.err.splitlines()):
            return
        _check(done, f"{command[0]}")


def put(path: Path, text: str, *, user: str) -> None:
    """Write a small file as the servers' user. Raises HostError."""
    writing = ["sh", "-c", 'printf %s "$1" >"$2"', "sh", text, str(path)]
    _check(programs.run(writing, user=user, umask=0o077), f"writing {path.name}")


def duplicate(path: Path, directory: Path, *, user: str) -> None:
    """Copy a file as the servers' user: a setting may hold a secret, so its text is no argument."""
    copying = ["cp", "--", str(path), str(directory)]
    _check(programs.run(copying, user=user, umask=0o077), f"copying {path.name}")


def _check(done: programs.Outcome, what: str) -> None:
    if not done.ok:
        lines = done.words.splitlines()
        raise HostError(
            f"copying the cluster failed at {what}: {lines[0] if lines else done.status}",
            hint="`df -h` shows a full file system; `pgstead doctor` what else may be wrong",
        )
