"""One migrated database, and its copies: each as it would be if `up` had made it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

TEMPLATE = "pgstead_template"

_PATIENCE = 5.0  # seconds; then DROP DATABASE waits, and says what it waits for
_POLL = 0.001

_SEND_AWAY = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"

Superuser = psycopg.Connection[dict[str, Any]]

# What CREATE DATABASE does not copy: who may connect, the limit, the settings of roles in it.
# Straight in the catalogue, because a GRANT or SET that says the same cannot be written without
# taking values apart and quoting them again; these databases live for a second.
_COPY_ACCESS = """
    WITH known AS (SELECT oid, datacl, datconnlimit FROM pg_database WHERE datname = %(known)s),
    copied AS (
        INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
        SELECT n.oid, s.setrole, s.setconfig
        FROM pg_db_role_setting AS s JOIN known AS k ON s.setdatabase = k.oid
        CROSS JOIN pg_database AS n WHERE n.datname = %(new)s
    )
    UPDATE pg_database AS n SET datacl = k.datacl, datconnlimit = k.datconnlimit
    FROM known AS k WHERE n.datname = %(new)s
"""

# Roles that policies do not bind, or that may change the schema, with the reason. A superuser is
# a member of everything, so the plain facts come first.
_PRIVILEGED = """
    SELECT r.rolname AS role, CASE
        WHEN r.rolsuper THEN 'it is superuser'
        WHEN r.rolbypassrls THEN 'it bypasses row-level security'
        WHEN r.rolcreaterole THEN 'it may make roles'
        WHEN r.oid = d.datdba THEN 'it owns the database'
        ELSE 'it may become ' || d.datdba::regrole || ', the owner'
    END AS why
    FROM pg_roles AS r CROSS JOIN pg_database AS d
    WHERE d.datname = %s AND r.rolname NOT LIKE 'pg\\_%%'
      AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole
           OR pg_has_role(r.oid, d.datdba, 'MEMBER'))
"""


@dataclass(frozen=True, slots=True)
class Copies:
    """Makes and drops copies of the template, by the superuser's connection."""

    owner: str

    def create(self, superuser: Superuser, name: str, strategy: str = "WAL_LOG") -> None:
        """Make a copy with its owner's, roles' and readers' rights."""
        superuser.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY {}").format(
                sql.Identifier(name),
                sql.Identifier(TEMPLATE),
                sql.Identifier(self.owner),
                sql.Literal(strategy),
            )
        )
        copy_access(superuser, TEMPLATE, name)

    def drop(self, superuser: Superuser, name: str) -> None:
        """Drop a copy, whoever is still connected.

        Who is there (the pooler keeps connections) is sent away first: the server itself would
        look for them ten times a second only.
        """
        until = time.monotonic() + _PATIENCE
        while superuser.execute(_SEND_AWAY, [name]).rowcount and time.monotonic() < until:
            time.sleep(_POLL)
        superuser.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def copy_access(superuser: Superuser, known: str, new: str) -> None:
    """Give a database the access rules of another."""
    superuser.execute(_COPY_ACCESS, {"known": known, "new": new})


def settle(superuser: Superuser, database: str, owner: str, lookup: str) -> None:
    """Make the template of a migrated database, and close the original to everybody.

    The pooler's look-up alone goes on there, which is why it cannot be the template itself.
    """
    name = sql.Identifier(database)
    superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
    superuser.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
        [database],
    )
    superuser.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY").format(
            sql.Identifier(TEMPLATE), name, sql.Identifier(owner)
        )
    )
    copy_access(superuser, database, TEMPLATE)
    template = sql.Identifier(TEMPLATE)
    superuser.execute(
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false IS_TEMPLATE true").format(template)
    )
    for role in _who_may_connect(superuser, database):
        if role != lookup:
            superuser.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(name, sql.Identifier(role))
            )
    superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def _who_may_connect(superuser: Superuser, database: str) -> list[str]:
    rows = superuser.execute(
        "SELECT DISTINCT r.rolname FROM pg_database AS d, aclexplode(d.datacl) AS a"
        " JOIN pg_roles AS r ON r.oid = a.grantee WHERE d.datname = %s",
        [database],
    )
    return [row["rolname"] for row in rows.fetchall()]


def privileged(superuser: Superuser) -> Mapping[str, str]:
    """Return the roles that a test must not connect as, each with the reason."""
    rows = superuser.execute(_PRIVILEGED, [TEMPLATE]).fetchall()
    return {row["role"]: row["why"] for row in rows}
