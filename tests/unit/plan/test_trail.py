"""Lines of logs become events: each action once, in its scope, without literals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgstead.model.audit import AuditPlan, Event, Kind, Outcome, Place, TableClass
from pgstead.plan.journal_lines import operation
from pgstead.plan.pooler_lines import refusal
from pgstead.plan.statement_kinds import masked, meaning
from pgstead.plan.trail import Line, Sessions, events

BEGUN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SCOPE = "BEGIN;SELECT set_config('app.current_tenant_id',E'acme\\u00e9',true)"
PLAN = AuditPlan(
    directory="", interval=1, retention=1, pgaudit=("watched",), own=("postgres",),
    server_log="", pooler_log="", journal="",
)  # fmt: skip


def line(message: str, *, after: float = 0.0, **told: Any) -> Line:
    """Return a line of jsonlog."""
    at = (BEGUN + timedelta(seconds=after)).isoformat(sep=" ", timespec="milliseconds")
    given = {
        "timestamp": at.replace("+00:00", " UTC"), "user": "app", "dbname": "shop",
        "session_id": "s1", "vxid": "3/7", "remote_host": "10.0.0.7", "remote_port": 4711,
        "application_name": "api", "error_severity": "LOG", "message": message,
    }  # fmt: skip
    return Line(Place("x.json", round(after * 1000)), {**given, **told})


def denial(statement: str, **told: Any) -> Line:
    """Return the line of a statement that was refused."""
    given = {"error_severity": "ERROR", "state_code": "42501", "statement": statement, **told}
    return line("permission denied for table users", **given)


def read(*lines: Line, sessions: Sessions | None = None, plan: AuditPlan = PLAN) -> list[Event]:
    """Return the events of lines to which nothing is added any more."""
    late = BEGUN + timedelta(hours=1)
    found = events(lines, sessions or Sessions(), late, plan)
    return [event for _, event in found if event is not None]


def test_a_statement_and_its_refusal_are_one_event() -> None:
    (event,) = read(
        line("statement: SELECT * FROM users"), denial("SELECT * FROM users", after=0.2)
    )
    assert (event.kind, event.outcome, event.objects) == (Kind.READ, Outcome.DENIED, ("users",))


def test_a_refusal_long_after_its_statement_is_told_by_itself() -> None:
    done, denied = read(
        line("statement: SELECT * FROM users"), denial("SELECT * FROM users", after=30)
    )
    assert (done.outcome, denied.outcome) == (Outcome.DONE, Outcome.DENIED)


def test_a_refusal_that_comes_with_the_next_look_is_not_lost() -> None:
    """What was read up to now ended between the two."""
    sessions = Sessions()
    (done,) = read(line("statement: SELECT * FROM users"), sessions=sessions)
    again = Sessions.of(sessions.as_dict())
    (denied,) = read(denial("SELECT * FROM users", after=0.2), sessions=again)
    assert (done.outcome, denied.outcome) == (Outcome.DONE, Outcome.DENIED)


def test_a_refusal_whose_statement_is_not_logged_is_an_event() -> None:
    (event,) = read(denial("DELETE FROM users"))
    assert (event.kind, event.outcome) == (Kind.WRITE, Outcome.DENIED)


def test_a_failure_of_another_kind_is_no_denial() -> None:
    failed = denial("INSERT INTO users VALUES (1)", state_code="23505", after=0.1)
    (event,) = read(line("execute <unnamed>: INSERT INTO users VALUES (1)"), failed)
    assert (event.outcome, event.sqlstate) == (Outcome.FAILED, "23505")


def test_the_scope_of_a_transaction_is_that_of_its_lines_alone() -> None:
    one, other, next_one = read(
        line(f"statement: {SCOPE}"),
        line("execute s1/p1: SELECT * FROM users"),
        line("execute s1: SELECT * FROM users", session_id="s2"),
        line("execute fetch from s1: SELECT * FROM users"),
        line("statement: COMMIT"),
        line("statement: SELECT * FROM users", vxid="3/8"),
    )
    assert (one.tenant, other.tenant, next_one.tenant) == ("acmeé", "", "")


def test_what_pooled_clients_come_from_is_told_by_the_pooler() -> None:
    pooled, direct, named = read(
        line("statement: TABLE users", application_name="api - 10.1.2.3:555"),
        line("statement: TABLE users", remote_host="::1"),
        line("statement: TABLE users", application_name="10.1.2.3:555"),
    )
    assert (pooled.application, pooled.client) == ("api", "10.1.2.3:555")
    assert (direct.application, direct.client) == ("api", "::1:4711")
    assert (named.application, named.client) == ("", "10.1.2.3:555")


def test_lines_of_pgaudit_are_one_event_for_each_statement() -> None:
    made = "AUDIT: SESSION,1,1,DDL,CREATE TABLE,TABLE,public.t,CREATE TABLE t (id int),<none>"
    part = "AUDIT: SESSION,1,2,DDL,CREATE INDEX,INDEX,public.i,CREATE TABLE t (id int),<none>"
    scope = f'AUDIT: SESSION,2,1,READ,SELECT,,,"{SCOPE}",<not logged>'
    rows = "AUDIT: SESSION,3,1,READ,SELECT,,,SELECT * FROM users,<not logged>"
    twice = line("statement: SELECT * FROM users", user="watched")
    lines = [line(m, user="watched") for m in (made, part, scope)]
    ddl, found = read(*lines, twice, line(rows, user="watched"))
    assert (ddl.kind, found.kind, found.tenant) == (Kind.DDL, Kind.READ, "acmeé")


def test_a_class_of_tables_keeps_what_its_roles_level_leaves_out() -> None:
    """The server logs all for the class's sake; of other tables the level says what is kept."""
    personal = TableClass("shop", "personal", ("users", "billing.*"), reads=True)
    written = TableClass("shop", "ledger", ("entries",), reads=False)
    plan = replace(PLAN, classes=(personal, written), levels={"app": "writes"})

    def kept(text: str, **told: Any) -> list[tuple[str, ...]]:
        return [event.classes for event in read(line(f"statement: {text}", **told), plan=plan)]

    assert kept("SELECT * FROM users JOIN orders USING (id)") == [("personal",)]
    assert kept("SELECT * FROM billing.cards") == [("personal",)]
    assert kept("SELECT * FROM orders") == []
    assert kept("SELECT * FROM entries") == []
    assert kept("DELETE FROM entries") == [("ledger",)]
    assert kept("DELETE FROM orders") == [()]
    assert kept("SELECT * FROM users", dbname="other") == []
    assert kept("SELECT * FROM orders", user="admin") == [()]  # nothing was raised for it
    refused = line("statement: TABLE orders"), denial("TABLE orders", after=0.1)
    (denied,) = read(*refused, plan=plan)
    assert denied.outcome is Outcome.DENIED


