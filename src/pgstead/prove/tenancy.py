"""Tenancy: rows are somebody's, and nobody else sees or writes them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from pgstead.model.address import Capability
from pgstead.model.design import DatabasePlan
from pgstead.prove import row_security
from pgstead.prove.finding import Answer, CannotTryError, Finding
from pgstead.prove.promise import promise
from pgstead.prove.row_security import Declaration
from pgstead.prove.sample_rows import RowMaker
from pgstead.prove.session import DENIED, Rows, Session
from pgstead.prove.tables import Catalog, Column, Table, assignments
from pgstead.prove.witness import Witness

TENANCY = Capability.TENANCY
_HELD = (*DENIED, "23514")  # by a policy, or by a trigger: what is a row's for good
_NEEDS = ("door", "schema")


def protected(w: Witness) -> tuple[tuple[DatabasePlan, tuple[Declaration, ...]], ...]:
    """Return the databases whose models declare row-level security. Raises CannotTryError."""
    found = tuple((plan, row_security.declared(plan, w.imported_from(plan))) for plan in w.migrated)
    found = tuple((plan, declarations) for plan, declarations in found if declarations)
    if not found:
        raise CannotTryError("no model declares row-level security", could_try=False)
    return found


@promise(
    "TEN-001",
    "row-level security is enabled and forced on every table that declares it",
    requirement="TEN-1 TEN-6 TEN-7",
    capability=TENANCY,
    needs=("schema",),
)
def row_security_is_forced(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        told = w.look(row_security.STATE, database=plan.name)
        state = {str(name): (enabled, forced) for name, enabled, forced in told.value}
        odd = [d.table for d in declarations if state.get(d.table) != (True, True)]
        yield told.shows(
            holds=not odd,
            expected="every declared table: enabled, forced",
            said=f"open: {', '.join(odd)}" if odd else f"{len(declarations)} tables",
            hint="`alembic revision --autogenerate` writes what is missing",
        )


@promise(
    "TEN-002",
    "policies are those that the models declare, for the roles that they name",
    requirement="TEN-1 TEN-6",
    capability=TENANCY,
    needs=("schema",),
)
def policies_are_the_models(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        wanted = frozenset(policy for d in declarations for policy in d.policies)
        told = w.look(row_security.POLICIES, database=plan.name)
        found = frozenset(tuple(map(str, row)) for row in told.value)
        odd = [f"{' '.join(p)} is missing" for p in sorted(wanted - found)]
        odd += [f"{' '.join(p)} is in no model" for p in sorted(found - wanted)]
        yield told.shows(
            holds=not odd,
            expected=f"the policies of {plan.models}",
            said="; ".join(odd) or f"{len(found)} policies, all declared",
            hint="`alembic check` in the migrations' directory shows the difference",
        )


@contextmanager
def two_people(
    w: Witness, plan: DatabasePlan, role: str = "", door: str = ""
) -> Generator[tuple[RowMaker, RowMaker]]:
    """Yield the makers of two people's rows, in a transaction that never comes about."""
    catalog = Catalog.of(w, plan)
    with (
        w.session(role or plan.app, plan.name, door or w.doors[-1].name) as session,
        session.undone(),
    ):
        yield RowMaker(catalog, session), RowMaker(catalog, session)


def _tables(maker: RowMaker, declarations: tuple[Declaration, ...]) -> Iterator[Table]:
    """Yield the declared tables that are there."""
    for declaration in declarations:
        table = maker.catalog.named(declaration.table)
        if table is not None:
            yield table


def _nobody(session: Session, declarations: tuple[Declaration, ...], value: str) -> None:
    rules = [rule for declaration in declarations for rule in declaration.rules]
    for setting in row_security.settings_of(rules):
        session.ask("SELECT set_config(%s, %s, true)", [setting, value])


