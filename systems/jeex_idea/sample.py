"""Sample data for jeex_idea: `load()` twice is `load()` once, `remove()` takes exactly it away."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import samples
from pgstead.app.scope import Scope
from systems.jeex_idea.models import (
    AgentExecution,
    Base,
    DocumentVersion,
    Export,
    Project,
    Row,
    User,
)

PEOPLE = ("ada", "grace", "edsger")
DOCUMENTS = ("about", "specification", "architecture", "plan")
_THEN = dt.datetime(2025, 11, 3, 9, 0, tzinfo=dt.UTC)


def load(connection: Path | None = None) -> Mapping[str, int]:
    """Insert what is not there yet; return how many rows of each table that was."""
    return _run(
        [(Scope(user=owner), _adding(model, rows)) for owner, model, rows in _owned()], connection
    )


def remove(connection: Path | None = None) -> Mapping[str, int]:
    """Delete the sample rows; what hangs on the sample's projects goes with them."""
    pieces = reversed(list(_owned()))
    return _run(
        [(Scope(user=owner), _removing(model, rows)) for owner, model, rows in pieces], connection
    )


def _run(works: list[tuple[Scope, samples.Work]], connection: Path | None) -> Mapping[str, int]:
    return samples.run_scoped(
        works, Base.metadata, database="jeex_idea", prefix="JEEX_", connection=connection
    )


def _adding(model: type[Row], values: list[dict[str, Any]]) -> samples.Work:
    async def work(session: AsyncSession) -> Mapping[str, int]:
        statement = insert(model).on_conflict_do_nothing(index_elements=[model.id])
        added = await session.scalars(statement.returning(model.id), values)
        return {model.__tablename__: len(added.all())}

    return work


def _removing(model: type[Row], values: list[dict[str, Any]]) -> samples.Work:
    async def work(session: AsyncSession) -> Mapping[str, int]:
        keys = [row["id"] for row in values]
        gone = await session.scalars(delete(model).where(model.id.in_(keys)).returning(model.id))
        return {model.__tablename__: len(gone.all())}

    return work


def key(*name: object) -> uuid.UUID:
    """Return the same UUID of version 7 for the same name, every time."""
    digest = uuid.uuid5(uuid.NAMESPACE_DNS, ".".join(map(str, name)) + ".sample.invalid").int
    stamp = int(_THEN.timestamp() * 1000) << 80
    return uuid.UUID(int=stamp | 0x7 << 76 | digest & (0xFFF << 64) | digest & ((1 << 64) - 1))


def rows() -> dict[type[Row], list[dict[str, Any]]]:
    """Return the sample, in the order in which it can be inserted."""
    owner = key("user", PEOPLE[0])
    projects = [key("project", number) for number in range(1, 5)]
    return {
        User: [
            {
                "id": key("user", name),
                "email": f"{name}@example.com",
                "name": name.capitalize(),
                "profile_data": {"sample": True},
            }
            for name in PEOPLE
        ],
        Project: [
            {
                "id": project,
                "name": f"Sample idea {step}",
                "status": "completed" if step == 4 else "in_progress",
                "current_step": step,
                "language": ("en", "de", "pt-BR", "zh-Hant")[step - 1],
                "created_by": key("user", PEOPLE[step % 3]),
            }
            for step, project in enumerate(projects, start=1)
        ],
        DocumentVersion: [
            {
                "id": key("document", project, kind, version),
                "project_id": project,
                "document_type": kind,
                "version": version,
                "content": f"# {kind.capitalize()}\n\nVersion {version} of the sample.",
                "details": {"words": 6, "sample": True},
                "created_by": owner,
            }
            for step, project in enumerate(projects, start=1)
            for kind in DOCUMENTS[:step]
            for version in (1, 2)
        ],
        AgentExecution: [
            {
                "id": key("execution", project, status),
                "project_id": project,
                "agent_type": "writer",
                "correlation_id": key("request", project),
                "input_data": {"step": step},
                "status": status,
                "error_message": "the sample fails once" if status == "failed" else None,
                "started_at": _THEN + dt.timedelta(minutes=step),
                "completed_at": _THEN + dt.timedelta(minutes=step, seconds=20),
            }
            for step, project in enumerate(projects, start=1)
            for status in ("failed", "completed")
        ],
        Export: [
            {
                "id": key("export", project),
                "project_id": project,
                "status": "completed",
                "file_path": f"exports/sample-{step}.zip",
                "manifest": {"documents": step},
            }
            for step, project in enumerate(projects, start=1)
        ],
    }


def _owned() -> Iterator[tuple[uuid.UUID, type[Row], list[dict[str, Any]]]]:
    """Yield the sample by owner: rows of a project are written as who owns it."""
    sample = rows()
    owners = {row["id"]: row["created_by"] for row in sample[Project]}
    for model, values in sample.items():
        by_owner: dict[uuid.UUID, list[dict[str, Any]]] = {}
        for row in values:
            owner = owners.get(row.get("project_id", row["id"]), row["id"])
            by_owner.setdefault(owner, []).append(row)
        for owner, mine in by_owner.items():
            yield owner, model, mine
