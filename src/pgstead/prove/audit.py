"""The audit trail: each action is there once, and who acts can neither change nor hide it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import LiteralString

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.audit import Kind, Outcome, TableClass
from pgstead.model.audit_chain import followed
from pgstead.model.design import DatabasePlan
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.login import try_login
from pgstead.prove.promise import promise
from pgstead.prove.session import DENIED, Session
from pgstead.prove.trail import Told, TrailTail, plan_of, ports_of, word
from pgstead.prove.witness import Witness

AUDIT = Capability.AUDIT
_NEEDS = ("audit", "door", "database")
_COLLECTED = "`pgstead logs agent` shows why nothing is collected, `pgstead plan` what is not set"


def readable_table(w: Witness, plan: DatabasePlan) -> sql.Identifier:
    """Return a table that the application reads and writes."""
    told = w.look(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public'"
        " AND has_table_privilege(%s, c.oid, 'SELECT')"
        " AND has_table_privilege(%s, c.oid, 'DELETE') ORDER BY c.relname LIMIT 1",
        [plan.app, plan.app],
        plan.name,
    )
    if not told.value:
        raise CannotTryError("the application writes to no table yet", could_try=False)
    return sql.Identifier(*told.value[0])


@promise(
    "AUD-001",
    "a read and a write of the application are in the trail once each, by every door, with who,"
    " what, when, from where, tenant and correlation id",
    requirement="AUD-1 AUD-2",
    capability=AUDIT,
    needs=(*_NEEDS, "schema"),
    limit=90,
)
def reads_and_writes_are_there(w: Witness) -> Iterator[Finding]:
    (plan, *_) = w.migrated
    table, trail = readable_table(w, plan), TrailTail.at_end(w)
    tried: list[tuple[str, Kind, str, str]] = []
    for door in w.doors:
        scope = word()
        with w.session(plan.app, plan.name, door.name) as session, session.undone():
            # not bound: the log tells no parameters, and what BEGIN carries are literals
            session.ask(sql.SQL(_SCOPE).format(sql.Literal(scope), sql.Literal(scope)))
            for kind, text in _STATEMENTS:
                name = word()
                session.ask(sql.SQL(text).format(table, sql.Identifier(name)))
                tried.append((door.name, kind, name, scope))
    trail.settle(w)
    for door_name, kind, name, scope in tried:
        told = trail.naming(name)
        yield told.shows(
            holds=len(told.value) == 1 and _whole(told.value[0], kind, plan, scope),
            expected=f"one event of a {kind} by the {door_name} door that names all of it",
            hint=_COLLECTED,
        )


_SCOPE: LiteralString = (
    "SELECT set_config('app.current_tenant_id', {}, true),"
    " set_config('app.correlation_id', {}, true)"
)
_STATEMENTS: tuple[tuple[Kind, LiteralString], ...] = (
    (Kind.READ, "SELECT 1 FROM {} AS {} WHERE false"),
    (Kind.WRITE, "DELETE FROM {} AS {} WHERE false"),
)


def _whole(event: Told, kind: Kind, plan: DatabasePlan, scope: str) -> bool:
    wanted = {
        "kind": kind.value,
        "outcome": Outcome.DONE.value,
        "role": plan.app,
        "database": plan.name,
        "tenant": scope,
        "correlation_id": scope,
    }
    there = ("at", "client", "session", "what", "objects")
    return all(event.get(n) == v for n, v in wanted.items()) and all(map(event.get, there))


@promise(
    "AUD-002",
    "a change of the schema and a change of a role are in the trail once each, without the"
    " password that was set",
    requirement="AUD-1 ROL-4",
    capability=AUDIT,
    needs=("audit", "direct", "database"),
    limit=60,
)
def changes_of_schema_and_roles_are_there(w: Witness) -> Iterator[Finding]:
    (plan, *_) = w.databases
    trail, table, role, password = TrailTail.at_end(w), word(), word(), word()
    with w.session(plan.migrator, plan.name) as session, session.undone():
        session.ask(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(table)))
    with w.backstage(write=True) as session, session.undone():
        made = sql.SQL("CREATE ROLE {} PASSWORD {}")
        session.ask(made.format(sql.Identifier(role), sql.Literal(f"{password}-{password}")))
    trail.settle(w)
    for name, kind in ((table, Kind.DDL), (role, Kind.ROLE)):
        told = trail.naming(name)
        yield told.shows(
            holds=[e["kind"] for e in told.value] == [kind],
            expected=f"one event of the kind {kind}",
            hint=_COLLECTED,
        )
    told = trail.naming(password)
    yield told.shows(holds=not told.value, expected="no event with the password")


@promise(
    "AUD-003",
    "a denied access and a failed login are in the trail once each, by every door, as denied",
    requirement="ROL-7 AUD-1 AUD-2",
    capability=AUDIT,
    needs=_NEEDS,
    limit=90,
)
def refusals_are_there(w: Witness) -> Iterator[Finding]:
    (plan, *_) = w.databases
    trail = TrailTail.at_end(w)
    tried: list[str] = []
    for door in w.doors:
        tried.append(word())
        denied = sql.SQL("SELECT 1 FROM pg_catalog.pg_authid AS {}")
        with w.session(plan.app, plan.name, door.name) as session:
            yield session.must_refuse(denied.format(sql.Identifier(tried[-1])), rehearsed=False)
        wrong = secrets.token_hex(16)
        try_login(w.login(door, plan.readonly, plan.name, passfile="", password=wrong))
    trail.settle(w)
    for name in tried:
        told = trail.naming(name)
        yield told.shows(
            holds=[e.get("outcome") for e in told.value] == [Outcome.DENIED],
            expected="one event with the outcome denied",
            hint=_COLLECTED,
        )
    told = trail.naming(plan.readonly)
    refused = [e for e in told.value if e["kind"] == Kind.LOGIN and e["outcome"] == Outcome.DENIED]
    yield told.shows(
        holds=len(refused) == len(w.doors),
        expected=f"{len(w.doors)} failed logins of {plan.readonly}, one by each door",
        hint=_COLLECTED,
    )


@promise(
    "AUD-004",
    "the application can neither read, change, hide nor switch off what is recorded of it",
    requirement="AUD-2",
    capability=AUDIT,
    needs=_NEEDS,
    limit=60,
)
def the_application_changes_nothing(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        history = any(h.database == plan.name for h in plan_of(w).histories)
        for door in w.doors:
            yield from _changes_nothing(w, plan, door.name, history=history)


def _changes_nothing(
    w: Witness, plan: DatabasePlan, door: str, *, history: bool
) -> Iterator[Finding]:
    with w.session(plan.app, plan.name, door) as session:
        for statement in (*_STEERING, *(_HISTORY if history else ())):
            yield session.must_refuse(statement, states=_REFUSED)
        yield session.must_refuse(
            sql.SQL("ALTER ROLE {} SET log_statement = 'none'").format(sql.Identifier(plan.app)),
            states=_REFUSED,
        )
        if history and plan.migrations:
            yield from _triggers_stay(w, session, plan)


_REFUSED = (*DENIED, "25006")  # a reader's session writes nothing at all
_STEERING = (
    "SET log_statement = 'none'",
    "SET log_min_error_statement = 'panic'",
    "SET log_min_messages = 'panic'",
    "SET session_replication_role = 'replica'",
    "SELECT pg_catalog.pg_rotate_logfile()",
    "SELECT pg_catalog.pg_read_file('postgresql.conf')",
)
_HISTORY = (
    "SELECT * FROM pgstead_audit.change",
    "DELETE FROM pgstead_audit.change",
    "UPDATE pgstead_audit.change SET role = 'nobody'",
    "TRUNCATE pgstead_audit.change",
    (
        "INSERT INTO pgstead_audit.change"
        " (role, application, client, operation, schema_name, table_name)"
        " VALUES ('nobody', '', '', 'insert', 'public', 'nowhere')"
    ),
    "DROP TABLE pgstead_audit.change",
)


def _triggers_stay(w: Witness, session: Session, plan: DatabasePlan) -> Iterator[Finding]:
    table = readable_table(w, plan)
    statements: tuple[LiteralString, ...] = (
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "DROP TRIGGER pgstead_audit_truncate ON {}",
    )
    for text in statements:
        yield session.must_refuse(sql.SQL(text).format(table), states=_REFUSED)


@promise(
    "AUD-009",
    "a read of a table of an audited class is in the trail once with its class, by whichever role",
    requirement="AUD-1",
    capability=AUDIT,
    needs=(*_NEEDS, "schema"),
    limit=90,
)
def reads_of_a_class_are_there(w: Witness) -> Iterator[Finding]:
    trail = TrailTail.at_end(w)
    tried: list[tuple[str, str, str]] = []
    for of in plan_of(w).classes:
        plan = w.design.database(of.database)
        if plan is None or not of.reads or not (table := _table_of(w, of)):
            continue
        for role in (plan.app, plan.readonly):
            with w.session(role, plan.name, w.doors[-1].name) as session, session.undone():
                name = word()
                session.ask(sql.SQL(_STATEMENTS[0][1]).format(table, sql.Identifier(name)))
                tried.append((role, of.name, name))
    if not tried:
        raise CannotTryError("no class of tables is audited", could_try=False)
    trail.settle(w)
    for role, class_name, name in tried:
        told = trail.naming(name)
        yield told.shows(
            holds=[(e.get("role"), e.get("classes")) for e in told.value] == [(role, [class_name])],
            expected=f"one event of {role}, of the class {class_name}",
            hint=_COLLECTED,
        )


def _table_of(w: Witness, of: TableClass) -> sql.Identifier | None:
    told = w.look(_TABLES, database=of.database)
    named = ((s, t) for s, t in told.value if of.holds(t if s == "public" else f"{s}.{t}"))
    found = next(named, None)
    return sql.Identifier(*found) if found is not None else None


_TABLES: LiteralString = (
    "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class AS c"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg' ORDER BY 1, 2"
)


@promise(
    "AUD-005",
    "every line of the trail is as it was written, and none is missing",
    requirement="AUD-2",
    capability=AUDIT,
    needs=("audit",),
    limit=600,  # it is read to its end, and a year may be ten million records
)
def the_chain_is_whole(w: Witness) -> Iterator[Finding]:
    with timed() as watch:
        trail = ports_of(w).trail
        found = followed(trail.lines(), trail.anchors())
    said = f"{found.records} records, the last is {found.head.seq}:{found.head.hash}"
    told = answer(plan_of(w).directory, said, found.flaws, watch)
    if not found.records and not found.flaws:
        raise CannotTryError("nothing was recorded yet", evidence=told.evidence)
    yield told.shows(
        holds=not told.value,
        expected="an unbroken chain",
        said="; ".join(f"{f.where}: {f.what}" for f in told.value[:5]) or said,
        hint="`pgstead audit verify` names what was changed",
    )


PROMISES = (
    reads_and_writes_are_there,
    changes_of_schema_and_roles_are_there,
    refusals_are_there,
    the_application_changes_nothing,
    the_chain_is_whole,
    reads_of_a_class_are_there,
)
