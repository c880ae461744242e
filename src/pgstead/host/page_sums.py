"""The checksum of every page as it lies on the disk, while the server runs.

pg_checksums wants a server that is down. A base backup reads every file of the data directory and
compares each page's checksum; with the target `blackhole` the server throws away what it read
(https://www.postgresql.org/docs/current/app-pgbasebackup.html). What is in shared buffers is not
asked: a page that was damaged below them is found too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pgstead.errors import HostError
from pgstead.host import programs
from pgstead.model.design import Design
from pgstead.ports.integrity import BadPage

_LONG = 24 * 3600.0
# backend/backup/basebackup.c; the first five of a file are named, then only how many there are
_BLOCK = re.compile(r'checksum verification failed in file "\.?/?([^"]+)", block (\d+)')
_TOTAL = re.compile(r'file "\.?/?([^"]+)" has a total of (\d+) checksum verification failure')


class PageSums:
    """`ports.integrity.PageSums` by pg_basebackup."""

    def __init__(self, design: Design) -> None:
        """Keep whose; nothing is read yet."""
        self._design = design

    def look(self, *, gentle: bool = False) -> Sequence[BadPage]:
        """Return the pages whose checksum is wrong. Raises HostError where nobody can tell."""
        done = programs.run(
            self._command(gentle=gentle), environment=self._environment(), timeout=_LONG
        )
        bad = [BadPage(path, int(block)) for path, block in _BLOCK.findall(done.err)]
        named = {page.path for page in bad}
        bad += [BadPage(path, None) for path, _ in _TOTAL.findall(done.err) if path not in named]
        if not done.ok and not bad:
            words = " ".join(done.words.split())[-400:]
            raise HostError(
                f"the pages cannot be read by a base backup: {words}",
                hint="it needs a free WAL sender and the role for backups: `pgstead plan`",
            )
        return bad

    def _command(self, *, gentle: bool) -> list[str]:
        design = self._design
        program = str(Path(design.build.bindir, "pg_basebackup"))
        rate = design.backup.gentle_rate if design.backup is not None and gentle else 0
        limit = [f"--max-rate={max(rate // 1024, 32)}k"] if rate else []
        return [
            program, "--target=blackhole", "--wal-method=none", "--no-manifest",
            "--checkpoint=fast", "--no-password", *limit, "--dbname", self._conninfo(),
        ]  # fmt: skip

    def _conninfo(self) -> str:
        design = self._design
        door = design.door("direct")
        told = {
            "user": design.backup_role,
            "passfile": str(design.layout.passfile(design.backup_role)),
            "application_name": "pgstead integrity",
            "connect_timeout": "10",
        }
        if door is not None:
            told |= {"host": door.here, "port": str(door.port), "sslmode": "verify-full"}
            told["sslrootcert"] = str(design.layout.ca)
        else:
            told |= {"host": str(design.layout.socket), "port": design.settings["port"]}
        return " ".join(f"{name}={_quoted(value)}" for name, value in told.items())

    def _environment(self) -> dict[str, str]:
        library = self._design.build.library_path
        return {"LD_LIBRARY_PATH": library} if library else {}


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