@promise(
    "TEN-003",
    "a session begins as nobody, at every door",
    requirement="TEN-1 TEN-3",
    capability=TENANCY,
    needs=_NEEDS,
)
def sessions_begin_as_nobody(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        rules = [rule for declaration in declarations for rule in declaration.rules]
        for door in w.doors:
            with w.session(plan.app, plan.name, door.name) as session:
                for setting in row_security.settings_of(rules):
                    told = session.ask("SELECT current_setting(%s, true)", [setting])
                    yield told.shows(
                        holds=not told.value[0][0],
                        expected="nothing",
                        hint="ALTER ROLE or ALTER DATABASE gives every session a tenant",
                    )


@promise(
    "TEN-004",
    "who does not say for whom it asks sees no row and writes none",
    requirement="TEN-1",
    capability=TENANCY,
    needs=_NEEDS,
)
def nobody_sees_nothing(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        with two_people(w, plan) as (maker, _):
            for table in _tables(maker, declarations):
                yield from _hidden_from_nobody(maker, table, declarations)


def _hidden_from_nobody(
    maker: RowMaker, table: Table, declarations: tuple[Declaration, ...]
) -> Iterator[Finding]:
    session = maker.session
    row = maker.row(table.oid)
    count = sql.SQL("SELECT count(*) FROM {}").format(table.identifier)
    mine = session.ask(count)
    if mine.value == [(0,)]:
        yield mine.unproven("the row that was just written is not seen by who wrote it")
        return
    try:
        _nobody(session, declarations, "")
        told = session.ask(count)
        yield told.shows(holds=told.value == [(0,)], expected=f"no row of {table.name}")
        yield session.must_refuse(*_copy(maker, table, row), hint="the policy lacks its WITH CHECK")
    finally:
        maker.act()


def _copy(maker: RowMaker, table: Table, row: dict[str, Any]) -> tuple[sql.Composed, list[Any]]:
    """Return an INSERT of another row for the same person, and its values."""
    whose = {rule.column for rule in table.rules}
    kept = [c for c in table.columns if c.required or c.name in whose]
    # a key that the database does not make
    values = [maker.value(c) if c.key and c.name not in whose else row[c.name] for c in kept]
    holes = [sql.SQL("{}::{}").format(sql.Placeholder(), sql.SQL(_type(c))) for c in kept]
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {}").format(
        table.identifier,
        sql.SQL(", ").join(sql.Identifier(c.name) for c in kept),
        sql.SQL(", ").join(holes),
    )
    return statement, [Jsonb(v) if isinstance(v, dict) else v for v in values]


def _type(column: Column) -> Any:
    """Return a column's type, as the catalog itself writes it."""
    return column.type


@promise(
    "TEN-005",
    "a row of one is invisible to another, and no statement of the other touches it",
    requirement="TEN-1 TEN-2 TEN-6",
    capability=TENANCY,
    needs=_NEEDS,
)
def foreign_rows_are_invisible(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        with two_people(w, plan) as (owner, stranger):
            for table in _tables(owner, declarations):
                owner.act()
                row = owner.row(table.oid)
                stranger.act()
                stranger.row(table.oid)
                for statement in _statements(table, row):
                    yield _touches_nothing(stranger.session, statement)


def _statements(table: Table, row: dict[str, Any]) -> Iterator[sql.Composed]:
    where = table.where(row)
    key = sql.Identifier(table.columns[0].name)
    yield sql.SQL("SELECT 1 FROM {} WHERE {}").format(table.identifier, where)
    yield sql.SQL("SELECT 1 FROM {} WHERE {} FOR UPDATE").format(table.identifier, where)
    yield sql.SQL("UPDATE {} SET {} = {} WHERE {} RETURNING 1").format(
        table.identifier, key, key, where
    )
    yield sql.SQL("DELETE FROM {} WHERE {} RETURNING 1").format(table.identifier, where)


def _touches_nothing(session: Session, statement: sql.Composed) -> Finding:
    told = session.rehearse(statement)
    if isinstance(told.value, psycopg.Error):
        if told.value.sqlstate in DENIED:  # a privilege that is withheld from everybody
            return told.kept()
        return told.unproven("refused for another reason than a policy")
    return told.shows(holds=not told.value, expected="no row")


@promise(
    "TEN-006",
    "nobody writes a row for somebody else, nor hands one over",
    requirement="TEN-2",
    capability=TENANCY,
    needs=_NEEDS,
)
def nobody_writes_for_another(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        with two_people(w, plan) as (owner, stranger):
            for table in _tables(owner, declarations):
                owner.act()
                foreign = owner.row(table.oid)
                stranger.act()
                mine = stranger.row(table.oid)
                theirs = {rule.column: foreign[rule.column] for rule in table.rules}
                forged = {**mine, **theirs}
                yield stranger.session.must_refuse(*_copy(stranger, table, forged))
                move = sql.SQL("UPDATE {} SET {} WHERE {}").format(
                    table.identifier,
                    assignments(theirs),
                    table.where(mine),
                )
                yield stranger.session.must_refuse(move, states=_HELD)


@promise(
    "TEN-007",
    "the administrator sees everybody's rows by a policy of its own, bound by policies like others",
    requirement="TEN-4 TEN-7",
    capability=TENANCY,
    needs=("direct", "schema"),
)
def the_administrator_sees_all(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        with two_people(w, plan, plan.admin, "direct") as (one, other):
            told = one.session.ask(
                "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles"
                " WHERE rolname = current_user"
            )
            yield told.shows(holds=told.value == [(False,)], expected="no BYPASSRLS")
            for table in _tables(one, declarations):
                yield _sees_both(one, other, table, declarations)


def _sees_both(
    one: RowMaker, other: RowMaker, table: Table, declarations: tuple[Declaration, ...]
) -> Finding:
    try:
        rows = [maker.row(table.oid) for maker in (one, other)]
    except CannotTryError as error:
        evidence = error.evidence
        if evidence is None or not evidence.answer.startswith("42501"):
            return error.finding()
        refused = Answer(evidence.tried, evidence.answer, None, evidence.seconds, evidence.at)
        return refused.broken("the administrator to write a row", hint=_ADMIN_HINT)
    _nobody(one.session, declarations, "")
    told: Answer[Rows] = one.session.ask(
        sql.SQL("SELECT count(*) FROM {} WHERE {} OR {}").format(
            table.identifier, table.where(rows[0]), table.where(rows[1])
        )
    )
    return told.shows(holds=told.value == [(2,)], expected="both rows", hint=_ADMIN_HINT)


_ADMIN_HINT = "tenant_isolation_policy_admin lets the administrator at all rows"


PROMISES = (
    row_security_is_forced,
    policies_are_the_models,
    sessions_begin_as_nobody,
    nobody_sees_nothing,
    foreign_rows_are_invisible,
    nobody_writes_for_another,
    the_administrator_sees_all,
)
