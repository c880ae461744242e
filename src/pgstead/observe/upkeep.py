"""What upkeep goes by: statistics of tables and indexes, freeze ages, bloat and who told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from pgstead.model.upkeep import (
    ESTIMATED,
    MEASURED,
    Chore,
    Correlation,
    Found,
    Index,
    Table,
    UpkeepPlan,
    Work,
)
from pgstead.observe.sql_files import query

Connection = psycopg.Connection[dict[str, Any]]
_METER = "pgstattuple"
_FILLED = 90.0  # percent of a B-tree's leaves when they are new
_LARGEST = 16 * 1024**3  # bytes, above which measuring would itself be a load
_SAMPLED = 20_000  # rows
_DEPENDS = 1.2  # pairs for each value of one column, below which it tells of the other
# It is locked, it is gone since, it takes too long: then the estimate has to do.
_UNMEASURED = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedObject,
    psycopg.errors.QueryCanceled,
)
_RESET = "SELECT stats_reset AS at FROM {}.pg_stat_statements_info"


def look(connection: Connection, database: str, major: int, plan: UpkeepPlan) -> Found:
    """Return what is found in a database. Raises psycopg.Error.

    Bloat is measured where pgstattuple is installed and an estimate says that it is worth that.
    """
    values = {"role": plan.role}
    limits = _one(connection.execute(query("upkeep/limits", major)))
    extensions: Mapping[str, str] = limits["extensions"]
    tables = connection.execute(query("upkeep/tables", major), values).fetchall()
    indexes = connection.execute(query("upkeep/indexes", major), values).fetchall()
    meter = extensions.get(_METER)
    return Found(
        database,
        tuple(_table(connection, row, meter, plan) for row in tables),
        tuple(_index(connection, row, meter, plan) for row in indexes if not row["catalog"]),
        limits["freeze_max"],
        limits["mxid_freeze_max"],
        extensions,
        _reset_at(connection, extensions),
    )


def _one(cursor: psycopg.Cursor[dict[str, Any]]) -> dict[str, Any]:
    row = cursor.fetchone()
    assert row is not None
    return row


def _reset_at(connection: Connection, extensions: Mapping[str, str]) -> datetime | None:
    schema = extensions.get("pg_stat_statements")
    if schema is None:
        return None
    try:
        found = connection.execute(sql.SQL(_RESET).format(sql.Identifier(schema))).fetchone()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return None  # the library is not loaded yet: it takes a restart
    return None if found is None else found["at"]


def _table(
    connection: Connection, row: Mapping[str, Any], meter: str | None, plan: UpkeepPlan
) -> Table:
    told = {name: row[name] for name in row if name != "number"}
    found = Table(**told)
    if meter is None or found.catalog or not _worth(found.bytes, found.wasted, plan):
        return found
    meters = sql.SQL(
        "SELECT approx_free_space::float8 + dead_tuple_len::float8 AS wasted"
        " FROM {}.pgstattuple_approx({}::oid::regclass)"
    ).format(sql.Identifier(meter), sql.Literal(row["number"]))
    try:
        measured = _one(connection.execute(meters))
    except _UNMEASURED:
        return found
    return replace(found, wasted=measured["wasted"], told_by=MEASURED)


def _index(
    connection: Connection, row: Mapping[str, Any], meter: str | None, plan: UpkeepPlan
) -> Index:
    found = Index(
        **{name: row[name] for name in row if name not in ("number", "method", "catalog")},
        told_by=ESTIMATED,
    )
    if meter is None or row["method"] != "btree" or not found.valid:
        return found
    # the estimate may err to both sides: whatever is large enough is measured
    if not plan.smallest <= found.bytes <= _LARGEST:
        return found
    try:
        wasted = _thin(connection, meter, row["number"], found.bytes)
    except _UNMEASURED:
        return found
    return replace(found, wasted=wasted, told_by=MEASURED)


def _thin(connection: Connection, meter: str, number: int, size: float) -> float:
    """Return the bytes of a B-tree that hold nothing: of leaves not full, and of empty pages."""
    told = _one(
        connection.execute(
            sql.SQL(
                "SELECT avg_leaf_density AS filled, leaf_pages::float8 AS leaves,"
                " (empty_pages + deleted_pages)::float8 AS idle,"
                " current_setting('block_size')::float8 AS page"
                " FROM {}.pgstatindex({}::oid::regclass)"
            ).format(sql.Identifier(meter), sql.Literal(number))
        )
    )
    # of an index without entries the density is NaN
    filled = told["filled"] if told["leaves"] and told["filled"] == told["filled"] else 0.0
    thin = told["leaves"] * max(0.0, 1 - filled / _FILLED) + told["idle"]
    return min(thin * told["page"], size)


def _worth(size: float, wasted: float | None, plan: UpkeepPlan) -> bool:
    """Say whether to measure: an estimate of half of what counts is reason enough."""
    return size <= _LARGEST and wasted is not None and wasted >= plan.smallest / 2


def measure(connection: Connection, chore: Chore, major: int, plan: UpkeepPlan) -> dict[str, Any]:
    """Return the figures of one table or index, to be compared later. Raises psycopg.Error."""
    values = {"role": plan.role}
    if chore.work is Work.RESET:
        return {}
    of_index = chore.work in (Work.DROP, Work.REBUILD, Work.REINDEX)
    what = "upkeep/indexes" if of_index else "upkeep/tables"
    narrowed = sql.SQL(
        "SELECT * FROM ({}) AS found WHERE found.schema = {} AND found.name = {}"
    ).format(sql.SQL(query(what, major)), sql.Literal(chore.schema), sql.Literal(chore.name))
    row = connection.execute(narrowed, values).fetchone()
    if row is None:
        return {"bytes": None}
    names = ("bytes", "wasted", "valid") if of_index else (
        "bytes", "wasted", "live", "dead", "changed", "xid_age", "mxid_age"
    )  # fmt: skip
    return {name: None if row[name] is None else float(row[name]) for name in names}


def correlations(connection: Connection, major: int) -> tuple[Correlation, ...]:
    """Return pairs of columns of which one tells of the other, as a sample of rows shows."""
    found: list[Correlation] = []
    for pair in connection.execute(query("upkeep/pairs", major)).fetchall():
        share = min(100.0, max(0.01, 100.0 * _SAMPLED / pair["rows"]))
        told = _one(_sampled(connection, pair, share))
        one, other, together = told["one"], told["other"], told["together"]
        if min(one, other) < 2 or together > _DEPENDS * max(one, other):
            continue
        if max(one, other) > told["rows"] / 2:
            continue  # of a key everything depends, and the planner knows it
        columns: Sequence[str] = pair["columns"]
        found.append(
            Correlation(
                pair["schema"], pair["table"], tuple(columns), (one, other), together, told["rows"]
            )
        )
    return tuple(found)


def _sampled(
    connection: Connection, pair: Mapping[str, Any], share: float
) -> psycopg.Cursor[dict[str, Any]]:
    one, other = (sql.Identifier(name) for name in pair["columns"])
    return connection.execute(
        sql.SQL(
            "SELECT count(*)::float8 AS rows, count(DISTINCT {one})::float8 AS one,"
            " count(DISTINCT {other})::float8 AS other,"
            " count(DISTINCT ({one}, {other}))::float8 AS together"
            " FROM (SELECT {one}, {other} FROM {table} TABLESAMPLE SYSTEM ({share}) LIMIT {most})"
            " AS sampled"
        ).format(
            one=one, other=other, table=sql.Identifier(pair["schema"], pair["table"]),
            share=sql.Literal(share), most=sql.Literal(_SAMPLED),
        )
    )  # fmt: skip
