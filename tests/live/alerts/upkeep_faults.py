"""Faults of upkeep and of what grows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg

from pgstead.model.integrity import Check
from pgstead.model.telemetry import Sample
from pgstead.model.upkeep import Work
from pgstead.workflows import upkeep
from pgstead.workflows.integrity import check
from tests.fix_stead import LiveStead
from tests.live.alerts.faults import DATABASE, does

_GROWN = 0.6  # of the numbers of the sequence, in the hours before now
_HOURS = 8


@contextmanager
def failing_rebuild(stead: LiveStead) -> Iterator[None]:
    """Have upkeep build a unique index over doubles."""
    wired = stead.wired
    does(stead, "CREATE TABLE twice AS SELECT 1 AS n FROM generate_series(1, 2)")
    try:
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            does(stead, "CREATE UNIQUE INDEX CONCURRENTLY ON twice (n)")
        wanted = upkeep.Wanted(works=(Work.REBUILD,))
        report = upkeep.run(wired.design, wired.ports, "test", wanted=wanted)
        assert [c.name for c in report.chores if c.table == "twice"] == ["twice_n_idx"]
        yield
    finally:
        does(stead, "DROP TABLE twice")
        # a window without time finds that it is due no more
        upkeep.run(wired.design, wired.ports, "test", seconds=0)


@contextmanager
def orphan(stead: LiveStead) -> Iterator[None]:
    """Have a row refer to one that is not there, as triggers that were off let it, and look."""
    wired = stead.wired

    def looked() -> int:
        found = check(wired.design, wired.ports, "test", only={Check.CONSTRAINTS})
        return len(found.damages)

    does(
        stead,
        "CREATE TABLE whole (n int PRIMARY KEY)",
        "CREATE TABLE part (n int REFERENCES whole)",
        "SET session_replication_role = replica",
        "INSERT INTO part VALUES (7)",
    )
    try:
        assert looked() == 1
        yield
    finally:
        does(stead, "DROP TABLE part, whole")
        assert looked() == 0


@contextmanager
def growth(stead: LiveStead) -> Iterator[None]:
    """Have a sequence that used up most of its numbers within hours, as its samples tell."""
    telemetry = stead.wired.ports.telemetry
    assert telemetry is not None
    place = (("datname", DATABASE), ("schemaname", "public"), ("sequencename", "growing"))
    now, minutes = datetime.now(UTC), _HOURS * 60
    telemetry.store.write([
        Sample(
            "pg_sequence_used_ratio",
            _GROWN * (1 - back / minutes),
            now - timedelta(minutes=back),
            place,
        )
        for back in range(minutes, 0, -10)
    ])  # fmt: skip
    does(
        stead,
        "SET ROLE jeex_owner",
        "CREATE SEQUENCE growing MAXVALUE 1000",
        f"SELECT setval('growing', {_GROWN * 1000:.0f})",
    )
    try:
        yield
    finally:
        does(stead, "DROP SEQUENCE growing")
