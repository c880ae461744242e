"""Rows removed in batches, each a transaction of well under a second.

A batch goes on behind the last one by (age, key) where an index leads with the age, else by key
alone; what is due is looked at anew under each row's lock, so a row that somebody has renewed
meanwhile stays. Killed anywhere, the next run finds what is left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql

from pgstead.model.retention import Removed, Rule

Connection = psycopg.Connection[dict[str, Any]]

_AIM = 0.2  # seconds of a batch
# Of a statement, whatever comes: its commit needs time too. One row alone has what is left of a
# second, for what hangs on it.
_LIMIT, _LAST = "500ms", "800ms"
_FIRST, _LARGEST = 200, 20_000  # rows
_SURE = 2000  # rows; fewer are hardly faster: what takes long then is to find them
_FILES = 100  # rows of a batch whose files go too
_UNLINKING = 0.3  # seconds
_WHOLE, _LEAST = 0.85, 0.1  # seconds of a transaction of several statements; of its last one
_TOO_LONG = "57014"
_BUSY = (_TOO_LONG, "55P03", "40P01", "40001")
_HELD = "23503"  # another row refers to it
_TRIES = 20

_KEY = """
    SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type
    FROM pg_index AS i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indrelid = to_regclass(%(table)s) AND i.indisprimary AND k.place <= i.indnkeyatts
    ORDER BY k.place
"""
_LED = """
    SELECT EXISTS (
        SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS m ON m.oid = c.relam AND m.amname = 'btree'
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = to_regclass(%(table)s) AND i.indisvalid AND i.indpred IS NULL
          AND a.attname = %(by)s) AS led
"""
_BATCH = """
    WITH span AS MATERIALIZED (
        SELECT {order}, ({due}) AS pgstead_due FROM {table} AS c
        WHERE {among}{beyond} ORDER BY {order} LIMIT {size}
    ), taken AS MATERIALIZED (
        SELECT {keys}{files} FROM {table} AS c JOIN span AS s ON {same} AND s.pgstead_due
        WHERE {due} FOR UPDATE OF c SKIP LOCKED
    ){removal}
    SELECT (SELECT count(*) FROM span) AS visited,
           (SELECT count(*) FROM span WHERE pgstead_due) AS due,
           (SELECT jsonb_build_array({edge})::text FROM span AS s ORDER BY {last} LIMIT 1) AS edge,
           {outcome}
"""
_REMOVAL = """, gone AS (
        DELETE FROM {table} AS c USING taken AS t WHERE {matched} RETURNING 1
    )"""
_TAKEN = """(SELECT coalesce(jsonb_agg(jsonb_build_array({file}, jsonb_build_array({keys})))::text,
                                '[]') FROM taken AS t) AS taken"""


class Unlink(Protocol):
    """Removes a file; says what hinders it, empty where it is gone."""

    def __call__(self, path: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Key:
    """A column that a table is gone through by."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows are removed."""

    rule: Rule
    keys: tuple[Key, ...]
    by_age: bool  # an index leads with the age

    @property
    def identifier(self) -> sql.Identifier:
        """Its name for SQL."""
        return sql.Identifier(*self.rule.table.split(".", 1))

    @property
    def order(self) -> tuple[Key, ...]:
        """The columns that a run goes on behind."""
        return (Key(self.rule.by, "timestamptz"), *self.keys) if self.by_age else self.keys

    def due(self, before: datetime) -> sql.Composed:
        """Return the condition of rows that are due."""
        age = sql.SQL("c.{} < {}").format(sql.Identifier(self.rule.by), sql.Literal(before))
        if not self.rule.where:
            return sql.Composed([age])
        return sql.SQL("{} AND ({})").format(age, sql.SQL(self.rule.where))  # pyright: ignore[reportArgumentType] - SQL of the models' author


def table_of(connection: Connection, rule: Rule) -> Table | None:
    """Return a table as it is; None where there is none with a primary key."""
    keys = connection.execute(_KEY, {"table": rule.table}).fetchall()
    led = connection.execute(_LED, {"table": rule.table, "by": rule.by}).fetchone()
    if not keys or led is None:
        return None
    return Table(rule, tuple(Key(k["name"], k["type"]) for k in keys), bool(led["led"]))


