"""Sabotages of upkeep and of forecasts."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg

from pgstead.model.design import Design
from pgstead.model.telemetry import Sample
from pgstead.model.upkeep import Chore, Outcome, Work
from pgstead.prove.finding import Verdict
from tests.sabotage.damage import sabotage
from tests.sabotage.on_telemetry import WHERE
from tests.sabotage.scene import Scene

DAY = 86_400
AGE = 250_000_000  # above autovacuum_freeze_max_age

# a table beside the schema: of the superuser, who alone may read it, without a primary key
STRAY = ("SCH-002", "SCH-003", "SCH-004")
UNCLASSED = (*STRAY, "SCH-008", "PII-001")  # and it has a column
READERS = ("ROL-036",)


@sabotage("UPK-001", also=(*UNCLASSED, "INT-001"), blinds=READERS)
def an_index_was_left_invalid(scene: Scene) -> Iterator[Design | None]:
    """CREATE INDEX CONCURRENTLY failed, and nobody looked."""
    with scene.done_and_undone(
        "CREATE TABLE twice AS SELECT 1 AS n FROM generate_series(1, 2)", "DROP TABLE twice"
    ):
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            scene.does("CREATE UNIQUE INDEX CONCURRENTLY ON twice (n)")
        yield None


# COMMENT waits for the lock
@sabotage("UPK-002", also=STRAY, blinds=(*READERS, "ROL-031"))
def a_table_is_not_frozen(scene: Scene) -> Iterator[Design | None]:
    """A table whose oldest row may be a quarter of a billion transactions old."""
    old = f"(pg_current_xact_id()::text::int8 - {AGE} + 4294967296) % 4294967296"
    made = scene.done_and_undone("CREATE TABLE aged ()", "DROP TABLE aged")
    with made, scene.ports.sql.connect(scene.plan.name) as held, held.transaction():
        # autovacuum against wraparound can't be switched off, and would freeze it meanwhile
        held.execute("LOCK TABLE aged IN SHARE UPDATE EXCLUSIVE MODE")
        scene.does(
            f"UPDATE pg_class SET relfrozenxid = ({old})::text::xid WHERE oid = 'aged'::regclass"
        )
        yield None


@sabotage("UPK-003")
def a_failure_was_told_to_nobody(scene: Scene) -> Iterator[Design | None]:
    """A chore failed, and no alert fires."""
    history = scene.ports.upkeep
    assert history is not None
    chore = Chore(Work.REINDEX, scene.plan.name, "public", "lost", "lost", "nobody", "for a test")
    run = history.begin("test", 1)
    number = history.begin_chore(run, chore, {}, "nobody")
    history.end_chore(number, Outcome.FAILED, error="for a test")
    history.end(run, Outcome.FAILED)
    try:
        yield None
    finally:
        # from now on there is a history, in which nothing is left undone
        history.end(history.begin("test", 0), Outcome.DONE)
        scene.baseline["UPK-003"] = Verdict.KEPT


@sabotage("UPK-004", where=WHERE, alone=True)
def windows_go_by(scene: Scene) -> Iterator[Design | None]:
    """The agent opens none: a day of them has passed since the manifest was given."""
    assert scene.design.upkeep is not None
    plan = replace(scene.design.upkeep, automatic=True, schedule="* * * * *", window=1.0)
    applied = scene.state / "run" / "applied.toml"
    seen = applied.stat()
    moved = [*(scene.state / "upkeep").glob("history.sqlite*")]
    for path in moved:
        path.rename(path.with_name(f"away-{path.name}"))
    os.utime(applied, (time.time() - DAY, time.time() - DAY))
    try:
        yield replace(scene.design, upkeep=plan)
    finally:
        os.utime(applied, (seen.st_atime, seen.st_mtime))
        for path in moved:
            path.with_name(f"away-{path.name}").rename(path)


@sabotage("UPK-005", also=("ROL-005",))
def its_role_reads(scene: Scene) -> Iterator[Design | None]:
    """Somebody gave the role of upkeep the right to read everything."""
    with scene.done_and_undone(
        "GRANT pg_read_all_data TO pgstead_upkeep", "REVOKE pg_read_all_data FROM pgstead_upkeep"
    ):
        yield None


@sabotage("UPK-006", also=UNCLASSED, blinds=READERS)
def statistics_are_of_another_time(scene: Scene) -> Iterator[Design | None]:
    """A table was filled, and nobody analyzes it."""
    with scene.done_and_undone(
        (
            "CREATE TABLE filled (n int) WITH (autovacuum_enabled = false)",
            "INSERT INTO filled SELECT generate_series(1, 20000)",
            "SELECT pg_stat_force_next_flush()",
        ),
        "DROP TABLE filled",
    ):
        scene.wait(lambda: scene.prove("UPK-006").exit_status != 0)
        yield None


@contextmanager
def sampled(scene: Scene, samples: Sequence[Sample]) -> Iterator[None]:
    """Write samples of a database that the agent does not look at, and take them away again."""
    telemetry, plan = scene.ports.telemetry, scene.design.telemetry
    assert telemetry is not None
    assert plan is not None
    telemetry.store.write(samples)
    try:
        yield
    finally:
        with closing(sqlite3.connect(plan.samples, timeout=20)) as opened, opened:
            planted = "SELECT number FROM series WHERE attributes LIKE '%elsewhere%'"
            opened.execute(f"DELETE FROM sample WHERE series IN ({planted})")
            opened.execute("DELETE FROM series WHERE attributes LIKE '%elsewhere%'")


@sabotage("CAP-001", where=WHERE, alone=True)
def growth_is_overlooked(scene: Scene) -> Iterator[Design | None]:
    """A sequence loses a tenth of its numbers each hour, and nobody reckons when it ends."""
    now = datetime.now(UTC)
    place = (("datname", "elsewhere"), ("sequencename", "orders_id_seq"))
    with sampled(
        scene,
        [
            Sample("pg_sequence_used_ratio", 0.8 - n / 60, now - timedelta(minutes=10 * n), place)
            for n in range(45, -1, -1)
        ],
    ):
        yield None


@sabotage("CAP-002", where=WHERE, alone=True)
def an_end_that_is_foreseen_is_told_to_nobody(scene: Scene) -> Iterator[Design | None]:
    """The disk is full tomorrow, and no alert is even pending."""
    place = (("capacity", "disk"), ("datname", "elsewhere"))
    tomorrow = Sample("pgstead_capacity_remaining_seconds", 86_400.0, datetime.now(UTC), place)
    with sampled(scene, [tomorrow]):
        yield None


SABOTAGES = (
    growth_is_overlooked,
    an_end_that_is_foreseen_is_told_to_nobody,
    an_index_was_left_invalid,
    a_table_is_not_frozen,
    a_failure_was_told_to_nobody,
    windows_go_by,
    its_role_reads,
    statistics_are_of_another_time,
)
