"""The data directory, and the superuser's socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgstead.errors import ForeignStateError, InitializationError, NotRunningError, SqlError
from pgstead.host import binaries, state
from pgstead.host.cluster import DataDirectory
from tests.live.host.rig import NASTY, Rig, rig_in, soon


@pytest.fixture(scope="module")
def made() -> Iterator[Rig]:
    """A data directory in a directory with a nasty name; no server."""
    with rig_in(NASTY) as rig:
        rig.make()
        yield rig


@pytest.fixture
def fresh() -> Iterator[Rig]:
    """A prepared state directory without data."""
    with rig_in("fresh") as rig:
        state.prepare(rig.layout, rig.host)
        yield rig


def test_initdb_makes_what_was_wanted(made: Rig) -> None:
    assert made.cluster.inspect() == made.wanted


def test_postgresql_conf_gets_one_line(made: Rig) -> None:
    text = Path(made.layout.data, "postgresql.conf").read_text()
    assert text.endswith("include '../pgstead.conf'\n")
    assert text.count("pgstead.conf") == 1


def test_the_data_directory_belongs_to_the_servers_user_alone(made: Rig) -> None:
    facts = Path(made.layout.data).stat()
    assert facts.st_mode & 0o777 == 0o700
    assert Path(made.layout.data).owner() == made.host.server_user


def test_the_build_is_recorded_and_kept(made: Rig) -> None:
    recorded = binaries.recorded_build(made.layout)
    assert recorded["version"] == made.build.version
    found = binaries.find(None, made.build.major, made.layout, made.host)
    assert found.bindir == made.build.bindir


def test_nothing_is_there_before_initdb(fresh: Rig) -> None:
    assert fresh.cluster.inspect() is None


def test_another_steads_data_directory_is_refused(made: Rig) -> None:
    other = DataDirectory(made.layout, made.host, made.build, "another")
    with pytest.raises(ForeignStateError, match="belongs to another stead"):
        other.inspect()


def test_binaries_of_another_major_are_refused(made: Rig) -> None:
    newer = replace(made.build, major=made.build.major + 1, version="99.1")
    with pytest.raises(ForeignStateError, match=f"is of PostgreSQL {made.build.major}"):
        DataDirectory(made.layout, made.host, newer, "rig-1").inspect()


@pytest.mark.parametrize("name", ["PG_VERSION", "something.txt"])
def test_what_pgstead_did_not_make_is_refused(fresh: Rig, name: str) -> None:
    data = Path(fresh.layout.data)
    data.mkdir()
    (data / name).write_text(f"{fresh.build.major}\n")
    with pytest.raises(ForeignStateError, match=r"not made by pgstead|is not empty"):
        fresh.cluster.inspect()
    assert (data / name).exists()


def test_a_damaged_mark_is_refused(made: Rig) -> None:
    mark = Path(made.layout.data, "pgstead.json")
    good = mark.read_text()
    try:
        mark.write_text(json.dumps({"stead_id": "rig-1"}))
        with pytest.raises(ForeignStateError, match="does not say which stead"):
            made.cluster.inspect()
    finally:
        mark.write_text(good)


def test_a_failing_initdb_says_why_and_leaves_nothing(fresh: Rig) -> None:
    wanted = replace(fresh.wanted, locale="xx_YY.nonsense", locale_provider="libc")
    with pytest.raises(InitializationError, match="invalid locale name") as caught:
        fresh.cluster.initialize(wanted, fresh.named)
    assert caught.value.exit_status == 5
    assert "initdb.log" in caught.value.hint
    assert "invalid locale name" in Path(fresh.layout.logs, "initdb.log").read_text()
    assert not list(Path(fresh.layout.server).glob("data*"))


INITIALIZE = """
import sys
from pathlib import Path
from tests.live.host.rig import Rig
rig = Rig(Path(sys.argv[1]))
rig.cluster.initialize(rig.wanted, rig.named)
"""


@pytest.mark.parametrize("after", [0.05, 0.15, 0.3])
def test_a_killed_initdb_leaves_no_half_cluster(fresh: Rig, after: float) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", INITIALIZE, str(fresh.directory)], start_new_session=True
    )
    server = Path(fresh.layout.server)
    soon(lambda: list(server.glob("data*")), what="initdb")
    time.sleep(after)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if fresh.cluster.inspect() is None:
        fresh.cluster.initialize(fresh.wanted, fresh.named)
    assert fresh.cluster.inspect() == fresh.wanted
    assert [path.name for path in server.glob("data*")] == ["data"]


@pytest.fixture(scope="module")
def served(made: Rig) -> Rig:
    """The same with its server running."""
    made.supervisor.configure([made.postgres])
    made.supervisor.start("postgres")
    return made


def test_the_superuser_gets_in_by_peer(served: Rig) -> None:
    with served.sql.connect() as connection:
        row = connection.execute("SELECT current_user AS who, current_setting('TimeZone') AS tz")
        assert row.fetchone() == {"who": "postgres", "tz": "UTC"}


def test_a_read_only_connection_writes_nothing(served: Rig) -> None:
    with (
        served.sql.connect(read_only=True) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("CREATE TABLE t (n int)")


def test_variables_of_the_users_shell_change_nothing(
    served: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = {
        "PGHOST": "elsewhere.example",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGDATABASE": "none",
        "PGOPTIONS": "-c statement_timeout=1",
        "PGSSLMODE": "verify-full",
        "PGPASSFILE": "/nonexistent",
        "PGREQUIREAUTH": "scram-sha-256",
        "PGTARGETSESSIONATTRS": "standby",
        "PGCHANNELBINDING": "require",
        "PGCLIENTENCODING": "latin1",
    }
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    assert served.sql.answers()
    with served.sql.connect() as connection:
        connection.execute("SELECT pg_sleep(0.05)")


def test_a_missing_database_is_no_server_that_is_down(served: Rig) -> None:
    with pytest.raises(SqlError, match='"gone" does not exist'), served.sql.connect("gone"):
        pass


def test_a_server_that_is_down_is_said_to_be_down(served: Rig) -> None:
    served.supervisor.stop("postgres")
    try:
        assert not served.sql.answers()
        with pytest.raises(NotRunningError, match="does not accept"), served.sql.connect():
            pass
    finally:
        served.supervisor.start("postgres")


def test_what_crashed_while_nobody_looked_is_recovered(served: Rig) -> None:
    with served.sql.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    served.kill(served.pid("postgres"))
    soon(lambda: not served.sql.answers())
    soon(served.sql.answers)
    with served.sql.connect() as connection:
        row = connection.execute("SELECT count(*) AS n FROM kept").fetchone()
    assert row == {"n": 1000}
