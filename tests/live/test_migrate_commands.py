"""`pgstead migrate ...` on a running stead: drift, models, what a downgrade loses, reconciling."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgstead.cli.invocation import Invocation
from pgstead.cli.migrate_run import tell_of_types
from pgstead.cli.migrating import History, chosen
from pgstead.cli.wiring import SILENT
from tests.cli.program import Said, inside
from tests.fix_stead import LiveStead

pytestmark = pytest.mark.live

HEAD, PARENT = "c7e05a1b93d4", "b41c97d2e8f3"


def migrate(stead: LiveStead, *arguments: str, status: int = 0) -> Said:
    """Run `pgstead migrate ...` beside the stead's manifest, in this process."""
    said = inside("migrate", *arguments, directory=stead.directory)
    assert said.status == status, said
    return said


@pytest.fixture
def whole(stead: LiveStead) -> Iterator[LiveStead]:
    """Give the shared stead; afterwards it is at head again."""
    yield stead
    migrate(stead, "up", "jeex_idea", "-q")


def test_a_stead_that_is_up_agrees_with_its_migrations_and_models(whole: LiveStead) -> None:
    assert whole.run("migrate", "check").stdout == "jeex_idea: all agrees\n"
    assert "nothing pending" in migrate(whole, "status").out
    assert "nothing to do" in migrate(whole, "up").out
    assert "applied" in migrate(whole, "history").out


def test_drift_and_what_no_migration_makes_are_told_in_one_look(whole: LiveStead) -> None:
    with whole.superuser("jeex_idea") as connection:
        connection.execute("ALTER TABLE projects NO FORCE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE users ADD COLUMN odd int")
    try:
        said = migrate(whole, "check", "jeex_idea", status=3).out
        refused = migrate(whole, "reconcile", "jeex_idea", HEAD, "--reason", "x", status=3).err
    finally:
        with whole.superuser("jeex_idea") as connection:
            connection.execute("ALTER TABLE projects FORCE ROW LEVEL SECURITY")
            connection.execute("ALTER TABLE users DROP COLUMN odd")
    assert "row security public.projects is changed" in said
    assert "column public.users.odd is extra" in said
    assert "way out: " in said
    assert "row security public.projects" in refused


def test_a_stamp_by_hand_is_reconciled_after_the_schema_was_compared(whole: LiveStead) -> None:
    with whole.superuser("jeex_idea") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff'")
    assert "foreign: " in migrate(whole, "status", status=3).out
    migrate(whole, "reconcile", "jeex_idea", HEAD, "--reason", "stamped by mistake")
    assert "nothing pending" in migrate(whole, "status").out
    ledger = migrate(whole, "history", "--ledger").out
    assert "reconcile" in ledger
    assert "stamped by mistake" in ledger


def test_a_downgrade_says_what_it_loses_before_it_does(whole: LiveStead) -> None:
    with whole.superuser("jeex_idea") as connection:
        connection.execute("INSERT INTO users (email, name) VALUES ('loss@example.com', 'L')")
    try:
        refused = migrate(whole, "down", "jeex_idea", "base", status=3).err
        assert "row(s) of users" in refused
        said = migrate(whole, "down", "jeex_idea", "-1").out
        assert f"{HEAD} taken back" in said
        assert "1 pending" in migrate(whole, "status", status=3).out
        assert f"{HEAD} applied" in migrate(whole, "up").out
    finally:
        with whole.superuser("jeex_idea") as connection:
            connection.execute("DELETE FROM users WHERE email = 'loss@example.com'")


def test_of_changed_types_everybody_is_told_who_remembers_the_old_ones(whole: LiveStead) -> None:
    invocation = Invocation(manifest=str(whole.manifest), quiet=True)
    history = History(chosen(["jeex_idea"], invocation)[0], invocation)
    with whole.connect(direct=True) as idle, whole.connect(direct=True) as busy:
        before = _pooled_backend(whole)
        with busy.transaction():
            busy.execute("SELECT 1")
            tell_of_types(history, SILENT)
            # who is in a transaction ends it
            busy.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
        assert _pooled_backend(whole) != before


def _pooled_backend(stead: LiveStead) -> int:
    with stead.connect() as pooled:
        row = pooled.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0])
