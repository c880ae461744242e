"""The schema at work: what an application does with rows, and what the server keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql

from pgstead.model.design import DatabasePlan
from pgstead.model.resources import Capability
from pgstead.prove import models
from pgstead.prove.finding import Answer, CannotTryError, Finding
from pgstead.prove.promise import promise
from pgstead.prove.sample_rows import FIRST, SECOND, RowMaker
from pgstead.prove.session import DENIED, Rows, Session
from pgstead.prove.tables import Catalog, ForeignKey, Table, assignments, equal
from pgstead.prove.witness import Witness

SCHEMA = Capability.SCHEMA
Judge = Callable[[Answer[Rows | psycopg.Error]], Finding]
_NEEDS = ("door", "schema")


@contextmanager
def _made_up(w: Witness, plan: DatabasePlan, role: str, door: str) -> Generator[RowMaker]:
    """Yield a maker of rows, as a role, in a transaction that never comes about."""
    catalog = Catalog.of(w, plan)
    with w.session(role, plan.name, door) as session, session.undone():
        yield RowMaker(catalog, session)


@contextmanager
def _unhindered(w: Witness, plan: DatabasePlan) -> Generator[RowMaker]:
    """Yield a maker as who sees and writes all rows, also those that the application may not.

    What has gone and what is merely hidden are the same to an application.
    """
    direct = w.door("direct") is not None
    role, door = (plan.admin, "direct") if direct else (plan.app, w.doors[-1].name)
    with _made_up(w, plan, role, door) as maker:
        yield maker


@promise(
    "SCH-008",
    "the application inserts, reads, changes and deletes rows in every table that is its own, and"
    " may do nothing that its models withhold",
    requirement="ROL-1 API-2",
    capability=SCHEMA,
    needs=_NEEDS,
)
def the_application_works(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        with _made_up(w, plan, plan.app, w.doors[-1].name) as maker:
            for table in maker.catalog.tables.values():
                yield from _withheld(maker.session, table)
                yield from _used(maker, table)


def _withheld(session: Session, table: Table) -> Iterator[Finding]:
    """Try what is withheld; privileges are looked at before any row is."""
    column = sql.Identifier(table.columns[0].name)
    tries: dict[str, LiteralString] = {
        "SELECT": "SELECT {c} FROM {t} WHERE false",
        "INSERT": "INSERT INTO {t} DEFAULT VALUES",
        "UPDATE": "UPDATE {t} SET {c} = {c} WHERE false",
        "DELETE": "DELETE FROM {t} WHERE false",
    }
    for privilege in sorted(table.withheld):
        statement = sql.SQL(tries[privilege]).format(c=column, t=table.identifier)
        yield session.must_refuse(statement, hint="the migration lacks its revoke()")


def _used(maker: RowMaker, table: Table) -> Iterator[Finding]:
    """Insert a row, read it, change it to itself, delete it, as far as nothing is withheld."""
    session = maker.session
    if "INSERT" in table.withheld:
        if "SELECT" not in table.withheld:
            yield session.ask(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(table.identifier)).kept()
        return
    try:
        row = maker.row(table.oid)
    except CannotTryError as error:
        yield _judged_refusal(error)
        return
    yield maker.inserts[table.oid].kept(f"a row of {table.name}")
    for privilege, statement in _statements(table, table.where(row)):
        if privilege in table.withheld:
            continue
        with session.connection.transaction(force_rollback=True):
            told = session.attempt(statement)
        # What others still need may stay; that it was asked for is what privileges decide.
        needed = isinstance(told.value, psycopg.Error) and told.value.sqlstate == "23503"
        yield told.shows(holds=needed or told.value == [(1,)], expected="one row")


def _statements(table: Table, where: sql.Composed) -> Iterator[tuple[str, sql.Composed]]:
    column = sql.Identifier(table.columns[0].name)
    yield "SELECT", sql.SQL("SELECT 1 FROM {} WHERE {}").format(table.identifier, where)
    change = sql.SQL("UPDATE {} SET {} = {} WHERE {} RETURNING 1")
    yield "UPDATE", change.format(table.identifier, column, column, where)
    delete = sql.SQL("DELETE FROM {} WHERE {} RETURNING 1")
    yield "DELETE", delete.format(table.identifier, where)


def _judged_refusal(error: CannotTryError) -> Finding:
    """Judge an INSERT: a privilege withheld breaks the promise; what we made up may not fit."""
    evidence = error.evidence
    if evidence is not None and evidence.answer.startswith(DENIED):
        told = Answer(evidence.tried, evidence.answer, None, evidence.seconds, evidence.at)
        return told.broken("a row to be inserted", hint="`pgstead up` grants what is missing")
    return error.finding()


@promise(
    "SCH-009",
    "updated_at follows every change, and nobody has to think of it",
    requirement="MIG-3",
    capability=SCHEMA,
    needs=_NEEDS,
)
def updated_at_follows(w: Witness) -> Iterator[Finding]:
    yield from _stamps(w, "updated_at", "SET updated_at = '2020-01-01'", _moved_on)


def _moved_on(told: Answer[Rows | psycopg.Error]) -> Finding:
    fresh = not isinstance(told.value, psycopg.Error) and told.value == [(True,)]
    return told.shows(
        holds=fresh, expected="the time of the change", hint="the table lacks its trigger"
    )


@promise(
    "SCH-010",
    "created_at stays what it was",
    requirement="MIG-3",
    capability=SCHEMA,
    needs=_NEEDS,
)
def created_at_stays(w: Witness) -> Iterator[Finding]:
    yield from _stamps(w, "created_at", "SET created_at = '2020-01-01'", _stayed)


def _stayed(told: Answer[Rows | psycopg.Error]) -> Finding:
    if isinstance(told.value, psycopg.Error):
        # A trigger's refusal, or a privilege that is withheld.
        state = told.value.sqlstate or ""
        refused = state in {"42501", "P0001", "23514"} or state.startswith("23")
        return told.shows(holds=refused, expected="a refusal, or the old value")
    return told.shows(holds=told.value == [(True,)], expected="a refusal, or the old value")


def _stamps(w: Witness, column: str, change: LiteralString, judge: Judge) -> Iterator[Finding]:
    tried = False
    for plan in w.migrated:
        with _unhindered(w, plan) as maker:
            for table in maker.catalog.tables.values():
                if not table.has(column):
                    continue
                tried = True
                row = maker.row(table.oid)
                statement = sql.SQL("UPDATE {} {} WHERE {} RETURNING {} > {}").format(
                    table.identifier,
                    sql.SQL(change),
                    table.where(row),
                    sql.Identifier(column),
                    sql.SQL("now() - interval '1 minute'"),
                )
                yield judge(maker.session.rehearse(statement))
    if not tried:
        raise CannotTryError(f"no table has a column {column}", could_try=False)


@promise(
    "SCH-011",
    "deleting a row takes along what belongs to it",
    requirement="MIG-3",
    capability=SCHEMA,
    needs=_NEEDS,
)
def deletes_cascade(w: Witness) -> Iterator[Finding]:
    tried = False
    for plan in w.migrated:
        if not plan.models:
            continue
        wanted = models.cascades(plan.models, w.design.layout.manifest_directory)
        with _unhindered(w, plan) as maker:
            for key in _references(maker.catalog, wanted):
                tried = True
                yield _cascades(maker, key)
    if not tried:
        raise CannotTryError("no model has a cascading foreign key", could_try=False)


def _references(
    catalog: Catalog, wanted: frozenset[tuple[str, tuple[str, ...]]]
) -> Iterator[ForeignKey]:
    """Yield the references that the models declare, as they are; what lacks is for SCH-002."""
    for key in catalog.references:
        child = catalog.tables.get(key.table)
        if child is not None and (child.name, key.columns) in wanted:
            yield key


def _cascades(maker: RowMaker, key: ForeignKey) -> Finding:
    child, parent = (maker.catalog.tables[oid] for oid in (key.table, key.parent))
    owner = maker.row(parent.oid)
    row = maker.row(child.oid, which=SECOND if child is parent else FIRST)
    session = maker.session
    with session.connection.transaction(force_rollback=True):
        if any(row[name] is None for name in key.columns):
            refers = {mine: owner[its] for mine, its in zip(key.columns, key.referred, strict=True)}
            refer = sql.SQL("UPDATE {} SET {} WHERE {}")
            session.ask(refer.format(child.identifier, assignments(refers), child.where(row)))
            row = {**row, **refers}
        referred = {its: row[mine] for mine, its in zip(key.columns, key.referred, strict=True)}
        delete = sql.SQL("DELETE FROM {} WHERE {} RETURNING 1")
        told = session.attempt(delete.format(parent.identifier, equal(referred)))
        if isinstance(told.value, psycopg.Error):
            return told.broken(f"the row of {parent.name} and its {child.name} to go")
        count = sql.SQL("SELECT count(*) FROM {} WHERE {}")
        left = session.ask(count.format(child.identifier, child.where(row)))
    return left.shows(holds=left.value == [(0,)], expected=f"no row of {child.name} left")


PROMISES = (
    the_application_works,
    updated_at_follows,
    created_at_stays,
    deletes_cascade,
)
