"""What an application role reaches for and does not get. Each attempt is rolled back."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.design import DatabasePlan
from pgstead.prove.finding import Finding
from pgstead.prove.promise import promise
from pgstead.prove.scratch import scratch_name
from pgstead.prove.session import DENIED, Session
from pgstead.prove.witness import Witness

ROLES = Capability.ROLES
_NEEDS = ("door", "database")

_TABLES = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY (%s) ORDER BY 1, 2
"""
_OWN_SCHEMAS = ["public", "pgstead"]


def tables(
    w: Witness, plan: DatabasePlan, schemas: list[str] | None = None
) -> list[sql.Identifier]:
    """Return the tables of a database."""
    told = w.look(_TABLES, [schemas or _OWN_SCHEMAS], plan.name)
    return [sql.Identifier(schema, name) for schema, name in told.value]


def each_application(w: Witness) -> Iterator[tuple[DatabasePlan, Session]]:
    """Yield a session of each application role by each door: what one grants the other must not."""
    for plan in w.databases:
        for door in w.doors:
            with w.session(plan.app, plan.name, door.name) as session:
                yield plan, session


@promise(
    "ROL-030",
    "the application role creates nothing: no table, schema, function, type, extension or role",
    requirement="ROL-1 ROL-2",
    capability=ROLES,
    needs=_NEEDS,
)
def the_application_creates_nothing(w: Witness) -> Iterator[Finding]:
    name = scratch_name()
    statements = (
        f"CREATE TABLE public.{name} (n int)",
        f"CREATE VIEW public.{name} AS SELECT 1 AS n",
        f"CREATE SEQUENCE public.{name}",
        f"CREATE FUNCTION public.{name}() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        f"CREATE TYPE public.{name} AS ENUM ('a')",
        f"CREATE SCHEMA {name}",
        "CREATE EXTENSION file_fdw",
        f"CREATE ROLE {name}",
        f"CREATE PUBLICATION {name}",
        f"CREATE TEMPORARY TABLE {name} (n int)",
        (
            f"CREATE SUBSCRIPTION {name} CONNECTION 'host=localhost' PUBLICATION {name}"
            " WITH (connect = false)"
        ),
        f"CREATE FOREIGN DATA WRAPPER {name}",
    )
    for _plan, session in each_application(w):
        for statement in statements:
            yield session.must_refuse(statement)


@promise(
    "ROL-031",
    "the application role alters, drops and truncates no table, and puts no index, trigger or"
    " policy on one",
    requirement="ROL-1",
    capability=ROLES,
    needs=_NEEDS,
)
def the_application_alters_nothing(w: Witness) -> Iterator[Finding]:
    attempts = (
        "DROP TABLE {} CASCADE",
        "ALTER TABLE {} ADD COLUMN pgstead_proof int",
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "ALTER TABLE {} OWNER TO CURRENT_USER",
        "TRUNCATE {} CASCADE",
        "COMMENT ON TABLE {} IS 'pgstead proof'",
        "CREATE INDEX ON {} ((1))",
        "REINDEX TABLE {}",
        "CREATE POLICY pgstead_proof ON {} USING (true)",
        (
            "CREATE TRIGGER pgstead_proof BEFORE UPDATE ON {} FOR EACH ROW"
            " EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()"
        ),
    )
    for plan, session in each_application(w):
        found = tables(w, plan, ["public"])
        for table in found:
            for attempt in attempts:
                yield session.must_refuse(sql.SQL(attempt).format(table))
        if not found:
            # An empty database: there is still the database itself to alter.
            statement = sql.SQL("COMMENT ON DATABASE {} IS 'pgstead proof'")
            yield session.must_refuse(statement.format(sql.Identifier(plan.name)))


@promise(
    "ROL-032",
    "the application role reaches no file and no program of the server",
    requirement="ROL-1",
    capability=ROLES,
    needs=_NEEDS,
)
def the_application_reaches_no_file(w: Witness) -> Iterator[Finding]:
    statements = (
        "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'",
        # a file that anybody may write to: a refusal is the server's, and not the system's
        "COPY (SELECT 1) TO '/dev/null'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_read_binary_file('PG_VERSION')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_stat_file('PG_VERSION')",
        "SELECT lo_import('/etc/hostname')",
        "SELECT pg_ls_logdir()",
    )
    for plan, session in each_application(w):
        for statement in statements:
            yield session.must_refuse(statement)
        for table in tables(w, plan, ["public"])[:1]:
            yield session.must_refuse(sql.SQL("COPY {} FROM '/dev/null'").format(table))


