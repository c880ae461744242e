"""Several runners, killed runners, and a migration under load: counts are small here, full in soak.

Each test leads from the same history: parts in transactions and parts outside of one.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.live.migrate.project import Project, line_with

FINAL = """
    SELECT 'column ' || attrelid::regclass || '.' || attname || ' ' || atttypid::regtype
    FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
      AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r'
                       AND relnamespace = 'public'::regnamespace)
    UNION ALL SELECT 'index ' || indexrelid::regclass || ' ' || indisvalid::text
    FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class
                                     WHERE relnamespace = 'public'::regnamespace)
    UNION ALL SELECT 'rows ' || count(*)::text || ' ' || sum(id)::text FROM item
    UNION ALL SELECT 'others ' || count(*)::text FROM other
    ORDER BY 1
"""


def history(project: Project, *, concurrent: bool) -> list[tuple[str, str]]:
    """Write the history; return what its ledger is to hold."""
    project.sql(
        "aa01",
        "CREATE TABLE item (id bigint PRIMARY KEY, name text)",
        "INSERT INTO item SELECT n, n::text FROM generate_series(1, 20000) AS n",
        "CREATE TABLE other (id bigint)",
    )
    project.sql("aa02", "ALTER TABLE item ADD COLUMN size int", "INSERT INTO other VALUES (2)")
    if concurrent:
        project.concurrently(
            "aa03",
            "CREATE INDEX CONCURRENTLY item_name ON item (name)",
            "CREATE UNIQUE INDEX CONCURRENTLY item_both ON item (name, id)",
            before="INSERT INTO other VALUES (3)",
        )
        project.concurrently("aa04", "DROP INDEX CONCURRENTLY item_name")
    else:
        project.sql("aa03", "CREATE INDEX item_name ON item (name)")
        project.sql("aa04", "DROP INDEX item_name")
    project.sql("aa05", "ALTER TABLE item ALTER COLUMN size TYPE bigint", ROW_OF_ITS_OWN)
    return [(name, "up") for name in ("aa01", "aa02", "aa03", "aa04", "aa05")]


ROW_OF_ITS_OWN = "INSERT INTO other VALUES (5)"


def at_once(project: Project, runners: int) -> list[str]:
    """Run the upgrade several times at once; return what each said."""
    with ThreadPoolExecutor(runners) as pool:
        return [*pool.map(lambda _: project.up(), range(runners))]


@pytest.mark.parametrize("concurrent", [False, True], ids=["transactions", "concurrently"])
@pytest.mark.parametrize(
    ("runners", "rounds"),
    [(4, 1), pytest.param(8, 20, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_of_runners_at_once_each_revision_is_applied_once(
    project: Project, runners: int, rounds: int, concurrent: bool
) -> None:
    wanted = history(project, concurrent=concurrent)
    project.execute(f"ALTER ROLE {project.database}_migrator CONNECTION LIMIT 3")
    for _ in range(rounds):
        said = at_once(project, runners)
        assert project.applied() == wanted
        for words in said:
            assert "deadlock" not in words
            assert "Running upgrade" in words or "WARNING waiting" in words or "up" not in words
        assert sum("Running upgrade  -> aa01" in words for words in said) == 1
        project.execute("DROP TABLE item, other, alembic_version")
        project.execute("DROP SCHEMA pgstead_migrations CASCADE")


@pytest.mark.parametrize(
    "kills", [3, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_whenever_a_runner_is_killed_the_next_ends_in_the_same_schema(
    project: Project, kills: int
) -> None:
    wanted = history(project, concurrent=True)
    began = time.monotonic()
    project.up()
    whole = time.monotonic() - began
    final = project.rows(FINAL)
    chance = random.Random(4)
    for number in range(kills):
        project.execute("DROP TABLE item, other, alembic_version")
        project.execute("DROP SCHEMA pgstead_migrations CASCADE")
        # nothing happens to the database before Alembic is imported
        moment = whole * chance.uniform(0.4, 1.0)
        runner = project.start("upgrade", "head")
        time.sleep(moment)
        runner.kill()
        said, _ = runner.communicate()
        then = project.up()
        told = f"kill {number} after {moment:.2f} s\n{said}\n{then}"
        assert project.rows(FINAL) == final, told
        assert project.applied() == wanted, told
        assert project.rows("SELECT * FROM pgstead_migrations.unfinished") == [], told


@pytest.mark.parametrize(
    ("clients", "seconds"),
    [(4, 1.0), pytest.param(50, 10.0, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_clients_go_on_while_a_migration_waits_for_a_long_select(
    project: Project, clients: int, seconds: float
) -> None:
    project.sql("aa01", "CREATE TABLE item (id bigint PRIMARY KEY, name text)")
    project.up()
    project.sql("aa02", "ALTER TABLE item ADD COLUMN size int")
    stop = threading.Event()
    with ThreadPoolExecutor(clients) as pool, project.session() as reader:
        reader.execute("SELECT count(*) FROM item")
        runner = project.start("upgrade", "head")
        try:
            times = [pool.submit(_write, project, number, stop) for number in range(clients)]
            said = line_with(runner, "giving way")
            time.sleep(seconds)
            reader.rollback()
            said += runner.communicate(timeout=120)[0]
        finally:
            stop.set()
            runner.kill()
    assert runner.returncode == 0, said
    took = sorted(taken for client in times for taken in client.result())
    assert project.rows("SELECT count(*) FROM item") == [(len(took),)]
    # what is told, not asserted: a busy machine makes any figure
    print(
        f"{len(took)} writes, p99 {1000 * took[len(took) * 99 // 100]:.1f} ms, "
        f"longest {1000 * took[-1]:.0f} ms; {said.count('giving way')} times given way"
    )


def _write(project: Project, client: int, stop: threading.Event) -> list[float]:
    took: list[float] = []
    with project.session() as session:
        session.autocommit = True
        while not stop.is_set():
            began = time.monotonic()
            values: tuple[Any, ...] = (client * 1_000_000 + len(took), "name")
            session.execute("INSERT INTO item (id, name) VALUES (%s, %s)", values)
            took.append(time.monotonic() - began)
            time.sleep(0.005)
    return took
