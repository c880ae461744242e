"""Effects on roles. Passwords travel as SCRAM verifiers, never plain."""

from __future__ import annotations

import secrets as randomness
from typing import LiteralString

from psycopg import sql

from pgstead.apply.session import Session
from pgstead.errors import SteadError
from pgstead.model import scram
from pgstead.model.operation import Operation
from pgstead.model.resources import Membership, Password, Role, RoleSetting
from pgstead.ports import Secrets

_SALT_BYTES = 16  # src/include/common/scram-common.h, SCRAM_DEFAULT_SALT_LEN

_FLAGS: tuple[tuple[str, LiteralString, LiteralString], ...] = (
    ("login", "LOGIN", "NOLOGIN"),
    ("superuser", "SUPERUSER", "NOSUPERUSER"),
    ("createdb", "CREATEDB", "NOCREATEDB"),
    ("createrole", "CREATEROLE", "NOCREATEROLE"),
    ("replication", "REPLICATION", "NOREPLICATION"),
    ("bypassrls", "BYPASSRLS", "NOBYPASSRLS"),
    ("inherit", "INHERIT", "NOINHERIT"),
)


def role(operation: Operation, secrets: Secrets, session: Session) -> None:
    """Create or alter a role. Dropping one is left to people: it may own things."""
    wanted, found = operation.after, operation.before
    if not isinstance(wanted, Role):
        raise SteadError(
            f"role {operation.resource.key!r} is not dropped by pgstead",
            hint="REASSIGN OWNED and DROP ROLE by hand once nothing depends on it",
        )
    verb = sql.SQL("CREATE ROLE {}" if found is None else "ALTER ROLE {}")
    attributes: list[sql.Composable] = [
        sql.SQL(yes if getattr(wanted, field) else no) for field, yes, no in _FLAGS
    ]
    attributes.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(wanted.connection_limit)))
    until = wanted.valid_until or "infinity"
    attributes.append(sql.SQL("VALID UNTIL {}").format(sql.Literal(until)))
    known = found.password if isinstance(found, Role) else None
    if wanted.password is not known:
        attributes.append(_password(wanted, secrets))
    name = verb.format(sql.Identifier(wanted.name))
    session.run(sql.SQL(" ").join([name, *attributes]))


def _password(wanted: Role, secrets: Secrets) -> sql.Composable:
    if wanted.password is Password.NONE:
        return sql.SQL("PASSWORD NULL")
    stored = scram.verifier(secrets.value(wanted.name), randomness.token_bytes(_SALT_BYTES))
    return sql.SQL("PASSWORD {}").format(sql.Literal(stored))


def membership(operation: Operation, major: int, session: Session) -> None:
    """Grant, change or revoke a membership."""
    resource = operation.resource
    assert isinstance(resource, Membership)
    names = sql.Identifier(resource.role), sql.Identifier(resource.member)
    revoke = sql.SQL("REVOKE {} FROM {}").format(*names)
    wanted = operation.after
    if not isinstance(wanted, Membership):
        session.run(revoke)
        return
    grant = sql.SQL("GRANT {} TO {}").format(*names)
    if major >= 16:
        options = sql.SQL(" WITH ADMIN {}, INHERIT {}, SET {}").format(
            *(
                sql.SQL("TRUE" if on else "FALSE")
                for on in (wanted.admin, wanted.inherit, wanted.set)
            )
        )
    else:
        options = sql.SQL(" WITH ADMIN OPTION") if wanted.admin else sql.SQL("")
    statements = [grant + options] if operation.before is None else [revoke, grant + options]
    session.run(*statements)


def setting(operation: Operation, session: Session) -> None:
    """Set or reset a setting bound to a role, a database, or both."""
    resource = operation.resource
    assert isinstance(resource, RoleSetting)
    name = sql.SQL(".").join(map(sql.Identifier, resource.name.split(".")))
    wanted = operation.after
    if isinstance(wanted, RoleSetting):
        tail = sql.SQL("SET {} = {}").format(name, setting_value(wanted))
    else:
        tail = sql.SQL("RESET {}").format(name)
    session.run(sql.SQL(" ").join([_target(resource), tail]))


def _target(resource: RoleSetting) -> sql.Composable:
    database = sql.Identifier(resource.database)
    if not resource.role and resource.database:
        return sql.SQL("ALTER DATABASE {}").format(database)
    who = sql.Identifier(resource.role) if resource.role else sql.SQL("ALL")
    place = sql.SQL(" IN DATABASE {}").format(database) if resource.database else sql.SQL("")
    return sql.SQL("ALTER ROLE {}{}").format(who, place)


def setting_value(wanted: RoleSetting) -> sql.Composable:
    """Quote a value; the elements of a search_path are identifiers of their own."""
    if wanted.name == "search_path":
        parts = [part.strip().strip('"') for part in wanted.value.split(",")]
        return sql.SQL(", ").join(map(sql.Identifier, parts))
    return sql.Literal(wanted.value)
