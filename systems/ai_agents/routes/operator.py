"""What the operator sees and changes, as the administrator's role: tenants, their keys, retention.

Deleting a tenant or an enhancement is theirs alone: the application's role may not (TEN-4).
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from fastapi import APIRouter
from sqlalchemy import select

from pgstead.app.degraded import Revokes
from pgstead.app.problems import Problem
from pgstead.app.resilience import repeatable
from pgstead.app.resources import Resource, routes
from systems.ai_agents import repository
from systems.ai_agents.identity import OperatorAccess, operator
from systems.ai_agents.models import EnhancementHistory, RetentionRule, TenantConfig
from systems.ai_agents.routes.tenant import SECRETS
from systems.ai_agents.schemas import (
    EnhancementCreate,
    KeyCreate,
    KeyMade,
    RetentionChange,
    RetentionRead,
    TenantCreate,
)

TENANTS = Resource(
    TenantConfig,
    plural="tenants",
    create=TenantCreate,
    reading=operator,
    writing=operator,
    filters=("tenant_id", "is_active"),
    unchangeable=("tenant_id",),
    hidden=SECRETS,
    repeatable=True,
    revokes=Revokes.ALL,
)
ENHANCEMENTS = Resource(
    EnhancementHistory,
    plural="all_enhancements",
    singular="foreign_enhancement",
    create=EnhancementCreate,
    reading=operator,
    writing=operator,
    filters=("ticket_id", "status"),
    order=("created_at",),
    verbs=frozenset({"list", "delete"}),
    repeatable=True,
    revokes=Revokes.ALL,  # what tenants see at other paths
)

router = APIRouter(prefix="/operator")


@router.post("/tenants/{id}/keys", status_code=201, response_model=KeyMade, tags=["tenants"])
@repeatable
async def create_key_for_tenant(
    access: OperatorAccess,
    id: uuid.UUID,  # noqa: A002 - the path's name
    body: KeyCreate,
) -> KeyMade:
    """Make a key for a tenant: the first one comes from here."""
    tenant: TenantConfig = await TENANTS.find(access, id)
    row, text = await repository.issue_key(
        access.session, tenant.tenant_id, **body.model_dump(exclude_unset=True)
    )
    return KeyMade(id=row.id, name=row.name, key=text)


def _shown(row: RetentionRule) -> RetentionRead:
    return RetentionRead(relation=row.relation, keep_days=row.keep_for.days)


@router.get("/retention", tags=["retention"])
async def list_retention(access: OperatorAccess) -> list[RetentionRead]:
    """List how long rows of which table are kept."""
    rows = await access.session.scalars(select(RetentionRule).order_by(RetentionRule.relation))
    return [_shown(row) for row in rows]


@router.patch("/retention/{relation}", tags=["retention"])
@repeatable
async def change_retention(
    access: OperatorAccess, relation: str, body: RetentionChange
) -> RetentionRead:
    """Change how long rows are kept."""
    found = RetentionRule.relation == relation
    row = await access.session.scalar(select(RetentionRule).where(found)) if relation else None
    if row is None:
        raise Problem(404, "nothing is said about this table", code="not-found")
    values: dict[str, Any] = body.model_dump(exclude_unset=True)
    if not values:
        raise Problem(422, "nothing to change was sent", code="invalid-request")
    if "keep_days" in values:
        row.keep_for = dt.timedelta(days=values["keep_days"])
    await access.session.flush()
    return _shown(row)


router.include_router(routes(TENANTS, "/tenants"))
router.include_router(routes(ENHANCEMENTS, "/enhancements"))
