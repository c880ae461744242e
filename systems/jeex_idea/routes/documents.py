"""Versions of documents."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response

from pgstead.app.degraded import degradable
from pgstead.app.resilience import repeatable
from systems.jeex_idea import repository
from systems.jeex_idea.models import DocumentVersion
from systems.jeex_idea.routes.identity import Session
from systems.jeex_idea.routes.request import Seen, Wanted, changes, show
from systems.jeex_idea.schemas import (
    DocumentChange,
    DocumentCreate,
    DocumentRead,
    Documents,
    Kind,
)

router = APIRouter(prefix="/projects/{project_id}/documents", tags=["documents"])


@router.post("", status_code=201)
@repeatable
async def create_document(
    project_id: uuid.UUID, body: DocumentCreate, session: Session, response: Response
) -> DocumentRead:
    """Add the next version of a document; the service numbers them 1, 2, 3 ..."""
    values = body.model_dump(exclude={"metadata"})
    document = DocumentVersion(project_id=project_id, details=body.metadata, **values)
    row = await repository.add_document(session, document)
    response.headers["Location"] = f"/projects/{project_id}/documents/{row.id}"
    return show(response, DocumentRead, row)


@router.get("")
@degradable()
async def list_documents(
    project_id: uuid.UUID,
    session: Session,
    wanted: Wanted,
    document_type: Kind | None = None,
) -> Documents:
    """List versions, the highest first."""
    listed = await repository.documents(session, wanted, project_id, document_type)
    rows = [DocumentRead.model_validate(row) for row in listed.rows]
    return Documents(documents=rows, **listed.figures)


# before `/{document_id}`, which would take `latest` for a key
@router.get("/latest")
@degradable()
async def read_latest_document(
    project_id: uuid.UUID,
    document_type: Annotated[Kind, Query()],
    session: Session,
    response: Response,
) -> DocumentRead:
    """Read the highest version of a document."""
    row = await repository.latest_document(session, project_id, document_type)
    return show(response, DocumentRead, row)


@router.get("/{document_id}")
@degradable()
async def read_document(
    project_id: uuid.UUID, document_id: uuid.UUID, session: Session, response: Response
) -> DocumentRead:
    """Read a version."""
    row = await repository.find_within(session, DocumentVersion, project_id, document_id)
    return show(response, DocumentRead, row)


@router.patch("/{document_id}")
@router.put("/{document_id}")
@repeatable
async def change_document(
    project_id: uuid.UUID,
    document_id: uuid.UUID,
    body: DocumentChange,
    session: Session,
    seen: Seen,
    response: Response,
) -> DocumentRead:
    """Change what is sent; the rest stays."""
    row = await repository.find_within(session, DocumentVersion, project_id, document_id)
    values = changes(body)
    if "metadata" in values:
        values["details"] = values.pop("metadata")
    return show(response, DocumentRead, await repository.change(session, row, values, seen))


@router.delete("/{document_id}", status_code=204)
@repeatable
async def delete_document(
    project_id: uuid.UUID, document_id: uuid.UUID, session: Session, seen: Seen
) -> None:
    """Delete a version."""
    row = await repository.find_within(session, DocumentVersion, project_id, document_id)
    await repository.remove(session, row, seen)
