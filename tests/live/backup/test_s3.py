"""A copy of the backups in object storage: on a real server that speaks S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_stead import LiveStead, short_directory
from tests.live.backup.s3 import ObjectServer, object_server, stead_with_copy

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    """Give a server with a bucket."""
    with object_server() as made:
        yield made


@pytest.fixture(scope="module")
def copied(server: ObjectServer) -> Iterator[LiveStead]:
    """Give a stead whose backups are copied, with one base backup; its agent does not interfere."""
    with stead_with_copy(server, short_directory(), more='interval = "1h"') as made:
        made.run("up")
        made.run("backup", "now")
        made.run("backup", "mirror")
        yield made


def test_a_machine_that_has_the_bucket_and_the_key_alone_gets_everything_back(
    copied: LiveStead, server: ObjectServer
) -> None:
    with copied.superuser() as connection:
        connection.execute("CREATE TABLE proof AS SELECT generate_series(1, 1000) AS n")
        connection.execute("SELECT pg_switch_wal()")
    told = copied.json("backup", "mirror")
    assert told["copied"] > 0
    copied.run("backup", "verify", "--remote")
    key = copied.directory / "key"
    copied.run("backup", "key", "export", str(key))
    with stead_with_copy(server, short_directory(), top='passphrase_file = "passphrase"') as other:
        there = other.directory / "passphrase"
        there.write_bytes((copied.state / "secrets" / "backup-passphrase").read_bytes())
        there.chmod(0o600)
        other.run("restore", "--from", "s3", "--key", str(key), "--in-place", "--yes")
        with other.superuser() as connection:
            rows = connection.execute("SELECT count(*) AS n FROM proof").fetchone()
        assert rows["n"] == 1000
