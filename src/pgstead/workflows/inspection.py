"""What a restored server is asked: is all of it there, and is it whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import Connection, sql

from pgstead.errors import SteadError
from pgstead.model.design import Design
from pgstead.ports import Sql

_SHARED = "postgres"  # the database of the ledger, and what all of them share
_ROLES = "SELECT rolname::text AS name FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
_POLICIES = """
    SELECT schemaname || '.' || tablename || ': ' || policyname AS name
    FROM pg_policies ORDER BY 1
"""
_SECURED = """
    SELECT c.oid::regclass::text AS name FROM pg_class AS c
    WHERE c.relrowsecurity AND c.relforcerowsecurity ORDER BY 1
"""
_TABLES = """
    SELECT n.nspname::text AS schema, c.relname::text AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema)'
    ORDER BY 1, 2
"""
# Every heap page is read and its checksum compared; every index is compared with its heap.
_HEAPS = """
    SELECT c.oid::regclass::text AS name, v.msg
    FROM pg_class AS c CROSS JOIN LATERAL verify_heapam(c.oid) AS v
    WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence = 'p' LIMIT 5
"""
_INDEXES = """
    SELECT count(bt_index_check(i.indexrelid, true))
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
      AND c.relpersistence = 'p' AND i.indisvalid AND c.relkind = 'i'
"""


_KINDS = (("policies", _POLICIES), ("row security", _SECURED))

# By database and kind: "postgres", "roles".
Names = Mapping[tuple[str, str], frozenset[str]]
NOTHING: Names = MappingProxyType({})


def names(design: Design, live: Sql) -> Names:
    """Return which roles and policies there are; nothing where the server does not answer."""
    if not live.answers():
        return {}
    found = {(_SHARED, "roles"): _names(live, _SHARED, _ROLES)}
    for database in design.databases:
        if _there(live, database.name):
            for kind, statement in _KINDS:
                found[database.name, kind] = _names(live, database.name, statement)
    return found


def still(before: Names, after: Names) -> Names:
    """Return what was there before, and is there still."""
    return {key: before[key] & after[key] for key in before if key in after}


def questions(design: Design, wanted: Names, restored: Sql) -> Iterator[tuple[str, bool]]:
    """Yield what was asked, in words, and whether the answer was right."""
    if (_SHARED, "roles") in wanted:
        yield _all_there(wanted, restored, _SHARED, "roles", _ROLES)
    for database in (_SHARED, *(plan.name for plan in design.databases)):
        if not _there(restored, database):
            yield f"{database}: the database is missing", False
            continue
        for kind, statement in _KINDS:
            if (database, kind) in wanted:
                yield _all_there(wanted, restored, database, kind, statement)
        yield _readable(restored, database)
        yield _whole(restored, database, "heaps", _damaged_heaps)
        yield _whole(restored, database, "indexes", _damaged_indexes)


def _there(restored: Sql, database: str) -> bool:
    with restored.connect() as connection:
        row = connection.execute(
            "SELECT FROM pg_database WHERE datname = %(name)s", {"name": database}
        ).fetchone()
    return row is not None


def _names(server: Sql, database: str, statement: str) -> frozenset[str]:
    with server.connect(database) as connection:
        return frozenset(row["name"] for row in connection.execute(statement.encode()).fetchall())


def _all_there(
    wanted: Names, restored: Sql, database: str, kind: str, statement: str
) -> tuple[str, bool]:
    found = _names(restored, database, statement)
    what = kind if database == _SHARED else f"{database}: {kind}"
    missing = sorted(wanted[database, kind] - found)
    if missing:
        return f"{what}: missing {', '.join(missing[:5])}", False
    return f"{what}: all {len(found)} are there", True


def _readable(restored: Sql, database: str) -> tuple[str, bool]:
    """Count the rows of every table: whatever cannot be read shows."""
    with restored.connect(database) as connection:
        connection.execute("SET statement_timeout = 0")
        tables = connection.execute(_TABLES).fetchall()
        rows = 0
        for table in tables:
            count = sql.SQL("SELECT count(*) AS rows FROM {}").format(
                sql.Identifier(table["schema"], table["name"])
            )
            try:
                found = connection.execute(count).fetchone()
            except psycopg.Error as error:
                words = " ".join(str(error).split())
                return f"{database}: {table['name']} cannot be read: {words}", False
            rows += found["rows"] if found is not None else 0
    return f"{database}: {rows} rows in {len(tables)} tables read", True


def _whole(
    restored: Sql, database: str, what: str, look: Callable[[Connection[Any]], str]
) -> tuple[str, bool]:
    """Let amcheck look at every heap, or at every B-tree."""
    try:
        with restored.connect(database) as connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA pg_catalog")
            damage = look(connection)
    except (psycopg.Error, SteadError) as error:
        damage = " ".join(str(error).split())
    if damage:
        return f"{database}: amcheck found in {what}: {damage}", False
    return f"{database}: amcheck found nothing in {what}", True


def _damaged_heaps(connection: Connection[Any]) -> str:
    damage = connection.execute(_HEAPS).fetchall()
    return "; ".join(f"{row['name']}: {row['msg']}" for row in damage)


def _damaged_indexes(connection: Connection[Any]) -> str:
    connection.execute(_INDEXES)  # it raises an error at the first
    return ""
