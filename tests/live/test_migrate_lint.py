"""The lint beside a running database: what is pending, and how large its tables are."""

from __future__ import annotations

import json

import pytest

from pgstead.observe import sizes
from pgstead.observe.reading import Reading
from tests.fix_stead import LiveStead

pytestmark = pytest.mark.live


def test_nothing_is_pending_on_a_stead_that_is_up(stead: LiveStead) -> None:
    told = json.loads(stead.run("migrate", "lint", "--json").stdout)
    assert told["jeex_idea"]["revisions"] == []


def test_the_sizes_are_those_of_the_running_tables(stead: LiveStead) -> None:
    make = (
        "CREATE SCHEMA lint",
        "CREATE TABLE lint.large AS SELECT n, repeat('x', 100) FROM generate_series(1, 50000) AS n",
        "CREATE TABLE lint.parted (n int) PARTITION BY RANGE (n)",
        "CREATE TABLE lint.part PARTITION OF lint.parted FOR VALUES FROM (0) TO (10000)",
        "INSERT INTO lint.parted SELECT generate_series(1, 5000)",
    )
    with stead.superuser("jeex_idea") as connection:
        try:
            for statement in make:
                connection.execute(statement)
            with Reading(stead.wired.ports.sql, stead.major) as reading:
                unanalyzed = sizes.tables(reading, "jeex_idea")
            connection.execute("ANALYZE lint.large, lint.part")
            with Reading(stead.wired.ports.sql, stead.major) as reading:
                found = sizes.tables(reading, "jeex_idea")
        finally:
            connection.execute("DROP SCHEMA IF EXISTS lint CASCADE")
    assert found["lint.large"].rows == 50_000
    assert found["lint.large"].bytes > 6_000_000
    assert unanalyzed["lint.large"].rows > 50_000  # rather too many than too few
    assert found["lint.parted"].rows == 5_000
    assert found["users"].bytes > 0
    assert "pg_catalog.pg_class" not in found


def test_locks_are_weighed_by_the_tables_of_the_running_database(stead: LiveStead) -> None:
    told = json.loads(stead.run("migrate", "lint", "--all", "--against-live", "--json").stdout)
    assert told["jeex_idea"]["clean"] is True
    assert len(told["jeex_idea"]["revisions"]) == 4
