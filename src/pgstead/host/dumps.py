"""Logical dumps by pg_dump, in its custom format; roles and the like by pg_dumpall.

A sealed one goes to gpg through a pipe: nothing of it is ever on the disk as it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pgstead.errors import BackupError, UsageError
from pgstead.host import gpg, pipeline
from pgstead.host.files import problem
from pgstead.host.pipeline import Stage
from pgstead.host.programs import Outcome
from pgstead.host.sealing import SUFFIX, Sealing
from pgstead.model.host import HostFacts, ServerBuild
from pgstead.ports.backup import SocketAddress

_LONG = 24 * 3600.0
PART = ".part"  # how the name of one ends that is being written
_COMPLETE = "PostgreSQL database cluster dump complete"  # how pg_dumpall ends what it wrote


class LogicalDumps:
    """`ports.LogicalDumps` by PostgreSQL's own programs, as the servers' user (peer)."""

    def __init__(
        self, build: ServerBuild, host: HostFacts, superuser: str, sealing: Sealing
    ) -> None:
        """Keep with what, and as whom."""
        self._build = build
        self._user = host.server_user
        self._superuser = superuser
        self._sealing = sealing

    # -- making them ------------------------------------------------------------------------------

    def dump(
        self, source: SocketAddress, database: str, into: Path, *, table: str = "",
        sealed: bool = False,
    ) -> int:  # fmt: skip
        """Dump a database, or a table of it, in one snapshot; return the bytes of the file."""
        only = ["--table", table] if table else []
        command = self._asking("pg_dump", source)
        command += ["--format", "custom", *only, "--dbname", database]
        return self._to_file(command, into, sealed=sealed)

    def globals(self, source: SocketAddress, into: Path, *, sealed: bool = False) -> int:
        """Dump roles and memberships, without passwords; return the bytes of the file."""
        command = self._asking("pg_dumpall", source)
        command += ["--globals-only", "--no-role-passwords"]
        return self._to_file(command, into, sealed=sealed)

    def _asking(self, program: str, source: SocketAddress) -> list[str]:
        found = [str(Path(self._build.bindir, program)), "--host", source.directory]
        return [*found, "--port", str(source.port), "--username", self._superuser, "--no-password"]

    def _stage(self, command: Sequence[str], user: str | None = None) -> Stage:
        library = self._build.library_path
        return Stage(command, user, {"LD_LIBRARY_PATH": library} if library else None)

    def _to_file(self, command: Sequence[str], into: Path, *, sealed: bool) -> int:
        """Run it, its output going to a file of ours that has its name only when it is whole."""
        dumping = self._stage(command, self._user)
        if not sealed:
            return _written([dumping], into)
        with self._sealing.closing() as closing:
            return _written([dumping, closing], into)

    # -- reading them -----------------------------------------------------------------------------

    def contents(self, file: Path) -> tuple[str, ...]:
        """Return the table of contents of a dump; of roles, their statements.

        Raises BackupError for what is no dump, or does not open.
        """
        if _of_roles(file):
            return self._statements(file)
        return self._restoring(file, "--list")

    def read(self, file: Path) -> str:
        """Open and unpack all of a dump, keeping nothing; return the SHA-256 of the file.

        Raises BackupError where a part of it cannot be read.
        """
        if _of_roles(file):
            self._statements(file)
        else:
            self._restoring(file, "--file", "/dev/null")
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    def open(self, file: Path, into: Path) -> int:
        """Write what is sealed to a file of mode 0600 that is not there yet; return its bytes."""
        if not _is_sealed(file):
            raise UsageError(f"{file} is not sealed", hint="`pg_restore --list` reads it as it is")
        if into.exists():
            raise UsageError(f"{into} exists already", hint="name another file: --out FILE")
        with self._opened(file) as stages:
            return _written(stages, into, reading=file)

    def _statements(self, file: Path) -> tuple[str, ...]:
        with self._opened(file) as stages:
            told = pipeline.run([*stages, Stage(["/bin/cat"])], timeout=_LONG)
        _must_succeed(told, file)
        if _COMPLETE not in told[-1].out:
            raise BackupError(f"{file} ends too early: it is no dump of roles, or a part of one")
        lines = told[-1].out.splitlines()
        return tuple(line for line in lines if line and not line.startswith(("--", "\\")))

    def _restoring(self, file: Path, *arguments: str) -> tuple[str, ...]:
        program = str(Path(self._build.bindir, "pg_restore"))
        with self._opened(file) as stages:
            told = pipeline.run([*stages, self._stage([program, *arguments])], timeout=_LONG)
        if not told[-1].ok:  # it stops reading when it has what it wants: who writes may be cut off
            _must_succeed(told, file)
        lines = (line.strip() for line in told[-1].out.splitlines())
        return tuple(line for line in lines if line and not line.startswith(";"))

    @contextmanager
    def _opened(self, file: Path) -> Generator[list[Stage]]:
        """Give the stages that print a file as it was before it was sealed."""
        if not _is_sealed(file):
            yield [Stage(["/bin/cat", "--", str(file)])]
            return
        with self._sealing.opening() as opening:
            yield [Stage([*opening.command, str(file)], environment=opening.environment)]

    def copy_keys(self, into: Path) -> None:
        """Copy what opens sealed dumps, under its passphrase, beside them."""
        self._sealing.copy_keys(into)


def _of_roles(file: Path) -> bool:
    return file.name.removesuffix(SUFFIX).endswith(".sql")


def _is_sealed(file: Path) -> bool:
    try:
        return bool(gpg.sealed_to(file))
    except OSError as error:
        raise problem(error, file, "reading") from error


def _written(stages: Sequence[Stage], into: Path, *, reading: Path | None = None) -> int:
    temporary = into.with_name(f".{into.name}{PART}")
    try:
        into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            told = pipeline.run(stages, handle, timeout=_LONG)
            os.fsync(handle)
        finally:
            os.close(handle)
        _must_succeed(told, reading or into, () if reading else stages)
        temporary.replace(into)
        return into.stat().st_size
    except OSError as error:
        raise problem(error, into, "writing") from error
    finally:
        temporary.unlink(missing_ok=True)


def _must_succeed(told: Sequence[Outcome], file: Path, stages: Sequence[Stage] = ()) -> None:
    """Raise BackupError for what failed; with `stages`, while the file was written."""
    bad = [number for number, each in enumerate(told) if not each.ok]
    if not bad:
        return
    words = " ".join(" ".join(told[number].err for number in bad).split())[-400:]
    if stages:
        raise BackupError(
            f"{Path(stages[bad[0]].command[0]).name} failed: {words}",
            hint="nothing was written; free space, and look at `pgstead logs postgres`",
        )
    raise BackupError(
        f"{file} cannot be read: {words}",
        hint="`pgstead backup export` makes another; if it was sealed to a key that is gone,"
        " nothing opens it",
    )
