"""Tables in parts, declared where the table is.

    class Event(Base):                                   # a partition a month, kept a year
        __tablename__ = "events"
        __table_args__ = (Partitioned.by_time("created_at", every="month", keep_days=365),)

    class Reading(Base):                                 # eight parts of about one size
        __tablename__ = "readings"
        __table_args__ = (Partitioned.by_hash("device_id", 8),)

The column has to be part of the primary key: PostgreSQL keeps a key unique within a partition
alone. The agent makes partitions before their time and drops those that are too old; applications
use the table by its own name, on whose partitions nobody but the owner has a privilege.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import MetaData, Table
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.base import SchemaEventTarget

from pgstead.app import policies
from pgstead.app.integrity import full_name
from pgstead.errors import UsageError
from pgstead.model.partitions import Every, Partitioning

INFO: Final = "pgstead.partitions"
_DAY = 86_400.0


class Partitioned(SchemaItem):
    """A table argument: the table is in parts, by time or by hash."""

    __visit_name__ = "partitioned"

    def __init__(
        self, column: str, every: Every | None, *, ahead: int = 3, keep_days: float | None = None,
        count: int = 0,
    ) -> None:  # fmt: skip
        """Keep it; `by_time` and `by_hash` are shorter."""
        self.column = column
        self.every = every
        self.ahead = ahead
        self.keep_days = keep_days
        self.count = count

    @classmethod
    def by_time(
        cls, column: str, *, every: str = "month", ahead: int = 3, keep_days: float | None = None
    ) -> Partitioned:
        """Return partitions of a day, a week, a month or a year each.

        `ahead` of them are there before their time. Each is dropped `keep_days` after the end of
        its time; without that they are kept for ever. Raises UsageError for what cannot be meant.
        """
        if every not in tuple(Every):
            raise UsageError(
                f"a partition cannot be of a {every!r}", hint=f"every: {', '.join(Every)}"
            )
        if ahead < 1 or (keep_days is not None and keep_days < 0):
            raise UsageError(
                f"{column}: at least one partition is made ahead, and none dropped before its end",
                hint="ahead=3, keep_days=365",
            )
        return cls(column, Every(every), ahead=ahead, keep_days=keep_days)

    @classmethod
    def by_hash(cls, column: str, count: int) -> Partitioned:
        """Return so many partitions of about one size. Raises UsageError for fewer than two."""
        if count < 2:
            raise UsageError(f"{count} partitions are none", hint="by_hash(column, 8)")
        return cls(column, None, count=count)

    def _set_parent(self, parent: SchemaEventTarget, **_: Any) -> None:
        assert isinstance(parent, Table)
        parent.info[INFO] = self
        kind = "HASH" if self.every is None else "RANGE"
        said = f"{kind} ({policies.quoted(self.column)})"
        parent.dialect_options["postgresql"]["partition_by"] = said


def declared(metadata: MetaData) -> tuple[Partitioning, ...]:
    """Return the tables in parts that models declare."""
    return tuple(
        _partitioning(table, table.info[INFO])
        for table in metadata.sorted_tables
        if isinstance(table.info.get(INFO), Partitioned)
    )


def _partitioning(table: Table, told: Partitioned) -> Partitioning:
    if told.column not in table.primary_key.columns:
        raise UsageError(
            f"{table.name} is in parts by {told.column}, which is not in its primary key",
            hint="the key is unique within a partition alone: make the column a part of it",
        )
    keep = None if told.keep_days is None else told.keep_days * _DAY
    return Partitioning(full_name(table), told.column, told.every, told.ahead, keep, told.count)
