"""Encrypted values to judge: those that are stored, and where there are none a row of our own.

Such a row is sealed by the prover, inserted and rolled back: it was in the WAL and in data files as
an application's would have been, and no table keeps it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from pgstead.prove import sealed
from pgstead.prove.finding import CannotTryError
from pgstead.prove.sample_rows import RowMaker
from pgstead.prove.sealed import Sealed, Value
from pgstead.prove.tables import Catalog, Table
from pgstead.prove.witness import Witness


@contextmanager
def rows(w: Witness, database: str) -> Generator[RowMaker]:
    """Yield a maker of rows as the superuser, whom neither grants nor policies hold."""
    plan = w.design.database(database)
    assert plan is not None
    sealed.keys_of(w, database)  # without keys nothing would be shown
    with w.backstage(database, write=True) as session, session.undone():
        yield RowMaker(Catalog.of(w, plan), session)


def table_of(maker: RowMaker, column: Sealed) -> Table:
    """Return the table of an encrypted column. Raises CannotTryError where it is not there."""
    table = maker.catalog.named(column.table)
    if table is None:
        raise CannotTryError(f"there is no table {column.table} in public")
    return table


def all_values(w: Witness) -> list[Value]:
    """Return values of every encrypted column. Raises CannotTryError where there is no column."""
    return w.once("sealed", lambda: [v for column in sealed.columns(w) for v in _values(w, column)])


def _values(w: Witness, column: Sealed) -> Iterator[Value]:
    found = sealed.values(w, column)
    yield from found
    if not found:
        with rows(w, column.database) as maker:
            yield _value(column, maker.row(table_of(maker, column).oid))


def _value(column: Sealed, row: dict[str, Any]) -> Value:
    tenant = None if column.tenant is None else str(row[column.tenant])
    key = tuple(str(row[name]) for name in column.key)
    owner = None if column.owner is None else str(row[column.owner])
    return Value(column, key, tenant, sealed.decoded(row[column.column]), owner)
