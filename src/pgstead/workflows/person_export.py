"""All of one person, as values that JSON can have: for them, or for whoever they move to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from pgstead.model.design import Design
from pgstead.model.personal import Class, Reference, Table
from pgstead.observe.personal import inventory
from pgstead.ports import Ports
from pgstead.workflows.person import QUIET, Rows, find, gather

if TYPE_CHECKING:
    Session = psycopg.Connection[dict[str, Any]]

_HIDDEN = "***"  # there is something, and it is a secret
_HISTORY = """
    SELECT to_regclass('pgstead_audit.change') IS NOT NULL AS there
"""


def export(design: Design, ports: Ports, database: str, who: str) -> Mapping[str, Any]:
    """Return all rows of a person, what names them elsewhere, and how their rows changed.

    Sensitive values are hidden: a hash helps nobody, and what is encrypted the application opens.
    Raises UsageError for an unknown person.
    """
    with ports.sql.connect(database) as connection:
        connection.execute(QUIET)
        held = inventory(connection, database, design.build.major)
        told: dict[str, Any] = {}
        person = find(connection, held, who)
        # keys are gathered in temporary tables, which a read-only transaction cannot make
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            rows = gather(connection, held, person)
            told = {
                "database": database,
                "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "person": {"table": person.table.shown, "key": dict(person.key)},
                "rows": _rows(rows),
                "named_in": dict(_named(rows)),
                "history": list(_history(rows)),
            }
            raise psycopg.Rollback
    return told


def _rows(rows: Rows) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for table, keys in rows.told():
        mine = _all(rows, table, rows.among(table.full, keys))
        found.setdefault(table.shown, []).extend(mine)
    return found


def _all(rows: Rows, table: Table, condition: sql.Composed) -> list[Any]:
    hidden = [c.name for c in table.columns if c.mark and c.mark.cls is Class.SENSITIVE]
    asked = sql.SQL("SELECT to_jsonb(t) AS row FROM {} AS t WHERE {} ORDER BY {}").format(
        sql.Identifier(*table.full),
        condition,
        sql.SQL(", ").join(sql.Identifier("t", name) for name in table.key),
    )
    found = [dict(row["row"]) for row in rows.connection.execute(asked)]
    return [{n: _HIDDEN if n in hidden and v else v for n, v in row.items()} for row in found]


def _named(rows: Rows) -> Iterator[tuple[str, list[Any]]]:
    """Yield the keys of rows of others that name the person, by table and column."""
    root = rows.reach.root
    ours = {*rows.reach.owned, *rows.reach.authored}
    for reference in rows.inventory.references:
        if reference.parent == root.full and reference not in ours:
            table = rows.inventory.table(reference.child)
            keys = _pointing(rows, reference, table)
            if keys:
                yield f"{table.shown}.{', '.join(reference.columns)}", keys


def _pointing(rows: Rows, reference: Reference, table: Table) -> list[Any]:
    mine = rows.going.get(table.full)
    asked = sql.SQL(
        "SELECT to_jsonb(k) AS key FROM (SELECT {key} FROM {child} AS t WHERE ({columns}) IN"
        " (SELECT {targets} FROM {parent} AS p WHERE {among}) AND NOT {own}) AS k"
    ).format(
        key=sql.SQL(", ").join(sql.Identifier("t", name) for name in table.key),
        child=sql.Identifier(*table.full),
        columns=sql.SQL(", ").join(sql.Identifier("t", c) for c in reference.columns),
        targets=sql.SQL(", ").join(sql.Identifier("p", c) for c in reference.parent_columns),
        parent=sql.Identifier(*reference.parent),
        among=rows.among(reference.parent, rows.going[reference.parent], "p"),
        own=sql.SQL("false") if mine is None else rows.among(table.full, mine),
    )
    return [row["key"] for row in rows.connection.execute(asked)]


def _history(rows: Rows) -> Iterator[Any]:
    there = rows.connection.execute(_HISTORY).fetchone()
    if there is None or not there["there"]:
        return
    for table, keys in rows.told():
        asked = sql.SQL(
            "SELECT to_jsonb(h) - 'transaction' - 'pid' AS row FROM pgstead_audit.change AS h"
            " WHERE h.schema_name = {} AND h.table_name = {}"
            " AND h.key IN (SELECT to_jsonb(k) FROM {} AS k) ORDER BY h.at, h.id"
        ).format(sql.Literal(table.schema), sql.Literal(table.name), keys)
        for row in rows.connection.execute(asked).fetchall():
            yield row["row"]
