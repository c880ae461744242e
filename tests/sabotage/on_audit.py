"""Sabotages of the audit trail, on a stead that is audited (test_audit.py)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pgstead.model.audit import AuditPlan
from pgstead.model.design import Design
from pgstead.workflows import change_history
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

WHERE = "audited_scene"
LENGTHY = "audited_scene at length"  # each promise waits for what never comes


def plan_of(scene: Scene) -> AuditPlan:
    """Return how the stead is audited."""
    assert scene.design.audit is not None
    return scene.design.audit


@contextmanager
def held_trail(scene: Scene) -> Iterator[Path]:
    """Let nobody else write; give the newest file of the trail."""
    assert scene.ports.audit is not None
    with scene.ports.audit.trail.writing():
        yield max(Path(plan_of(scene).directory).glob("trail-*.jsonl"))


def collects_again(scene: Scene) -> None:
    """Start the agent, and wait until it has taken over what was logged since."""
    assert scene.ports.audit is not None
    trail, begun = scene.ports.audit.trail, datetime.now(UTC).isoformat()
    scene.ports.supervisor.start("agent")
    scene.wait(lambda: str(trail.notes().get("settled", "")) > begun, seconds=60)


@sabotage("AUD-001", also=("AUD-009",), where=WHERE, alone=True)
def statements_of_the_application_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """Somebody found the log too large, and took the setting from the role.

    Its reads of an audited class (AUD-009) are no longer logged either.
    """
    with scene.role_setting(scene.plan.app, "log_statement", "ddl"):
        yield None


@sabotage("AUD-002", where=WHERE, alone=True)
def changes_of_roles_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """The server logs no statements but those of roles that have a setting of their own."""
    with scene.altered(log_statement="none"):
        yield None


@sabotage("AUD-009", where=WHERE, alone=True)
def reads_of_a_class_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """Of readers, writes were to be recorded; that a class asks for more was forgotten."""
    with scene.role_setting(scene.plan.readonly, "log_statement", "mod"):
        yield None


@sabotage("AUD-003", where=WHERE, alone=True)
def refusals_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """Errors of clients were thought to be noise."""
    with scene.altered(log_min_messages="log"):
        scene.reconnect()
        yield None
    scene.reconnect()


@sabotage("AUD-004", where=WHERE, alone=True)
def the_application_may_change_its_history(scene: Scene) -> Iterator[Design | None]:
    """A retention job ran as the application, and was given what it asked for."""
    app = scene.plan.app
    given = (
        f"GRANT USAGE ON SCHEMA pgstead_audit TO {app}",
        f"GRANT SELECT, DELETE ON pgstead_audit.change TO {app}",
    )
    taken = (
        f"REVOKE ALL ON pgstead_audit.change FROM {app}",
        f"REVOKE ALL ON SCHEMA pgstead_audit FROM {app}",
    )
    with scene.done_and_undone(given, taken):
        yield None


@contextmanager
def edited_trail(scene: Scene, change: Callable[[list[bytes]], list[bytes]]) -> Iterator[None]:
    """Change the trail's file as its owner could; what is written meanwhile stays written."""
    with held_trail(scene) as path:
        before = path.read_bytes()
        after = b"".join(change(before.splitlines(keepends=True)))
        path.unlink()
        if after:
            _written(path, after)
    try:
        yield
    finally:
        assert scene.ports.audit is not None
        with scene.ports.audit.trail.writing():
            since = path.read_bytes()[len(after) :] if path.exists() else b""
            _written(path, before + since)


def _written(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


@sabotage("AUD-005", where=WHERE, alone=True)
def a_line_is_edited(scene: Scene) -> Iterator[Design | None]:
    """It was somebody else."""

    def change(lines: list[bytes]) -> list[bytes]:
        middle = len(lines) // 2
        told = json.loads(lines[middle])
        other = json.dumps({**told, "role": "somebody_else"}).encode() + b"\n"
        return [*lines[:middle], other, *lines[middle + 1 :]]

    with edited_trail(scene, change):
        yield None


@sabotage("AUD-005", where=WHERE, alone=True)
def the_last_lines_are_cut_off(scene: Scene) -> Iterator[Design | None]:
    """It never happened."""
    with edited_trail(scene, lambda lines: lines[:-3]):
        yield None


@sabotage("AUD-005", where=WHERE, alone=True)
def a_day_is_removed(scene: Scene) -> Iterator[Design | None]:
    """Nobody looks at what is that old, and no retention told of it."""
    with edited_trail(scene, lambda _: []):
        yield None


@sabotage("AUD-001", "AUD-002", "AUD-003", where=LENGTHY, alone=True)
def the_agent_collects_nothing(scene: Scene) -> Iterator[Design | None]:
    """It died, and nobody looked."""
    scene.ports.supervisor.stop("agent")
    try:
        yield None
    finally:
        collects_again(scene)


@sabotage("AUD-006", "AUD-007", where=WHERE, alone=True)
def a_table_feeds_no_history(scene: Scene) -> Iterator[Design | None]:
    """A bulk load switched the triggers off, and nobody switched them on again."""
    fed = scene.rows(
        "SELECT tgrelid::regclass::text, tgname::text FROM pg_trigger"
        " WHERE tgname ~ '^pgstead_audit_' AND NOT tgisinternal",
        database=scene.plan.name,
    )
    off = tuple(f"ALTER TABLE {table} DISABLE TRIGGER {name}" for table, name in fed)
    on = tuple(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}" for table, name in fed)
    with scene.done_and_undone(off, on):
        yield None


@sabotage("AUD-008", where=WHERE, alone=True)
def a_change_is_rewritten(scene: Scene) -> Iterator[Design | None]:
    """An administrator with the superuser's socket made it somebody else's change."""
    name = scene.plan.name
    scene.does(
        "INSERT INTO pgstead_audit.change"
        " (role, application, client, operation, schema_name, table_name)"
        " VALUES ('sabotage', '', 'socket', 'insert', 'public', 'nowhere')"
    )
    assert scene.ports.audit is not None

    def sealed() -> bool:
        assert scene.ports.audit is not None
        change_history.keep(plan_of(scene), scene.ports.sql, scene.ports.audit)
        return any(
            r is not None and r.body.get("kind") == "seal" and r.body["database"] == name
            for _, r in scene.ports.audit.trail.records()
        )

    scene.wait(sealed)
    change = "UPDATE pgstead_audit.change SET role = '{}' WHERE role = '{}'"
    with scene.done_and_undone(
        change.format("nobody", "sabotage"), change.format("sabotage", "nobody")
    ):
        yield None


SABOTAGES = (
    reads_of_a_class_are_not_logged,
    statements_of_the_application_are_not_logged,
    changes_of_roles_are_not_logged,
    refusals_are_not_logged,
    the_application_may_change_its_history,
    a_line_is_edited,
    the_last_lines_are_cut_off,
    a_day_is_removed,
    the_agent_collects_nothing,
    a_table_feeds_no_history,
    a_change_is_rewritten,
)
