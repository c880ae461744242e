"""The schema: at its head, as the models say, and doing what applications rely on."""

from __future__ import annotations

import itertools
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
from pgstead.prove.sample_rows import Catalog, RowMaker, Table
from pgstead.prove.session import Rows
from pgstead.prove.witness import Witness

SCHEMA = Capability.SCHEMA
Judge = Callable[[Answer[Rows | psycopg.Error]], Finding]
_NEEDS = ("door", "schema")


@promise(
    "SCH-001",
    "every database is at the revision that its migrations lead to",
    requirement="MIG-2 API-6",
    capability=SCHEMA,
    needs=("schema",),
)
def databases_are_at_their_heads(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT version_num FROM public.alembic_version ORDER BY version_num",
            database=plan.name,
        )
        yield told.shows(
            holds=[row[0] for row in told.value] == sorted(plan.heads),
            expected=", ".join(sorted(plan.heads)) or "a revision",
            hint=f"`pgstead up`, or `alembic upgrade head` in {plan.migrations}",
        )


@promise(
    "SCH-002",
    "tables, columns, keys, constraints and indexes are those of the models",
    requirement="MIG-3 MIG-5",
    capability=SCHEMA,
    needs=("schema",),
)
def the_schema_is_the_models(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        if not plan.models:
            raise CannotTryError(f"the manifest names no models for {plan.name}", could_try=False)
        wanted = models.of_application(plan.models, w.design.layout.manifest_directory)
        told = w.look(models.CATALOG, database=plan.name)
        found = {tuple(map(str, row)) for row in told.value}
        odd = [f"{' '.join(e)} is missing" for e in sorted(wanted - found)]
        odd += [f"{' '.join(e)} is not in the models" for e in sorted(found - wanted)]
        yield told.shows(
            holds=bool(wanted) and not odd,
            expected=f"what {plan.models} says",
            said="; ".join(odd) or f"{len(found)} parts, all as in {plan.models}",
            hint="`alembic check` in the migrations' directory shows the difference",
        )


@promise(
    "SCH-003",
    "every table has a primary key, and no index or constraint is invalid",
    requirement="MIG-2 OPS-4",
    capability=SCHEMA,
    needs=("schema",),
)
def nothing_is_invalid(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT 'index', i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i"
            " WHERE NOT (i.indisvalid AND i.indisready)"
            " UNION ALL SELECT 'constraint', conname::text FROM pg_catalog.pg_constraint"
            " WHERE NOT convalidated"
            " UNION ALL SELECT 'no primary key', c.oid::regclass::text"
            " FROM pg_catalog.pg_class AS c"
            " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i"
            " WHERE i.indrelid = c.oid AND i.indisprimary) ORDER BY 1, 2",
            database=plan.name,
        )
        yield told.shows(
            holds=not told.value, expected="no row", hint="DROP INDEX CONCURRENTLY, and build anew"
        )


@promise(
    "SCH-004",
    "all that migrations made belongs to the owner, who cannot log in",
    requirement="ROL-1",
    capability=SCHEMA,
    needs=("schema",),
)
def the_owner_owns_it_all(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT c.oid::regclass::text, c.relowner::regrole::text FROM pg_catalog.pg_class AS c"
            " WHERE c.relnamespace = 'public'::regnamespace AND pg_get_userbyid(c.relowner) <> %s"
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d"
            " WHERE d.objid = c.oid AND d.deptype = 'e')"
            " UNION ALL SELECT p.oid::regprocedure::text, p.proowner::regrole::text"
            " FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace"
            " AND pg_get_userbyid(p.proowner) <> %s AND NOT EXISTS"
            " (SELECT FROM pg_catalog.pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')"
            " ORDER BY 1",
            [plan.owner, plan.owner],
            plan.name,
        )
        yield told.shows(holds=not told.value, expected="no row")


@promise(
    "SCH-005",
    "every moment is stored with its zone",
    requirement="SRV-14",
    capability=SCHEMA,
    needs=("schema",),
)
def moments_have_zones(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT a.attrelid::regclass::text, a.attname::text FROM pg_catalog.pg_attribute AS a"
            " JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND a.atttypid = 'timestamp'::regtype AND NOT a.attisdropped ORDER BY 1, 2",
            database=plan.name,
        )
        yield told.shows(holds=not told.value, expected="no row", hint="use timestamptz")


@promise(
    "SCH-006",
    "every foreign key is served by an index",
    requirement="OPS-4",
    capability=SCHEMA,
    needs=("schema",),
)
def foreign_keys_are_indexed(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        told = w.look(
            "SELECT k.conrelid::regclass::text, k.conname::text FROM pg_catalog.pg_constraint AS k"
            " WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace AND NOT EXISTS ("
            " SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = k.conrelid AND i.indisvalid"
            " AND i.indpred IS NULL AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1]"
            " @> k.conkey) ORDER BY 1, 2",
            database=plan.name,
        )
        yield told.shows(holds=not told.value, expected="no row")


@promise(
    "SCH-007",
    "keys made by the database are UUIDs of version 7 that sort by their time",
    requirement="SRV-2",
    capability=SCHEMA,
    needs=_NEEDS,
)
def keys_sort_by_time(w: Witness) -> Iterator[Finding]:
    tried = False
    for plan in w.migrated:
        defaults = w.look(
            "SELECT c.oid::regclass::text, pg_get_expr(d.adbin, d.adrelid)"
            " FROM pg_catalog.pg_index AS i"
            " JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid"
            " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
            " JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum"
            " WHERE i.indisprimary AND i.indnatts = 1 AND a.atttypid = 'uuid'::regtype"
            " AND c.relnamespace = 'public'::regnamespace ORDER BY 1",
            database=plan.name,
        )
        with w.session(plan.app, plan.name, w.doors[-1].name) as session:
            for table, default in defaults.value:
                tried = True
                # The expression is the catalog's own; what it may do, this role may do anyway.
                told = session.ask(_MADE.replace("DEFAULT", str(default), 1))
                yield _sorts(told, str(table))
    if not tried:
        raise CannotTryError("no table has a UUID key made by the database", could_try=False)


_MADE = "SELECT DEFAULT AS key FROM generate_series(1, 500)"


def _sorts(told: Answer[Rows], table: str) -> Finding:
    keys = [row[0] for row in told.value]
    increasing = all(a < b for a, b in itertools.pairwise(keys))
    versions = {key.version for key in keys}
    order = "rising" if increasing else "not rising"
    return told.shows(
        holds=increasing and versions == {7},
        expected="500 rising keys of version 7",
        said=f"{table}: {len(keys)} keys of version {versions}, {order}",
    )


@contextmanager
def _made_up(w: Witness, plan: DatabasePlan) -> Generator[RowMaker]:
    """Yield a maker of rows, as the application, in a transaction that never comes about."""
    catalog = Catalog.of(w, plan)
    with w.session(plan.app, plan.name, w.doors[-1].name) as session, session.undone():
        yield RowMaker(catalog, session)


@promise(
    "SCH-008",
    "the application inserts, reads, changes and deletes rows in every table that is its own",
    requirement="ROL-1 API-2",
    capability=SCHEMA,
    needs=_NEEDS,
)
def the_application_works(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        with _made_up(w, plan) as maker:
            for table in maker.catalog.tables.values():
                yield from _used(maker, table)


def _used(maker: RowMaker, table: Table) -> Iterator[Finding]:
    """Insert a row, read it, change it to itself, delete it (in savepoints)."""
    session = maker.session
    try:
        with session.connection.transaction():
            row = maker.row(table.oid)
    except CannotTryError as error:
        maker.made.pop(table.oid, None)
        yield _judged_refusal(error)
        return
    inserted = maker.inserts[table.oid]
    yield inserted.kept(f"a row of {table.name}")
    column = sql.Identifier(table.columns[0].name)
    where = sql.SQL("{} = {}").format(column, sql.Literal(row[table.columns[0].name]))
    statements = [
        sql.SQL("SELECT 1 FROM {} WHERE {}").format(table.identifier, where),
        sql.SQL("UPDATE {} SET {} = {} WHERE {} RETURNING 1").format(
            table.identifier, column, column, where
        ),
    ]
    may = session.ask("SELECT has_table_privilege(%s, 'DELETE')", [table.oid])
    if may.value == [(True,)]:  # some tables are only ever added to
        delete = sql.SQL("DELETE FROM {} WHERE {} RETURNING 1")
        statements.append(delete.format(table.identifier, where))
    for statement in statements:
        with session.connection.transaction(force_rollback=True):
            told = session.attempt(statement)
        # What others still need may stay; that it was asked for is what privileges decide.
        needed = isinstance(told.value, psycopg.Error) and told.value.sqlstate == "23503"
        yield told.shows(holds=needed or told.value == [(1,)], expected="one row")


def _judged_refusal(error: CannotTryError) -> Finding:
    """Judge an INSERT: a privilege withheld breaks the promise; what we made up may not fit."""
    evidence = error.evidence
    if evidence is not None and evidence.answer.startswith("42501"):
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
        with _made_up(w, plan) as maker:
            for table in maker.catalog.tables.values():
                if not table.has(column):
                    continue
                tried = True
                row = maker.row(table.oid)
                key = table.columns[0].name
                statement = sql.SQL(
                    "UPDATE {} {} WHERE {} = %s RETURNING {} > now() - interval '1 minute'"
                ).format(
                    table.identifier,
                    sql.SQL(change),
                    sql.Identifier(key),
                    sql.Identifier(column),
                )
                yield judge(maker.session.rehearse(statement, [row[key]]))
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
        with _made_up(w, plan) as maker:
            by_name = {t.name: t for t in maker.catalog.tables.values()}
            for child, parent in sorted(wanted):
                if child in by_name and parent in by_name:
                    tried = True
                    yield _cascades(maker, by_name[child], by_name[parent])
    if not tried:
        raise CannotTryError("no model has a cascading foreign key", could_try=False)


def _cascades(maker: RowMaker, child: Table, parent: Table) -> Finding:
    belonging, row = maker.row(child.oid), maker.row(parent.oid)
    keys = (parent.columns[0].name, child.columns[0].name)
    session = maker.session
    delete = sql.SQL("DELETE FROM {} WHERE {} = %s RETURNING 1")
    count = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s")
    with session.connection.transaction(force_rollback=True):
        told = session.attempt(
            delete.format(parent.identifier, sql.Identifier(keys[0])), [row[keys[0]]]
        )
        if isinstance(told.value, psycopg.Error):
            return told.broken(f"the row of {parent.name} and its {child.name} to go")
        left = session.ask(
            count.format(child.identifier, sql.Identifier(keys[1])), [belonging[keys[1]]]
        )
    return left.shows(holds=left.value == [(0,)], expected=f"no row of {child.name} left")


PROMISES = (
    databases_are_at_their_heads,
    the_schema_is_the_models,
    nothing_is_invalid,
    the_owner_owns_it_all,
    moments_have_zones,
    foreign_keys_are_indexed,
    keys_sort_by_time,
    the_application_works,
    updated_at_follows,
    created_at_stays,
    deletes_cascade,
)