class Removal:
    """One table on its way."""

    def __init__(
        self, connection: Connection, table: Table, before: datetime, removed: Removed,
        unlink: Unlink | None = None, tell: Callable[[Removed], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Begin nothing yet. With `unlink` the files of rows go before them."""
        self._connection = connection
        self._table = table
        self._before = before
        self._removed = removed
        self._unlink = unlink
        self._tell = tell
        self._position: str | None = None
        self._most = _LARGEST if unlink is None else _FILES
        self._size = min(_FIRST, self._most)
        self._failures = 0
        self._limit = ""
        self._ceiling = self._most

    def run(self) -> None:
        """Remove what is due. Raises psycopg.Error where the server refuses it."""
        self._connection.execute("SET lock_timeout = '300ms'")
        while self._tried():
            pass

    def _tried(self) -> bool:
        """Do one batch; where it fails make it smaller. Say whether there may be more."""
        self._bound(_LIMIT if self._size > 1 else _LAST)
        self._removed.under_way = self._size  # told beforehand: who is killed tells no more
        self._tell(self._removed)
        began = time.monotonic()
        try:
            visited = self._batch(self._size)
        except psycopg.Error as error:
            return self._failed(error)
        finally:
            took = time.monotonic() - began
            self._removed.longest = max(self._removed.longest, took)
        self._removed.under_way = 0
        self._removed.batches += 1
        self._failures = 0
        more = visited == self._size
        self._size = self._next(took)
        time.sleep(min(took / 4, 0.1))  # others have their turn
        return more

    def _bound(self, limit: str) -> None:
        if limit != self._limit:
            self._connection.execute(f"SET statement_timeout = '{limit}'".encode())
            self._limit = limit

    def _next(self, took: float) -> int:
        """Return the size of the next batch: a few rows more than what was too many at last."""
        self._ceiling = min(self._most, self._ceiling + max(1, self._ceiling // 10))
        sure = min(_SURE, self._most)
        if took <= _AIM or self._size < sure:
            return min(self._size * 2, self._ceiling)
        aim = int(self._size * _AIM / took)
        return min(max(sure, aim, self._size // 4), self._ceiling)

    def _failed(self, error: psycopg.Error) -> bool:
        if self._connection.closed:
            raise error  # whether the batch was committed nobody knows
        self._removed.under_way = 0
        if error.sqlstate not in (*_BUSY, _HELD):
            raise error
        if self._size > 1:
            self._ceiling = max(1, self._size // 2)
            self._size = max(1, self._size // 8)
            return True
        if self._table.by_age and error.sqlstate == _TOO_LONG:
            return self._by_key()
        self._failures += 1
        if error.sqlstate != _HELD and self._failures < _TRIES:
            time.sleep(0.2)
            return True
        self._removed.left += 1
        self._removed.why = " ".join((error.diag.message_primary or str(error)).split())
        self._failures = 0
        self._size = min(_FIRST, self._most)
        return self._past_one()

    def _by_key(self) -> bool:
        """Begin anew by key: of very many rows of one moment each batch would look at all."""
        self._table = replace(self._table, by_age=False)
        self._position = None
        self._removed.left = 0  # they are met again
        self._ceiling, self._size = self._most, min(_FIRST, self._most)
        return True

    def _past_one(self) -> bool:
        """Go on behind a row that cannot be removed."""
        row = self._connection.execute(self._statement(1, removing=False)).fetchone()
        assert row is not None
        self._position = row["edge"] or self._position
        return row["visited"] == 1

    def _batch(self, size: int) -> int:
        if self._unlink is not None:
            return self._with_files(size, self._unlink)
        row = self._connection.execute(self._statement(size, removing=True)).fetchone()
        assert row is not None
        self._removed.rows += row["gone"]
        self._removed.left += row["due"] - row["gone"]
        self._position = row["edge"] or self._position
        return int(row["visited"])

    def _with_files(self, size: int, unlink: Unlink) -> int:
        """Remove the files first: a run that is killed leaves a row without a file, not a file.

        Such a row is due, and goes with the next run; of a file without a row nobody would know.
        """
        began = time.monotonic()
        with self._connection.transaction():
            row = self._connection.execute(self._statement(size, removing=False)).fetchone()
            assert row is not None
            taken: list[tuple[str | None, list[Any]]] = json.loads(row["taken"])
            gone, files, hindered = self._unlinked(taken, unlink)
            left = max(_LEAST, _WHOLE - (time.monotonic() - began))
            self._connection.execute(f"SET LOCAL statement_timeout = {left * 1000:.0f}".encode())
            self._delete(gone)
        self._removed.rows += len(gone)
        self._removed.files += files
        if gone and len(gone) + hindered < len(taken):
            return size  # time was up: the rest of the batch is the next one
        self._removed.left += row["due"] - len(gone)
        self._position = row["edge"] or self._position
        return int(row["visited"])

    def _unlinked(
        self, taken: list[tuple[str | None, list[Any]]], unlink: Unlink
    ) -> tuple[list[list[Any]], int, int]:
        gone: list[list[Any]] = []
        files, hindered = 0, 0
        end = time.monotonic() + _UNLINKING
        for path, key in taken:
            if time.monotonic() > end:
                break
            if path and (hindrance := unlink(path)):
                self._removed.why = hindrance
                hindered += 1
                continue
            files += bool(path)
            gone.append(key)
        return gone, files, hindered

    def _delete(self, keys: list[list[Any]]) -> None:
        named = sql.SQL(" AND ").join(
            sql.SQL("c.{} = (k.value ->> {})::{}").format(
                sql.Identifier(key.name),
                sql.Literal(place),
                sql.SQL(key.type),  # pyright: ignore[reportArgumentType] - as the server wrote it
            )
            for place, key in enumerate(self._table.keys)
        )
        statement = sql.SQL(
            "DELETE FROM {} AS c USING jsonb_array_elements({}::jsonb) AS k WHERE {}"
        ).format(self._table.identifier, sql.Literal(json.dumps(keys)), named)
        self._connection.execute(statement)

    # -- the statement --------------------------------------------------------------------------

    def _statement(self, size: int, *, removing: bool) -> sql.Composed:
        table, due = self._table, self._table.due(self._before)
        files = table.rule.files if self._unlink is not None else ""
        keys = _columns("c", table.keys)
        removal = sql.SQL("")
        outcome: sql.Composable = sql.SQL("0 AS gone")
        if removing:
            matched = _equal("c", "t", table.keys)
            removal = sql.SQL(_REMOVAL).format(table=table.identifier, matched=matched)
            outcome = sql.SQL("(SELECT count(*) FROM gone) AS gone")
        elif files:
            outcome = sql.SQL(_TAKEN).format(
                file=sql.Identifier("t", files), keys=_columns("t", table.keys)
            )
        return sql.SQL(_BATCH).format(
            order=_columns("c", table.order),
            due=due,
            table=table.identifier,
            among=due if table.by_age else sql.SQL("true"),
            beyond=self._beyond(),
            size=sql.Literal(size),
            keys=keys,
            files=sql.SQL(", c.{}").format(sql.Identifier(files)) if files else sql.SQL(""),
            same=_equal("c", "s", table.keys),
            removal=removal,
            edge=_columns("s", table.order),
            last=sql.SQL(", ").join(
                sql.SQL("s.{} DESC").format(sql.Identifier(key.name)) for key in table.order
            ),
            outcome=outcome,
        )

    def _beyond(self) -> sql.Composable:
        if self._position is None:
            return sql.SQL("")
        bound = sql.SQL(", ").join(
            sql.SQL("({}::jsonb ->> {})::{}").format(
                sql.Literal(self._position),
                sql.Literal(place),
                sql.SQL(key.type),  # pyright: ignore[reportArgumentType] - as the server wrote it
            )
            for place, key in enumerate(self._table.order)
        )
        return sql.SQL(" AND ({}) > ({})").format(_columns("c", self._table.order), bound)


def _columns(alias: str, keys: tuple[Key, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, key.name) for key in keys)


def _equal(one: str, other: str, keys: tuple[Key, ...]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(one, k.name), sql.Identifier(other, k.name))
        for k in keys
    )


def unlinking(root: Path) -> Unlink:
    """Return what removes files below a directory, and nothing that lies elsewhere."""
    home = root.resolve()

    def unlink(path: str) -> str:
        target = home / path
        parent = target.parent.resolve()
        if parent != home and home not in parent.parents:
            return f"{path} does not lie below {root}"
        try:
            (parent / target.name).unlink(missing_ok=True)
        except OSError as error:
            return f"{path} cannot be removed: {error.strerror}"
        return ""

    return unlink
