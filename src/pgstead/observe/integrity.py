"""Is what lies in a database whole: heaps and indexes by amcheck, constraints by every row.

The session is the superuser's, over the 0700 socket, with nothing but pg_catalog in its path: no
function of a user's is called here (amcheck itself becomes the table's owner before it evaluates
the expressions of an index: CVE-2022-1552). What has to call them is in `observe/row_checks.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgstead.model.integrity import Check, Damage, Integrity, Remedy, Unseen

Connection = psycopg.Connection[dict[str, Any]]

_STRETCH = 8192  # blocks of one statement: 64 MB, so that no snapshot is held for long
_MOST = 20  # rows of one constraint that are named
_DAMAGED = ("XX001", "XX002")  # data_corrupted, index_corrupted
_PAGE = re.compile(r"invalid page in block (\d+) of relation (\S+?)[\"']?$")

_HEAPS = """
    SELECT c.oid::bigint AS oid, c.oid::regclass::text AS name,
           coalesce(t.oid, c.oid)::regclass::text AS owner,
           pg_relation_size(c.oid) / current_setting('block_size')::int AS blocks,
           pg_relation_filepath(c.oid) AS path
    FROM pg_class AS c LEFT JOIN pg_class AS t ON t.reltoastrelid = c.oid
    WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence = 'p'
      AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'heap')
    ORDER BY c.oid
"""
_VERIFY = """
    SELECT blkno, offnum, msg FROM verify_heapam(
        %(oid)s::bigint::oid::regclass, startblock => %(first)s, endblock => %(last)s,
        check_toast => true)
    LIMIT 50
"""
_TREES = """
    SELECT i.indexrelid::bigint AS oid, i.indexrelid::regclass::text AS name,
           i.indrelid::regclass::text AS table, i.indisvalid AND i.indisready AS valid,
           i.indisunique AS one, a.amname = 'btree' AS tree,
           n.nspname ~ '^pg_' AS system, pg_relation_filepath(i.indexrelid) AS path
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS a ON a.oid = c.relam JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relpersistence = 'p' AND c.relkind = 'i' ORDER BY i.indexrelid
"""
_KEYS = """
    SELECT k.oid::bigint AS oid, k.conname::text AS name, k.convalidated AS valid,
           k.conrelid::regclass::text AS table, k.confrelid::regclass::text AS refers,
           n.nspname::text AS schema, c.relname::text AS child,
           fn.nspname::text AS refers_schema, f.relname::text AS parent,
           (SELECT array_agg(a.attname::text ORDER BY u.place)
            FROM unnest(k.conkey) WITH ORDINALITY AS u(number, place)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.number) AS mine,
           (SELECT array_agg(a.attname::text ORDER BY u.place)
            FROM unnest(k.confkey) WITH ORDINALITY AS u(number, place)
            JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.number) AS theirs,
           coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false) AS period
    FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS f ON f.oid = k.confrelid JOIN pg_namespace AS fn ON fn.oid = f.relnamespace
    WHERE k.contype = 'f' AND k.conparentid = 0 AND n.nspname !~ '^pg_' ORDER BY k.oid
"""
_PRIMARY = """
    SELECT a.attname::text AS name FROM pg_index AS i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indrelid = to_regclass(%(table)s) AND i.indisprimary AND k.place <= i.indnkeyatts
    ORDER BY k.place
"""
# A damaged index must not decide what rows there are.
_BY_HEAP = """
    SELECT set_config('enable_indexscan', 'off', false),
           set_config('enable_indexonlyscan', 'off', false),
           set_config('enable_bitmapscan', 'off', false)
