"""The audit trail: each action is there once, nobody who acts can change or hide it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.audit import AuditPlan, Flaw, Head, Kind, Outcome, Record, broken_links
from pgstead.model.design import DatabasePlan
from pgstead.ports.audit import AuditPorts
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import try_login
from pgstead.prove.promise import promise
from pgstead.prove.session import Session
from pgstead.prove.witness import Witness

AUDIT = Capability.AUDIT
_NEEDS = ("audit", "direct", "database")
_PATIENCE = 30.0  # seconds: the agent collects each few
_UNCHAINED = "`pgstead audit verify` names what was changed"


@dataclass(frozen=True, slots=True)
class _Trail:
    """The trail from where it ended when a promise began to be tried."""

    ports: AuditPorts
    start: int

    def events(self, word: str) -> list[dict[str, Any]]:
        """Return the events since that name a word in their text, their objects or scope."""
        found: list[dict[str, Any]] = []
        for _, record in self.ports.trail.records():
            if record is None or record.seq <= self.start:
                continue
            if word in json.dumps(dict(record.body), default=str):
                found.append(dict(record.body))
        return found

    def awaited(self, w: Witness, word: str, count: int = 1) -> Answer[list[dict[str, Any]]]:
        """Wait until so many events name a word, and a little for one too many."""
        with timed() as watch:
            w.wait_until(lambda: len(self.events(word)) >= count, _PATIENCE)
            w.wait_until(lambda: len(self.events(word)) > count, 1.5)
            found = self.events(word)
        said = "; ".join(_brief(e) for e in found[:6]) or "no such event"
        return answer(f"the audit trail, events that name {word}", said, found, watch)


def _brief(event: dict[str, Any]) -> str:
    names = ("kind", "outcome", "role", "database", "client", "tenant", "correlation_id", "what")
    return ", ".join(f"{name}={event[name]}" for name in names if event.get(name))


def plan_of(w: Witness) -> AuditPlan:
    """Return how the stead is audited; the need `audit` has looked for it."""
    assert w.design.audit is not None
    return w.design.audit


def ports_of(w: Witness) -> AuditPorts:
    """Return what the trail is kept in."""
    found = w.access.ports.audit
    if found is None:
        raise CannotTryError("the audit trail is not at hand here")
    return found


def _trail(w: Witness) -> _Trail:
    ports = ports_of(w)
    return _Trail(ports, ports.trail.head().seq)


def _word() -> str:
    return f"pgstead_proof_{secrets.token_hex(5)}"


def _table(w: Witness, plan: DatabasePlan) -> sql.Identifier:
    """Return a table that the application reads."""
    told = w.look(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public'"
        " AND has_table_privilege(%s, c.oid, 'SELECT, UPDATE') ORDER BY c.relname LIMIT 1",
        [plan.app],
        plan.name,
    )
    if not told.value:
        raise CannotTryError("the application reads no table yet", could_try=False)
    return sql.Identifier(*told.value[0])


@promise(
    "AUD-001",
    "a read and a write of the application are in the trail once each, with who, what, when, from"
    " where, tenant and correlation id, by every door",
    requirement="AUD-1 AUD-2",
    capability=AUDIT,
    needs=(*_NEEDS, "schema"),
    limit=150,
)
def reads_and_writes_are_there(w: Witness) -> Iterator[Finding]:
    (plan, *_) = w.migrated
    table = _table(w, plan)
    for door in w.doors:
        trail, words = _trail(w), (_word(), _word())
        with w.session(plan.app, plan.name, door.name) as session, session.undone():
            for name, value in (("current_tenant_id", words[0]), ("correlation_id", words[0])):
                session.ask(f"SELECT set_config('app.{name}', '{value}', true)")
            for word, text in zip(words, ("SELECT 1 FROM {} AS {} WHERE false",
                                          "UPDATE {} AS {} SET ctid = NULL WHERE false"), strict=True):
                statement = sql.SQL(text if word == words[0] else _NO_UPDATE)
                session.attempt(statement.format(table, sql.Identifier(word)))
        for word, kind in zip(words, (Kind.READ, Kind.WRITE), strict=True):
            told = trail.awaited(w, f'"{word}"'.strip('"'), 1)
            mine = [e for e in told.value if e["kind"] == kind and word in str(e.get("what"))]
            whole = [e for e in mine if _whole(e, plan, words[0])]
            yield told.shows(
                holds=len(mine) == len(whole) == 1,
                expected=f"one event of a {kind} by {door.name}, naming all of it",
                hint="`pgstead plan` shows settings of roles that are not as wanted;"
                " `pgstead logs agent` why nothing is collected",
            )


_NO_UPDATE = "DELETE FROM {} AS {} WHERE false"


def _whole(event: dict[str, Any], plan: DatabasePlan, scope: str) -> bool:
    return (
        event.get("role") == plan.app
        and event.get("database") == plan.name
        and event.get("tenant") == scope
        and event.get("correlation_id") == scope
        and bool(event.get("client"))
        and bool(event.get("at"))
        and bool(event.get("objects"))
    )


@promise(
    "AUD-002",
    "a change of the schema and a change of a role are in the trail once each",
    requirement="AUD-1",
    capability=AUDIT,
    needs=_NEEDS,
    limit=90,
)
def changes_of_schema_and_roles_are_there(w: Witness) -> Iterator[Finding]:
    (plan, *_) = w.databases
    trail, table, role = _trail(w), _word(), _word()
    with w.session(plan.migrator, plan.name) as session, session.undone():
        session.ask(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(table)))
    with w.backstage(write=True) as session, session.undone():
        session.ask(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    for word, kind in ((table, Kind.DDL), (role, Kind.ROLE)):
        told = trail.awaited(w, word)
        yield told.shows(
            holds=[e["kind"] for e in told.value] == [kind],
            expected=f"one event of kind {kind}",
            hint="log_statement has to be ddl at least: `pgstead plan`",
        )


@promise(
    "AUD-003",
    "a denied access and a failed login by every door are in the trail once each, as denied",
    requirement="ROL-7 AUD-1 AUD-2",
    capability=AUDIT,
    needs=_NEEDS,
    limit=150,
)
def refusals_are_there(w: Witness) -> Iterator[Finding]:
    (plan, *_) = w.databases
    for door in w.doors:
        trail, word = _trail(w), _word()
        with w.session(plan.app, plan.name, door.name) as session:
            denied = sql.SQL("SELECT 1 FROM pg_catalog.pg_authid AS {}")
            refused = session.must_refuse(denied.format(sql.Identifier(word)), rehearsed=False)
        yield refused
        yield _once_denied(trail.awaited(w, word))
        trail = _trail(w)
        nobody = _word()
        try_login(w.login(door, nobody, plan.name))
        yield _once_denied(trail.awaited(w, nobody))


def _once_denied(told: Answer[list[dict[str, Any]]]) -> Finding:
    return told.shows(
        holds=[e.get("outcome") for e in told.value] == [Outcome.DENIED],
        expected="one event with the outcome denied",
        hint="`pgstead logs agent` shows why nothing is collected",
    )


@promise(
    "AUD-004",
    "the application can neither read, change nor switch off what is recorded of it",
    requirement="AUD-2",
    capability=AUDIT,
    needs=_NEEDS,
    limit=60,
)
def the_application_changes_nothing(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        history = any(h.database == plan.name for h in plan_of(w).histories)
        with w.session(plan.app, plan.name) as session:
            for statement in (*_STEERING, *(_HISTORY if history else ())):
                yield session.must_refuse(statement, hint="`pgstead plan` shows what was granted")
            yield session.must_refuse(
                sql.SQL("ALTER ROLE {} SET log_statement = 'none'").format(
                    sql.Identifier(plan.app)
                )
            )
            if history:
                yield from _triggers_stay(w, session, plan)


_STEERING = (
    "SET log_statement = 'none'",
    "SET log_min_error_statement = 'panic'",
    "SET log_min_messages = 'panic'",
    "SET session_replication_role = 'replica'",
    "SELECT pg_catalog.pg_rotate_logfile()",
    "SELECT pg_catalog.pg_read_file('log/postgresql.json')",
    "ALTER SYSTEM SET log_statement = 'none'",
)
_HISTORY = (
    "SELECT * FROM pgstead_audit.change",
    "DELETE FROM pgstead_audit.change",
    "UPDATE pgstead_audit.change SET role = 'nobody'",
    "TRUNCATE pgstead_audit.change",
    "INSERT INTO pgstead_audit.change (role) VALUES ('nobody')",
    "DROP TABLE pgstead_audit.change",
    "SELECT pgstead_audit.record_change()",
)


def _triggers_stay(w: Witness, session: Session, plan: DatabasePlan) -> Iterator[Finding]:
    table = _table(w, plan)
    for text in (
        "ALTER TABLE {} DISABLE TRIGGER pgstead_audit_change",
        "DROP TRIGGER pgstead_audit_change ON {}",
    ):
        yield session.must_refuse(sql.SQL(text).format(table))


@promise(
    "AUD-005",
    "every line of the trail is as it was written, and none is missing",
    requirement="AUD-2",
    capability=AUDIT,
    needs=("audit",),
)
def the_chain_is_whole(w: Witness) -> Iterator[Finding]:
    trail = ports_of(w).trail
    with timed() as watch:
        records = list(trail.records())
        flaws = [Flaw(where, "a line cannot be read") for where, r in records if r is None]
        readable = [(where, r) for where, r in records if r is not None]
        head = Head()
        for found in broken_links(readable, _before(readable)):
            if isinstance(found, Head):
                head = found
            else:
                flaws.append(found)
        flaws += _unlike_anchors(w, dict((r.seq, r.hash) for _, r in readable), head)
    said = f"{len(readable)} records, the last is {head.seq} {head.hash}"
    told = answer(plan_of(w).directory, said, flaws, watch)
    if not readable:
        raise CannotTryError("nothing was recorded yet", evidence=told.evidence)
    yield told.shows(
        holds=not flaws,
        expected="an unbroken chain",
        said="; ".join(f"{f.where}: {f.what}" for f in flaws[:5]) or said,
        hint=_UNCHAINED,
    )


def _before(records: list[tuple[str, Record]]) -> Head:
    if not records or records[0][1].body.get("kind") != Kind.OPENED:
        return Head()
    first = records[0][1]
    return Head(first.seq - 1, str(first.body["previous"]))


def _unlike_anchors(w: Witness, hashes: dict[int, str], head: Head) -> Iterator[Flaw]:
    first = min(hashes, default=0)
    for anchor in ports_of(w).trail.anchors():
        if anchor.seq > head.seq:
            yield Flaw("the end", f"record {anchor.seq} is missing")
        elif anchor.seq >= first and hashes.get(anchor.seq) != anchor.hash:
            yield Flaw(f"record {anchor.seq}", "another one than was noted when it was written")


PROMISES = (
    reads_and_writes_are_there,
    changes_of_schema_and_roles_are_there,
    refusals_are_there,
    the_application_changes_nothing,
    the_chain_is_whole,
)
