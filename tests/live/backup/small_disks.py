"""A stead whose directories are small file systems, in a mount namespace that it runs in.

Nothing is mounted for anybody else; what is in there is seen from here through /proc.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pgstead.host.backup_catalog import BackupCatalog
from pgstead.model.backup import Run, Task
from tests.fix_stead import LiveStead

_HOLD = "echo ready && exec sleep infinity"
# What lies there already is copied in, its owners and modes with it.
_MOUNT = """
set -e
mkdir -m 700 -p "$1.seed"
if [ -d "$1" ]; then cp -a "$1/." "$1.seed"; chmod --reference="$1" "$1.seed"
chown --reference="$1" "$1.seed"; else mkdir -m 700 "$1"; fi
mount -t tmpfs -o "size=$2,mode=700" tmpfs "$1"
cp -a "$1.seed/." "$1"
chmod --reference="$1.seed" "$1"
chown --reference="$1.seed" "$1"
rm -r "$1.seed"
"""


@dataclass
class Small:
    """A stead some of whose directories are small file systems."""

    stead: LiveStead
    holder: subprocess.Popen[str]

    def mount(self, place: Path, size: str) -> None:
        """Put a file system of that size where a directory is, with what it holds."""
        done = subprocess.run(
            [*self._enter(), "sh", "-c", _MOUNT, "sh", str(place), size],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def inside(self, place: Path | PurePosixPath) -> Path:
        """Return a path in there, seen from here."""
        return Path(f"/proc/{self.holder.pid}/root{place}")

    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--wd=."]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command in there; what it says comes by its stderr."""
        return subprocess.Popen(
            [*self._enter(), sys.executable, "-m", "pgstead", *arguments],
            cwd=self.stead.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, status: int | None = 0) -> Any:
        """Run the command in there."""
        done = subprocess.run(
            [*self._enter(), sys.executable, "-m", "pgstead", *arguments],
            cwd=self.stead.directory,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
            check=False,
        )
        assert status in (None, done.returncode), (
            f"{done.stdout}\n{done.stderr}\n{self.stead.log_tail()}"
        )
        assert "Traceback" not in done.stderr
        return done

    @contextmanager
    def filled(self, place: Path, *, leaving: int = 0) -> Iterator[None]:
        """Leave no room but so many bytes, not even for what a file would grow by; for a while."""
        ballast = self.inside(place) / "ballast"
        try:
            with ballast.open("ab", buffering=0) as file, _until_full():
                while True:
                    file.write(b"x" * 65536)
            if leaving:
                os.truncate(ballast, max(0, ballast.stat().st_size - leaving))
            yield
        finally:
            ballast.unlink()

    def rows(self, statement: str, database: str = "postgres") -> list[Any]:
        """Ask the server as its superuser."""
        with self.stead.superuser(database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def streamed(self) -> bool:
        """Say whether all WAL has left the server."""
        return bool(
            self.rows(
                "SELECT 1 FROM pg_stat_replication WHERE sent_lsn >= pg_current_wal_flush_lsn()"
                " AND state = 'streaming'"
            )
        )

    def runs(self, task: Task) -> tuple[Run, ...]:
        """Return what the catalog in there says."""
        path = self.inside(self.stead.wired.design.layout.backup_catalog)
        # SQLite follows /proc/PID/root to what it names out here: a copy is read
        with tempfile.TemporaryDirectory() as folder:
            for part in path.parent.glob(f"{path.name}*"):
                shutil.copy(part, folder)
            copy = PurePosixPath(folder, path.name)
            return BackupCatalog(copy, self.stead.wired.ports.journal).runs(task)


@contextmanager
def _until_full() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def may_mount() -> bool:
    """Say whether this user may mount in a namespace, and start servers there."""
    mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        os.geteuid() == 0 and not subprocess.run(mount, check=False, capture_output=True).returncode
    )


@contextmanager
def namespace(stead: LiveStead) -> Iterator[Small]:
    """Hold a mount namespace for a stead; it is taken down at the end."""
    hold = ["unshare", "--mount", "sh", "-c", _HOLD]
    with subprocess.Popen(hold, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            made = Small(stead, holder)
            try:
                yield made
            finally:
                made.run("down", status=None)
        finally:
            holder.kill()
