"""What is asked of every row: checks again, and numbers that have to be 1, 2, 3 ...

A check calls the functions of whoever wrote it, so this is the administrator's session and never
the superuser's. Where row-level security hides rows from it, that is told, and nothing is judged.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pgstead.model.integrity import Check, Declared, Named, Numbered, Remedy
from pgstead.observe.integrity import Looking, primary_key, told_key

_MOST = 20

# Rows are hidden unless a permissive policy lets this role at all of them, and no restrictive one
# narrows that (https://www.postgresql.org/docs/current/ddl-rowsecurity.html).
HIDDEN = """
    SELECT row_security_active(c.oid) AND (
        NOT EXISTS (
            SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polpermissive
              AND p.polcmd IN ('*', %(command)s)
              AND pg_get_expr(p.polqual, p.polrelid) = 'true'
              AND (p.polroles = '{0}' OR EXISTS (SELECT FROM unnest(p.polroles) AS r(oid)
                   WHERE pg_has_role(current_user, r.oid, 'USAGE'))))
        OR EXISTS (
            SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND NOT p.polpermissive
              AND p.polcmd IN ('*', %(command)s)
              AND pg_get_expr(p.polqual, p.polrelid) IS DISTINCT FROM 'true'
              AND (p.polroles = '{0}' OR EXISTS (SELECT FROM unnest(p.polroles) AS r(oid)
                   WHERE r.oid <> 0 AND pg_has_role(current_user, r.oid, 'USAGE'))))
        ) AS hidden
    FROM pg_class AS c WHERE c.oid = to_regclass(%(table)s)
"""
_CHECKS = """
    SELECT k.conname::text AS name, k.convalidated AS valid, k.conrelid::regclass::text AS table,
           n.nspname::text AS schema, c.relname::text AS relation,
           n.nspname || '.' || c.relname AS shown,
           pg_get_expr(k.conbin, k.conrelid) AS condition
    FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE k.contype = 'c' AND k.conparentid = 0 AND n.nspname !~ '^(pg_|information_schema)'
      AND NOT c.relispartition AND has_table_privilege(c.oid, 'SELECT') ORDER BY k.oid
"""
_WRONG = """
    SELECT {key} AS key, count(*) AS rows, count(DISTINCT {column}) AS different,
           min({column}) AS first, max({column}) AS last
    FROM {table} AS c GROUP BY {within}
    HAVING min({column}) <> 1 OR max({column}) <> count(*)
        OR count(DISTINCT {column}) <> count(*)
    LIMIT {most}
"""
_MISSING = """
    SELECT n AS number FROM generate_series(1, {last}) AS n
    WHERE NOT EXISTS (SELECT FROM {table} AS c WHERE {column} = n AND {key} = {value}) LIMIT {most}
