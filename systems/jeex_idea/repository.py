"""What the service asks of the database. Every list has an order in which no two rows are equal."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.errors import LostUpdateError
from pgstead.app.problems import Problem
from systems.jeex_idea.models import (
    AgentExecution,
    DocumentVersion,
    ExecutionStatus,
    Export,
    Project,
    Row,
    User,
)

AnyRow = TypeVar("AnyRow", bound=Row)

ENDED = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list is asked for."""

    page: int
    per_page: int


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


async def find(session: AsyncSession, model: type[AnyRow], key: uuid.UUID) -> AnyRow:
    """Return a row by its key, or answer 404."""
    row = await session.get(model, key)
    if row is None:
        raise _missing(model)
    return row


async def find_within(
    session: AsyncSession, model: type[AnyRow], project_id: uuid.UUID, key: uuid.UUID
) -> AnyRow:
    """Return a row of one project. A row of another project is as if it did not exist."""
    row = await session.get(model, key)
    if row is None or getattr(row, "project_id", None) != project_id:
        raise _missing(model)
    return row


async def add(session: AsyncSession, row: AnyRow) -> AnyRow:
    """Insert a row and return it with what the database filled in."""
    session.add(row)
    await session.flush()
    return row


async def change(
    session: AsyncSession, row: AnyRow, values: Mapping[str, Any], seen: dt.datetime | None
) -> AnyRow:
    """Change a row that the caller has seen at a moment (If-Match), or as it is now.

    The mapper adds `WHERE updated_at = ...`: a change by somebody else between our reading and
    our writing is found even where the caller sent no If-Match.
    """
    expect(row, seen)
    for name, value in values.items():
        setattr(row, name, value)
    await session.flush()
    return row


async def remove(session: AsyncSession, row: Row, seen: dt.datetime | None) -> None:
    """Delete a row that the caller has seen at a moment, or as it is now."""
    expect(row, seen)
    await session.delete(row)
    await session.flush()


def expect(row: Row, seen: dt.datetime | None) -> None:
    """Refuse (412) where the row is not the one that the caller has seen."""
    if seen is not None and row.updated_at != seen:
        raise Problem(
            412,
            "the row was changed since you read it",
            code=LostUpdateError.code,
            hint="read it again, apply the change to what is there now, and send its new ETag",
        )


async def users(session: AsyncSession, part: Part, email: str | None) -> Listed[User]:
    """List people, newest first."""
    conditions = [] if email is None else [User.email == email]
    return await _list(session, User, part, conditions, [User.id.desc()])


async def projects(
    session: AsyncSession,
    part: Part,
    *,
    created_by: uuid.UUID | None = None,
    status: str | None = None,
    language: str | None = None,
) -> Listed[Project]:
    """List projects: a person's last changed first, everybody's newest first."""
    conditions = [
        column == value
        for column, value in (
            (Project.created_by, created_by),
            (Project.status, status),
            (Project.language, language),
        )
        if value is not None
    ]
    if created_by is not None and status is not None:
        order = [Project.updated_at.desc(), Project.id.desc()]
    else:
        order = [Project.created_at.desc(), Project.id.desc()]
    return await _list(session, Project, part, conditions, order)


async def documents(
    session: AsyncSession, part: Part, project_id: uuid.UUID, document_type: str | None
) -> Listed[DocumentVersion]:
    """List the versions of a project's documents, highest version first."""
    await find(session, Project, project_id)
    conditions = [DocumentVersion.project_id == project_id]
    if document_type is not None:
        conditions.append(DocumentVersion.document_type == document_type)
    order = [DocumentVersion.version.desc(), DocumentVersion.id.desc()]
    return await _list(session, DocumentVersion, part, conditions, order)


async def latest_document(
    session: AsyncSession, project_id: uuid.UUID, document_type: str
) -> DocumentVersion:
    """Return the highest version of a document, or answer 404."""
    row = await session.scalar(
        select(DocumentVersion)
        .where(
            DocumentVersion.project_id == project_id,
            DocumentVersion.document_type == document_type,
        )
        .order_by(DocumentVersion.version.desc())
        .limit(1)
    )
    if row is None:
        raise _missing(DocumentVersion)
    return row


async def add_document(session: AsyncSession, document: DocumentVersion) -> DocumentVersion:
    """Insert the next version of a document.

    Writers of one project queue at its row. The lock leaves readers alone, and foreign keys too
    (FOR NO KEY UPDATE does not collide with their FOR KEY SHARE). The number is read after the
    lock is had, in a statement (so with a snapshot) of its own: it sees all that committed.
    """
    locked = await session.scalar(
        select(Project.id).where(Project.id == document.project_id).with_for_update(key_share=True)
    )
    if locked is None:
        raise _missing(Project)
    highest = await session.scalar(
        select(func.coalesce(func.max(DocumentVersion.version), 0)).where(
            DocumentVersion.project_id == document.project_id,
            DocumentVersion.document_type == document.document_type,
        )
    )
    document.version = (highest or 0) + 1
    return await add(session, document)


async def executions(
    session: AsyncSession,
    part: Part,
    project_id: uuid.UUID,
    *,
    agent_type: str | None = None,
    status: str | None = None,
    correlation_id: uuid.UUID | None = None,
) -> Listed[AgentExecution]:
    """List a project's runs of agents, last started first."""
    await find(session, Project, project_id)
    conditions = [AgentExecution.project_id == project_id]
    for column, value in (
        (AgentExecution.agent_type, agent_type),
        (AgentExecution.status, status),
        (AgentExecution.correlation_id, correlation_id),
    ):
        if value is not None:
            conditions.append(column == value)
    order = [AgentExecution.started_at.desc(), AgentExecution.id.desc()]
    return await _list(session, AgentExecution, part, conditions, order)


async def exports(
    session: AsyncSession, part: Part, project_id: uuid.UUID, status: str | None
) -> Listed[Export]:
    """List a project's exports, newest first."""
    await find(session, Project, project_id)
    conditions = [Export.project_id == project_id]
    if status is not None:
        conditions.append(Export.status == status)
    return await _list(session, Export, part, conditions, [Export.id.desc()])


async def _list(
    session: AsyncSession,
    model: type[AnyRow],
    part: Part,
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
) -> Listed[AnyRow]:
    wanted: Select[AnyRow] = select(model).where(*conditions)
    total = await session.scalar(select(func.count()).select_from(model).where(*conditions))
    rows = await session.scalars(
        wanted.order_by(*order).limit(part.per_page).offset((part.page - 1) * part.per_page)
    )
    return Listed(rows.all(), total or 0, part)


def _missing(model: type[Row]) -> Problem:
    name = model.__tablename__.removesuffix("s").replace("_", " ")
    return Problem(404, f"there is no such {name}", code="not-found")
