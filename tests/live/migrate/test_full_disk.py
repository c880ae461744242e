"""A migration on a disk that has no room for it: a real file system, which is really full."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgstead.model.definition import Definition
from pgstead.observe.definition import definition
from tests.live.migrate.project import Project
from tests.live.scratch import Scratch, bindir
from tests.reaper import watched

# In a namespace of its own, so that nothing is mounted for anybody else. WAL lies outside: a
# server without room for that stops, whoever wrote it.
_MOUNT = """
set -e
mount -t tmpfs -o "size=$2,mode=700" tmpfs "$1"
cp -a "$3/." "$1"
chown --reference="$3" "$1"
shift 3
exec "$@"
"""
_SIZE = "140m"  # of which a new cluster takes 40
_ROWS = 500_000  # 44 MB with their index, and 48 more while they are written anew
_BALLAST = 500_000  # 33 MB


class Small(Scratch):
    """A server whose data directory is a file system of its own."""

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = super()._command(program, *arguments)
        seed = self.folder / "seed"
        if program != "postgres" or not seed.exists():
            return command
        if os.geteuid() == 0:
            alone, back = ["--mount"], []
        else:
            # root of a namespace mounts; PostgreSQL refuses root, so one more leads back
            alone = ["--map-root-user", "--mount"]
            who = f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}"
            back = ["unshare", "--user", *who]
        mounting = ["sh", "-c", _MOUNT, "sh", str(self.data), _SIZE, str(seed)]
        return ["unshare", *alone, *mounting, *back, *command]


def may_mount() -> bool:
    """Say whether this user gets a namespace in which he may mount."""
    alone = ["--mount"] if os.geteuid() == 0 else ["--map-root-user", "--mount"]
    mount = ["unshare", *alone, "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(mount, check=False, capture_output=True).returncode == 0


@pytest.fixture
def small() -> Iterator[Scratch]:
    if not may_mount():
        pytest.skip("this machine lets nobody mount a file system, not even in a namespace")
    folder = Path(tempfile.mkdtemp(prefix="small "))
    folder.chmod(0o755)
    scratch = Small(folder, bindir())
    with watched(folder):
        try:
            scratch.initialize()
            _move_wal_out(scratch)
            scratch.data.rename(folder / "seed")
            scratch.data.mkdir(mode=0o700)
            shutil.copystat(folder / "seed", scratch.data)
            scratch.start()
            yield scratch
        finally:
            scratch.stop()
            shutil.rmtree(folder)


def _move_wal_out(scratch: Scratch) -> None:
    wal = scratch.folder / "wal"
    (scratch.data / "pg_wal").rename(wal)
    (scratch.data / "pg_wal").symlink_to(wal)


def definition_of(project: Project) -> Definition:
    with project.scratch.raw(project.database) as connection:
        return definition(connection, connection.info.server_version // 10_000)


def size(project: Project) -> int:
    """Return the bytes of the database's files."""
    project.execute("CHECKPOINT")
    return int(project.rows("SELECT pg_database_size(current_database())")[0][0])


def test_without_room_for_a_rewrite_nothing_is_done_and_the_room_is_given_back(
    small: Scratch, tmp_path: Path
) -> None:
    project = Project(small, tmp_path / "project", "tight")
    table = (
        "CREATE TABLE {} AS SELECT n AS id, repeat('x', 30) AS name FROM generate_series(1, {}) n"
    )
    project.sql("aa01", table.format("item", _ROWS), table.format("ballast", _BALLAST))
    project.sql("aa02", "ALTER TABLE item ADD PRIMARY KEY (id)")
    project.pgstead("up")
    before, used = definition_of(project), size(project)
    project.sql("aa03", "ALTER TABLE item ADD COLUMN at timestamptz DEFAULT clock_timestamp()")
    said = project.pgstead("up", status=1).err
    assert "could not extend file" in said
    assert "statement: ALTER TABLE item ADD COLUMN at" in said
    assert "make room, then run it again" in said
    assert "Traceback" not in said
    assert small.process is not None
    assert small.process.poll() is None
    assert definition_of(project) == before
    assert project.rows("SELECT version_num FROM alembic_version") == [("aa02",)]
    assert project.applied() == [("aa01", "up"), ("aa02", "up")]
    assert "1 pending" in project.pgstead("status", status=3).out
    assert size(project) < used + 2**20
    with project.session() as client:  # and people go on
        client.execute("UPDATE item SET name = 'y' WHERE id = 7")
    project.execute("DROP TABLE ballast")
    project.execute("CHECKPOINT")
    assert "aa03 applied" in project.pgstead("up").out
    assert project.rows("SELECT count(*), count(at) FROM item") == [(_ROWS, _ROWS)]
