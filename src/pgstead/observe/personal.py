"""What a database holds of persons, as the comments of its columns say, and where values are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, cast

from psycopg import sql

from pgstead.model.personal import Column, Inventory, Reference, Table, mark_of, subject_of
from pgstead.observe.sql_files import query

if TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[dict[str, Any]]

_STATISTICS = """
    SELECT DISTINCT schemaname::text AS schema, tablename::text AS name, attname::text AS "column"
    FROM pg_catalog.pg_stats
    WHERE (most_common_vals::text ILIKE ANY (%(wanted)s)
           OR histogram_bounds::text ILIKE ANY (%(wanted)s)
           OR most_common_elems::text ILIKE ANY (%(wanted)s))
      AND schemaname !~ '^(pg_catalog|information_schema)$'
"""
# Of every table that is not the server's own: an erasure forgets none because somebody else made it
_EVERYWHERE = """
    SELECT n.nspname AS schema, c.relname AS name,
           pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
      AND NOT a.attisdropped
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE (c.relkind IN ('r', 'p') AND NOT c.relispartition OR c.relkind = 'm')
      AND n.nspname !~ '^(pg_catalog|information_schema|pg_toast|pg_temp.*)$'
      AND (t.typcategory IN ('S', 'A', 'I', 'D')
           OR t.typname IN ('json', 'jsonb', 'xml', 'tsvector', 'hstore', 'uuid'))
    GROUP BY n.nspname, c.relname ORDER BY 1, 2
"""


def inventory(connection: Session, database: str, major: int) -> Inventory:
    """Read what a database holds, by class."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in connection.execute(query("personal_columns", major)):
        rows.setdefault((row["schema"], row["name"]), []).append(row)
    tables = [_table(name, columns) for name, columns in rows.items()]
    found = [_reference(row) for row in connection.execute(query("personal_references", major))]
    known = {t.full for t in tables}
    references = [r for r in found if r.child in known and r.parent in known]
    return Inventory(database, tuple(tables), tuple(references))


def _table(name: tuple[str, str], rows: Sequence[dict[str, Any]]) -> Table:
    columns = tuple(
        Column(
            row["column"], row["type"], mark_of(row["comment"]), nullable=row["nullable"],
            key=row["key"], unique=row["unique"], generated=row["generated"],
            default=row["default"],
        )
        for row in rows
    )  # fmt: skip
    return Table(*name, columns, subject_of(rows[0]["table_comment"]))


def _reference(row: dict[str, Any]) -> Reference:
    return Reference(
        (row["child_schema"], row["child"]), tuple(row["columns"]),
        (row["parent_schema"], row["parent"]), tuple(row["parent_columns"]),
        row["action"], row["name"],
    )  # fmt: skip


def row_is(key: Mapping[str, str]) -> sql.Composed:
    """Return the condition that a row has a key; literals are of the columns' own types."""
    parts = [sql.SQL("{} = {}").format(sql.Identifier(k), sql.Literal(v)) for k, v in key.items()]
    return sql.SQL(" AND ").join(parts)


def standing(connection: Session, table: Table, key: Mapping[str, str]) -> bool:
    """Say whether something of a person is in their row; where that goes, whether it is there."""
    kept = table.subject is not None and table.subject.kept
    left = [
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(trusted(c.blank.left)))
        for c in table.personal
        if not c.generated
    ]
    if kept and not left:
        return False
    held = sql.SQL(" OR ").join(left) if kept else sql.SQL("true")
    asked = sql.SQL("SELECT FROM {} WHERE {} AND ({})").format(
        sql.Identifier(*table.full), row_is(key), held
    )
    return connection.execute(asked).rowcount > 0


def trusted(text: str) -> LiteralString:
    """Take SQL as it is: of the model, or a default that the server itself has written."""
    return cast("LiteralString", text)


@dataclass(frozen=True, slots=True)
class Spot:
    """A column in which one of the values was found."""

    table: str
    column: str
    rows: int  # 0: not in a row, in the planner's statistics


def spots(connection: Session, values: Iterable[str]) -> Iterator[Spot]:
    """Search every column of every table for values, and the planner's samples of them.

    Letters count the same in both cases; a value is found within others.
    """
    wanted = {"wanted": [_pattern(form) for value in values for form in _forms(value)]}
    if not wanted["wanted"]:
        return
    for row in connection.execute(_EVERYWHERE).fetchall():
        shown = row["name"] if row["schema"] == "public" else f"{row['schema']}.{row['name']}"
        counts = [
            sql.SQL("count(*) FILTER (WHERE {}::text ILIKE ANY (%(wanted)s)) AS {}").format(
                sql.Identifier(name), sql.Identifier(name)
            )
            for name in row["columns"]
        ]
        table = sql.Identifier(row["schema"], row["name"])
        asked = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(counts), table)
        found = connection.execute(asked, wanted).fetchone() or {}
        yield from (Spot(shown, name, count) for name, count in found.items() if count)
    for row in connection.execute(_STATISTICS, wanted):
        yield Spot(f"{row['schema']}.{row['name']}", row["column"], 0)


def _forms(value: str) -> tuple[str, ...]:
    """Return a value as it stands alone, and as JSON has it."""
    return tuple(dict.fromkeys((value, json.dumps(value, ensure_ascii=False)[1:-1])))


def _pattern(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
