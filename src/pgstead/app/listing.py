"""Parts of lists, in an order in which no two rows are equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.rows import Row
from pgstead.app.shapes import Part

AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass(frozen=True, slots=True)
class Listed(Generic[AnyRow]):
    """A part of a list, and how long the whole list is."""

    rows: Sequence[AnyRow]
    total: int
    part: Part

    @property
    def figures(self) -> dict[str, int]:
        """The numbers that every list's answer has."""
        return {
            "total": self.total,
            "page": self.part.page,
            "per_page": self.part.per_page,
            "total_pages": -(-self.total // self.part.per_page),
        }


async def select_part(
    session: AsyncSession,
    model: type[AnyRow],
    part: Part,
    equal: Mapping[str, Any],
    newest_by: Sequence[str] = (),
    conditions: Sequence[ColumnElement[bool]] = (),
) -> Listed[AnyRow]:
    """Return the rows whose columns equal what is given, newest first."""
    columns: Any = model
    where = [getattr(columns, name) == value for name, value in equal.items()]
    wanted: Select[AnyRow] = select(model).where(*where, *conditions)
    count = select(func.count()).select_from(model).where(*where, *conditions)
    order = [getattr(columns, name).desc() for name in (*newest_by, "id")]
    total = await session.scalar(count)
    rows = await session.scalars(
        wanted.order_by(*order).limit(part.per_page).offset((part.page - 1) * part.per_page)
    )
    return Listed(rows.all(), total or 0, part)
