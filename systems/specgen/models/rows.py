"""What the tables of specgen share."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    String,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgstead.app.models import NAMING_CONVENTION, TYPES
from pgstead.app.rows import Row
from pgstead.app.tenancy import RowSecurity

# Who belongs to the workspace: the members' own rows are all that they see of the table asked.
OF_MEMBERS = RowSecurity.by_lookup(
    "workspace_id", "workspace_members", key="workspace_id", user="user_id", flag="is_active"
)


class Base(DeclarativeBase):
    """The declarative base of specgen; its metadata is what Alembic compares with."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = dict(TYPES)  # noqa: RUF012 - SQLAlchemy's own


class WorkspaceRow(Row):
    """A row of a workspace; seen by its members."""

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"),
        sort_order=-1,
        comment="goes with its workspace; only members see it",
    )


def word(default: str, comment: str, length: int = 50) -> Mapped[str]:
    """Return a column that holds one word, with its default."""
    return mapped_column(String(length), server_default=text(f"'{default}'"), comment=comment)


def score(column: str) -> CheckConstraint:
    """Return the CHECK of a score in per cent."""
    return CheckConstraint(f"{column} BETWEEN 0 AND 100", name=column)


def targets() -> UniqueConstraint:
    """Return the key that foreign keys within a workspace point at."""
    return UniqueConstraint("workspace_id", "id")


def within(column: str, table: str, ondelete: str = "CASCADE") -> ForeignKeyConstraint:
    """Return a foreign key to a row of the same workspace."""
    how = f"SET NULL ({column})" if ondelete == "SET NULL" else ondelete
    return ForeignKeyConstraint(
        ["workspace_id", column], [f"{table}.workspace_id", f"{table}.id"], ondelete=how
    )


def person(comment: str) -> Mapped[uuid.UUID | None]:
    """Return a column that names a person, and forgets them when they are deleted."""
    return mapped_column(
        Uuid(), ForeignKey("users.id", ondelete="SET NULL"), nullable=True, comment=comment
    )


def texts(length: int, comment: str) -> Mapped[list[str]]:
    """Return a column of several short texts, none by default."""
    return mapped_column(
        ARRAY(String(length)), server_default=text("'{}'::character varying[]"), comment=comment
    )


def json_object(comment: str, name: str | None = None) -> Mapped[Any]:
    """Return a column of a JSON object, empty by default; its name where it is not its own."""
    default = text("'{}'::jsonb")
    return mapped_column(JSONB(), name=name, server_default=default, comment=comment)


def json_array(comment: str) -> Mapped[Any]:
    """Return a column of a JSON array, empty by default."""
    return mapped_column(JSONB(), server_default=text("'[]'::jsonb"), comment=comment)


def flag(comment: str, *, default: bool = False) -> Mapped[bool]:
    """Return a column that says yes or no."""
    return mapped_column(server_default=text(str(default).lower()), comment=comment)
