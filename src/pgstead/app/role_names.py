"""What the roles of a database are called here: models and migrations say what they are for."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

from pgstead.app.connection import ConnectionFile
from pgstead.app.policies import Names

# What `up` grants on tables to come tells who is who: the application writes, the administrator
# may empty tables too, the reader reads. `up` grants it to nobody else.
_BY_GRANTS = text(
    """
    SELECT grantee::regrole::text AS role,
           CASE WHEN 'TRUNCATE' = ANY (held) THEN 'admin'
                WHEN 'INSERT' = ANY (held) THEN 'app' ELSE 'readonly' END AS purpose
    FROM (
        SELECT a.grantee, array_agg(a.privilege_type) AS held
        FROM pg_catalog.pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
        WHERE d.defaclobjtype = 'r' AND a.grantee <> 0 AND a.grantee <> d.defaclrole
          AND d.defaclnamespace = 'public'::regnamespace
          AND d.defaclrole = (SELECT datdba FROM pg_catalog.pg_database
                              WHERE datname = current_database())
        GROUP BY a.grantee
    ) AS g WHERE 'SELECT' = ANY (held) ORDER BY 1
    """
)


def of_file(file: ConnectionFile | None) -> Names:
    """Return the names that the connection file gives."""
    return {} if file is None else {role: account.user for role, account in file.roles.items()}


def of_server(connection: Connection) -> Names:
    """Return the names that the database's default privileges show; doubtful ones are left out."""
    found: dict[str, list[str]] = {}
    for role, purpose in connection.execute(_BY_GRANTS):
        found.setdefault(str(purpose), []).append(_unquoted(str(role)))
    return {purpose: roles[0] for purpose, roles in found.items() if len(roles) == 1}


def known(file: ConnectionFile | None, connection: Connection | None) -> Mapping[str, str]:
    """Return all names that are known. The server is right: the file may be of another stead."""
    if connection is None:
        return of_file(file)
    return {**of_file(file), **of_server(connection)}


def _unquoted(name: str) -> str:
    """Undo what regrole does to a name that needs quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
