"""What is in the tables of a database, as sums that two moments can be compared by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pgstead.model.rehearsal import Contents
from pgstead.observe.sql_files import query

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a table."""

    schema: str
    name: str
    columns: tuple[str, ...]
    writable: tuple[str, ...] = field(default=())
    key: tuple[str, ...] = field(default=())  # the primary key; empty: there is none

    @property
    def shown(self) -> str:
        """The name as it is shown: without `public`."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        """The name for SQL."""
        return sql.Identifier(self.schema, self.name)


def shapes(connection: psycopg.Connection[dict[str, Any]], major: int) -> tuple[Shape, ...]:
    """Return the tables of a database, a partitioned one as one table."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in connection.execute(query("table_shapes", major), {}):
        rows.setdefault((row["schema"], row["name"]), []).append(row)
    return tuple(
        Shape(
            schema,
            name,
            tuple(row["column"] for row in columns),
            tuple(row["column"] for row in columns if row["writable"]),
            tuple(row["column"] for row in columns if row["key"]),
        )
        for (schema, name), columns in rows.items()
    )


def contents(
    connection: psycopg.Connection[dict[str, Any]], tables: Iterable[Shape]
) -> Mapping[str, Contents]:
    """Read tables from beginning to end.

    A column's sum is over each value together with the row's key, so that values that have
    changed places are seen too; sums of numbers do not depend on the order of the rows.
    """
    return {table.shown: _contents(connection, table) for table in tables}


def _contents(connection: psycopg.Connection[dict[str, Any]], table: Shape) -> Contents:
    sums = [
        sql.SQL("sum(pg_catalog.hashtextextended(ROW({})::text, 0))::text AS {}").format(
            sql.SQL(", ").join(map(sql.Identifier, dict.fromkeys([*table.key, column]))),
            sql.Identifier(f"c{at}"),
        )
        for at, column in enumerate(table.columns)
    ]
    statement = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join([sql.SQL("count(*) AS n"), *sums]), table.identifier
    )
    row = connection.execute(statement).fetchone()
    assert row is not None
    found = {column: str(row[f"c{at}"]) for at, column in enumerate(table.columns)}
    return Contents(int(row["n"]), found)
