"""The runner: what is in its way, what it leaves when it dies, and how the next one goes on."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.live.migrate.project import Project, line_with
from tests.waiting import until

TABLE = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"
ROWS = "INSERT INTO item SELECT n, n::text FROM generate_series(1, 1000) AS n"
INDEX = "CREATE INDEX CONCURRENTLY item_name ON item (name)"


WRITE = "INSERT INTO item VALUES (-1, 'a secret')"  # which CREATE INDEX CONCURRENTLY waits for


def index(project: Project) -> list[tuple[Any, ...]]:
    return project.rows(
        "SELECT c.relname, i.indisvalid FROM pg_index AS i JOIN pg_class AS c"
        " ON c.oid = i.indexrelid WHERE i.indrelid = 'item'::regclass AND NOT i.indisprimary"
    )


def unfinished(project: Project) -> list[tuple[Any, ...]]:
    return project.rows("SELECT statement, done FROM pgstead_migrations.unfinished ORDER BY id")


def test_each_revision_is_written_down_with_its_text(project: Project) -> None:
    path = project.sql("aa01", TABLE, down="DROP TABLE item")
    project.up()
    project.alembic("downgrade", "base")
    project.alembic("-x", "reason=again", "upgrade", "head")
    assert project.applied() == [("aa01", "up"), ("aa01", "down"), ("aa01", "up")]
    rows = project.rows(
        "SELECT source, role, person, reason, tries FROM pgstead_migrations.applied ORDER BY id"
    )
    assert {row[0] for row in rows} == {path.read_text()}
    assert {row[1] for row in rows} == {f"{project.database}_migrator"}
    assert all("@" in row[2] for row in rows)
    assert [row[3] for row in rows] == [None, None, "again"]
    assert {row[4] for row in rows} == {1}


def test_an_application_cannot_read_the_ledger(project: Project) -> None:
    project.sql("aa01", TABLE)
    project.pgstead("up")
    assert project.rows(
        f"SELECT has_schema_privilege('{project.database}_app', 'pgstead_migrations', 'USAGE')"
    ) == [(False,)]


def test_who_is_in_the_way_is_named_and_given_way(project: Project) -> None:
    project.sql("aa01", TABLE)
    project.pgstead("up")
    project.sql("aa02", "CREATE TABLE other (id int)", "ALTER TABLE item ADD COLUMN size int")
    with project.session() as reader:
        reader.execute("SELECT count(*) FROM item WHERE name <> 'a secret'")
        runner = project.start("upgrade", "head")
        said = line_with(runner, "giving way")
        # nothing of the revision is there meanwhile
        assert project.rows("SELECT to_regclass('other')") == [(None,)]
        reader.rollback()
    rest, _ = runner.communicate(timeout=60)
    assert runner.returncode == 0, rest
    assert "ALTER TABLE item ADD COLUMN size int" in said
    assert f"{project.database}_app" in said
    assert "idle in transaction" in said
    assert "a secret" not in said
    assert project.rows("SELECT tries > 1 FROM pgstead_migrations.applied WHERE revision = 'aa02'")


def test_an_invalid_index_of_an_earlier_failure_is_built_anew(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS)
    project.concurrently("aa02", INDEX.replace("item_name", "IF NOT EXISTS item_name"))
    project.alembic("upgrade", "aa01")
    project.execute(INDEX)
    project.execute("UPDATE pg_index SET indisvalid = false WHERE indrelid = 'item'::regclass")
    assert "left invalid" in project.up()
    assert index(project) == [("item_name", True)]


def test_a_concurrent_index_that_fails_leaves_nothing(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS, "INSERT INTO item VALUES (0, '1')")
    project.concurrently("aa02", "CREATE UNIQUE INDEX CONCURRENTLY item_name ON item (name)")
    said = project.up(fails=True)
    assert "rows violate unique constraint item_name of item (name): 2 row(s), id 0, 1;" in said
    assert index(project) == []
    assert unfinished(project) == []
    project.execute("DELETE FROM item WHERE id = 0")
    project.up()
    assert index(project) == [("item_name", True)]


def test_a_failure_behind_a_concurrent_part_is_gone_on_from(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS)
    path = project.revision(
        "aa02",
        f"""
        import sqlalchemy as sa
        op.execute("ALTER TABLE item ADD COLUMN size int")
        item = sa.table("item", sa.column("id"), sa.column("name"))
        op.bulk_insert(item, [{{"id": -1, "name": "a"}}, {{"id": -2, "name": "b"}}])
        op.execute(item.insert().values(id=-3, name="c"))
        with op.get_context().autocommit_block():
            op.execute("{INDEX}")
        op.execute("ALTER TABLE item ADD COLUMN wrong nonsense")
        """,
    )
    assert "nonsense" in project.up(fails=True)
    assert [done for _, done in unfinished(project)] == [True] * 4
    path.write_text(path.read_text().replace("wrong nonsense", "correct int"))
    assert "4 statement(s) of it are in already" in project.up()
    assert project.rows("SELECT count(*) FROM item WHERE id < 0") == [(3,)]
    assert index(project) == [("item_name", True)]
    assert unfinished(project) == []
    assert project.applied()[-1] == ("aa02", "up")


def test_a_concurrent_index_waits_for_old_transactions_without_a_time_limit(
    project: Project,
) -> None:
    project.sql("aa01", TABLE, ROWS)
    project.pgstead("up")
    project.concurrently("aa02", INDEX)
    with project.session() as writer:
        writer.execute(WRITE)
        runner = project.start("upgrade", "head")
        said = line_with(runner, " s: CREATE INDEX")
        writer.rollback()
    rest, _ = runner.communicate(timeout=60)
    assert runner.returncode == 0, rest
    assert "in the way: pid" in said
    assert "waiting for" in said  # the phase, from pg_stat_progress_create_index
    assert index(project) == [("item_name", True)]


@pytest.mark.parametrize("when", ["building", "built"])
def test_a_runner_that_is_killed_is_followed_by_one_that_goes_on(
    project: Project, when: str
) -> None:
    project.sql("aa01", TABLE, ROWS)
    project.pgstead("up")
    project.concurrently("aa02", INDEX, before="CREATE TABLE other (id int)")
    with project.session() as writer:
        writer.execute(WRITE)
        runner = project.start("upgrade", "head")
        until(lambda: _builds(project), "it builds the index")
        if when == "built":
            writer.rollback()
        runner.send_signal(signal.SIGKILL)
        runner.communicate()
    said = project.up()
    assert "going on with aa02" in said
    assert index(project) == [("item_name", True)]
    assert unfinished(project) == []


def _builds(project: Project) -> bool:
    """Tell whether an index is being built and waits; it is written down before it is begun."""
    waiting = project.rows(
        "SELECT 1 FROM pg_stat_progress_create_index"
        " WHERE datname = current_database() AND phase LIKE 'waiting%'"
    )
    return bool(waiting) and [done for _, done in unfinished(project)] == [True, False]


def test_a_changed_type_is_told(project: Project) -> None:
    project.sql("aa01", TABLE)
    project.pgstead("up")
    project.sql("aa02", "ALTER TABLE item ALTER COLUMN name TYPE varchar(80)")
    assert "changed types: item.name" in project.up()


def test_an_interrupted_concurrent_index_is_taken_away(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS)
    project.pgstead("up")
    project.concurrently("aa02", INDEX, before="CREATE TABLE other (id int)")
    with project.session() as writer:
        writer.execute(WRITE)
        runner = project.start("upgrade", "head")
        until(lambda: _builds(project), "it builds")
        runner.send_signal(signal.SIGINT)
        line_with(runner, "removing what the failed statement left")
        writer.rollback()
    runner.communicate(timeout=60)
    assert runner.returncode != 0
    assert index(project) == []
    project.up()
    assert index(project) == [("item_name", True)]


def test_a_lock_that_is_never_to_be_had_is_an_error_that_names_who_has_it(
    project: Project,
) -> None:
    project.sql("aa01", TABLE)
    project.pgstead("up")
    project.sql("aa02", "ALTER TABLE item ADD COLUMN size int")
    environment = project.folder / "migrations" / "env.py"
    patience = "Report(patience=Patience(tries=3))"
    environment.write_text(
        "from alembic import context\n"
        "from pgstead.app.migration_runner import Patience, Report\n"
        f"context.config.attributes['pgstead_report'] = {patience}\n" + environment.read_text()
    )
    with project.session() as reader:
        reader.execute("SELECT count(*) FROM item")
        said = project.up(fails=True)
        # nobody waits behind it any more
        assert project.rows("SELECT count(*) FROM item") == [(0,)]
    assert "not to be had in 3 tries: ALTER TABLE item" in said
    assert f"{project.database}_app" in said
    assert "Traceback" not in said
    assert project.applied() == [("aa01", "up")]
