"""Side channels: what errors, estimates and statistics could tell of other people's rows."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg import sql

from pgstead.model.address import Capability
from pgstead.prove.finding import Finding
from pgstead.prove.promise import promise
from pgstead.prove.sample_rows import RowMaker
from pgstead.prove.session import Session
from pgstead.prove.tables import Table
from pgstead.prove.tenancy import protected, two_people
from pgstead.prove.witness import Witness

_STATISTICS = (
    "SELECT count(*) FROM pg_catalog.{} WHERE schemaname = 'public' AND tablename = ANY (%s)"
)
_VIEWS = ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs")


@promise(
    "TEN-025",
    "neither errors nor statistics tell one of another's rows",
    requirement="TEN-1 TEN-6",
    capability=Capability.TENANCY,
    needs=("door", "schema"),
)
def nothing_leaks_aside(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        names = [d.table for d in declarations]
        with two_people(w, plan) as (owner, stranger):
            session = stranger.session
            yield session.must_refuse("SELECT stavalues1 FROM pg_catalog.pg_statistic")
            for view in _VIEWS:
                told = session.ask(sql.SQL(_STATISTICS).format(sql.Identifier(view)), [names])
                yield told.shows(holds=told.value == [(0,)], expected="no value of a column")
            for declaration in declarations:
                table = owner.catalog.named(declaration.table)
                if table is not None:
                    yield from _silent(owner, stranger, table)


def _silent(owner: RowMaker, stranger: RowMaker, table: Table) -> Iterator[Finding]:
    """Ask for one's own rows by what fails on another's, and write another's key."""
    owner.act()
    row = owner.row(table.oid)
    stranger.act()
    mine = stranger.row(table.oid)
    key = next(c.name for c in table.columns if c.key)
    secret, column = str(row[key]), sql.Identifier(key)
    # an error in a condition would tell the value; policies are asked before what may fail
    leaky = sql.SQL("SELECT 1 FROM {} WHERE {} AND CAST({}::text AS integer) = 1").format(
        table.identifier, table.where(row), column
    )
    yield _tells_nothing(stranger.session, leaky, secret)
    taken = sql.SQL("UPDATE {} SET {} = {} WHERE {}").format(
        table.identifier, column, sql.Literal(row[key]), table.where(mine)
    )
    yield _names_nothing(stranger.session, taken, secret)


def _tells_nothing(session: Session, statement: sql.Composed, secret: str) -> Finding:
    told = session.rehearse(statement)
    expected = "no row and no error"
    if isinstance(told.value, psycopg.Error):
        if secret in str(told.value):
            return told.broken(expected, hint="a function that tells its arguments is LEAKPROOF")
        return told.unproven(f"refused for another reason; expected {expected}")
    return told.shows(holds=not told.value, expected=expected)


def _names_nothing(session: Session, statement: sql.Composed, secret: str) -> Finding:
    """Judge a write that meets another's key: PostgreSQL leaves its DETAIL out under policies."""
    told = session.rehearse(statement)
    if not isinstance(told.value, psycopg.Error):
        return told.broken("a refusal")
    return told.shows(holds=secret not in str(told.value), expected="no value in the error")


PROMISES = (nothing_leaks_aside,)
