"""A system's migrations walked on a running stead with rows in every table, and what they leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pgstead.cli.invocation import Invocation
from pgstead.cli.migrate_loss import loss_of
from pgstead.cli.migrate_reference import definition_of
from pgstead.cli.migrate_run import Way, run
from pgstead.cli.migrating import History, chosen
from pgstead.cli.wiring import SILENT
from pgstead.model.definition import Definition
from pgstead.plan import history as planned
from pgstead.prove.access import Access
from pgstead.prove.sample_rows import RowMaker
from pgstead.prove.session import Session
from pgstead.prove.tables import Catalog, Column, Table
from pgstead.prove.witness import Witness
from systems import ai_agents, jeex_idea, specgen
from tests.fix_stead import LiveStead

# From here for all of this process: what reads models and revisions in it would have them from
# the directory of the first stead, which is gone when the second one asks.
SYSTEMS = (jeex_idea, ai_agents, specgen)

_TABLES = """
SELECT relname::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND relname <> 'alembic_version'
"""

Row = tuple[tuple[str, str], ...]
Contents = Mapping[str, Counter[Row]]
"""All rows of all tables; of a row only what is not null, so that a new column changes nothing."""


@dataclass(frozen=True)
class Stairway:
    """The migrations of one database, walked in this process."""

    stead: LiveStead
    name: str

    @property
    def history(self) -> History:
        """The history as it is now."""
        invocation = Invocation(manifest=str(self.stead.manifest), quiet=True)
        return History(chosen([self.name], invocation)[0], invocation)

    @property
    def revisions(self) -> list[str]:
        """The names of all revisions, first to last."""
        return [file.name for file in planned.ordered(self.history.files)]

    def up(self, revision: str) -> None:
        """Upgrade to a revision."""
        run(self.history, Way.UP, revision, SILENT)

    def down(self, revision: str) -> tuple[list[str], list[str]]:
        """Downgrade to a revision; return what was said to be lost by it, and what was lost."""
        history = self.history
        before, told = self.contents(), loss_of(history, revision)
        run(history, Way.DOWN, revision, SILENT)
        return sorted(told), sorted(lost(before, self.contents()))

    def definition(self) -> Definition:
        """Return what the database is made of."""
        return definition_of(self.history)

    def contents(self) -> Contents:
        """Return all rows."""
        found: dict[str, Counter[Row]] = {}
        with self.stead.superuser(self.name) as connection:
            connection.row_factory = tuple_row
            for (table,) in connection.execute(_TABLES).fetchall():
                rows = connection.execute(
                    sql.SQL("SELECT jsonb_strip_nulls(to_jsonb(t)) FROM {} AS t").format(
                        sql.Identifier("public", table)
                    )
                )
                found[table] = Counter(
                    tuple(sorted((name, repr(value)) for name, value in row.items()))
                    for (row,) in rows
                )
        return found

    def fill(self) -> None:
        """Put a row into every table, with a value in every column that takes one."""
        wired = self.stead.wired
        plan = wired.design.database(self.name)
        assert plan is not None
        witness = Witness(wired.design, Access.found(wired.design, wired.ports))
        catalog = Catalog.of(witness, plan)
        # of models nothing is known: they are of the head, the database need not be
        tables = {oid: _bare(table) for oid, table in catalog.tables.items()}
        with (
            witness.backstage(self.name, write=True) as session,
            session.connection.transaction(),
        ):
            maker = RowMaker(replace(catalog, tables=tables), session)
            for table in tables.values():
                row = maker.row(table.oid)
                _fill_up(session, maker, table, row)
        empty = [table for table, rows in self.contents().items() if not rows]
        assert not empty, f"{self.name}: no row in {empty}"


def lost(before: Contents, after: Contents) -> list[str]:
    """Return what is gone, in the words of `pgstead migrate down`. What is left is as it was."""
    words: list[str] = []
    for table, rows in before.items():
        if table not in after:
            words += [f"{rows.total()} row(s) of {table}"] if rows else []
            continue
        gone = Counter[str](name for row in rows.elements() for name, _ in row)
        gone -= Counter(name for row in after[table].elements() for name, _ in row)
        words += [f"{number} value(s) of {table}.{column}" for column, number in gone.items()]
        kept = Counter(
            tuple(pair for pair in row if pair[0] not in gone) for row in rows.elements()
        )
        assert after[table] == kept, f"{table}: other rows than before"
    return words


def _bare(table: Table) -> Table:
    names = {column.name for column in table.columns}
    sealed = tuple(s for s in table.sealed if {s.column, *s.binding} <= names)
    return replace(table, rules=(), sealed=sealed)


def _fill_up(session: Session, maker: RowMaker, table: Table, row: dict[str, Any]) -> None:
    """Set what is still null, where a value can be made up that the table takes."""
    keys = {name for key in maker.catalog.of_table(table.oid) for name in key.columns}
    for column in table.columns:
        if row[column.name] is None and column.name not in keys:
            _set(session, maker, table, row, column)


def _set(
    session: Session, maker: RowMaker, table: Table, row: dict[str, Any], column: Column
) -> None:
    change = sql.SQL("UPDATE {} SET {} = %s WHERE {}").format(
        table.identifier, sql.Identifier(column.name), table.where(row)
    )
    try:
        with session.connection.transaction():
            session.connection.execute(change, [maker.value(column)])
    except psycopg.Error:  # generated, or bound to others: it stays as it is
        return
