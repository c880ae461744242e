"""A day of an audited stead: every action is in its trail once, and each promise is seen broken."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from pgstead.cli.wiring import access_to
from pgstead.prove.finding import Verdict
from pgstead.workflows import audit as workflow
from tests.fix_stead import LiveStead, stead_in
from tests.sabotage.damage import Sabotage
from tests.sabotage.on_audit import LENGTHY, WHERE
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import related, sabotaged

OURS = [s for s in sabotages() if s.where == WHERE]
LONG = [s for s in sabotages() if s.where == LENGTHY]
AUDITED = """
[audit]
enabled = true
interval = "1s"
"""
TENANT = "7d1f6e0a-5f0c-4c57-9a3e-0a6f5a3f1c11"
MARK = "pgstead_day"
Told = dict[str, Any]


@dataclass(frozen=True)
class Action:
    """One thing that somebody does on that day, and what has to be told of it."""

    role: str
    mark: str  # by which it is found again
    statement: str
    kind: str
    outcome: str = "done"
    tenant: str = ""
    correlation_id: str = ""


@pytest.fixture(scope="module")
def audited() -> Iterator[LiveStead]:
    """Give a stead of its own: the shared ones are not audited, which costs."""
    with stead_in(extra=AUDITED) as made:
        made.run("up")
        yield made


@pytest.fixture(scope="module")
def audited_scene(audited: LiveStead) -> Scene:
    """Give it to a saboteur."""
    wired = audited.wired
    scene = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
    scene.baseline = scene.prove("audit").verdicts()
    return scene


def query(stead: LiveStead, *arguments: str) -> list[Told]:
    """Ask as a person would."""
    told = stead.run("audit", "query", "--json", "--since", "1h", *arguments).stdout
    return [json.loads(line) for line in told.splitlines()]


def day(number: int) -> list[Action]:
    """Return what four roles do, some of it allowed: each in a scope of its own."""
    mark = f"{MARK}_{number}"
    scope = {"tenant": TENANT, "correlation_id": f"request-{number}"}
    app, admin, reader, migrator = "jeex_user", "jeex_admin", "jeex_readonly", "jeex_migrator"

    def of(role: str, ending: str, text: str, *told: str, **scope: str) -> Action:
        return Action(role, mark + ending, text.format(m=mark + ending), *told, **scope)

    return [
        of(app, "_a", "SELECT 1 FROM users AS {m} WHERE email = 'a@example.com'", "read", **scope),
        of(app, "_b", "UPDATE projects AS {m} SET name = 'x' WHERE false", "write", **scope),
        of(app, "_c", "SELECT 1 FROM pg_catalog.pg_authid AS {m}", "read", "denied", **scope),
        of(app, "_d", "CREATE TABLE {m} (id int)", "ddl", "denied", **scope),
        of(app, "_e", "DELETE FROM alembic_version AS {m}", "write", "denied", **scope),
        of(app, "_f", "ALTER ROLE jeex_admin SET search_path = {m}", "role", "denied", **scope),
        of(reader, "_g", "SELECT count(*) FROM users AS {m}", "read", **scope),
        of(reader, "_h", "SELECT pg_read_file('no') AS {m}", "function", "denied"),
        of(admin, "_i", "DELETE FROM projects AS {m} WHERE false", "write"),
        of(admin, "_j", "SET ROLE {m}", "role", "failed"),
        of(admin, "_k", "CREATE ROLE {m} PASSWORD 'not-to-be-seen'", "role", "denied"),
        of(migrator, "_l", "CREATE TABLE {m} (id int)", "ddl"),
        of(migrator, "_l", "GRANT SELECT ON {m} TO jeex_readonly", "role"),
        of(migrator, "_l", "DROP TABLE {m}", "ddl"),
    ]  # fmt: skip


def does(stead: LiveStead, actions: list[Action]) -> None:
    """Do it all; applications and readers come through the pooler."""
    for role in dict.fromkeys(action.role for action in actions):
        direct = role in {"jeex_admin", "jeex_migrator"}
        with stead.connect(role, direct=direct, application_name=f"day of {role}") as session:
            for action in (a for a in actions if a.role == role):
                if action.tenant:
                    session.execute(
                        f"BEGIN;SELECT set_config('app.current_tenant_id', '{action.tenant}',"
                        " true), set_config('app.correlation_id',"
                        f" E'{action.correlation_id}', true)"
                    )
                with suppress(psycopg.Error):
                    session.execute(action.statement)
                if action.tenant:
                    session.execute("ROLLBACK")


def found(events: list[Told], action: Action) -> list[Told]:
    """Return the events of an action."""
    begins, mark = action.statement.split(" ", 1)[0], re.compile(rf"\b{action.mark}\b")
    return [e for e in events if e["what"].startswith(begins) and mark.search(e["what"])]


@pytest.mark.parametrize("days", [2, pytest.param(200, marks=pytest.mark.soak)])
def test_a_day_is_in_the_trail_with_each_action_exactly_once(audited: LiveStead, days: int) -> None:
    """Who, what, when, from where, for whom; literals are nowhere."""
    begun = time.time()
    actions = [a for number in range(days) for a in day(number)]
    does(audited, actions)
    time.sleep(1.5)  # what becomes of a statement is known a second later
    events = query(audited)
    for action in actions:
        mine = found(events, action)
        assert len(mine) == 1, (action, mine)
        (event,) = mine
        told = {name: event.get(name, "") for name in ("role", "kind", "outcome")}
        assert told == {"role": action.role, "kind": action.kind, "outcome": action.outcome}
        assert event["database"] == "jeex_idea"
        assert event["application"] == f"day of {action.role}"
        assert event["client"].startswith("127.0.0.1:")
        assert event.get("tenant", "") == action.tenant
        assert event.get("correlation_id", "") == action.correlation_id
    written = (audited.state / "audit").glob("trail-*.jsonl")
    whole = "".join(path.read_text() for path in written)
    assert "a@example.com" not in whole
    assert "not-to-be-seen" not in whole
    print(f"{len(actions)} actions in {time.time() - begun:.1f} s")


def test_failed_logins_are_told_once_for_each_door(audited: LiveStead) -> None:
    before = query(audited, "--kind", "login", "--outcome", "denied")
    for direct in (True, False):
        with pytest.raises(psycopg.OperationalError):
            audited.connect("jeex_admin" if direct else "jeex_user", direct=direct, password="no")
    time.sleep(1.5)
    new = query(audited, "--kind", "login", "--outcome", "denied")[len(before) :]
    assert {(e["role"], e["database"]) for e in new} == {
        ("jeex_admin", "jeex_idea"),
        ("jeex_user", "jeex_idea"),
    }
    assert len(new) == 2


def test_a_changed_row_is_told_with_its_columns_and_for_whom(audited: LiveStead) -> None:
    """By the library that applications use, through the pooler."""
    from pgstead.app import SyncDatabase

    database = SyncDatabase.from_manifest(audited.manifest)
    person = uuid.uuid4()
    add = "INSERT INTO users (id, email, name) VALUES (:id, :email, 'N')"
    try:
        with database.session(user=person, correlation_id="change-1") as session:
            session.execute(text(add), {"id": person, "email": f"{person}@example.com"})
            session.execute(text("UPDATE users SET name = 'M' WHERE id = :id"), {"id": person})
    finally:
        database.close()
    time.sleep(1.5)
    events = query(audited, "--correlation-id", "change-1", "--object", "users")
    assert [e["kind"] for e in events].count("write") == 2
    changes = [e for e in events if e["kind"] == "change"]
    assert [c["what"] for c in changes] == ["insert", "update"]
    for change in changes:
        assert change["role"] == "jeex_user"
        assert change["user"] == str(person)
        assert change["detail"]["key"] == {"id": str(person)}
        assert "before" not in change["detail"]  # values are kept where the manifest says so
    assert {"name", "updated_at"} <= set(changes[1]["detail"]["columns"])


@pytest.mark.parametrize("by_row", [True, False])
def test_every_way_of_writing_is_told_row_by_row_and_secrets_are_masked(
    audited: LiveStead, by_row: bool
) -> None:
    """Upserts, COPY, keys that change, TRUNCATE; with values, as a manifest may ask for."""
    arguments = "'values', '{\"id\"}', '{\"token\"}'"
    events = {
        "i": "INSERT ON d REFERENCING NEW TABLE AS new_rows",
        "u": "UPDATE ON d REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "d": "DELETE ON d REFERENCING OLD TABLE AS old_rows",
    }
    made = [
        f"CREATE TRIGGER {n} AFTER {e} FOR EACH STATEMENT"
        f" EXECUTE FUNCTION pgstead_audit.record_changes({arguments})"
        for n, e in events.items()
    ]
    if by_row:
        made = [
            (
                "CREATE TRIGGER r AFTER INSERT OR UPDATE OR DELETE ON d FOR EACH ROW"
                f" EXECUTE FUNCTION pgstead_audit.record_change({arguments})"
            )
        ]
    with audited.superuser("jeex_idea") as session, session.transaction(force_rollback=True):
        session.execute("CREATE TABLE d (id int PRIMARY KEY, a text, token text)")
        for statement in (
            *made,
            (
                "CREATE TRIGGER t AFTER TRUNCATE ON d FOR EACH STATEMENT"
                f" EXECUTE FUNCTION pgstead_audit.record_change({arguments})"
            ),
            "INSERT INTO d SELECT g, 'a' || g, 's3cret' FROM generate_series(1, 3) AS g",
            (
                "INSERT INTO d VALUES (3, 'b', 't'), (4, 'c', 'u')"
                " ON CONFLICT (id) DO UPDATE SET a = 'z', token = 'other'"
            ),
            "UPDATE d SET a = a WHERE id = 1",
            "UPDATE d SET a = 'nobody' WHERE false",
            "DELETE FROM d WHERE id = 2",
            "TRUNCATE d",
        ):
            session.execute(statement)
        rows = session.execute(
            "SELECT operation, key ->> 'id' AS id, columns, before, after FROM pgstead_audit.change"
            " WHERE transaction = pg_current_xact_id()"
        ).fetchall()
    told = sorted((r["operation"], r["id"] or "") for r in rows)
    assert told == [
        ("delete", "2"), ("insert", "1"), ("insert", "2"), ("insert", "3"), ("insert", "4"),
        ("truncate", ""), ("update", "1"), ("update", "3"),
    ]  # fmt: skip
    upsert = next(r for r in rows if (r["operation"], r["id"]) == ("update", "3"))
    assert sorted(upsert["columns"]) == ["a", "token"]
    assert upsert["before"] == {"a": "a3", "token": "***"}
    assert upsert["after"] == {"a": "z", "token": "***"}
    assert "s3cret" not in str(rows)


@pytest.mark.parametrize("sabotage", OURS, ids=lambda s: s.name)
def test_a_sabotage_of_the_trail_breaks_its_promises(
    audited_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(audited_scene, sabotage, *related(sabotage))


@pytest.mark.soak
@pytest.mark.parametrize("sabotage", LONG, ids=lambda s: s.name)
def test_promises_break_where_nothing_is_collected(
    audited_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(audited_scene, sabotage, *related(sabotage))


@pytest.mark.soak
@pytest.mark.parametrize("sabotage", OURS, ids=lambda s: s.name)
def test_a_sabotage_of_the_trail_breaks_no_other_promise_of_it(
    audited_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(audited_scene, sabotage, "audit")


def test_an_undamaged_trail_keeps_every_promise(audited_scene: Scene) -> None:
    kept = {code for code, v in audited_scene.baseline.items() if v is Verdict.KEPT}
    assert kept == set(audited_scene.baseline), audited_scene.baseline


def test_an_edited_line_is_found_by_its_number(audited: LiveStead) -> None:
    audited.wired.ports.supervisor.stop("agent")
    try:
        path = max((audited.state / "audit").glob("trail-*.jsonl"))
        before = path.read_text()
        lines = before.splitlines()
        ports = audited.wired.ports.audit
        assert ports is not None
        for change in edits(lines):
            path.write_text("\n".join(change) + "\n")
            assert workflow.verify(ports).flaws, change[:1]
        assert audited.json("audit", "verify", status=1)["flaws"]
        path.write_text(before)
        assert audited.json("audit", "verify")["flaws"] == []
    finally:
        audited.wired.ports.supervisor.start("agent")


def edits(lines: list[str]) -> Iterator[list[str]]:
    """Yield the trail as somebody would have it who has something to hide."""
    middle = len(lines) // 2
    other = lines[middle].replace('"at":"2', '"at":"3', 1)
    yield [*lines[:middle], other, *lines[middle + 1 :]]
    yield [*lines[:middle], *lines[middle + 1 :]]
    yield [*lines[:middle], lines[middle + 1], lines[middle], *lines[middle + 2 :]]
    yield lines[:-1]
    yield [*lines, lines[-1]]
    yield lines[1:]


def test_an_export_names_the_head_that_the_trail_is_held_against(
    audited: LiveStead, tmp_path: Path
) -> None:
    target = tmp_path / "audit.jsonl"
    told = audited.json("audit", "export", str(target))
    assert target.stat().st_mode & 0o777 == 0o600
    lines = target.read_text().splitlines()
    head = json.loads(lines[-1])
    assert told["events"] == len(lines) - 1
    audited.run("audit", "verify", "--head", f"{head['seq']}:{head['hash']}")
    other = "0" * 64
    audited.run("audit", "verify", "--head", f"{head['seq']}:{other}", status=1)
    audited.run("audit", "export", str(target), status=2)