@promise(
    "ROL-033",
    "the application role reads no password, no rule file and no other role's statements",
    requirement="ROL-1 ROL-4",
    capability=ROLES,
    needs=_NEEDS,
)
def the_application_reads_no_secret(w: Witness) -> Iterator[Finding]:
    statements = (
        "SELECT rolpassword FROM pg_catalog.pg_authid",
        "SELECT passwd FROM pg_catalog.pg_shadow",
        "SELECT * FROM pg_catalog.pg_hba_file_rules",
        "SELECT * FROM pg_catalog.pg_file_settings",
        "SELECT umoptions FROM pg_catalog.pg_user_mapping",
        "SELECT subconninfo FROM pg_catalog.pg_subscription",
    )
    hidden = "SELECT query FROM pg_catalog.pg_stat_activity WHERE pid = %s"
    for _plan, session in each_application(w):
        for statement in statements:
            yield session.must_refuse(statement)
        with w.backstage() as other:
            backend = other.ask("SELECT pg_backend_pid()").value[0][0]
            told = session.ask(hidden, [backend])
        yield told.shows(
            holds=told.value == [("<insufficient privilege>",)],
            expected="<insufficient privilege> for a superuser's statement",
        )


@promise(
    "ROL-034",
    "the application role becomes no other role",
    requirement="ROL-1",
    capability=ROLES,
    needs=_NEEDS,
)
def the_application_becomes_no_one(w: Witness) -> Iterator[Finding]:
    others = [w.design.superuser, w.design.lookup_role, w.design.backup_role]
    for plan, session in each_application(w):
        known = (plan.owner, plan.admin, plan.migrator, plan.readonly, *others)
        for role in dict.fromkeys(known):
            name = sql.Identifier(role)
            yield session.must_refuse(sql.SQL("SET LOCAL ROLE {}").format(name))
        superuser = sql.Identifier(w.design.superuser)
        statement = sql.SQL("SET LOCAL SESSION AUTHORIZATION {}")
        yield session.must_refuse(statement.format(superuser))


@promise(
    "ROL-035",
    "the application role steers nothing: no system setting, no other session, no log",
    requirement="ROL-1 AUD-2",
    capability=ROLES,
    needs=_NEEDS,
)
def the_application_steers_nothing(w: Witness) -> Iterator[Finding]:
    statements = (
        "SET LOCAL session_replication_role = 'replica'",
        "SET LOCAL log_statement = 'none'",
        "SET LOCAL log_min_duration_statement = -1",
        "SET LOCAL zero_damaged_pages = on",
        "LOAD 'auto_explain'",
        "SELECT pg_reload_conf()",
        "SELECT pg_switch_wal()",
        "SELECT pg_create_restore_point('pgstead proof')",
        "CHECKPOINT",
    )
    for _plan, session in each_application(w):
        for statement in statements:
            states = (*DENIED, "22023") if statement.startswith("LOAD") else DENIED
            yield session.must_refuse(statement, states=states)
        # Cannot run in a transaction; SRV-004 sees to it that there is nothing to take back.
        yield session.must_refuse("ALTER SYSTEM RESET work_mem", rehearsed=False)
        with w.backstage() as other:
            backend = other.ask("SELECT pg_backend_pid()").value[0][0]
            yield session.must_refuse("SELECT pg_cancel_backend(%s)", [backend])


@promise(
    "ROL-036",
    "the read-only role reads every table of its database and writes none",
    requirement="ROL-1",
    capability=ROLES,
    needs=_NEEDS,
)
def the_reader_only_reads(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        found = tables(w, plan, ["public"])
        with w.session(plan.readonly, plan.name, w.doors[-1].name) as session:
            for table in found:
                # Whatever the role's default is, it may ask for a writing transaction.
                told = session.ask(
                    sql.SQL("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1) AS t").format(table)
                )
                yield told.kept()
                for attempt in ("DELETE FROM {} WHERE false", "INSERT INTO {} DEFAULT VALUES"):
                    yield _writes_nothing(session, sql.SQL(attempt).format(table))
            scratch = sql.Identifier(scratch_name())
            yield _writes_nothing(
                session, sql.SQL("CREATE TABLE public.{} (n int)").format(scratch)
            )


def _writes_nothing(session: Session, statement: sql.Composed) -> Finding:
    """Try to write in a transaction that asks to be writable: privileges have to hold too."""
    with session.undone():
        session.attempt("SET TRANSACTION READ WRITE")
        return session.must_refuse(statement)


PROMISES = (
    the_application_creates_nothing,
    the_application_alters_nothing,
    the_application_reaches_no_file,
    the_application_reads_no_secret,
    the_application_becomes_no_one,
    the_application_steers_nothing,
    the_reader_only_reads,
)
