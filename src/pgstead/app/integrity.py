"""What has to hold beyond constraints, declared where the table is.

    class DocumentVersion(Base):
        __tablename__ = "document_versions"
        __table_args__ = (Numbered("version", within=("project_id", "document_type")),)

    class Export(Base):
        __tablename__ = "exports"
        __table_args__ = (Names("file_path", where="status = 'completed'"),)

No constraint can say that versions have no gap, or that a file lies where a row says. `pgstead
integrity check` looks, and names what is not so.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import MetaData, Table
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.base import SchemaEventTarget

from pgstead.errors import UsageError
from pgstead.model import integrity as found

INFO: Final = "pgstead.integrity"


class Numbered(SchemaItem):
    """A table argument: a column counts 1, 2, 3 ... among rows that agree in `within`."""

    __visit_name__ = "numbered"

    def __init__(self, column: str, *, within: tuple[str, ...]) -> None:
        """Keep it. Raises UsageError where nothing says which rows belong together."""
        if not within:
            raise UsageError(
                f"{column} is numbered among which rows?", hint='within=("project_id",)'
            )
        self.column = column
        self.within = within

    def _set_parent(self, parent: SchemaEventTarget, **_: Any) -> None:
        assert isinstance(parent, Table)
        parent.info.setdefault(INFO, []).append(self)


class Names(SchemaItem):
    """A table argument: a column names files below the directory of the database's files.

    Rows that satisfy `where` (SQL; all, if it is empty) have to have their file; a file that no
    row names is told too.
    """

    __visit_name__ = "names"

    def __init__(self, column: str, *, where: str = "") -> None:
        """Keep it."""
        self.column = column
        self.where = where

    def _set_parent(self, parent: SchemaEventTarget, **_: Any) -> None:
        assert isinstance(parent, Table)
        parent.info.setdefault(INFO, []).append(self)


def declared(metadata: MetaData, directory: str = "") -> found.Declared:
    """Return what the models say; `directory` is where their files lie."""
    numbered: list[found.Numbered] = []
    files: list[found.Named] = []
    for table in metadata.sorted_tables:
        name = full_name(table)
        for item in table.info.get(INFO, ()):
            if isinstance(item, Numbered):
                _must_have(table, item.column, *item.within)
                numbered.append(found.Numbered(name, item.column, item.within))
            elif isinstance(item, Names):
                _must_have(table, item.column)
                files.append(found.Named(name, item.column, item.where))
    return found.Declared(tuple(numbered), tuple(files), directory)


def full_name(table: Table) -> str:
    """Return the name of a table with its schema."""
    return f"{table.schema or 'public'}.{table.name}"


def _must_have(table: Table, *columns: str) -> None:
    for column in columns:
        if column not in table.columns:
            raise UsageError(
                f"{table.name} declares integrity of {column!r}, which is no column of it",
                hint=f"it has: {', '.join(table.columns.keys())}",
            )
