"""What PostgreSQL does not do in a transaction, and what a failure of it leaves behind.

CREATE INDEX CONCURRENTLY that fails leaves an INVALID index, which costs every write and which
IF NOT EXISTS takes for the index itself. So before one is made, remains of that name are dropped;
afterwards it has to be valid; when it fails, what it left goes.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import sql

from pgstead.errors import SteadError

_log = logging.getLogger("alembic.pgstead")

_NAME = r'(?:"(?:[^"]|"")+"|[^\s".();]+)'
_QUALIFIED = rf"{_NAME}(?:\.{_NAME})?"
_CREATE = re.compile(
    r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<index>{_NAME})\s+ON\s+(?:ONLY\s+)?(?P<table>{_QUALIFIED})",
    re.IGNORECASE,
)
_DROP = re.compile(
    rf"DROP\s+INDEX\s+CONCURRENTLY\s+(?:IF\s+EXISTS\s+)?(?P<index>{_QUALIFIED})", re.IGNORECASE
)
_REINDEX = re.compile(
    r"REINDEX\s+(?:\([^)]*\)\s*)?(?P<what>INDEX|TABLE)\s+(?:CONCURRENTLY\s+)?"
    rf"(?P<name>{_QUALIFIED})",
    re.IGNORECASE,
)
_COMMENTS = re.compile(r"^(?:\s+|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)

# Names are resolved as the migration's own session would: by its search_path.
_INDEX_OF_TABLE = """
    SELECT c.oid::regclass::text AS name, i.indisvalid AND i.indisready AS valid, c.oid::bigint
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass(%(table)s) AND c.relname = (parse_ident(%(index)s))[1]
"""
_INDEX = """
    SELECT c.oid::regclass::text, i.indisvalid AND i.indisready, c.oid::bigint
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.oid = to_regclass(%(index)s)
"""
# What REINDEX CONCURRENTLY leaves has the index's name and _ccnew, or _ccold.
_LEFT_BY_REINDEX = """
    SELECT c.oid::regclass::text, false, c.oid::bigint
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
      AND i.indrelid = coalesce(
        (SELECT x.indrelid FROM pg_index AS x WHERE x.indexrelid = to_regclass(%(index)s)),
        to_regclass(%(index)s))
"""
_BUILDER = """
    SELECT pid FROM pg_stat_progress_create_index
    WHERE index_relid = %(oid)s::bigint::oid AND datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that there is."""

    name: str  # as the server writes it, ready for SQL
    valid: bool
    oid: int


@dataclass(frozen=True, slots=True)
class Concurrent:
    """A statement with CONCURRENTLY: what it does, to which index."""

    word: str  # create, drop, reindex, other
    index: str = ""
    table: str = ""

    @classmethod
    def of(cls, statement: str) -> Self | None:
        """Read a statement; None where it is none of these."""
        bare = _COMMENTS.sub("", statement)
        if not re.search(r"\bCONCURRENTLY\b", bare, re.IGNORECASE):
            return None
        if found := _CREATE.match(bare):
            return cls("create", found["index"], found["table"])
        if found := _DROP.match(bare):
            return cls("drop", found["index"])
        if found := _REINDEX.match(bare):
            return cls("reindex", found["name"])
        return cls("other")

    def find(self, connection: psycopg.Connection[Any]) -> list[Index]:
        """Return the index of that name, or what REINDEX left: in the work's own search_path."""
        if self.word == "other":
            return []
        query = {"create": _INDEX_OF_TABLE, "drop": _INDEX, "reindex": _LEFT_BY_REINDEX}[self.word]
        values = {"index": self.index, "table": self.table}
        return [Index(*row) for row in connection.execute(query.encode(), values)]

    def clean(self, connection: psycopg.Connection[Any], beside: psycopg.Connection[Any]) -> None:
        """Drop what was left. `connection` is in autocommit; `beside` sees who builds."""
        if self.word not in {"create", "reindex"}:
            return
        for index in self.find(connection):
            if not index.valid:
                _wait_for_builder(beside, index)
        for index in self.find(connection):
            if not index.valid:
                _log.info("dropping %s, which an earlier attempt left invalid", index.name)
                drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}")
                # the server's own spelling of the name, quoted where it has to be
                name = sql.SQL(index.name)  # pyright: ignore[reportArgumentType]
                connection.execute(drop.format(name))

    def verify(self, connection: psycopg.Connection[Any]) -> None:
        """Raise SteadError unless the index that was made is valid."""
        if self.word != "create":
            return
        found = self.find(connection)
        if not found or not all(index.valid for index in found):
            raise SteadError(
                f"the index {self.index} on {self.table} is not valid after it was built",
                hint="run the migration again: what is left is dropped and built anew",
            )

    def settled(self, connection: psycopg.Connection[Any]) -> bool:
        """Say whether an attempt that was interrupted did all of its work nevertheless."""
        found = self.find(connection)
        match self.word:
            case "create":
                return bool(found) and all(index.valid for index in found)
            case "drop":
                return not found
            case _:
                return False


def _wait_for_builder(beside: psycopg.Connection[Any], index: Index) -> None:
    """Wait while somebody builds it: the session of a runner that was killed goes on with that."""
    told = False
    while rows := beside.execute(_BUILDER, {"oid": index.oid}).fetchall():
        if not told:
            _log.warning("pid %s still builds %s: waiting for it", rows[0][0], index.name)
            told = True
        time.sleep(0.2)
