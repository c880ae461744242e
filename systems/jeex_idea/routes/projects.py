"""Projects."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response

from pgstead.app.degraded import degradable
from pgstead.app.resilience import repeatable
from systems.jeex_idea import repository
from systems.jeex_idea.models import Project, ProjectStatus
from systems.jeex_idea.routes.identity import Session
from systems.jeex_idea.routes.request import Seen, Wanted, changes, show
from systems.jeex_idea.schemas import (
    Language,
    ProjectChange,
    ProjectCreate,
    ProjectRead,
    Projects,
)

router = APIRouter(prefix="/projects", tags=["projects"])


@router.post("", status_code=201)
@repeatable
async def create_project(body: ProjectCreate, session: Session, response: Response) -> ProjectRead:
    """Add a project. An owner that does not exist is refused: 422, `projects_created_by_fkey`."""
    row = await repository.add(session, Project(**body.model_dump()))
    response.headers["Location"] = f"/projects/{row.id}"
    return show(response, ProjectRead, row)


@router.get("")
@degradable()
async def list_projects(
    session: Session,
    wanted: Wanted,
    user_id: Annotated[uuid.UUID | None, Query(description="the owner")] = None,
    status: ProjectStatus | None = None,
    language: Language | None = None,
) -> Projects:
    """List projects, newest first; of one owner and status the last changed first."""
    listed = await repository.projects(
        session, wanted, created_by=user_id, status=status, language=language
    )
    rows = [ProjectRead.model_validate(row) for row in listed.rows]
    return Projects(projects=rows, **listed.figures)


@router.get("/{project_id}")
@degradable()
async def read_project(project_id: uuid.UUID, session: Session, response: Response) -> ProjectRead:
    """Read a project."""
    return show(response, ProjectRead, await repository.find(session, Project, project_id))


@router.patch("/{project_id}")
@router.put("/{project_id}")
@repeatable
async def change_project(
    project_id: uuid.UUID, body: ProjectChange, session: Session, seen: Seen, response: Response
) -> ProjectRead:
    """Change what is sent; the rest stays. The language cannot be changed."""
    row = await repository.find(session, Project, project_id)
    return show(response, ProjectRead, await repository.change(session, row, changes(body), seen))


@router.delete("/{project_id}", status_code=204)
@repeatable
async def delete_project(project_id: uuid.UUID, session: Session, seen: Seen) -> None:
    """Delete a project with its documents, runs and exports."""
    await repository.remove(session, await repository.find(session, Project, project_id), seen)
