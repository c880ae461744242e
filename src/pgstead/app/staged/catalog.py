"""What the catalog says of a table, for whoever is about to change it."""

from __future__ import annotations

from dataclasses import dataclass

from pgstead.app.staged.stages import StagedError, Stages, quoted

_TABLE = """
    SELECT c.oid::bigint AS oid, c.relkind::text AS kind, row_security_active(c.oid) AS filtered,
           current_setting('server_version_num')::int / 10000 AS major
    FROM pg_class AS c WHERE c.oid = to_regclass(%(table)s) AND c.relkind IN ('r', 'p')
"""
_COLUMNS = """
    SELECT a.attname::text AS name FROM pg_attribute AS a
    WHERE a.attrelid = %(oid)s::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
_KEY = """
    SELECT a.attname::text AS name, a.atttypid::regtype::text AS type
    FROM pg_index AS i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = %(oid)s::bigint::oid AND i.indisprimary AND k.place <= i.indnkeyatts
    ORDER BY k.place
"""
_EVERY_ROW = "`with staged.every_row({table!r}):` around it lets the owner see all of them"


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a primary key."""

    name: str
    type: str  # as the server writes it, ready for SQL


@dataclass(frozen=True, slots=True)
class Table:
    """A table that there is."""

    name: str
    schema: str | None
    oid: int
    kind: str  # r: a table; p: a partitioned one
    filtered: bool  # row-level security binds whoever asks: rows may be hidden
    major: int  # of the server
    columns: tuple[str, ...]
    key: tuple[KeyColumn, ...]

    @property
    def sql(self) -> str:
        """Its name as a statement may hold it."""
        return quoted(self.name, self.schema)

    def needs(self, *columns: str) -> None:
        """Raise StagedError where it lacks a column."""
        for column in columns:
            if column not in self.columns:
                raise StagedError(
                    f"there is no column {column!r} in {self.name}",
                    hint=f"it has: {', '.join(self.columns)}",
                )

    def needs_every_row(self, what: str) -> None:
        """Raise StagedError where row-level security may hide rows from whoever asks."""
        if self.filtered:
            raise StagedError(
                f"{what} sees no row of {self.name}: its forced row-level security binds the"
                " migrations too",
                hint=_EVERY_ROW.format(table=self.name),
            )


def table_of(stages: Stages, name: str, schema: str | None) -> Table:
    """Return a table. Raises StagedError where there is none."""
    found = stages.rows(_TABLE, table=quoted(name, schema))
    if not found:
        raise StagedError(
            f"there is no table {name!r}{f' in the schema {schema!r}' if schema else ''}",
            hint="views and foreign tables do not count; is it made by an earlier revision?",
        )
    row = found[0]
    columns = tuple(str(r["name"]) for r in stages.rows(_COLUMNS, oid=row["oid"]))
    key = tuple(KeyColumn(r["name"], r["type"]) for r in stages.rows(_KEY, oid=row["oid"]))
    return Table(name, schema, row["oid"], row["kind"], row["filtered"], row["major"], columns, key)