"""


def hidden(looking: Looking, table: str, command: str = "r") -> bool | None:
    """Say whether row-level security may hide rows; None where there is no such table."""
    found = looking.rows(HIDDEN, table=table, command=command)
    return bool(found[0]["hidden"]) if found else None


def checks(looking: Looking) -> None:
    """Ask every check of every row again, also of rows that came in before it was made."""
    for check in looking.rows(_CHECKS):
        looking.found.count(Check.CONSTRAINTS)
        looking.tell(f"{looking.database}: {check['shown']} {check['name']}")
        if hidden(looking, check["table"]):
            why = f"{check['name']}: row-level security hides rows from the administrator"
            looking.unseen(Check.CONSTRAINTS, check["shown"], why)
            continue
        try:
            _check(looking, check)
        except psycopg.Error as error:
            _unseen(looking, Check.CONSTRAINTS, check["shown"], error)


def _check(looking: Looking, check: dict[str, Any]) -> None:
    key = primary_key(looking.connection, check["table"])
    statement = sql.SQL("SELECT {} AS key FROM {} AS c WHERE ({}) IS FALSE LIMIT {}").format(
        told_key(key, "c") if key else sql.SQL("c.ctid::text"),
        sql.Identifier(check["schema"], check["relation"]),
        sql.SQL(check["condition"]),  # as the server itself wrote it down
        sql.Literal(_MOST),
    )
    wrong = looking.connection.execute(statement).fetchall()
    for row in wrong:
        looking.damage(
            Check.CONSTRAINTS, check["shown"], f"violates {check['name']}",
            key=row["key"], constraint=check["name"],
        )  # fmt: skip
    if not wrong and not check["valid"]:
        looking.damage(
            Check.CONSTRAINTS, check["shown"],
            f"{check['name']} was never validated; every row satisfies it",
            remedy=Remedy.VALIDATE, constraint=check["name"],
        )  # fmt: skip


def versions(looking: Looking, declared: Declared) -> None:
    """Look whether what counts has gaps, begins late, or counts twice."""
    for numbered in declared.numbered:
        looking.found.count(Check.VERSIONS)
        concealed = hidden(looking, numbered.table)
        if concealed is None:
            looking.unseen(Check.VERSIONS, numbered.table, "there is no such table")
            continue
        if concealed:
            why = "row-level security hides rows from the administrator"
            looking.unseen(Check.VERSIONS, numbered.table, why)
            continue
        try:
            _numbers(looking, numbered)
        except psycopg.Error as error:
            _unseen(looking, Check.VERSIONS, numbered.table, error)


def _numbers(looking: Looking, numbered: Numbered) -> None:
    table = sql.Identifier(*numbered.table.split(".", 1))
    column = sql.Identifier("c", numbered.column)
    key = told_key(numbered.within, "c")
    within = sql.SQL(", ").join(sql.Identifier("c", name) for name in numbered.within)
    wrong = sql.SQL(_WRONG).format(
        key=key, column=column, table=table, within=within, most=sql.Literal(_MOST)
    )
    for row in looking.connection.execute(wrong).fetchall():
        missing = sql.SQL(_MISSING).format(
            last=sql.Literal(min(row["last"], 1_000_000)), table=table, column=column, key=key,
            value=sql.Literal(row["key"]), most=sql.Literal(_MOST),
        )  # fmt: skip
        gaps = [str(found["number"]) for found in looking.connection.execute(missing)]
        told = [f"{row['rows']} rows numbered {row['first']} to {row['last']}"]
        if gaps:
            told.append(f"missing: {', '.join(gaps)}")
        if row["different"] != row["rows"]:
            told.append(f"{row['rows'] - row['different']} numbers are there twice")
        looking.damage(
            Check.VERSIONS, numbered.table, f"{numbered.column}: {'; '.join(told)}",
            key=row["key"],
        )  # fmt: skip


def named_files(looking: Looking, named: Named) -> dict[str, tuple[str, bool]] | None:
    """Return the file that rows name -> the key of one, and whether it has to be there.

    None where rows may be hidden, or cannot be asked for.
    """
    concealed = hidden(looking, named.table)
    if concealed is None or concealed:
        why = "there is no such table" if concealed is None else "row-level security hides rows"
        looking.unseen(Check.FILES, named.table, why)
        return None
    key = primary_key(looking.connection, named.table)
    statement = sql.SQL(
        "SELECT {} AS key, {} AS file, ({}) AS needed FROM {} AS c WHERE {} IS NOT NULL"
    ).format(
        told_key(key, "c"),
        sql.Identifier("c", named.column),
        sql.SQL(named.where or "true"),  # pyright: ignore[reportArgumentType] - SQL of the models' author
        sql.Identifier(*named.table.split(".", 1)),
        sql.Identifier("c", named.column),
    )
    found: dict[str, tuple[str, bool]] = {}
    try:
        for row in looking.connection.execute(statement):
            found[row["file"]] = (row["key"], bool(row["needed"]))
    except psycopg.Error as error:
        _unseen(looking, Check.FILES, named.table, error)
        return None
    return found


def _unseen(looking: Looking, check: Check, relation: str, error: psycopg.Error) -> None:
    if looking.connection.closed:
        raise error
    words = " ".join((error.diag.message_primary or str(error)).split())
    looking.unseen(check, relation, f"{error.sqlstate}: {words}")
