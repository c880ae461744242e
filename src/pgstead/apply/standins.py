"""Effects of changing a password: a stand-in is made, the role's own is changed, it goes again."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Iterator

from psycopg import sql

from pgstead.apply.roles import setting_value
from pgstead.apply.session import Session
from pgstead.model import scram
from pgstead.model.design import Design
from pgstead.model.resources import Role, RoleSetting
from pgstead.model.standin import standin_of

_SALT_BYTES = 16


def verifier(password: str) -> sql.Literal:
    """Return what the server stores of a password."""
    return sql.Literal(scram.verifier(password, randomness.token_bytes(_SALT_BYTES)))


def make(role: Role, password: str, design: Design, session: Session) -> None:
    """Make a role's stand-in, or mend one that is there; all of it or nothing.

    It acts as the role: whatever it makes is the role's, row-level security sees the role, and it
    has the role's settings, which membership alone would not give.
    """
    standin, own = sql.Identifier(standin_of(role.name)), sql.Identifier(role.name)
    stored = _stored(standin_of(role.name), session)
    verb = sql.SQL("CREATE ROLE {}" if stored is None else "ALTER ROLE {}").format(standin)
    attributes = sql.SQL(
        " LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        " CONNECTION LIMIT {}"
    ).format(sql.Literal(role.connection_limit))
    # Of a password that it has already no new salt is made: PgBouncer logs in with the keys of
    # the clients that are there, and these belong to the salt.
    if stored is None or not scram.matches(password, stored):
        attributes += sql.SQL(" PASSWORD {}").format(verifier(password))
    session.run(
        verb + attributes,
        sql.SQL("GRANT {} TO {}").format(own, standin),
        *_settings(role.name, standin, design),
    )


def _stored(name: str, session: Session) -> str | None:
    """Return what the server stores of a role's password, empty for none; None without a role."""
    found = session.rows(
        sql.SQL(
            "SELECT coalesce(rolpassword, '') AS stored FROM pg_catalog.pg_authid"
            " WHERE rolname = {}"
        ).format(sql.Literal(name))
    )
    return str(found[0]["stored"]) if found else None


def _settings(role: str, standin: sql.Identifier, design: Design) -> Iterator[sql.Composed]:
    own = [s for s in design.stead.all(RoleSetting) if s.role == role]
    if not any(s.name == "role" for s in own):
        own.append(RoleSetting(role, "", "role", role))
    for setting in own:
        place = sql.SQL("")
        if setting.database:
            place = sql.SQL(" IN DATABASE {}").format(sql.Identifier(setting.database))
        yield sql.SQL("ALTER ROLE {}{} SET {} = {}").format(
            standin, place, sql.Identifier(setting.name), setting_value(setting)
        )


def change(role: str, password: str, session: Session) -> None:
    """Give a role another password; the one before is refused from now on."""
    session.run(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), verifier(password))
    )


def remove(role: str, session: Session) -> None:
    """Take a role's stand-in away; sessions that it left open end."""
    standin = standin_of(role)
    told = sql.SQL("SELECT 1 AS there FROM pg_roles WHERE rolname = {}").format(
        sql.Literal(standin)
    )
    if not session.rows(told):
        return
    session.run(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(standin)))
    session.rows(
        sql.SQL(
            "SELECT pg_terminate_backend(pid, 5000) AS ended FROM pg_stat_activity"
            " WHERE usename = {}"
        ).format(sql.Literal(standin))
    )
    session.run(sql.SQL("DROP ROLE {}").format(sql.Identifier(standin)))