def test_pgaudit_names_the_table_that_a_view_led_to() -> None:
    personal = TableClass("shop", "personal", ("users",), reads=True)
    said = "AUDIT: {},1,1,READ,SELECT,{},SELECT * FROM v,<not logged>"
    told = line(said.format("SESSION", ","), user="watched")
    named = line(said.format("OBJECT", "TABLE,public.users"), user="watched")
    plan = replace(PLAN, classes=(personal,))
    (event,) = read(told, named, plan=plan)
    assert (event.kind, event.objects, event.classes) == (Kind.READ, ("v",), ("personal",))
    (event,) = read(told, named, denial("SELECT * FROM v", user="watched"), plan=plan)
    assert (event.outcome, event.classes) == (Outcome.DENIED, ("personal",))


def test_what_fails_before_pgaudit_writes_it_is_told_once_by_its_failure() -> None:
    text = "SET ROLE nobody_there"
    failed = denial(text, user="watched", state_code="22023")
    (event,) = read(failed)
    assert (event.kind, event.outcome, event.what) == (Kind.ROLE, Outcome.FAILED, text)
    assert read(denial(text, state_code="22023")) == []  # of others the statement is logged
    assert read(denial("ROLLBACK", user="watched", state_code="25P01")) == []
    insert = "INSERT INTO users VALUES (1)"
    said = line(f"AUDIT: SESSION,1,1,WRITE,INSERT,,,{insert},<not logged>", user="watched")
    late = denial(insert, user="watched", state_code="23505", after=30)
    (done,) = read(said, late)
    assert done.outcome is Outcome.DONE


