"""What `inspect` says of a stead, as a test asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pgstead.cli.console import plain
from pgstead.cli.diagnosis import told
from pgstead.cli.examining import examine
from pgstead.cli.wiring import SILENT
from pgstead.model.advice import Subject
from pgstead.observe import inspection, sql_files
from pgstead.observe.statements import StatementWatch
from tests.fix_stead import LiveStead
from tests.waiting import until

Said = dict[str, Any]


def inspect(stead: LiveStead, subject: str, *, check: bool = False) -> Said:
    """Return what the command would say of a subject with --json."""
    found = examine(stead.wired, Subject(subject), SILENT, check=check)
    said: Said = json.loads(json.dumps(plain(told(found))))
    return said


def findings(said: Said, rule: str, about: str = "") -> list[Said]:
    """Return the findings of a rule, about something if it is named."""
    return [f for f in said["findings"] if f["rule"] == rule and about in f"{f}"]


def cure(stead: LiveStead, found: Said) -> None:
    """Do what the finding says, as a superuser."""
    with stead.superuser(found["database"] or "postgres") as admin:
        for statement in found["sql"]:
            admin.execute(statement)


def figures(found: Said) -> dict[str, Any]:
    """Return the evidence by name."""
    return {f["name"]: f["value"] for f in found["evidence"]}


def cured(stead: LiveStead, subject: str, rule: str, about: str) -> None:
    """Look at a planted fault: it is found, its SQL is done, and it is found no more."""
    (found,) = findings(inspect(stead, subject), rule, about)
    assert found["sql"], found
    assert found["evidence"], found
    assert found["window"]
    cure(stead, found)
    until(lambda: not findings(inspect(stead, subject), rule, about), f"{rule} is gone", 20)


@contextmanager
def session(stead: LiveStead, role: str = "jeex_admin", **options: Any) -> Iterator[Any]:
    """Give a connection past the pooler that may have been ended when it is closed."""
    connection = stead.connect(role, direct=True, autocommit=False, **options)
    try:
        yield connection
    finally:
        connection.close()


def as_admin(stead: LiveStead, *statements: str, database: str = "jeex_idea") -> None:
    """Run statements as the superuser."""
    with stead.superuser(database) as admin:
        for statement in statements:
            admin.execute(statement)


def ask_everything(monitor: Any, major: int) -> None:
    """Ask each question of `inspect` and `top` that a version has; an error is the server's."""
    asked = {q.what for own in inspection.QUESTIONS.values() for q in own}
    asked |= {q.what for q in inspection.LIVE}
    for name in sorted(f"inspect/{what}" for what in asked):
        if sql_files.floor(name) <= major:
            monitor.execute(sql_files.query(name, major)).fetchall()
    watch = StatementWatch("postgres", major)
    assert watch.look(monitor) == ()
    monitor.execute("SELECT count(*) FROM pg_class")
    assert any("pg_class" in window.query for window in watch.look(monitor))
