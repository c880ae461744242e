"""The ways around row-level security, tried on the systems' own tables and functions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from psycopg import errors, sql

from pgstead.app.tenancy import TENANT, USER, scoped_tables
from tests.live.scratch import Scratch
from tests.live.tenancy.asking import ADA, EVE, REFUSALS, asking
from tests.live.tenancy.lab import act, one
from tests.live.tenancy.worlds import METADATA, SYSTEMS

SEALED = "AQEA" + "A" * 60


@pytest.fixture(scope="module")
def systems(every_system: Scratch) -> Iterator[Scratch]:
    """Give two tenants with a ticket each."""
    with every_system.admin("ai_agents") as admin:
        for tenant in ("acme", "globex"):
            admin.execute(
                "INSERT INTO tenant_configs (tenant_id, name, servicedesk_url,"
                " servicedesk_api_key_encrypted, webhook_signing_secret_encrypted)"
                " VALUES (%s, 'T', 'https://d.example.com', %s, %s)",
                [tenant, SEALED, SEALED],
            )
            admin.execute(
                "INSERT INTO ticket_history (tenant_id, ticket_id, description)"
                " VALUES (%s, '1', %s)",
                [tenant, f"the disk of {tenant}"],
            )
    yield every_system
    with every_system.admin("ai_agents") as admin:
        admin.execute("DELETE FROM tenant_configs WHERE tenant_id IN ('acme', 'globex')")


# -- the search of ticket_history: a function with its owner's rights ------------------------------

SEARCH = "SELECT * FROM search_tickets(%s, 100, 0)"


@pytest.mark.parametrize(
    "words",
    [
        "disk",
        "disk OR globex",
        "-acme disk",
        '"disk of globex"',
        "disk'::tsquery || 'globex",
        "\x01globex",
        "'\x01globex' | disk",
        "!!! & | <-> :*",
        "disk\\' | \\'globex",
    ],
)
def test_searching_finds_no_foreign_ticket_whatever_is_searched_for(
    systems: Scratch, words: str
) -> None:
    with asking(systems, "ai_agents", **{TENANT: "acme"}) as acme:
        found = acme.connection.execute(SEARCH, [words]).fetchall()
        own = acme.connection.execute("SELECT id FROM ticket_history").fetchall()
        assert {row[0] for row in found} <= {row[0] for row in own}
        assert all(row[2] <= len(own) for row in found)  # the total counts no foreign one


@pytest.mark.parametrize("tenant", ["", "globex'", "'", "\\", "\x01globex", "%", "a | globex", "&"])
def test_searching_as_who_is_no_tenant_finds_nothing(systems: Scratch, tenant: str) -> None:
    with asking(systems, "ai_agents", **{TENANT: tenant}) as nobody:
        assert nobody.rows(SEARCH, "disk") == 0


def test_searching_without_a_setting_finds_nothing(systems: Scratch) -> None:
    with asking(systems, "ai_agents") as nobody:
        assert nobody.rows(SEARCH, "disk") == 0
        assert nobody.rows("SELECT * FROM search_tickets(NULL, 100, 0)") == 0
        assert nobody.rows("SELECT * FROM search_tickets('disk', NULL, 0)") == 0


def test_the_search_looks_in_no_schema_of_the_caller_s(systems: Scratch) -> None:
    """Nothing of the caller's is found before what is meant; nor may the caller make anything."""
    with asking(systems, "ai_agents", **{TENANT: "acme"}) as acme:
        assert acme.refused("CREATE TABLE public.mine ()") is errors.InsufficientPrivilege
        assert acme.refused("CREATE SCHEMA mine") is errors.InsufficientPrivilege
        made = acme.refused("CREATE TEMP TABLE ticket_history (id uuid, tenant_id text)")
        assert made is errors.InsufficientPrivilege
    with systems.admin("ai_agents") as admin:  # even where temporary tables may be made
        admin.autocommit = False
        admin.execute("GRANT TEMPORARY ON DATABASE ai_agents TO ai_agents_app")
        admin.execute("SET LOCAL ROLE ai_agents_app")
        admin.execute("CREATE TEMP TABLE ticket_history AS SELECT * FROM public.ticket_history")
        admin.execute("CREATE FUNCTION pg_temp.numnode(tsquery) RETURNS int RETURN 0")
        admin.execute("SET LOCAL search_path = pg_temp, public, pg_catalog")
        act(admin, **{TENANT: "acme"})
        assert len(admin.execute(SEARCH, ["disk"]).fetchall()) == 1
        admin.rollback()


def test_the_functions_of_the_systems_are_bound_and_pinned(systems: Scratch) -> None:
    """None is leakproof, none with its owner's rights but the search, each has a search_path."""
    query = """
        SELECT p.oid::regprocedure::text, p.prosecdef, p.proleakproof,
               coalesce(array_to_string(p.proconfig, ','), '')
        FROM pg_proc AS p WHERE pronamespace = 'public'::regnamespace
    """
    definers: set[str] = set()
    for name in SYSTEMS:
        with systems.admin(name) as admin:
            for function, definer, leakproof, configured in admin.execute(query.encode()):
                assert not leakproof, function
                if definer:
                    definers.add(function)
                    assert "search_path=pg_catalog, public, pg_temp" in configured
    assert definers == {"search_tickets(text,integer,integer)"}


