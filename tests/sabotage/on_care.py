"""Sabotages of the care for data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pgstead.model.backup import Ending, Task
from pgstead.model.design import Design
from pgstead.prove.finding import Verdict
from pgstead.workflows import change_history
from tests.sabotage.damage import sabotage
from tests.sabotage.on_audit import WHERE as AUDITED
from tests.sabotage.on_audit import collects_again, plan_of
from tests.sabotage.scene import Scene

_OWNED = """
    WITH u AS (INSERT INTO users (email, name) VALUES ('saboteur@example.com', 'S') RETURNING id)
    INSERT INTO projects (name, created_by) SELECT 'sabotage', id FROM u
"""
_GONE = (
    "DELETE FROM projects WHERE name = 'sabotage'",
    "DELETE FROM users WHERE email = 'saboteur@example.com'",
)


@sabotage("RET-001", alone=True)
def an_export_has_expired_a_week_ago(scene: Scene) -> Iterator[Design | None]:
    """The agent was off, and nobody removed what had expired."""
    old = (
        "INSERT INTO exports (project_id, expires_at) SELECT id, now() - interval '7 days'"
        " FROM projects WHERE name = 'sabotage'"
    )
    with scene.done_and_undone((_OWNED, old), _GONE):
        yield None


@contextmanager
def failed(scene: Scene, task: Task, code: str) -> Iterator[None]:
    """Have the last run of a job failed; one that is well follows."""
    assert scene.ports.care is not None
    runs = scene.ports.care.runs
    runs.end(runs.begin(task, "sabotage"), Ending.FAILED, error="it could not")
    try:
        yield
    finally:
        # from now on there is one: where nobody could tell before, somebody can
        runs.end(runs.begin(task, "sabotage"), Ending.DONE)
        scene.baseline[code] = Verdict.KEPT


@sabotage("RET-002", alone=True)
def retention_was_hindered(scene: Scene) -> Iterator[Design | None]:
    """A lock was not to be had, and nobody looked."""
    with failed(scene, Task.RETENTION, "RET-002"):
        yield None


@sabotage("INT-001", also=("SCH-002", "SCH-003"), alone=True)
def a_constraint_was_never_validated(scene: Scene) -> Iterator[Design | None]:
    """A migration was in a hurry, and its second half never came."""
    with scene.done_and_undone(
        "ALTER TABLE projects ADD CONSTRAINT hurried CHECK (name <> '') NOT VALID",
        "ALTER TABLE projects DROP CONSTRAINT hurried",
    ):
        yield None


@sabotage("INT-002", alone=True)
def a_version_is_missing(scene: Scene) -> Iterator[Design | None]:
    """Somebody deleted a version by hand."""
    versions = (
        "INSERT INTO document_versions (project_id, document_type, version, content, created_by)"
        " SELECT id, 'plan', n, 'text', created_by FROM projects, (VALUES (1), (3)) AS v(n)"
        " WHERE name = 'sabotage'"
    )
    with scene.done_and_undone((_OWNED, versions), _GONE):
        yield None


@sabotage("INT-003", alone=True)
def the_last_look_found_damage(scene: Scene) -> Iterator[Design | None]:
    """It was found on Sunday, and nobody read it on Monday."""
    with failed(scene, Task.INTEGRITY, "INT-003"):
        yield None


_NEXT = """
    SELECT c.oid::regclass::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'pgstead_audit.change'::regclass
      AND strpos(pg_get_expr(c.relpartbound, c.oid), 'FROM (''' || to_char(
          date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY-MM-DD')) > 0
"""


@sabotage("PRT-001", where=AUDITED, alone=True)
def the_next_month_has_no_partition(scene: Scene) -> Iterator[Design | None]:
    """Somebody tidied up what looked empty, and the table is too busy to make it again."""
    assert scene.ports.audit is not None
    change_history.keep(plan_of(scene), scene.ports.sql, scene.ports.audit)
    agent = scene.ports.supervisor
    agent.stop("agent")
    ((name,),) = scene.rows(_NEXT, database=scene.plan.name)
    try:
        with scene.ports.sql.connect(scene.plan.name) as busy:
            busy.execute(f"DROP TABLE {name}".encode())
            busy.execute("BEGIN")
            busy.execute("LOCK TABLE pgstead_audit.change IN SHARE UPDATE EXCLUSIVE MODE")
            collects_again(scene)
            yield None
    finally:
        change_history.keep(plan_of(scene), scene.ports.sql, scene.ports.audit)
        collects_again(scene)


@sabotage("PRT-002", where=AUDITED, alone=True)
def a_partition_is_granted(scene: Scene) -> Iterator[Design | None]:
    """A report was to read one month, and got the partition."""
    ((name,), *_) = scene.rows(_NEXT, database=scene.plan.name)
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT SELECT ON {name} TO {app}", f"REVOKE SELECT ON {name} FROM {app}"
    ):
        yield None


SABOTAGES = (
    an_export_has_expired_a_week_ago,
    retention_was_hindered,
    a_constraint_was_never_validated,
    a_version_is_missing,
    the_last_look_found_damage,
    the_next_month_has_no_partition,
    a_partition_is_granted,
)
