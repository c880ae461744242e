"""Segments of WAL of another size than 16 MB: what initdb was told is what counts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fix_stead import stead_in, write_manifest
from tests.live.scratch import server_user

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]


def test_a_cluster_with_segments_of_1_mb_is_backed_up_verified_and_drilled() -> None:
    with stead_in() as stead:
        stead.run("up")
        design = stead.wired.design
        stead.run("down")
        resize = [str(Path(design.build.bindir, "pg_resetwal")), "--wal-segsize=1"]
        library = {"LD_LIBRARY_PATH": design.build.library_path or ""}
        subprocess.run(
            [*resize, str(design.layout.data)], env=library, user=server_user(), check=True
        )
        write_manifest(
            stead.directory, backup="true", direct=stead.direct_port, pooler=stead.pooler_port
        )
        stead.run("up")
        del stead.wired
        with stead.superuser() as connection:
            assert connection.execute("SHOW wal_segment_size").fetchone() == {
                "wal_segment_size": "1MB"
            }
            connection.execute("CREATE TABLE much AS SELECT n FROM generate_series(1, 200000) n")
        stead.run("backup", "now", "--verify")
        with stead.superuser() as connection:
            connection.execute("INSERT INTO much SELECT n FROM generate_series(1, 200000) n")
        told = stead.json("backup", "verify")
        assert told["verified"]["segments"] > 10
        stead.run("drill")
        assert stead.run("prove", "BAK-008", "BAK-005").returncode == 0
