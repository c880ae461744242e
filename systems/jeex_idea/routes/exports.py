"""Exports."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, Response

from pgstead.app.degraded import degradable
from pgstead.app.resilience import repeatable
from systems.jeex_idea import repository
from systems.jeex_idea.models import Export, ExportStatus, Project
from systems.jeex_idea.routes.identity import Session
from systems.jeex_idea.routes.request import Seen, Wanted, changes, show
from systems.jeex_idea.schemas import ExportChange, ExportCreate, ExportRead, Exports

router = APIRouter(prefix="/projects/{project_id}/exports", tags=["exports"])


@router.post("", status_code=201)
@repeatable
async def create_export(
    project_id: uuid.UUID, body: ExportCreate, session: Session, response: Response
) -> ExportRead:
    """Add an export."""
    await repository.find(session, Project, project_id)
    values = body.model_dump(exclude_none=True)
    row = await repository.add(session, Export(project_id=project_id, **values))
    response.headers["Location"] = f"/projects/{project_id}/exports/{row.id}"
    return show(response, ExportRead, row)


@router.get("")
@degradable()
async def list_exports(
    project_id: uuid.UUID, session: Session, wanted: Wanted, status: ExportStatus | None = None
) -> Exports:
    """List exports, newest first."""
    listed = await repository.exports(session, wanted, project_id, status)
    rows = [ExportRead.model_validate(row) for row in listed.rows]
    return Exports(exports=rows, **listed.figures)


@router.get("/{export_id}")
@degradable()
async def read_export(
    project_id: uuid.UUID, export_id: uuid.UUID, session: Session, response: Response
) -> ExportRead:
    """Read an export."""
    row = await repository.find_within(session, Export, project_id, export_id)
    return show(response, ExportRead, row)


@router.patch("/{export_id}")
@router.put("/{export_id}")
@repeatable
async def change_export(
    project_id: uuid.UUID,
    export_id: uuid.UUID,
    body: ExportChange,
    session: Session,
    seen: Seen,
    response: Response,
) -> ExportRead:
    """Change what is sent; the rest stays."""
    row = await repository.find_within(session, Export, project_id, export_id)
    return show(response, ExportRead, await repository.change(session, row, changes(body), seen))


@router.delete("/{export_id}", status_code=204)
@repeatable
async def delete_export(
    project_id: uuid.UUID, export_id: uuid.UUID, session: Session, seen: Seen
) -> None:
    """Delete an export."""
    row = await repository.find_within(session, Export, project_id, export_id)
    await repository.remove(session, row, seen)
