"""The migrations of ai_agents and specgen: up, down and up again, and nothing left to migrate."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from pgstead.app import migrations
from tests.live.jeex_idea.test_migrations import CATALOG
from tests.live.scratch import Scratch, running_server
from tests.live.service import AI_AGENTS, SPECGEN, System, alembic

POLICIES = """
SELECT 'policy ' || tablename || ' ' || policyname || ' ' || permissive || ' ' || roles::text || cmd
  || coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies
UNION ALL SELECT 'security ' || relname || relrowsecurity::text || relforcerowsecurity::text
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""


@pytest.fixture(scope="module", params=[AI_AGENTS, SPECGEN], ids=lambda s: s.name)
def of_system(request: pytest.FixtureRequest) -> Iterator[tuple[System, Scratch]]:
    """Give an empty database of a system."""
    system: System = request.param
    with running_server(system.name, system.prefix) as running:
        yield system, running


def catalog(system: System, server: Scratch) -> set[str]:
    """Return what there is, one line for each thing."""
    with server.admin(system.name) as admin:
        lines = {row[0] for query in (CATALOG, POLICIES) for row in admin.execute(query.encode())}
    return {line for line in lines if "alembic_version" not in line}


def test_up_down_and_up_again_gives_the_same_and_autogenerate_finds_nothing(
    of_system: tuple[System, Scratch],
) -> None:
    system, server = of_system
    head = migrations.heads(system.folder / "migrations")[0]

    def run(*arguments: str) -> str:
        done = alembic(*arguments, connection=server.connection, system=system)
        assert "Warning" not in done.stderr
        return done.stdout + done.stderr

    assert run("current").strip().endswith("DDL.")
    assert head in run("history")
    nothing = catalog(system, server)
    run("upgrade", "head")
    first = catalog(system, server)
    assert f"{head} (head)" in run("current")
    assert "No new upgrade operations" in run("check")
    before = set((system.folder / "migrations" / "versions").glob("*.py"))
    assert "models and database agree" in run("revision", "--autogenerate", "-m", "nothing")
    assert set((system.folder / "migrations" / "versions").glob("*.py")) == before
    run("downgrade", "base")
    assert catalog(system, server) == nothing
    for _ in range(len(before)):
        run("upgrade", "+1")
    assert catalog(system, server) == first
    run("downgrade", "-1")
    run("upgrade", "head")
    assert catalog(system, server) == first


def test_the_script_of_upgrade_sql_makes_the_same(of_system: tuple[System, Scratch]) -> None:
    system, server = of_system
    script = alembic("upgrade", "head", "--sql", connection=server.connection, system=system).stdout
    alembic("upgrade", "head", connection=server.connection, system=system)
    by_alembic = catalog(system, server)
    alembic("downgrade", "base", connection=server.connection, system=system)
    with server.admin(system.name) as admin:
        admin.execute("DROP TABLE alembic_version")
    with server.connect("migrator", system.name) as migrator:
        migrator.autocommit = True
        migrator.execute(script.encode())
    assert catalog(system, server) == by_alembic


def test_every_table_forces_row_level_security_or_says_why_not(
    of_system: tuple[System, Scratch],
) -> None:
    system, server = of_system
    alembic("upgrade", "head", connection=server.connection, system=system)
    with server.admin(system.name) as admin:
        rows = admin.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind = 'r' AND NOT (relrowsecurity AND relforcerowsecurity)"
        ).fetchall()
    # the revision, and how long rows are kept: no rows of anybody
    assert {row[0] for row in rows} <= {"alembic_version", "retention_rules"}


def test_every_foreign_key_has_an_index_that_leads_with_it(
    of_system: tuple[System, Scratch],
) -> None:
    system, server = of_system
    alembic("upgrade", "head", connection=server.connection, system=system)
    with server.admin(system.name) as admin:
        bare = admin.execute(
            """
            SELECT c.conname FROM pg_constraint c WHERE contype = 'f' AND NOT EXISTS (
              SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL
                AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
            """
        ).fetchall()
    assert bare == []


@pytest.mark.parametrize("system", [AI_AGENTS, SPECGEN], ids=lambda s: s.name)
def test_every_revision_says_what_it_makes_and_loses(system: System) -> None:
    for path in (system.folder / "migrations" / "versions").glob("*.py"):
        text = path.read_text()
        assert len(re.findall(r'^    """[A-Z]', text, re.MULTILINE)) >= 2, path.name
        assert text.startswith('"""'), path.name
