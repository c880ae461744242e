"""Runs of agents."""

from __future__ import annotations

import datetime as dt
import uuid

from fastapi import APIRouter, Response

from pgstead.app import correlation
from pgstead.app.degraded import degradable
from pgstead.app.resilience import repeatable
from systems.jeex_idea import repository
from systems.jeex_idea.models import AgentExecution, ExecutionStatus, Project
from systems.jeex_idea.routes.identity import Session
from systems.jeex_idea.routes.request import Seen, Wanted, changes, show
from systems.jeex_idea.schemas import (
    ExecutionChange,
    ExecutionCreate,
    ExecutionRead,
    Executions,
    Kind,
)

router = APIRouter(prefix="/projects/{project_id}/agents/executions", tags=["executions"])


@router.post("", status_code=201)
@repeatable
async def create_execution(
    project_id: uuid.UUID, body: ExecutionCreate, session: Session, response: Response
) -> ExecutionRead:
    """Add a run of an agent."""
    await repository.find(session, Project, project_id)
    values = body.model_dump(exclude={"correlation_id"}, exclude_none=True)
    identity = body.correlation_id or correlation.as_uuid(correlation.current())
    execution = AgentExecution(project_id=project_id, correlation_id=identity, **values)
    row = await repository.add(session, execution)
    response.headers["Location"] = f"/projects/{project_id}/agents/executions/{row.id}"
    return show(response, ExecutionRead, row)


@router.get("")
@degradable()
async def list_executions(
    project_id: uuid.UUID,
    session: Session,
    wanted: Wanted,
    agent_type: Kind | None = None,
    status: ExecutionStatus | None = None,
    correlation_id: uuid.UUID | None = None,
) -> Executions:
    """List runs, the last started first."""
    listed = await repository.executions(
        session,
        wanted,
        project_id,
        agent_type=agent_type,
        status=status,
        correlation_id=correlation_id,
    )
    rows = [ExecutionRead.model_validate(row) for row in listed.rows]
    return Executions(executions=rows, **listed.figures)


@router.get("/{execution_id}")
@degradable()
async def read_execution(
    project_id: uuid.UUID, execution_id: uuid.UUID, session: Session, response: Response
) -> ExecutionRead:
    """Read a run."""
    row = await repository.find_within(session, AgentExecution, project_id, execution_id)
    return show(response, ExecutionRead, row)


@router.patch("/{execution_id}")
@router.put("/{execution_id}")
@repeatable
async def change_execution(
    project_id: uuid.UUID,
    execution_id: uuid.UUID,
    body: ExecutionChange,
    session: Session,
    seen: Seen,
    response: Response,
) -> ExecutionRead:
    """Change what is sent; the rest stays. A run that ended gets its `completed_at`."""
    row = await repository.find_within(session, AgentExecution, project_id, execution_id)
    values = changes(body)
    if values.get("status") in repository.ENDED and row.completed_at is None:
        values.setdefault("completed_at", dt.datetime.now(dt.UTC))
    return show(response, ExecutionRead, await repository.change(session, row, values, seen))


@router.delete("/{execution_id}", status_code=204)
@repeatable
async def delete_execution(
    project_id: uuid.UUID, execution_id: uuid.UUID, session: Session, seen: Seen
) -> None:
    """Delete a run."""
    row = await repository.find_within(session, AgentExecution, project_id, execution_id)
    await repository.remove(session, row, seen)
