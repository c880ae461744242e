"""How long rows are kept, declared where the table is.

    class Export(Base):                                    # gone when they have expired
        __tablename__ = "exports"
        __table_args__ = (Retained("expires_at", files="file_path"),)

    class EnhancementHistory(Base):                        # gone after 90 days
        __tablename__ = "enhancement_history"
        __table_args__ = (Retained("created_at", days=90),)

`pgstead retention plan` counts what is due, the agent removes it at night. A row whose moment is
null is kept.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import DateTime, MetaData, Table
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.base import SchemaEventTarget

from pgstead.app.integrity import full_name
from pgstead.errors import UsageError
from pgstead.model.retention import Rule

INFO: Final = "pgstead.retention"
_DAY = 86_400.0


class Retained(SchemaItem):
    """A table argument: rows are removed so many days after the moment in a column.

    `where` (SQL) keeps it to some of the rows. `files` is a column that names a file below the
    directory of the database's files: it is removed with its row. `rules` is a table of the
    application (`relation`, `keep_for`): what it says of this table counts instead of `days`.
    """

    __visit_name__ = "retained"

    def __init__(
        self, by: str, *, days: float = 0, where: str = "", files: str = "", rules: str = ""
    ) -> None:
        """Keep it. Raises UsageError for a span that is none."""
        if days < 0:
            raise UsageError(f"rows cannot be kept {days} days", hint="days=90")
        self.by = by
        self.days = days
        self.where = where
        self.files = files
        self.rules = rules

    def _set_parent(self, parent: SchemaEventTarget, **_: Any) -> None:
        assert isinstance(parent, Table)
        parent.info[INFO] = self


def declared(metadata: MetaData) -> tuple[Rule, ...]:
    """Return the rules of the models, children before their parents."""
    return tuple(
        _rule(table, table.info[INFO])
        for table in reversed(metadata.sorted_tables)
        if isinstance(table.info.get(INFO), Retained)
    )


def _rule(table: Table, told: Retained) -> Rule:
    for column in (told.by, told.files):
        if column and column not in table.columns:
            raise UsageError(
                f"{table.name} is retained by {column!r}, which is no column of it",
                hint=f"it has: {', '.join(table.columns.keys())}",
            )
    kind = table.columns[told.by].type
    if not isinstance(kind, DateTime) or not kind.timezone:
        raise UsageError(
            f"{table.name}.{told.by} is no moment",
            hint="a timestamp with its time zone: a row without says not when it was",
        )
    if not table.primary_key.columns:
        raise UsageError(
            f"{table.name} has no primary key to go through it by", hint="retention needs one"
        )
    name = full_name(table)
    return Rule(name, told.by, told.days * _DAY, told.where, told.files, told.rules)
