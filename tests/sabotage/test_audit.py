"""A day of an audited stead: every action is in its trail once, and each promise is seen broken."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from pgstead.cli.wiring import access_to
from tests.fix_stead import LiveStead, stead_in
from tests.sabotage.damage import Sabotage
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import brief, related, sabotaged

OURS = [s for s in sabotages() if s.where == "audited_scene"]
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
    statement: str  # names the mark, by which it is found again
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
    return [
        Action(app, f"SELECT 1 FROM users AS {mark}_a WHERE email = 'ada@example.com'", "read", **scope),
        Action(app, f"UPDATE projects AS {mark}_b SET name = 'x' WHERE false", "write", **scope),
        Action(app, f"SELECT 1 FROM pg_catalog.pg_authid AS {mark}_c", "read", "denied", **scope),
        Action(app, f"CREATE TABLE {mark}_d (id int)", "ddl", "denied", **scope),
        Action(app, f"DELETE FROM alembic_version AS {mark}_e", "write", "denied", **scope),
        Action(app, f"ALTER ROLE jeex_user SET {mark}.f = '1'", "role", "denied", **scope),
        Action(reader, f"SELECT count(*) FROM users AS {mark}_g", "read", **scope),
        Action(reader, f"SELECT pg_read_file('{mark}'), 1 AS {mark}_h", "function", "denied"),
        Action(admin, f"DELETE FROM projects AS {mark}_i WHERE false", "write"),
        Action(admin, f"SET ROLE {mark}_j", "role", "failed"),
        Action(admin, f"CREATE ROLE {mark}_k PASSWORD 'not-to-be-seen'", "role", "denied"),
        Action(migrator, f"CREATE TABLE {mark}_l (id int)", "ddl"),
        Action(migrator, f"GRANT SELECT ON {mark}_l TO jeex_readonly", "role"),
        Action(migrator, f"DROP TABLE {mark}_l /* {mark}_m */", "ddl"),
    ]  # fmt: skip


def does(stead: LiveStead, actions: list[Action]) -> None:
    """Do it all; applications and readers come through the pooler."""
    for role in dict.fromkeys(action.role for action in actions):
        direct = role in {"jeex_admin", "jeex_migrator"}
        with stead.connect(role, direct=direct, application_name=f"day of {role}") as session:
            for action in (a for a in actions if a.role == role):
                if action.tenant:
                    session.execute(
                        f"BEGIN;SELECT set_config('app.current_tenant_id', '{action.tenant}', true),"
                        f"set_config('app.correlation_id', E'{action.correlation_id}', true)"
                    )
                with suppress(psycopg.Error):
                    session.execute(action.statement)
                if action.tenant:
                    session.execute("ROLLBACK")


def found(events: list[Told], action: Action) -> list[Told]:
    """Return the events of an action, by the last word of its mark."""
    words = [w.strip("'();,") for w in action.statement.replace(".f", "_f ").split()]
    mark = next(w for w in reversed(words) if w.startswith(MARK))
    if action.statement.startswith(("CREATE TABLE", "GRANT", "DROP")):
        first = " ".join(action.statement.split()[:2])
        return [e for e in events if mark[:-1] in e["what"] and e["what"].startswith(first)]
    return [e for e in events if mark in e["what"].replace(".f", "_f")]


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
    assert "ada@example.com" not in whole
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

    connection = audited.state / "connections" / "jeex_idea.json"
    database = SyncDatabase.from_connection(connection, role="jeex_admin")
    with database.session(tenant=TENANT, correlation_id="change-1") as session:
        session.execute(text("UPDATE users SET email = email WHERE false"))
    changes = query(audited, "--kind", "change", "--correlation-id", "change-1")
    assert changes == []


@pytest.mark.parametrize("sabotage", OURS, ids=lambda s: s.name)
def test_a_sabotage_of_the_trail_breaks_its_promises(
    audited_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(audited_scene, sabotage, *related(sabotage))


def test_an_undamaged_trail_keeps_every_promise(audited_scene: Scene) -> None:
    report = audited_scene.prove("audit")
    assert int(report.exit_status) == 0, brief(report)


def test_an_edited_line_is_found_by_its_number(audited: LiveStead) -> None:
    audited.wired.ports.supervisor.stop("agent")
    try:
        path = max((audited.state / "audit").glob("trail-*.jsonl"))
        before = path.read_text()
        lines = before.splitlines()
        for change in edits(lines):
            path.write_text("\n".join(change) + "\n")
            told = audited.json("audit", "verify", status=1)
            assert told["flaws"], change[:1]
        path.write_text(before)
        assert audited.json("audit", "verify")["flaws"] == []
    finally:
        audited.wired.ports.supervisor.start("agent")


def edits(lines: list[str]) -> Iterator[list[str]]:
    """Yield the trail as somebody would have it who has something to hide."""
    middle = len(lines) // 2
    other = lines[middle].replace('"jeex_', '"joex_', 1)
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