def test_pgsteads_own_logins_are_no_news_and_others_are() -> None:
    said = "connection authorized: user={} database=shop application_name={}"
    (event,) = read(
        line(said.format("postgres", "pgstead"), user="postgres"),
        line(said.format("postgres", "psql"), user="postgres"),
    )
    assert event.kind is Kind.LOGIN


def test_a_refused_login_is_an_event_by_either_door() -> None:
    fatal = line("password authentication failed", error_severity="FATAL", state_code="28P01")
    (direct,) = read(fatal)
    pooled = refusal(
        "2026-11-22 08:37:07.668 UTC [18003] WARNING C-0x5613: shop/a/b@127.0.0.1:58178 pooler"
        " error: SASL authentication failed",
        Place("pgbouncer.log", 9),
    )
    assert pooled is not None
    assert (direct.outcome, pooled.outcome) == (Outcome.DENIED, Outcome.DENIED)
    assert (pooled.role, pooled.client) == ("b", "127.0.0.1:58178")
    other = "2026-11-22 08:37:07 UTC [1] LOG C-0x5: a/b@c:1 closing because: client close request"
    assert refusal(other, Place("pgbouncer.log", 9)) is None


def test_what_up_did_to_roles_is_told_by_its_journal() -> None:
    told = {"time": "2026-11-22T08:00:00Z", "user": "ada", "event": "done", "operation": "create"}
    made = operation({**told, "at": "role:app"}, Place("journal.jsonl", 1))
    assert made is not None
    assert (made.kind, made.what, made.user) == (Kind.ROLE, "create role:app", "ada")
    assert operation({**told, "at": "process:agent"}, Place("journal.jsonl", 1)) is None
    assert operation({**told, "event": "doing", "at": "role:app"}, Place("j", 1)) is None


@pytest.mark.parametrize(
    ("text", "kind", "objects"),
    [
        ("WITH gone AS (DELETE FROM a.b RETURNING *) SELECT * FROM gone", Kind.WRITE, ("a.b",)),
        ("COPY t TO STDOUT", Kind.READ, ("t",)),
        ("COPY t FROM STDIN", Kind.WRITE, ("t",)),
        ("EXPLAIN ANALYZE DELETE FROM t", Kind.WRITE, ("t",)),
        ("EXPLAIN DELETE FROM t", Kind.READ, ("t",)),
        ("SELECT pg_read_file('x'), now()", Kind.FUNCTION, ("pg_read_file",)),
        ("DO $$ BEGIN END $$", Kind.CODE, ()),
        ("SET ROLE owner", Kind.ROLE, ("owner",)),
        ("GRANT SELECT ON t TO r", Kind.ROLE, ("t",)),
        ("DROP TABLE public.a, b.c", Kind.DDL, ("a", "b.c")),
        ("SELECT 1; DROP TABLE a; SELECT 2 FROM t", Kind.DDL, ("a", "t")),
        ("SELECT 1", None, ()),
        ("SHOW work_mem", None, ()),
        ("not SQL at all", Kind.CODE, ()),
    ],
)
def test_a_statement_is_what_its_gravest_part_does(
    text: str, kind: Kind | None, objects: tuple[str, ...]
) -> None:
    found = meaning(text)
    assert found.kind is kind
    assert found.objects == objects


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM t WHERE a = 'seen' AND b = 12345",
        "ALTER ROLE r PASSWORD 'seen'",
        "CREATE ROLE r PASSWORD E'se\\'en12345'",
        "COMMENT ON TABLE t IS 'seen'",
        "CREATE USER MAPPING FOR r SERVER s OPTIONS (password 'seen')",
        "DO $tag$ seen 12345 $tag$",
        "SELECT 1 /* seen 12345 */ FROM t -- seen",
        "EXECUTE p('seen', 12345)",
        "SELECT 'seen",
        "INSERT INTO t VALUES (U&'seen', X'12345', B'1')",
    ],
)
def test_no_literal_is_left_in_a_statement(text: str) -> None:
    shown = masked(text)
    assert "seen" not in shown
    assert "12345" not in shown
