"""Tables in parts, as models declare them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Column, DateTime, Integer, MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from pgstead.app import Partitioned
from pgstead.app.partitions import declared
from pgstead.errors import UsageError
from pgstead.model.partitions import Every, Partitioning


def table(how: Partitioned, *, key: bool = True) -> Table:
    """Return a table of events in parts; its moment is in its key, or not."""
    moment = Column("at", DateTime(timezone=True), primary_key=key)
    return Table("events", MetaData(), Column("id", Integer, primary_key=True), moment, how)


@pytest.mark.parametrize(
    ("how", "clause", "wanted"),
    [
        (
            Partitioned.by_time("at", every="week", keep_days=2),
            "PARTITION BY RANGE (at)",
            Partitioning("public.events", "at", Every.WEEK, 3, 2 * 86_400.0, 0),
        ),
        (
            Partitioned.by_hash("id", 8),
            "PARTITION BY HASH (id)",
            Partitioning("public.events", "id", None, 3, None, 8),
        ),
    ],
    ids=["by time", "by hash"],
)
def test_a_table_in_parts_is_made_so_and_the_job_is_told(
    how: Partitioned, clause: str, wanted: Partitioning
) -> None:
    events = table(how)
    made = str(CreateTable(events).compile(dialect=postgresql.dialect()))
    assert made.strip().endswith(clause)
    assert declared(events.metadata) == (wanted,)


@pytest.mark.parametrize(
    "given",
    [
        lambda: Partitioned.by_time("at", every="fortnight"),
        lambda: Partitioned.by_time("at", ahead=0),
        lambda: Partitioned.by_time("at", keep_days=-1),
        lambda: Partitioned.by_hash("id", 1),
    ],
    ids=["no such time", "none ahead", "gone before its end", "one part"],
)
def test_what_cannot_be_meant_is_refused_where_it_is_written(
    given: Callable[[], Partitioned],
) -> None:
    with pytest.raises(UsageError) as caught:
        given()
    assert caught.value.hint


def test_a_column_outside_of_the_key_is_refused() -> None:
    events = table(Partitioned.by_time("at"), key=False)
    with pytest.raises(UsageError, match="not in its primary key"):
        declared(events.metadata)
