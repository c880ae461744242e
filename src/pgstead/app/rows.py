"""What rows of an application have in common: a key that sorts by age, two stamps, plain names.

`updated_at` is the row's version too: a trigger (`pgstead.app.ddl`) makes it strictly increase, the
mapper adds it to every UPDATE and DELETE (`WHERE updated_at = ...`), and the API shows it as ETag.
"""

from __future__ import annotations

import datetime as dt
import os
import time
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import DateTime, FetchedValue, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

# PostgreSQL's own names for constraints, so that one made by hand is named like ours.
NAMING_CONVENTION: Mapping[str, str] = MappingProxyType(
    {
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

JsonObject = dict[str, Any]
JsonArray = list[Any]

# For `type_annotation_map` of a declarative base.
TYPES: Mapping[Any, Any] = MappingProxyType(
    {
        dt.datetime: DateTime(timezone=True),
        uuid.UUID: Uuid(),
        JsonObject: JSONB(),
        JsonArray: JSONB(),
    }
)


def new_key() -> uuid.UUID:
    """Return a UUID of version 7: 48 bits of milliseconds, then chance.

    For rows whose key must be known before they are inserted; the server's `uuid_v7()` is finer.
    """
    stamp = (time.time_ns() // 1_000_000) << 80
    chance = int.from_bytes(os.urandom(10))
    return uuid.UUID(int=stamp | 7 << 76 | 2 << 62 | chance & ~(0xF << 76 | 0x3 << 62))


class Stamped:
    """A mixin for tables: `id`, `created_at`, `updated_at`."""

    id: Mapped[uuid.UUID] = mapped_column(
        primary_key=True,
        default=new_key,
        server_default=text("uuid_v7()"),
        sort_order=-10,
        comment="UUID version 7: sorts by time of creation",
    )
    created_at: Mapped[dt.datetime] = mapped_column(
        server_default=text("now()"),
        sort_order=98,
        comment="when the row was inserted; a trigger refuses changes",
    )
    updated_at: Mapped[dt.datetime] = mapped_column(
        server_default=text("now()"),
        server_onupdate=FetchedValue(),
        sort_order=99,
        comment="when the row was last changed; kept by a trigger, strictly increasing",
    )

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        table: Any = getattr(cls, "__table__", None)
        if table is None:
            return {}
        return {
            "version_id_col": table.c.updated_at,
            "version_id_generator": False,
            "eager_defaults": True,
        }


def one_of(column: str, values: type[Any]) -> str:
    """Return the condition of a CHECK that allows the values of an enumeration.

    Text with a CHECK and no enum type: `=` of an enum is not leakproof, so under row-level security
    it cannot use an index.
    """
    quoted = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({quoted})"
