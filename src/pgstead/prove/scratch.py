"""Scratch roles: made on the administrative socket for one attempt, and always removed.

They carry a random password, expire within minutes by themselves, and own nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from pgstead.model import scram

if TYPE_CHECKING:
    from pgstead.prove.session import Session
    from pgstead.prove.witness import Witness

PREFIX = "pgstead_proof_"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A role for one attempt."""

    name: str
    password: str = field(repr=False)


def scratch_name() -> str:
    """Return a name that no one else has."""
    return PREFIX + secrets.token_hex(6)


@contextmanager
def scratch_role(
    witness: Witness, database: str, word: str, options: str = "LOGIN", *, valid: str = "5 minutes"
) -> Generator[Scratch]:
    """Make a role that may connect to the database; `valid` is from now, and may be past.

    The name is the same in every run: PgBouncer keeps a pool for each name that it ever served.
    """
    made = Scratch(PREFIX + word, secrets.token_urlsafe(24))
    with witness.backstage(database, write=True) as session:
        _sweep(session)
        try:
            _create(session, made, database, options, valid)
            yield made
        finally:
            _drop(session, made.name)


def _create(session: Session, made: Scratch, database: str, options: str, valid: str) -> None:
    connection = session.connection
    until = connection.execute("SELECT (now() + %s::interval)::text", [valid]).fetchone()
    assert until is not None
    stored = scram.verifier(made.password, secrets.token_bytes(16))
    statement = sql.SQL("CREATE ROLE {} {} PASSWORD {} VALID UNTIL {}").format(
        sql.Identifier(made.name),
        sql.SQL(_trusted(options)),
        sql.Literal(stored),
        sql.Literal(until[0]),
    )
    connection.execute(statement)
    grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
    connection.execute(grant.format(sql.Identifier(database), sql.Identifier(made.name)))


def _drop(session: Session, name: str) -> None:
    role = sql.Identifier(name)
    session.connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
    session.connection.execute(sql.SQL("DROP ROLE {}").format(role))


def _sweep(session: Session) -> None:
    """Remove what a killed run left behind: its roles have expired."""
    left = session.connection.execute(
        "SELECT rolname FROM pg_catalog.pg_roles"
        " WHERE starts_with(rolname::text, %s) AND rolvaliduntil < now() - interval '10 minutes'",
        [PREFIX],
    ).fetchall()
    for (name,) in left:
        _drop(session, name)


def _trusted(options: str) -> LiteralString:
    """Return the options as text of ours, which is all that may stand in a statement."""
    known: dict[str, LiteralString] = {
        "LOGIN": "LOGIN",
        "LOGIN SUPERUSER": "LOGIN SUPERUSER",
        "LOGIN REPLICATION": "LOGIN REPLICATION",
    }
    return known[options]