# -- what holds for every table -------------------------------------------------------------------


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_application_gets_past_no_table_s_policies(systems: Scratch, name: str) -> None:
    with asking(systems, name, **{USER: EVE, TENANT: "acme"}) as app:
        for role in ("owner", "admin", "migrator"):
            for statement in ("SET ROLE {}", "SET SESSION AUTHORIZATION {}"):
                refusal = app.refused(statement.format(f"{name}_{role}"))
                assert refusal is errors.InsufficientPrivilege
        for table, _ in scoped_tables(METADATA[name]):
            for statement in (
                "TRUNCATE {} CASCADE",
                "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
                "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY",
                "CREATE POLICY mine ON {} USING (true)",
                "CREATE VIEW public.spy AS SELECT * FROM {}",
                "CREATE RULE spy AS ON INSERT TO {} DO ALSO NOTHING",
                "ANALYZE {}",  # a warning, and nothing is done
            ):
                quoted = statement.format(sql.Identifier(table.name).as_string())
                if not quoted.startswith("ANALYZE"):
                    assert app.refused(quoted) is errors.InsufficientPrivilege, quoted


@pytest.mark.parametrize("name", SYSTEMS)
def test_statistics_of_protected_tables_are_hidden_from_the_application(
    systems: Scratch, name: str
) -> None:
    with systems.admin(name) as admin:
        admin.execute("ANALYZE")
    with asking(systems, name, **{USER: EVE, TENANT: "acme"}) as app:
        tables = [table.name for table, _ in scoped_tables(METADATA[name])]
        for view in ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"):
            assert app.rows(f"SELECT FROM {view} WHERE tablename = ANY (%s)", tables) == 0
        for catalog in ("pg_statistic", "pg_statistic_ext_data"):
            assert app.refused(f"SELECT FROM {catalog}") is errors.InsufficientPrivilege


def test_no_view_partition_or_inherited_table_leads_past_a_policy(systems: Scratch) -> None:
    """There is none; one that comes is tried by TEN-022 and TEN-024 of `pgstead prove`."""
    query = """
        SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND (relkind IN ('v', 'm', 'f', 'p')
              OR relispartition OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = pg_class.oid
                                           AND relkind = 'r'))
    """
    for name in SYSTEMS:
        with systems.admin(name) as admin:
            assert admin.execute(query).fetchall() == []


UNIQUE_AMONG_ALL = {
    # what tells a stranger that a value is taken, and why it has to
    "users": {"users_email_key"},  # an address is one person's
    "workspaces": {"workspaces_slug_key"},  # its name in addresses
    "tenant_configs": {"ix_tenant_configs_tenant_id"},  # the tenant itself
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_unique_among_all_is_a_key_or_named_here(systems: Scratch, name: str) -> None:
    """A key is a uuid made by nobody's choice; any other value would tell that it exists."""
    for table, security in scoped_tables(METADATA[name]):
        owned = {*security.columns, *(key.parent.name for key in table.foreign_keys)}
        found = {
            str(unique.name)
            for unique in (*table.constraints, *table.indexes)
            if getattr(unique, "unique", type(unique).__name__ == "UniqueConstraint")
            and not owned & {column.name for column in getattr(unique, "columns", ())}
        }
        allowed = UNIQUE_AMONG_ALL.get(table.name, set())
        assert {n for n in found if "None" not in n} <= allowed | {"None"}, (table.name, found)


def test_an_account_of_jeex_idea_is_its_person_s_alone(systems: Scratch) -> None:
    email = f"{uuid.uuid4()}@example.com"
    add = "INSERT INTO users (id, email, name) VALUES (%s, %s, 'N')"
    with systems.admin("jeex_idea") as admin:
        admin.execute(add, [ADA, email])
    try:
        with asking(systems, "jeex_idea", **{USER: EVE}) as eve:
            assert eve.rows("SELECT FROM users WHERE email = %s", email) == 0
            assert eve.rows("UPDATE users SET name = 'x' WHERE id = %s", ADA) == 0
            assert eve.rows("DELETE FROM users WHERE id = %s", ADA) == 0
            forged = eve.refused(add, uuid.uuid4(), "other@example.com")
            assert forged is errors.InsufficientPrivilege
            project = "INSERT INTO projects (name, created_by) VALUES ('P', %s)"
            assert eve.refused(project, ADA) is errors.InsufficientPrivilege
        with asking(systems, "jeex_idea") as nobody:
            assert nobody.rows("SELECT FROM users") == 0
            assert nobody.refused(add, uuid.uuid4(), "x@example.com") in REFUSALS
        with asking(systems, "jeex_idea", "admin") as admin:
            assert one(admin.connection, "SELECT count(*) FROM users WHERE id = %s", ADA) == 1
    finally:
        with systems.admin("jeex_idea") as admin:
            admin.execute("DELETE FROM users WHERE id = %s", [ADA])
