"""Logical dumps by pg_dump, in its custom format; roles and the like by pg_dumpall."""

from __future__ import annotations

import os
from pathlib import Path

from pgstead.errors import BackupError
from pgstead.host import programs
from pgstead.host.files import problem
from pgstead.model.host import HostFacts, ServerBuild
from pgstead.ports.backup import SocketAddress

_LONG = 24 * 3600.0
PART = ".part"  # how the name of one ends that is being written


class LogicalDumps:
    """`ports.LogicalDumps` by PostgreSQL's own programs, as the servers' user (peer)."""

    def __init__(self, build: ServerBuild, host: HostFacts, superuser: str) -> None:
        """Keep with what, and as whom."""
        self._build = build
        self._user = host.server_user
        self._superuser = superuser

    def dump(self, source: SocketAddress, database: str, into: Path, *, table: str = "") -> int:
        """Dump a database, or a table of it, in one snapshot; return the bytes of the file."""
        only = ["--table", table] if table else []
        return self._to_file(
            into, "pg_dump", source, "--format", "custom", *only, "--dbname", database
        )

    def globals(self, source: SocketAddress, into: Path) -> int:
        """Dump roles and memberships, without passwords; return the bytes of the file."""
        return self._to_file(into, "pg_dumpall", source, "--globals-only", "--no-role-passwords")

    def _to_file(self, into: Path, program: str, source: SocketAddress, *arguments: str) -> int:
        """Run it, its output going to a file of ours that has its name only when it is whole."""
        temporary = into.with_name(f".{into.name}{PART}")
        command = [str(Path(self._build.bindir, program)), "--host", source.directory]
        command += ["--port", str(source.port), "--username", self._superuser, "--no-password"]
        library = self._build.library_path
        try:
            into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                outcome = programs.run_into(
                    [*command, *arguments],
                    handle,
                    user=self._user,
                    environment={"LD_LIBRARY_PATH": library} if library else None,
                    timeout=_LONG,
                )
                os.fsync(handle)
            finally:
                os.close(handle)
            if not outcome.ok:
                raise BackupError(
                    f"{program} failed: {' '.join(outcome.err.split())[-400:]}",
                    hint="nothing was written; free space, and look at `pgstead logs postgres`",
                )
            temporary.replace(into)
            return into.stat().st_size
        except OSError as error:
            raise problem(error, into, "writing") from error
        finally:
            temporary.unlink(missing_ok=True)
