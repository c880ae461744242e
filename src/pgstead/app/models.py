"""What models of every application have in common: names, keys, stamps, states.

    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)
        type_annotation_map = TYPES

    class Project(Keyed, Stamped, Base):
        __tablename__ = "projects"
        __table_args__ = (one_of("status", ProjectStatus),)
        status: Mapped[str] = status_column(ProjectStatus.DRAFT)

Alembic is the only builder: its autogenerate writes the functions and triggers that these need
(`pgstead.app.row_migrations`).
"""

from __future__ import annotations

import datetime as dt
import uuid
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, cast

from sqlalchemy import CheckConstraint, DateTime, FetchedValue, String, Table, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, MappedColumn, declared_attr, mapped_column

from pgstead.app.identifiers import uuid7
from pgstead.errors import UsageError

# PostgreSQL's own defaults, so that a constraint added by hand is named like ours.
NAMING_CONVENTION: Final = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "idx_%(table_name)s_%(column_0_N_name)s",
}

JsonObject = dict[str, Any]

KEPT: Final = "pgstead.kept"  # in a column's info: the function that serves it

# A moment always knows its zone; a key is a uuid; an object is jsonb.
TYPES: Final = MappingProxyType(
    {dt.datetime: DateTime(timezone=True), uuid.UUID: Uuid(), JsonObject: JSONB()}
)


class Keyed:
    """A key that sorts by age: made by the application, or by the server where it made none.

    The application makes it so that a row's key is known before the row is there: encrypted
    columns are bound to it, and children can name their parent in one flush.
    """

    id: Mapped[uuid.UUID] = mapped_column(
        Uuid(),
        primary_key=True,
        default=uuid7,
        server_default=text("uuid_v7()"),
        sort_order=-1,
        comment="UUID version 7: sorts by time of creation",
        info={KEPT: "key"},
    )


class Stamped:
    """When a row was made and last changed: the server's clock, kept by triggers.

    `updated_at` is the row's version too: a trigger makes it strictly increase, and the mapper
    adds it to every UPDATE and DELETE (`WHERE updated_at = ...`), so that nobody's change is lost.
    """

    created_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=text("now()"),
        sort_order=98,
        comment="when the row was inserted; a trigger refuses changes",
        info={KEPT: "protect"},
    )
    updated_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=text("now()"),
        server_onupdate=FetchedValue(),
        sort_order=99,
        comment="when the row was last changed; kept by a trigger, strictly increasing",
        info={KEPT: "touch"},
    )

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        if cls.__dict__.get("__abstract__"):
            return {}
        table = cast("Table", getattr(cls, "__table__"))  # noqa: B009 - the class that has it is not this one
        return {
            "version_id_col": table.c.updated_at,
            "version_id_generator": False,
            "eager_defaults": True,
        }


def status_column(first: StrEnum, *, length: int = 50, **options: Any) -> MappedColumn[str]:
    """Declare a column of states, whose first one is the server's default.

    Text with a CHECK and no enum type: a state is added by an online migration, and under
    row-level security comparing text is leakproof, so that its indexes stay usable; an enum's not.
    """
    options.setdefault("comment", ", ".join(type(first)))
    return mapped_column(String(length), server_default=text(f"'{_plain(first)}'"), **options)


def one_of(column: str, states: type[StrEnum]) -> CheckConstraint:
    """Return the CHECK of a column of states, for `__table_args__`."""
    told = ", ".join(f"'{_plain(state)}'" for state in states)
    return CheckConstraint(f"{_plain(column)} IN ({told})", name=column)


def _plain(word: str) -> str:
    """Return a word that may stand in DDL as it is."""
    if not word.replace("_", "").replace("-", "").isalnum():
        raise UsageError(f"{word!r} is no plain word", hint="letters, digits, - and _")
    return str(word)
