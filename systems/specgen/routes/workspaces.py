"""Workspaces and their members."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from pgstead.app.degraded import Revokes, revoking
from pgstead.app.problems import Problem
from pgstead.app.resilience import repeatable
from pgstead.app.resources import VERBS, Access, Resource, routes
from pgstead.app.routing import add_routes
from pgstead.app.shapes import read_of
from pgstead.app.versions import show
from systems.specgen.identity import (
    LAST_GOOD,
    PersonAccess,
    ViewerAccess,
    holder,
    owner,
    person,
    viewer,
)
from systems.specgen.models import Workspace, WorkspaceMember
from systems.specgen.repository import note
from systems.specgen.schemas import MemberCreate, WorkspaceCreate
from systems.specgen.vocabulary import AuditAction, WorkspaceRole

WorkspaceRead: Any = read_of(Workspace, "WorkspaceRead")
WORKSPACES = Resource(
    Workspace,
    plural="workspaces",
    create=WorkspaceCreate,
    reading=person,
    writing=holder(WorkspaceRole.ADMIN),
    filters=("slug", "plan_tier"),
    verbs=VERBS - {"create", "delete"},
    degradable=LAST_GOOD,
    repeatable=True,
)
DELETING = Resource(
    Workspace,
    plural="workspaces",
    create=WorkspaceCreate,
    reading=person,
    writing=holder(WorkspaceRole.OWNER),
    verbs=frozenset({"delete"}),
    repeatable=True,
    revokes=Revokes.ALL,
)


async def _under_the_owner(access: Access, row: WorkspaceMember) -> None:
    assert access.author is not None  # `writing=owner` lets nobody in without one
    row.owner_id = access.author


MEMBERS = Resource(
    WorkspaceMember,
    plural="members",
    create=MemberCreate,
    reading=viewer,
    writing=owner,
    filters=("user_id", "role"),
    author="invited_by",
    unchangeable=("user_id",),
    verbs=VERBS - {"delete"},
    before_insert=_under_the_owner,
    repeatable=True,
    revokes=Revokes.ALL,
)

router = APIRouter()


@router.post("/workspaces", status_code=201, response_model=WorkspaceRead, tags=["workspaces"])
@repeatable
async def create_workspace(
    request: Request, access: PersonAccess, body: WorkspaceCreate, response: Response
) -> Any:
    """Make a workspace; who makes it owns it."""
    assert access.author is not None
    row = Workspace(owner_id=access.author, **WORKSPACES.values(body))
    access.session.add(row)
    await access.session.flush()
    access.session.add(
        WorkspaceMember(
            workspace_id=row.id,
            owner_id=access.author,
            user_id=access.author,
            role=WorkspaceRole.OWNER,
        )
    )
    await access.session.flush()
    note(access.session, request, AuditAction.WORKSPACE_CREATE, access.author, workspace_id=row.id)
    return show(response, WorkspaceRead, row)


@router.delete(
    "/workspaces/{workspace_id}/members/{id}",  # noqa: FAST003 - a dependency reads it
    status_code=204,
    tags=["members"],
)
@repeatable
@revoking(Revokes.ALL)
async def delete_member(access: ViewerAccess, id: uuid.UUID) -> None:  # noqa: A002 - the path
    """Leave, or as the owner let somebody go. The owner stays."""
    row: WorkspaceMember = await MEMBERS.find(access, id)
    owner_id = await access.session.scalar(
        select(Workspace.owner_id).where(Workspace.id == row.workspace_id)
    )
    if row.user_id == owner_id:
        raise Problem(
            409, "the owner belongs to the workspace", code="owner", hint="delete the workspace"
        )
    await access.session.delete(row)
    await access.session.flush()


add_routes(router, routes(WORKSPACES, "/workspaces"))
add_routes(router, routes(DELETING, "/workspaces"))
add_routes(router, routes(MEMBERS, "/workspaces/{workspace_id}/members"))
