"""Sabotages of migrations: of what is remembered of them, and of how they run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

_PLAIN = """\
import os

from alembic import context
from sqlalchemy import NullPool, create_engine

url = os.environ["JEEX_DATABASE_URL_SYNC"].replace("postgresql:", "postgresql+psycopg:")
with create_engine(url, poolclass=NullPool).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
_WITHOUT_TRANSACTIONS = """\
import os

from alembic import context
from sqlalchemy import MetaData, NullPool, create_engine

from pgstead.app import migrations

url = os.environ["JEEX_DATABASE_URL_SYNC"].replace("postgresql:", "postgresql+psycopg:")
context.config.attributes["connection"] = create_engine(
    url, poolclass=NullPool, isolation_level="AUTOCOMMIT"
)
migrations.run(MetaData(), prefix="JEEX_", database="jeex_idea")
"""


@contextmanager
def another_checkout(scene: Scene) -> Iterator[tuple[Path, Design]]:
    """Give a copy of the damaged database's folder, and a design whose manifest lies beside it."""
    place = Path(tempfile.mkdtemp(prefix="pgst-sabotage-"))
    given = Path(scene.design.layout.manifest_directory)
    folder = Path(scene.plan.migrations)
    try:
        (place / folder.parent).mkdir(parents=True)
        for beside in (given / folder.parent).iterdir():
            if beside.name != folder.name:
                (place / folder.parent / beside.name).symlink_to(beside.resolve())
        shutil.copytree(given / folder, place / folder)
        layout = replace(scene.design.layout, manifest_directory=PurePosixPath(place))
        yield place / folder, replace(scene.design, layout=layout)
    finally:
        shutil.rmtree(place)


def newest(folder: Path) -> Path:
    """Return the newest revision's file."""
    return max((folder / "migrations" / "versions").glob("*.py"))


@sabotage("MGR-001", alone=True)
def a_revision_is_edited_after_it_was_applied(scene: Scene) -> Iterator[Design | None]:
    """A comment is enough: what other databases get is another text."""
    with another_checkout(scene) as (folder, forged):
        path = newest(folder)
        path.write_text(path.read_text() + "\n# sabotage\n")
        yield forged


@sabotage("MGR-001", alone=True)
def an_applied_revision_is_deleted(scene: Scene) -> Iterator[Design | None]:
    """The file of the newest revision is gone."""
    with another_checkout(scene) as (folder, forged):
        newest(folder).unlink()
        yield forged


@sabotage("MGR-001", alone=True)
def the_ledger_tells_of_another_text(scene: Scene) -> Iterator[Design | None]:
    """Somebody changed what the ledger keeps."""
    change = "UPDATE pgstead_migrations.applied SET digest = {}"
    with scene.done_and_undone(change.format("'0' || digest"), change.format("substr(digest, 2)")):
        yield None


@sabotage("MGR-002", also=("DBS-010",), alone=True)
def the_application_may_rewrite_the_ledger(scene: Scene) -> Iterator[Design | None]:
    """What was applied when can be made unsaid."""
    app = scene.plan.app
    with scene.done_and_undone(
        (
            f"GRANT USAGE ON SCHEMA pgstead_migrations TO {app}",
            f"GRANT SELECT, DELETE ON pgstead_migrations.applied TO {app}",
        ),
        (
            f"REVOKE ALL ON pgstead_migrations.applied FROM {app}",
            f"REVOKE ALL ON SCHEMA pgstead_migrations FROM {app}",
        ),
    ):
        yield None


@sabotage("MGR-003", alone=True)
def a_migration_was_left_half_done(scene: Scene) -> Iterator[Design | None]:
    """A statement of a revision is in, and the revision is not."""
    with scene.done_and_undone(
        "INSERT INTO pgstead_migrations.unfinished (revision, direction, statement, digest, done)"
        " VALUES ('sabotage', 'up', 'ALTER TABLE users ADD COLUMN odd int', 'x', true)",
        "DELETE FROM pgstead_migrations.unfinished WHERE revision = 'sabotage'",
    ):
        yield None


@sabotage("MGR-003", also=("SCH-002",), alone=True)
def an_index_was_left_by_a_rebuild(scene: Scene) -> Iterator[Design | None]:
    """What a REINDEX CONCURRENTLY that was killed leaves beside the index itself."""
    with scene.done_and_undone(
        "CREATE INDEX idx_sabotage_ccnew ON users (created_at)", "DROP INDEX idx_sabotage_ccnew"
    ):
        yield None


@sabotage("MGR-004", "MGR-005")
def migrations_run_by_plain_alembic(scene: Scene) -> Iterator[Design | None]:
    """An env.py as `alembic init` writes it: it waits for locks as long as it takes."""
    with another_checkout(scene) as (folder, forged):
        (folder / "migrations" / "env.py").write_text(_PLAIN)
        yield forged


@sabotage("MGR-006")
def migrations_run_without_transactions(scene: Scene) -> Iterator[Design | None]:
    """Each statement is committed by itself."""
    with another_checkout(scene) as (folder, forged):
        (folder / "migrations" / "env.py").write_text(_WITHOUT_TRANSACTIONS)
        yield forged


@sabotage("MGR-007", where="production", alone=True)
def a_revision_is_applied_past_the_gate(scene: Scene) -> Iterator[Design | None]:
    """Somebody ran `alembic` by hand: the ledger has no word of the gate."""
    change = (
        "UPDATE pgstead_migrations.applied SET reason = {} WHERE id ="
        " (SELECT max(id) FROM pgstead_migrations.applied)"
    )
    ((reason,),) = scene.rows(
        "SELECT quote_literal(reason) FROM pgstead_migrations.applied ORDER BY id DESC LIMIT 1",
        database=scene.plan.name,
    )
    with scene.done_and_undone(change.format("NULL"), change.format(reason)):
        yield None


@sabotage("MGR-008", where="scene at length", alone=True)
def a_default_was_changed_by_hand(scene: Scene) -> Iterator[Design | None]:
    """What is inserted from now on is not what the migrations say; nothing else notices."""
    ((default,),) = scene.rows(
        "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d"
        " JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
        " WHERE d.adrelid = 'exports'::regclass AND a.attname = 'created_at'",
        database=scene.plan.name,
    )
    change = "ALTER TABLE exports ALTER created_at SET DEFAULT {}"
    with scene.done_and_undone(change.format("clock_timestamp()"), change.format(default)):
        yield None


SABOTAGES = (
    a_revision_is_edited_after_it_was_applied,
    an_applied_revision_is_deleted,
    the_ledger_tells_of_another_text,
    the_application_may_rewrite_the_ledger,
    a_migration_was_left_half_done,
    an_index_was_left_by_a_rebuild,
    migrations_run_by_plain_alembic,
    migrations_run_without_transactions,
    a_revision_is_applied_past_the_gate,
    a_default_was_changed_by_hand,
)
