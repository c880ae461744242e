"""A scripted day of an audited stead: what four roles do, and what its trail tells of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.fix_stead import LiveStead
from tests.waiting import until

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


def by_mark(events: list[Told]) -> dict[str, list[Told]]:
    """Return events by the marks that they name."""
    named: dict[str, list[Told]] = {}
    for event in events:
        for mark in set(re.findall(rf"\b{MARK}_\d+_[a-z]\b", event["what"])):
            named.setdefault(mark, []).append(event)
    return named


def told_by(audited: LiveStead) -> Callable[[Action], list[Told]]:
    """Ask the trail once; return what tells the events of each action."""
    told = audited.run("audit", "query", "--json", "--since", "1h", "--limit", "1000000").stdout
    named = by_mark([json.loads(line) for line in told.splitlines()])

    def of(action: Action) -> list[Told]:
        begins = action.statement.split(" ", 1)[0]
        return [e for e in named.get(action.mark, ()) if e["what"].startswith(begins)]

    return of


def lived(audited: LiveStead, days: int) -> None:
    """Live days, and see each action once, with who, what, when, from where and for whom."""
    begun = time.time()
    # no number comes twice on a stead that lives 2 days and then 200
    actions = [a for number in range(days, 2 * days) for a in day(number)]
    does(audited, actions)

    def untold() -> list[Action]:
        of = told_by(audited)
        return [action for action in actions if not of(action)]

    # what becomes of a statement is known a second later, and then it is told
    with suppress(AssertionError):  # which one it is not is said below
        until(lambda: not untold(), "every action is told", 60)
    of = told_by(audited)
    for action in actions:
        mine = of(action)
        assert len(mine) == 1, (action, mine)
        (event,) = mine
        told = {name: event.get(name, "") for name in ("role", "kind", "outcome")}
        assert told == {"role": action.role, "kind": action.kind, "outcome": action.outcome}
        assert event["database"] == "jeex_idea"
        assert event["application"] == f"day of {action.role}"
        assert event["client"].startswith("127.0.0.1:")
        assert event.get("tenant", "") == action.tenant
        assert event.get("correlation_id", "") == action.correlation_id
        assert event.get("classes", []) == (["personal"] if "FROM users" in event["what"] else [])
    written = (audited.state / "audit").glob("trail-*.jsonl")
    whole = "".join(path.read_text() for path in written)
    assert "a@example.com" not in whole
    assert "not-to-be-seen" not in whole
    print(f"{len(actions)} actions in {time.time() - begun:.1f} s")
