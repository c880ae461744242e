"""The size of a table weighs the length of a lock, and nothing else."""

from __future__ import annotations

import pytest

from pgstead.lint.finding import Level
from pgstead.lint.scene import Surroundings
from pgstead.lint.weighing import SMALL
from pgstead.model.revision import TableSize
from tests.unit.lint.scripts import judged

SMALL_TABLE = TableSize(rows=12, bytes=16_384)
LARGE_TABLE = TableSize(rows=30_000_000, bytes=4 * 2**30)


def sized(size: TableSize | None) -> Surroundings:
    return Surroundings(sizes={} if size is None else {"account": size})


@pytest.mark.parametrize(
    ("size", "level"),
    [
        (SMALL_TABLE, Level.NOTE),
        (None, Level.NOTE),  # the target does not have the table
        (LARGE_TABLE, Level.ERROR),
        (TableSize(SMALL.rows, 8192), Level.ERROR),
        (TableSize(1, SMALL.bytes), Level.ERROR),
    ],
)
def test_a_lock_on_a_small_table_is_a_note(size: TableSize | None, level: Level) -> None:
    (found,) = (
        f
        for f in judged("CREATE INDEX ix ON account (bar)", around=sized(size)).findings
        if f.rule == "index-not-concurrent"
    )
    assert found.level is level


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE account DISABLE ROW LEVEL SECURITY", "row-security-disabled"),
        ("GRANT SELECT ON account TO PUBLIC", "grant-to-public"),
        ("ALTER TABLE account RENAME COLUMN note TO remark", "rename-column"),
        ("DELETE FROM account", "delete-without-where"),
        ("ALTER TABLE account ALTER bar TYPE bigint", "type-change-under-asyncpg"),
        ("ALTER TABLE account ADD COLUMN x int NOT NULL", "required-column-without-default"),
    ],
)
def test_other_harm_does_not_depend_on_the_size(statement: str, rule: str) -> None:
    found = {f.rule: f.level for f in judged(statement, around=sized(SMALL_TABLE)).findings}
    assert found[rule] is Level.ERROR


def test_a_required_column_of_an_empty_table_does_no_harm() -> None:
    statement = "ALTER TABLE account ADD COLUMN x int NOT NULL"
    found = judged(statement, around=sized(TableSize(0, 8192))).findings
    assert "required-column-without-default" not in {f.rule for f in found}


def test_a_finding_tells_the_size_and_how_long_that_takes() -> None:
    (found,) = (
        f
        for f in judged(
            "ALTER TABLE account ALTER bar TYPE bigint", around=sized(LARGE_TABLE)
        ).findings
        if f.rule == "type-change"
    )
    assert "ACCESS EXCLUSIVE blocks every read and write of account" in found.breaks
    assert "30,000,000 rows, 4,096.0 MB: about 81.9 s at 50 MB/s" in found.breaks
