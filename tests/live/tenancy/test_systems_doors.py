"""The ways around row-level security, tried on the systems' own tables, functions and policies."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from pgstead.app.tenancy import scoped_tables
from systems.specgen.models.people import SIGNING_IN
from tests.live.scratch import Scratch
from tests.live.tenancy.lab import TENANT, USER, act, one
from tests.live.tenancy.worlds import METADATA

ADA, EVE = (uuid.UUID(int=(0x0190 << 112) | (7 << 76) | (2 << 62) | n) for n in (1, 2))
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"
SEALED = "AQEA" + "A" * 60
REFUSALS = (errors.InsufficientPrivilege, errors.UniqueViolation)


@pytest.fixture(scope="module")
def systems(every_system: Scratch) -> Iterator[Scratch]:
    """Give Ada and Eve, each with a workspace (in specgen) and a tenant (in ai_agents)."""
    with every_system.admin("specgen") as admin:
        for person in (ADA, EVE):
            values = {"id": person, "email": f"{person.hex}@example.com", "hash": HASH}
            for statement in SETTLED:
                admin.execute(statement.encode(), values)
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
    with every_system.admin("specgen") as admin:
        admin.execute("DELETE FROM users WHERE id = ANY (%s)", [[ADA, EVE]])
    with every_system.admin("ai_agents") as admin:
        admin.execute("DELETE FROM tenant_configs WHERE tenant_id IN ('acme', 'globex')")


SETTLED = (
    "INSERT INTO users (id, email, password_hash) VALUES (%(id)s, %(email)s, %(hash)s)",
    "INSERT INTO workspaces (id, name, slug, owner_id) VALUES"
    " (%(id)s, 'W', 'w-' || %(id)s::text, %(id)s)",
    "INSERT INTO workspace_members (id, workspace_id, owner_id, user_id, role)"
    " VALUES (%(id)s, %(id)s, %(id)s, %(id)s, 'owner')",
    "INSERT INTO projects (id, workspace_id, name, project_type)"
    " VALUES (%(id)s, %(id)s, 'P', 'greenfield')",
    "INSERT INTO audit_logs (user_id, workspace_id, action) VALUES (%(id)s, %(id)s, 'login')",
)


@dataclass
class Asking:
    """A transaction of somebody, which is undone."""

    connection: psycopg.Connection[Any]

    def rows(self, statement: str, *values: object) -> int:
        """Return how many rows a statement finds or touches."""
        return self.connection.execute(statement.encode(), values).rowcount

    def refused(self, statement: str, *values: object) -> type[BaseException]:
        """Return how a statement is refused."""
        with pytest.raises(psycopg.Error) as caught, self.connection.transaction():
            self.connection.execute(statement.encode(), values)
        return caught.type


@contextmanager
def asking(scratch: Scratch, system: str, role: str = "app", **said: object) -> Iterator[Asking]:
    """Ask as somebody; nothing stays."""
    with scratch.connect(role, system) as connection:
        act(connection, **said)
        yield Asking(connection)
        connection.rollback()


# -- workspaces: who belongs ----------------------------------------------------------------------


def invite(asker: Asking, member: uuid.UUID, role: str, workspace: uuid.UUID = ADA) -> int:
    """Write a membership."""
    return asker.rows(
        "INSERT INTO workspace_members (workspace_id, owner_id, user_id, role)"
        " VALUES (%s, %s, %s, %s)",
        *(workspace, ADA, member, role),
    )


def test_nobody_asks_themselves_into_a_workspace(systems: Scratch) -> None:
    with asking(systems, "specgen", **{USER: EVE}) as eve:
        assert eve.rows("SELECT FROM projects") == 1
        for owner in (ADA, EVE):  # by the truth, and by a lie that the foreign key finds
            refusal = eve.refused(
                "INSERT INTO workspace_members (workspace_id, owner_id, user_id, role)"
                " VALUES (%s, %s, %s, 'viewer')",
                *(ADA, owner, EVE),
            )
            assert refusal in (errors.InsufficientPrivilege, errors.ForeignKeyViolation)
        move = "UPDATE workspace_members SET workspace_id = %s, owner_id = %s WHERE user_id = %s"
        assert eve.refused(move, ADA, ADA, EVE) is errors.InsufficientPrivilege
        assert eve.rows("SELECT FROM projects") == 1


def test_a_member_neither_promotes_themselves_nor_invites_nor_takes_over(
    systems: Scratch,
) -> None:
    with asking(systems, "specgen", **{USER: ADA}) as asker:
        assert invite(asker, EVE, "viewer") == 1
        act(asker.connection, **{USER: EVE})
        assert asker.rows("SELECT FROM workspaces") == 2
        for change in ("role = 'owner'", "is_active = true"):
            update = f"UPDATE workspace_members SET {change} WHERE workspace_id = %s"
            assert asker.refused(update, ADA) is errors.InsufficientPrivilege
        take = "UPDATE workspaces SET owner_id = %s WHERE id = %s"
        assert asker.refused(take, EVE, ADA) is errors.CheckViolation
        assert asker.rows("SELECT FROM workspace_members WHERE user_id = %s", ADA) == 0
        act(asker.connection, **{USER: ADA})
        assert asker.rows(take, EVE, ADA) == 1  # the owner gives it away


def test_who_is_removed_or_switched_off_sees_nothing_any_more(systems: Scratch) -> None:
    with asking(systems, "specgen", **{USER: ADA}) as asker:
        assert invite(asker, EVE, "editor") == 1
        act(asker.connection, **{USER: EVE})
        assert asker.rows("SELECT FROM projects") == 2
        for end in ("UPDATE workspace_members SET is_active = false", "DELETE FROM workspace_members"):
            act(asker.connection, **{USER: ADA})
            assert asker.rows(f"{end} WHERE user_id = %s", EVE) == 1
            act(asker.connection, **{USER: EVE})
            assert asker.rows("SELECT FROM projects WHERE workspace_id = %s", ADA) == 0
            assert asker.rows("SELECT FROM workspaces WHERE id = %s", ADA) == 0
            assert asker.refused(
                "INSERT INTO projects (workspace_id, name, project_type)"
                " VALUES (%s, 'Q', 'greenfield')",
                ADA,
            ) is errors.InsufficientPrivilege


def test_a_former_owner_sees_what_members_see(systems: Scratch) -> None:
    with asking(systems, "specgen", **{USER: ADA}) as asker:
        assert asker.rows("UPDATE workspaces SET owner_id = %s WHERE id = %s", EVE, ADA) == 1
        owned = "SELECT FROM workspace_members WHERE workspace_id = %s"
        assert asker.rows(owned, ADA) == 1  # her own membership, kept; not the others'
        act(asker.connection, **{USER: EVE})
        assert asker.rows(owned, ADA) == 1
        assert asker.rows("DELETE FROM workspace_members WHERE user_id = %s", ADA) == 1


def test_the_audit_log_takes_what_one_did_where_one_belongs(systems: Scratch) -> None:
    line = "INSERT INTO audit_logs (user_id, workspace_id, action) VALUES (%s, %s, 'login')"
    with asking(systems, "specgen", **{USER: EVE}) as eve:
        for person, workspace in ((EVE, ADA), (ADA, EVE), (ADA, ADA), (None, EVE)):
            assert eve.refused(line, person, workspace) is errors.InsufficientPrivilege
        assert eve.rows(line, EVE, EVE) == 1
        assert eve.rows(line, EVE, None) == 1
        assert eve.rows("SELECT FROM audit_logs WHERE workspace_id = %s", ADA) == 0


@pytest.mark.parametrize("table", ["branches", "decisions", "artifacts", "codebase_analyses"])
def test_a_row_of_a_workspace_points_at_no_project_of_another(systems: Scratch, table: str) -> None:
    more = {
        "branches": ("name", "b"),
        "decisions": ("question_text", "?"),
        "artifacts": ("title", "t"),
        "codebase_analyses": ("commit_sha", "abcdef0"),
    }[table]
    kinds = (", artifact_type", ", 'prd'") if table == "artifacts" else ("", "")
    insert = (
        f"INSERT INTO {table} (workspace_id, project_id, {more[0]}{kinds[0]})"
        f" VALUES (%s, %s, %s{kinds[1]})"
    )
    with asking(systems, "specgen", **{USER: EVE}) as eve:
        assert eve.refused(insert, EVE, ADA, more[1]) is errors.ForeignKeyViolation
        assert eve.refused(insert, ADA, ADA, more[1]) is errors.InsufficientPrivilege
        assert eve.rows(insert, EVE, EVE, more[1]) == 1


# -- signing in -----------------------------------------------------------------------------------


def test_the_address_of_who_signs_in_shows_one_row_and_opens_nothing(systems: Scratch) -> None:
    with asking(systems, "specgen", **{SIGNING_IN: f"{ADA.hex}@example.com"}) as nobody:
        assert nobody.rows("SELECT FROM users") == 1
        for statement in (
            "UPDATE users SET password_hash = password_hash",
            "DELETE FROM users",
            "SELECT FROM users FOR UPDATE",
            "SELECT FROM users FOR KEY SHARE",
        ):
            assert nobody.rows(statement) == 0
        for table in ("user_sessions", "workspaces", "projects", "audit_logs"):
            assert nobody.rows(f"SELECT FROM {table}") == 0
        session = "INSERT INTO user_sessions (user_id, token_hash, expires_at) VALUES (%s, %s, now())"
        assert nobody.refused(session, ADA, b"0" * 32) is errors.InsufficientPrivilege
        add = "INSERT INTO users (id, email, password_hash) VALUES (%s, %s, %s)"
        for email in (f"{ADA.hex}@example.com", "new@example.com"):
            assert nobody.refused(add, uuid.uuid4(), email, HASH) is errors.InsufficientPrivilege


@pytest.mark.parametrize("said", ["", "%", "%@example.com", "' OR true --", "\\", "*", "null"])
def test_what_is_no_address_shows_nobody(systems: Scratch, said: str) -> None:
    with asking(systems, "specgen", **{SIGNING_IN: said}) as nobody:
        assert nobody.rows("SELECT FROM users") == 0


def test_who_is_signed_in_opens_no_other_row_by_an_address(systems: Scratch) -> None:
    said = {USER: EVE, SIGNING_IN: f"{ADA.hex}@example.com"}
    with asking(systems, "specgen", **said) as eve:
        assert eve.rows("SELECT FROM users") == 2  # hers, and the one that is asked for
        assert eve.rows("UPDATE users SET full_name = 'x'") == 1
        assert eve.rows("DELETE FROM users WHERE id = %s", ADA) == 0
        steal = "UPDATE users SET id = %s WHERE id = %s"
        assert eve.refused(steal, uuid.uuid4(), EVE) is errors.InsufficientPrivilege
        upsert = (
            "INSERT INTO users (id, email, password_hash) VALUES (%s, %s, %s)"
            " ON CONFLICT (email) DO UPDATE SET password_hash = EXCLUDED.password_hash"
        )
        # by the other row's policy, or because her key is taken
        assert eve.refused(upsert, EVE, f"{ADA.hex}@example.com", HASH) in REFUSALS


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
    for name in METADATA.keys() & {"jeex_idea", "ai_agents", "specgen"}:
        with systems.admin(name) as admin:
            for function, definer, leakproof, configured in admin.execute(query.encode()):
                assert not leakproof, function
                if definer:
                    definers.add(function)
                    assert "search_path=pg_catalog, public, pg_temp" in configured
    assert definers == {"search_tickets(text,integer,integer)"}


# -- what holds for every table -------------------------------------------------------------------

SYSTEMS = ("jeex_idea", "ai_agents", "specgen")


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
