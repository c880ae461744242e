"""Refuse to run as a role that row-level security does not bind.

Policies are void for superusers, for BYPASSRLS, and (unless forced) for whom the tables belong
to; a role that may become one of these is no better. `check` is asked once, at the start.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from pgstead.errors import SteadError


class PrivilegedRoleError(SteadError):
    """An application connects as a role that may do everything."""

    code = "privileged-role"


# `session_user` too: behind SET ROLE it is one RESET ROLE away. `pg_has_role` says true of a
# superuser for everything, so the plain facts come first.
_OBJECTIONS = """
    WITH me AS (
        SELECT r.oid, r.rolname FROM pg_catalog.pg_roles AS r
        WHERE r.rolname IN (current_user, session_user)
    ), reach AS (
        SELECT r.* FROM pg_catalog.pg_roles AS r
        WHERE EXISTS (SELECT FROM me WHERE pg_has_role(me.oid, r.oid, 'MEMBER'))
    )
    SELECT said FROM (
        SELECT 1, rolname || ' is superuser' FROM reach WHERE rolsuper
        UNION ALL SELECT 2, rolname || ' bypasses row-level security' FROM reach
            WHERE rolbypassrls
        UNION ALL SELECT 3, rolname || ' may make roles' FROM reach WHERE rolcreaterole
        UNION ALL SELECT 4, rolname || ' owns ' || count(*) || ' tables or views, such as '
                || min(c.oid::regclass::text)
            FROM reach JOIN pg_catalog.pg_class AS c ON c.relowner = reach.oid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT starts_with(n.nspname::text, 'pg_')
            GROUP BY rolname
        UNION ALL SELECT 5, rolname || ' owns the database' FROM reach
            JOIN pg_catalog.pg_database AS d ON d.datdba = reach.oid
            WHERE d.datname = current_database()
    ) AS o (weight, said) ORDER BY weight, said LIMIT 1
"""


def check(connection: Connection) -> None:
    """Raise PrivilegedRoleError where policies would not bind this connection's role."""
    _refuse(connection.scalar(text(_OBJECTIONS)))


async def check_async(connection: AsyncConnection) -> None:
    """Raise PrivilegedRoleError where policies would not bind this connection's role."""
    _refuse(await connection.scalar(text(_OBJECTIONS)))


async def objection(session: AsyncSession) -> str:
    """Return why policies would not bind a session's role, empty where they do."""
    return await session.scalar(text(_OBJECTIONS)) or ""


def refusal(said: str) -> PrivilegedRoleError:
    """Return the error for an objection."""
    return PrivilegedRoleError(
        f"the application connects as a role that row-level security does not bind: {said}",
        hint="connect as the application's own role; migrations run as the migrator",
    )


def _refuse(said: str | None) -> None:
    if said is not None:
        raise refusal(said)
