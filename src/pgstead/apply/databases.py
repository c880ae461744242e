"""Effects on databases, schemas, extensions, routines and privileges."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from pgstead.apply.session import Session, Statement
from pgstead.errors import SteadError
from pgstead.model.address import Resource
from pgstead.model.operation import Operation
from pgstead.model.resources import Database, DefaultPrivilege, Extension, Grant, Routine, Schema

_CREATE_ONLY = ("encoding", "locale_provider", "locale")


def database(operation: Operation, session: Session) -> None:
    """Create a database, or alter what can be altered; dropping one is left to people."""
    wanted, found = operation.after, operation.before
    if not isinstance(wanted, Database):
        raise SteadError(
            f"database {operation.resource.key!r} is not dropped by pgstead",
            hint="DROP DATABASE by hand, after a backup",
        )
    name, owner = sql.Identifier(wanted.name), sql.Identifier(wanted.owner)
    if not isinstance(found, Database):
        session.run(sql.SQL("CREATE DATABASE {} OWNER {} {}").format(name, owner, _made(wanted)))
        session.run(*_alterations(wanted))
        return
    fixed = [f for f in _CREATE_ONLY if getattr(found, f) != getattr(wanted, f)]
    if fixed:
        told = ", ".join(f"{f} is {getattr(found, f)}" for f in fixed)
        raise SteadError(
            f"database {wanted.name!r} cannot be altered in place: {told}",
            hint="bring the manifest back to it, or dump, drop and load the database",
        )
    session.run(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))
    session.run(*_alterations(wanted))


def _made(wanted: Database) -> Statement:
    """Return the options that only CREATE DATABASE takes.

    template0, because its encoding and locale may be chosen and nobody has touched it.
    """
    encoding = sql.SQL("TEMPLATE template0 ENCODING {} ").format(sql.Literal(wanted.encoding))
    locale = sql.Literal(wanted.locale)
    match wanted.locale_provider:
        case "builtin":
            # LOCALE must be one that the operating system has; BUILTIN_LOCALE is what sorts.
            text = "LOCALE_PROVIDER builtin BUILTIN_LOCALE {} LOCALE 'C'"
        case "icu":
            text = "LOCALE_PROVIDER icu ICU_LOCALE {} LOCALE 'C'"
        case _:
            text = "LOCALE_PROVIDER libc LOCALE {}"
    return encoding + sql.SQL(text).format(locale)  # pyright: ignore[reportArgumentType]


def _alterations(wanted: Database) -> Iterable[Statement]:
    name = sql.Identifier(wanted.name)
    limit = sql.Literal(wanted.connection_limit)
    allowed = sql.Literal(wanted.allow_connections)
    yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, limit)
    yield sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, allowed)


def schema(operation: Operation, session: Session) -> None:
    """Create a schema or give it to its owner."""
    wanted = operation.after
    if not isinstance(wanted, Schema):
        raise SteadError(
            f"schema {operation.resource.key!r} is not dropped by pgstead",
            hint="DROP SCHEMA by hand, after a backup",
        )
    names = sql.Identifier(wanted.name), sql.Identifier(wanted.owner)
    # A database that this plan made brought its schema public along.
    create = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(names[0])
    give = sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(*names)
    session.run(create, give, database=wanted.database)


def extension(operation: Operation, session: Session) -> None:
    """Create an extension; one that is no longer wanted stays."""
    wanted = operation.after
    if isinstance(wanted, Extension):
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA public CASCADE")
        session.run(statement.format(sql.Identifier(wanted.name)), database=wanted.database)


def grant(operation: Operation, session: Session) -> None:
    """Make the privileges of one grantee on one object exactly what is wanted."""
    resource = operation.resource
    assert isinstance(resource, Grant)
    found, wanted = _privileges(operation.before), _privileges(operation.after)
    place = _object(resource)
    grantee = _grantee(resource.grantee)
    statements: list[Statement] = []
    for privilege in sorted(found - wanted):
        word = sql.SQL(privilege.removesuffix("*"))  # pyright: ignore[reportArgumentType]
        statements.append(sql.SQL("REVOKE {} ON {} FROM {}").format(word, place, grantee))
    for privilege in sorted(wanted - found):
        word = sql.SQL(privilege.removesuffix("*"))  # pyright: ignore[reportArgumentType]
        option = sql.SQL(" WITH GRANT OPTION" if privilege.endswith("*") else "")
        statements.append(sql.SQL("GRANT {} ON {} TO {}{}").format(word, place, grantee, option))
    inside = "postgres" if resource.object_type == "database" else resource.database
    session.run(*statements, database=inside)


def _privileges(resource: Resource | None) -> set[str]:
    return set(resource.privileges) if isinstance(resource, Grant) else set()


def _grantee(name: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if name == "PUBLIC" else sql.Identifier(name)


def _object(resource: Grant) -> sql.Composable:
    name = resource.object_name
    match resource.object_type:
        case "database":
            return sql.SQL("DATABASE {}").format(sql.Identifier(name))
        case "schema":
            return sql.SQL("SCHEMA {}").format(sql.Identifier(name))
        case "function":
            qualified, _, arguments = name.partition("(")
            # The arguments are the catalog's own words (pg_get_function_identity_arguments).
            types = sql.SQL("(" + arguments)  # pyright: ignore[reportArgumentType]
            return sql.SQL("FUNCTION {}").format(_qualified(qualified)) + types
        case "sequence":
            return sql.SQL("SEQUENCE {}").format(_qualified(name))
        case _:
            return sql.SQL("TABLE {}").format(_qualified(name))


def _qualified(name: str) -> sql.Composable:
    schema_name, _, rest = name.partition(".")
    return sql.Identifier(schema_name, rest)


def default_privilege(operation: Operation, session: Session) -> None:
    """Make the default privileges of one grantee exactly what is wanted."""
    resource = operation.resource
    assert isinstance(resource, DefaultPrivilege)
    head = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}").format(sql.Identifier(resource.owner))
    if resource.schema:
        head += sql.SQL(" IN SCHEMA {}").format(sql.Identifier(resource.schema))
    kind = sql.SQL(resource.object_type.upper())  # pyright: ignore[reportArgumentType]
    grantee = _grantee(resource.grantee)
    statements = [head + sql.SQL(" REVOKE ALL ON {} FROM {}").format(kind, grantee)]
    wanted = operation.after
    if isinstance(wanted, DefaultPrivilege) and wanted.privileges:
        words = sql.SQL(", ".join(wanted.privileges))  # pyright: ignore[reportArgumentType]
        statements.append(head + sql.SQL(" GRANT {} ON {} TO {}").format(words, kind, grantee))
    session.run(*statements, database=resource.database)


def routine(operation: Operation, session: Session) -> None:
    """Create or replace a function of pgstead's own."""
    wanted = operation.after
    if not isinstance(wanted, Routine):
        return
    qualified, _, arguments = wanted.signature.partition("(")
    settings = [_routine_setting(entry) for entry in wanted.settings]
    security = "SECURITY DEFINER" if wanted.security_definer else "SECURITY INVOKER"
    name = _qualified(qualified) + sql.SQL("(" + arguments)  # pyright: ignore[reportArgumentType]
    create = sql.SQL("CREATE OR REPLACE FUNCTION {} RETURNS {} LANGUAGE sql STABLE {} {} AS {}")
    session.run(
        create.format(
            name,
            sql.SQL(_RETURNS),
            sql.SQL(security),  # pyright: ignore[reportArgumentType]
            sql.SQL(" ").join(settings),
            sql.Literal("\n" + wanted.source + "\n"),
        ),
        sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(name, sql.Identifier(wanted.owner)),
        sql.SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC").format(name),
        database=wanted.database,
    )


# A set, so that an unknown role is no row: PgBouncer 1.18 takes a record of NULLs for an error.
_RETURNS = "TABLE (uname text, phash text)"


def _routine_setting(entry: str) -> sql.Composable:
    name, _, value = entry.partition("=")
    if name == "search_path":
        parts = [part.strip() for part in value.split(",")]
        return sql.SQL("SET search_path = {}").format(
            sql.SQL(", ").join(map(sql.Identifier, parts))
        )
    return sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
