"""The keys of encrypted columns: which there are, and which are gone though values need them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from psycopg import errors, sql

from pgstead.errors import SqlError
from pgstead.model.design import DatabasePlan, Design
from pgstead.model.keys import KeyRing
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query
from pgstead.ports import Ports

# The form of a value (docs/reference/encrypted-values.md), of 34 bytes at least.
_TEXT = sql.SQL("length({0}) >= 48 AND {0} ~ '^AQ[E-H][A-Za-z0-9+/]*={{0,2}}$'")
_BYTES = sql.SQL("octet_length({0}) >= 34 AND get_byte({0}, 0) = 1 AND get_byte({0}, 1) = 1")


def resources(design: Design, ports: Ports) -> Iterator[KeyRing]:
    """Yield the key rings that are there."""
    for plan in _wanted(design):
        mode = ports.keys.mode(plan)
        if mode is not None:
            yield KeyRing(plan.name, mode)


def missing(design: Design, ports: Ports) -> tuple[str, ...]:
    """Return the databases that have no key ring."""
    return tuple(plan.name for plan in _wanted(design) if ports.keys.mode(plan) is None)


def _wanted(design: Design) -> Iterator[DatabasePlan]:
    rings = {ring.database for ring in design.stead.all(KeyRing)}
    return (plan for plan in design.databases if plan.name in rings)


def lost(databases: Iterable[str], reading: Reading) -> Iterator[KeyRing]:
    """Yield the rings of databases that hold values which open with nothing else."""
    there = {row["name"] for row in reading.rows(query("database_names", reading.major), {})}
    for database in databases:
        if database in there and _holds_values(database, reading):
            yield KeyRing(database, 0o600, lost=True)


def _holds_values(database: str, reading: Reading) -> bool:
    """Look for a value in every column that may hold one; rare, so that it may take long."""
    columns = reading.rows(query("sealable_columns", reading.major), {}, database)
    for table, of in groupby(columns, lambda row: (row["schema"], row["table"])):
        forms = [
            (_BYTES if row["binary"] else _TEXT).format(sql.Identifier(row["column"])) for row in of
        ]
        look = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {}) AS found").format(
            sql.Identifier(*table), sql.SQL(" OR ").join(forms)
        )
        try:
            (row,) = reading.rows(look, {}, database)
        except SqlError as error:
            if not isinstance(error.__cause__, errors.QueryCanceled):
                raise
            return True  # too much to look through: better a question than new keys
        if row["found"]:
            return True
    return False
