"""Trying indexes on a copy: what the planner makes of a statement without and with one.

Nothing is executed but EXPLAIN and CREATE INDEX, and each trial is rolled back. Statements are
planned as the role that runs them, so that its policies count, and with parameters unknown: a
generic plan (https://www.postgresql.org/docs/current/sql-explain.html, GENERIC_PLAN, from 16).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

from pgstead.model.advice import Candidate, Row, Trial
from pgstead.ports import Sql

STATEMENTS = 20  # of each database, by the time they took
COLUMNS = 3  # of one statement that are tried alone, and together
ROWS = 1000  # a smaller table is read whole sooner than any index
_GENERIC = 16
_READS = re.compile(r"^[\s(]*(SELECT|WITH|UPDATE|DELETE|INSERT)\b", re.IGNORECASE)
_PARAMETER = re.compile(r"\$(\d+)")
_TIMEOUT = "60s"

Plan = dict[str, Any]
Connection = psycopg.Connection[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A statement, and who runs it."""

    text: str
    role: str
    named: str


def trials(
    copy: Sql, major: int, keys: Sequence[Candidate], statements: Sequence[Row]
) -> Iterator[Trial]:
    """Try what the keys and the slowest statements make likely; yield the best for each."""
    databases = dict.fromkeys([c.database for c in keys] + [str(r["database"]) for r in statements])
    for database in databases:
        own = [r for r in statements if r["database"] == database][:STATEMENTS]
        with copy.connect(database) as session:
            session.execute(f"SET statement_timeout = '{_TIMEOUT}'")
            for key in keys:
                if key.database == database:
                    yield from _best(session, major, _lookup(key), [key])
            for row in own:
                yield from _of_statement(session, major, database, row)


def _lookup(key: Candidate) -> _Asked:
    """Return what a delete on the other side asks of this one (ri_triggers.c)."""
    conditions = " AND ".join(
        f"{sql.Identifier(c).as_string()} = ${n}" for n, c in enumerate(key.columns, 1)
    )
    table = sql.Identifier(key.schema, key.table).as_string()
    text = f"SELECT 1 FROM ONLY {table} AS x WHERE {conditions} FOR KEY SHARE OF x"  # noqa: S608 - quoted
    return _Asked(text, "", key.reason)


def _of_statement(session: Connection, major: int, database: str, row: Row) -> Iterator[Trial]:
    text = str(row["query"])
    if not _READS.match(text):
        return
    named = f"statement {row['queryid']} of {row['usename']}"
    asked = _Asked(text, str(row["usename"]), named)
    plan = _planned(session, major, asked)
    if plan is not None:
        yield from _best(session, major, asked, [*_likely(session, database, plan, named)])


def _best(
    session: Connection, major: int, asked: _Asked, likely: Sequence[Candidate]
) -> Iterator[Trial]:
    found = [t for c in likely if (t := _tried(session, major, asked, c)) is not None]
    if found:
        # of two that gain the same, the one with fewer columns
        yield max(found, key=lambda t: (round(t.gain, 2), -len(t.candidate.columns)))


def _tried(session: Connection, major: int, asked: _Asked, tried: Candidate) -> Trial | None:
    before = _planned(session, major, asked)
    if before is None:
        return None
    created = sql.SQL("CREATE INDEX pgstead_trial ON {} ({})").format(
        sql.Identifier(tried.schema, tried.table),
        sql.SQL(", ").join(sql.Identifier(c) for c in tried.columns),
    )
    try:
        with session.transaction(force_rollback=True):
            session.execute(created)
            size = session.execute(
                "SELECT pg_relation_size(%s)::float8 AS size",
                (f"{sql.Identifier(tried.schema, 'pgstead_trial').as_string()}",),
            ).fetchone()
            after = _planned(session, major, asked)
    except psycopg.Error:
        return None  # a type without B-tree operators, a partitioned table, ...
    if after is None or size is None:
        return None
    return Trial(
        tried,
        float(before["Total Cost"]),
        float(after["Total Cost"]),
        float(size["size"]),
        _told(before, tried.table),
        _told(after, tried.table),
    )


def _planned(session: Connection, major: int, asked: _Asked) -> Plan | None:
    """Return the generic plan; None for what cannot be planned by itself."""
    try:
        with session.transaction(force_rollback=True):
            if asked.role:
                session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(asked.role)))
            # the statement is one that this server has run; it is planned and not executed
            text = cast("LiteralString", asked.text)
            rows = psycopg.ClientCursor(session)
            if major >= _GENERIC:
                rows.execute(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {text}".encode())
            else:
                rows.execute(f"PREPARE pgstead_trial AS {text}".encode())
                rows.execute("SET LOCAL plan_cache_mode = force_generic_plan")
                count = max((int(n) for n in _PARAMETER.findall(text)), default=0)
                given = f"({', '.join(['NULL'] * count)})" if count else ""
                rows.execute(f"EXPLAIN (FORMAT JSON) EXECUTE pgstead_trial{given}".encode())
            told: Any = rows.fetchone()
    except psycopg.Error:
        return None
    finally:
        session.execute("DEALLOCATE ALL")
    return cast("Plan", told["QUERY PLAN"][0]["Plan"]) if told else None


def _likely(session: Connection, database: str, plan: Plan, reason: str) -> Iterator[Candidate]:
    """Yield columns by which large tables are filtered while they are read whole."""
    for node in _nodes(plan):
        if node["Node Type"] != "Seq Scan" or "Filter" not in node:
            continue
        table = session.execute(
            "SELECT n.nspname, array_agg(a.attname::text ORDER BY a.attnum) AS columns"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT attisdropped"
            " WHERE c.relname = %s AND c.relkind = 'r' AND c.reltuples >= %s"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            " GROUP BY n.nspname, c.oid ORDER BY c.reltuples DESC LIMIT 1",
            (node["Relation Name"], ROWS),
        ).fetchone()
        if table is None:
            continue
        used = [c for c in table["columns"] if _stands_in(c, str(node["Filter"]))][:COLUMNS]
        place = (database, str(table["nspname"]), str(node["Relation Name"]))
        for column in used:
            yield Candidate(*place, (column,), reason)
        if len(used) > 1:
            yield Candidate(*place, tuple(used), reason)


def _stands_in(column: str, condition: str) -> bool:
    return re.search(rf"(?<![\w$]){re.escape(column)}(?![\w$])", condition) is not None


def _nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def _told(plan: Plan, table: str) -> str:
    """Return how a plan gets at a table."""
    ways = [
        f"{n['Node Type']} (cost {n['Total Cost']:,.0f})"
        for n in _nodes(plan)
        if n.get("Relation Name") == table or n["Node Type"] == "Bitmap Index Scan"
    ]
    return f"{' over '.join(ways)}, in all {plan['Total Cost']:,.0f}"
