"""A disk that has no room for a new index: a real file system, which is really full.

It is a tablespace of its own: where the room is has to be asked, not where the data directory is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fix_stead import stead_in
from tests.live.backup.small_disks import Small, may_mount, namespace
from tests.waiting import until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

DATABASE = "jeex_idea"
UPKEEP = """\
false
lock_timeout = "1min"
smallest = "64kB"
latency = "1min"
"""
MEGA = 1024**2
MAKE = (
    "CREATE TABLE churned (id bigint, body text) WITH (autovacuum_enabled = false)",
    "INSERT INTO churned SELECT g, md5(g::text) FROM generate_series(1, 200000) AS g",
    "CREATE INDEX churned_body ON churned (body) TABLESPACE small",
    "DELETE FROM churned WHERE id % 3 <> 0",
    "VACUUM ANALYZE churned",
)
WAITS = "SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for writers%'"


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    """A stead with a tablespace that is a file system of its own, and nobody who keeps it up."""
    if not may_mount():
        pytest.skip("this user may not mount a file system, not even in a namespace")
    with stead_in(upkeep=UPKEEP) as stead, namespace(stead) as made:
        made.run("up")
        place(made).mkdir(mode=0o700)
        shutil.chown(place(made), Path(made.stead.wired.design.layout.data).owner())
        made.mount(place(made), "40m")
        with stead.superuser() as session:
            session.execute(f"CREATE TABLESPACE small LOCATION '{place(made)}'".encode())
        yield made
        does(made, "DROP TABLE IF EXISTS churned")
        made.rows("DROP TABLESPACE small")


def place(small: Small) -> Path:
    return small.stead.directory / "small"


def does(small: Small, *statements: str) -> None:
    for statement in statements:
        small.rows(statement, DATABASE)


@pytest.fixture
def churned(small: Small) -> Iterator[None]:
    """Give a table whose index lies there, and is thin."""
    does(small, *MAKE)
    yield
    does(small, "DROP TABLE churned", "CHECKPOINT")


def reindexed(small: Small, status: int) -> list[dict[str, Any]]:
    """Run upkeep; return what was done to the index."""
    done = small.run(
        "upkeep", "run", "--only", "reindex", "--only", "drop", "--json", status=status
    )
    return [c for c in json.loads(done.stdout)["chores"] if c["table"] == "churned"]


def unmade(small: Small) -> list[Any]:
    return small.rows("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid", DATABASE)


@contextmanager
def full(small: Small, *, leaving: int = 0) -> Iterator[None]:
    with small.filled(place(small), leaving=leaving):
        yield


def test_an_index_for_which_there_is_no_room_is_not_begun_and_is_made_when_there_is(
    small: Small, churned: None
) -> None:
    with full(small, leaving=2 * MEGA):
        (refused,) = reindexed(small, 1)
        assert refused["outcome"] == "failed"
        assert "MB of disk" in refused["error"]
        told = small.run("upkeep", "status", "--json", status=1)
        assert [f["name"] for f in json.loads(told.stdout)["failing"]] == ["churned_body"]
        assert unmade(small) == []
    (done,) = reindexed(small, 0)
    assert done["outcome"] == "done"
    assert json.loads(small.run("upkeep", "status", "--json").stdout)["failing"] == []


def test_an_index_amid_which_the_disk_becomes_full_leaves_nothing_and_is_made_when_it_is_not(
    small: Small, churned: None
) -> None:
    with small.stead.superuser(DATABASE) as other:
        other.execute("BEGIN")
        other.execute("UPDATE churned SET body = body WHERE id = 3")
        running = small.start("upkeep", "run", "--only", "reindex")
        until(lambda: small.rows(WAITS, DATABASE), "it does not wait for the transaction")
        with full(small):
            other.execute("ROLLBACK")
            _, said = running.communicate(timeout=240)
            assert running.returncode == 1, said
    (*_, failed) = json.loads(small.run("upkeep", "history", "-n", "5", "--json").stdout)
    assert failed["outcome"] == "failed"
    assert "No space left on device" in failed["error"]
    done = reindexed(small, 0)
    assert done[-1]["outcome"] == "done"
    assert unmade(small) == []
