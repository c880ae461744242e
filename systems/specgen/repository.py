"""What the service asks of the database beyond single rows."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import Request
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import correlation
from pgstead.app.problems import Problem
from pgstead.app.resources import Access
from systems.specgen.models import Artifact, ArtifactVersion, AuditLog, ConversationTurn, Decision
from systems.specgen.vocabulary import AuditAction


async def number_turn(access: Access, row: ConversationTurn) -> None:
    """Give a turn the next number of its conversation.

    Writers of one conversation queue at its decision; readers and foreign keys do not wait. The
    number is read after the lock is had, so it sees all that committed.
    """
    await _lock(access, Decision, row.decision_id)
    highest = await access.session.scalar(
        select(func.coalesce(func.max(ConversationTurn.turn_number), 0)).where(
            ConversationTurn.workspace_id == row.workspace_id,
            ConversationTurn.decision_id == row.decision_id,
        )
    )
    row.turn_number = (highest or 0) + 1


async def number_version(access: Access, row: ArtifactVersion) -> None:
    """Give a version the next number of its artifact, and tell the artifact."""
    artifact: Artifact = await _lock(access, Artifact, row.artifact_id)
    highest = await access.session.scalar(
        select(func.coalesce(func.max(ArtifactVersion.version), 0)).where(
            ArtifactVersion.workspace_id == row.workspace_id,
            ArtifactVersion.artifact_id == row.artifact_id,
        )
    )
    row.version = (highest or 0) + 1
    artifact.version = row.version


async def _lock(access: Access, model: Any, key: uuid.UUID) -> Any:
    row = await access.session.scalar(
        select(model)
        .where(model.workspace_id == access.fixed["workspace_id"], model.id == key)
        .with_for_update(key_share=True)
    )
    if row is None:
        name = model.__tablename__.removesuffix("s")
        raise Problem(422, f"there is no such {name}", code="foreign-key-violation")
    return row


def note(
    session: AsyncSession, request: Request, action: AuditAction, user: uuid.UUID, **more: Any
) -> None:
    """Add a row to the audit log; it is there exactly if what it tells is."""
    agent = request.headers.get("user-agent", "")[:512].replace("\x00", "")
    session.add(
        AuditLog(
            action=action,
            user_id=user,
            ip_address=_address(request),
            user_agent=agent or None,
            request_id=correlation.current()[:100] or None,
            **more,
        )
    )


def _address(request: Request) -> str | None:
    host = request.client.host if request.client else ""
    return host.partition("%")[0] or None
