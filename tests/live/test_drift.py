"""Drift: each damage by hand is one readable line of `plan` (exit 3), and mended by `up`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead

pytestmark = pytest.mark.live

Damage = Callable[[LiveStead], None]


def sql(statement: str, database: str = "postgres") -> Damage:
    """Damage by a statement of the superuser."""

    def do(stead: LiveStead) -> None:
        opened: AbstractContextManager = stead.superuser(database)
        with opened as connection:
            connection.execute(statement)
            connection.execute("SELECT pg_reload_conf()")

    return do


def edit(name: str, text: str) -> Damage:
    """Damage by an editor."""

    def do(stead: LiveStead) -> None:
        path: Path = stead.state / name
        path.write_text(path.read_text() + text)

    return do


def console(command: str) -> Damage:
    """Damage at the pooler's console."""

    def do(stead: LiveStead) -> None:
        stead.wired.ports.console.run(command)

    return do


DAMAGES: dict[str, tuple[Damage, str]] = {
    "alter system": (sql("ALTER SYSTEM SET work_mem = '64MB'"), "work_mem"),
    "superuser": (sql('ALTER ROLE "jeex_user" SUPERUSER'), "superuser: yes -> no"),
    "grant on table to public": (
        sql("GRANT SELECT ON public.users TO PUBLIC", "jeex_idea"),
        "PUBLIC on table public.users",
    ),
    "grant on database to public": (
        sql('GRANT CONNECT ON DATABASE "jeex_idea" TO PUBLIC'),
        "PUBLIC on database jeex_idea",
    ),
    "pg_hba": (edit("server/pg_hba.conf", "host all all 0.0.0.0/0 trust\n"), "pg_hba.conf"),
    "pgbouncer.ini": (edit("pooler/pgbouncer.ini", "pool_mode = session\n"), "pgbouncer.ini"),
    "pooler console": (console("SET default_pool_size = 3"), "default_pool_size"),
    "password": (sql('ALTER ROLE "jeex_user" PASSWORD NULL'), "jeex_user"),
    "role setting": (
        sql('ALTER ROLE "jeex_user" SET statement_timeout = 0'),
        "statement_timeout of jeex_user",
    ),
    "membership": (sql('GRANT "jeex_owner" TO "jeex_user"'), "jeex_owner/jeex_user"),
    "owner": (sql('ALTER DATABASE "jeex_idea" OWNER TO postgres'), "jeex_idea"),
    "postgresql.conf": (edit("server/data/postgresql.conf", "work_mem = '1GB'\n"), "work_mem"),
    "look-up function": (
        sql("ALTER FUNCTION pgstead.pooler_lookup(text) RESET search_path", "jeex_idea"),
        "pooler_lookup",
    ),
    "default privileges": (
        sql(
            'ALTER DEFAULT PRIVILEGES FOR ROLE "jeex_owner" GRANT EXECUTE ON FUNCTIONS TO PUBLIC',
            "jeex_idea",
        ),
        "PUBLIC",
    ),
}


@pytest.fixture
def mended(stead: LiveStead) -> Iterator[LiveStead]:
    """Leave the shared stead as it was, whatever a test did."""
    yield stead
    stead.run("up", "--allow", "restart", status=None)
    stead.wait_for_pooler()


@pytest.mark.parametrize("name", DAMAGES)
def test_drift_is_found_by_plan_and_mended_by_up(name: str, mended: LiveStead) -> None:
    damage, line = DAMAGES[name]
    assert mended.run("plan").returncode == 0
    damage(mended)
    told = mended.run("plan", status=3).stdout
    assert [text for text in told.splitlines() if line in text], told
    mended.run("up")
    assert mended.json("plan")["operations"] == []


def test_a_stopped_server_makes_roles_unknown_and_not_absent(mended: LiveStead) -> None:
    mended.wired.ports.supervisor.stop("postgres")
    told = mended.json("plan", status=3)
    assert {entry["what"] for entry in told["unknown"]} >= {"role", "database", "grant"}
    assert [o["address"] for o in told["operations"] if o["address"].startswith("role:")] == []


def test_up_refuses_a_restart_that_was_not_allowed(mended: LiveStead) -> None:
    text = mended.manifest.read_text()
    changed = text.replace(
        "[networks]", "[server.settings]\nmax_locks_per_transaction = 128\n\n[networks]"
    )
    mended.manifest.write_text(changed)
    try:
        refused = mended.run("up", status=3)
        assert "--allow restart" in refused.stderr
        mended.run("up", "--allow", "restart")
        with mended.superuser() as connection:
            row = connection.execute("SHOW max_locks_per_transaction").fetchone()
        assert row["max_locks_per_transaction"] == "128"
    finally:
        mended.manifest.write_text(text)
        refused = mended.run("up", status=3)
        mended.run("up", "--allow", "restart")
    assert "max_locks_per_transaction" in refused.stdout + refused.stderr
    with mended.superuser() as connection:
        waiting = connection.execute(
            "SELECT name, setting FROM pg_settings"
            " WHERE pending_restart OR (name = 'max_locks_per_transaction' AND setting <> '64')"
        ).fetchall()
    assert not waiting


def test_a_restart_that_was_left_out_stays_in_the_plan(mended: LiveStead) -> None:
    """Our file lost the line and the server was told; only a restart takes the value back."""
    text = mended.manifest.read_text()
    settings = "[server.settings]\nmax_locks_per_transaction = 128\n\n[networks]"
    mended.manifest.write_text(text.replace("[networks]", settings))
    mended.run("up", "--allow", "restart")
    mended.manifest.write_text(text)
    ours = Path(mended.wired.design.layout.server / "pgstead.conf")
    kept = [ln for ln in ours.read_text().splitlines() if "max_locks_per_transaction" not in ln]
    ours.write_text("\n".join(kept) + "\n")
    with mended.superuser() as connection:
        connection.execute("SELECT pg_reload_conf()")
    told = mended.run("plan", status=3).stdout
    assert "max_locks_per_transaction" in told
    assert "RESTART" in told