"""


@dataclass
class Looking:
    """One database, looked at."""

    connection: Connection
    database: str
    major: int
    found: Integrity
    tell: Callable[[str], None]

    def damage(self, check: Check, relation: str, what: str, **more: Any) -> None:
        """Keep what is damaged."""
        self.found.damages.append(Damage(self.database, check, relation, what, **more))

    def unseen(self, check: Check, relation: str, why: str) -> None:
        """Keep what could not be looked at."""
        self.found.unseen.append(Unseen(self.database, check, relation, why))

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        """Ask."""
        return self.connection.execute(statement.encode(), values or None).fetchall()


def heaps(looking: Looking) -> None:
    """Look at every row of every table, and every value that lies outside of it."""
    for heap in looking.rows(_HEAPS):
        looking.tell(f"{looking.database}: {heap['name']}")
        looking.found.count(Check.HEAPS)
        for first in range(0, heap["blocks"], _STRETCH):
            last = min(first + _STRETCH, heap["blocks"]) - 1
            _stretch(looking, heap, first, last)


def _stretch(looking: Looking, heap: dict[str, Any], first: int, last: int) -> None:
    """Look at some blocks; a page that cannot be read is named, and the rest is looked at."""
    spans = [(first, last)]
    while spans:
        begin, end = spans.pop()
        if begin > end:
            continue
        try:
            for row in looking.rows(_VERIFY, oid=heap["oid"], first=begin, last=end):
                item = f"item {row['offnum']}: " if row["offnum"] is not None else ""
                looking.damage(
                    Check.HEAPS, heap["owner"], item + row["msg"], block=row["blkno"],
                    remedy=Remedy.SALVAGE,
                )  # fmt: skip
        except psycopg.Error as error:
            bad = _unreadable(error, heap["path"])
            if bad is not None and begin <= bad <= end:
                looking.damage(
                    Check.HEAPS, heap["owner"], _words(error), block=bad, remedy=Remedy.SALVAGE
                )
                spans += [(begin, bad - 1), (bad + 1, end)]
            else:
                _failed(looking, Check.HEAPS, heap["owner"], error, Remedy.SALVAGE)


def _unreadable(error: psycopg.Error, path: str) -> int | None:
    """Return the block of this very file that could not be read."""
    told = _PAGE.search(error.diag.message_primary or "")
    return int(told[1]) if told is not None and told[2].strip("\"'") == path else None


def _failed(
    looking: Looking, check: Check, relation: str, error: psycopg.Error, remedy: Remedy
) -> None:
    if error.sqlstate in _DAMAGED:
        told = _PAGE.search(error.diag.message_primary or "")
        block = int(told[1]) if told is not None else None
        looking.damage(check, relation, _words(error), block=block, remedy=remedy)
    elif error.sqlstate == "42P01":
        return  # dropped meanwhile
    elif looking.connection.closed:
        raise error
    else:
        looking.unseen(check, relation, _words(error))


def _words(error: psycopg.Error) -> str:
    primary = error.diag.message_primary or str(error)
    detail = error.diag.message_detail
    return " ".join(f"{primary}{f' ({detail})' if detail else ''}".split())


def indexes(looking: Looking) -> None:
    """Compare every B-tree with its table; the others are looked for whether they count."""
    for tree in looking.rows(_TREES):
        _index(looking, tree)


def one_index(looking: Looking, name: str) -> None:
    """Compare one B-tree with its table."""
    for tree in looking.rows(_TREES):
        if tree["name"] == name:
            _index(looking, tree)


def _index(looking: Looking, tree: dict[str, Any]) -> None:
    looking.found.count(Check.INDEXES)
    remedy = Remedy.BY_HAND if tree["system"] else Remedy.REINDEX
    if not tree["valid"]:
        words = "it is invalid: its building was cut short"
        looking.damage(Check.INDEXES, tree["name"], words, remedy=remedy)
        return
    if not tree["tree"]:
        return
    looking.tell(f"{looking.database}: {tree['name']}")
    # PostgreSQL 17 looks whether a unique index has one row per key too
    # (https://www.postgresql.org/docs/17/amcheck.html)
    unique = ", %(one)s" if looking.major >= 17 else ""
    given = {"oid": tree["oid"], **({"one": tree["one"]} if unique else {})}
    try:
        looking.rows(
            f"SELECT bt_index_check(%(oid)s::bigint::oid::regclass, true{unique})", **given
        )
    except psycopg.Error as error:
        told = _PAGE.search(error.diag.message_primary or "")
        if told is not None and told[2].strip("\"'") != tree["path"]:
            return  # a page of the table: `heaps` names it
        _failed(looking, Check.INDEXES, tree["name"], error, remedy)


def foreign_keys(looking: Looking) -> None:
    """Look for rows that refer to nobody; a constraint that holds unproven may be validated."""
    looking.rows(_BY_HEAP)
    for key in looking.rows(_KEYS):
        looking.found.count(Check.CONSTRAINTS)
        looking.tell(f"{looking.database}: {key['table']} {key['name']}")
        if key["period"]:
            looking.unseen(Check.CONSTRAINTS, key["table"], f"{key['name']} is over periods")
            continue
        try:
            orphans = list(_orphans(looking, key))
        except psycopg.Error as error:
            _failed(looking, Check.CONSTRAINTS, key["table"], error, Remedy.BY_HAND)
            continue
        for row in orphans:
            looking.damage(
                Check.CONSTRAINTS, key["table"],
                f"refers to nothing in {key['refers']}: {key['name']}",
                key=row["key"], constraint=key["name"],
            )  # fmt: skip
        if not orphans and not key["valid"]:
            looking.damage(
                Check.CONSTRAINTS, key["table"],
                f"{key['name']} was never validated; every row satisfies it",
                remedy=Remedy.VALIDATE, constraint=key["name"],
            )  # fmt: skip


def _orphans(looking: Looking, key: dict[str, Any]) -> Iterator[dict[str, Any]]:
    pairs = list(zip(key["mine"], key["theirs"], strict=True))
    mine, theirs = sql.Identifier("c"), sql.Identifier("p")
    there = [
        sql.SQL("{}.{} IS NOT NULL").format(mine, sql.Identifier(column)) for column, _ in pairs
    ]
    equal = [
        sql.SQL("{}.{} = {}.{}").format(mine, sql.Identifier(a), theirs, sql.Identifier(b))
        for a, b in pairs
    ]
    statement = sql.SQL(
        "SELECT {} AS key FROM {} AS c WHERE {} AND NOT EXISTS (SELECT FROM {} AS p WHERE {})"
        " LIMIT {}"
    ).format(
        told_key(primary_key(looking.connection, key["table"]) or tuple(key["mine"]), "c"),
        sql.Identifier(key["schema"], key["child"]),
        sql.SQL(" AND ").join(there),
        sql.Identifier(key["refers_schema"], key["parent"]),
        sql.SQL(" AND ").join(equal),
        sql.Literal(_MOST),
    )
    yield from looking.connection.execute(statement)


def primary_key(connection: Connection, table: str) -> tuple[str, ...]:
    """Return the columns of a primary key; none where there is none."""
    found = connection.execute(_PRIMARY, {"table": table}).fetchall()
    return tuple(str(row["name"]) for row in found)


def told_key(columns: tuple[str, ...], alias: str) -> sql.Composed:
    """Return SQL for a row's key as a JSON array."""
    named = [sql.Identifier(alias, column) for column in columns]
    return sql.SQL("jsonb_build_array({})::text").format(sql.SQL(", ").join(named))
