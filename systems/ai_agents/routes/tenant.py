"""What a tenant sees and changes: their own configuration, keys, enhancements, tickets, systems."""

from __future__ import annotations

import ipaddress
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from pgstead.app.degraded import Revokes, degradable, revoking
from pgstead.app.problems import Problem
from pgstead.app.resilience import repeatable
from pgstead.app.resources import VERBS, Access, Resource, routes
from pgstead.app.routing import add_routes
from pgstead.app.shapes import Page, Part, page_of, read_of
from pgstead.app.versions import Seen, expect, show
from systems.ai_agents import repository
from systems.ai_agents.identity import TenantAccess, tenant
from systems.ai_agents.models import (
    EnhancementHistory,
    SystemInventory,
    TenantApiKey,
    TenantConfig,
    TicketHistory,
)
from systems.ai_agents.schemas import (
    EnhancementCreate,
    KeyChange,
    KeyCreate,
    KeyMade,
    OwnTenantChange,
    SystemCreate,
    TenantCreate,
    TicketCreate,
)

# Seconds for which what was read is given again while the database is down. It is also for how long
# a key that another process revoked meanwhile still gets what it had got before.
LAST_GOOD = 900.0
SECRETS = ("servicedesk_api_key_encrypted", "webhook_signing_secret_encrypted")

ENHANCEMENTS = Resource(
    EnhancementHistory,
    plural="enhancements",
    create=EnhancementCreate,
    reading=tenant,
    writing=tenant,
    filters=("ticket_id", "status"),
    order=("created_at",),
    unchangeable=("ticket_id",),
    degradable=LAST_GOOD,
    repeatable=True,
)
TICKETS = Resource(
    TicketHistory,
    plural="tickets",
    create=TicketCreate,
    reading=tenant,
    writing=tenant,
    filters=("ticket_id", "priority", "source"),
    hidden=("search",),
    degradable=LAST_GOOD,
    repeatable=True,
)
SYSTEMS = Resource(
    SystemInventory,
    plural="systems",
    create=SystemCreate,
    reading=tenant,
    writing=tenant,
    filters=("ip_address", "hostname"),
    degradable=LAST_GOOD,
    repeatable=True,
)
KEYS = Resource(
    TenantApiKey,
    plural="keys",
    create=KeyCreate,
    reading=tenant,
    writing=tenant,
    hidden=("key_hash",),
    verbs=VERBS - {"create", "change"},
    repeatable=True,
    revokes=Revokes.OWN,
)

TenantRead: Any = read_of(TenantConfig, "TenantRead", without=SECRETS)
KeyRead: Any = read_of(TenantApiKey, "KeyRead", without=("key_hash",))
TicketRead: Any = read_of(TicketHistory, "TicketRead", without=("search",))
SystemRead: Any = read_of(SystemInventory, "SystemRead")
SystemPage: Any = page_of(SystemRead, "systems", "SystemsOfNetworkPage")
_OWN = Resource(TenantConfig, plural="tenants", create=TenantCreate, reading=tenant, writing=tenant)


class Hit(TicketRead):
    """A ticket that has the words."""

    rank: float


class Hits(Page):
    """Tickets that have the words, best first."""

    tickets: list[Hit]


router = APIRouter()


async def _own(access: Access) -> TenantConfig:
    row = await access.session.scalar(
        select(TenantConfig).where(TenantConfig.tenant_id == access.fixed["tenant_id"])
    )
    assert row is not None  # the key was proved by this very row
    return row


@router.get("/tenant", response_model=TenantRead, tags=["tenant"])
@degradable(seconds=LAST_GOOD)
async def read_own_tenant(access: TenantAccess, response: Response) -> Any:
    """Read the tenant of the key. Secrets are never shown."""
    return show(response, TenantRead, await _own(access))


@router.patch("/tenant", response_model=TenantRead, tags=["tenant"])
@repeatable
async def change_own_tenant(
    access: TenantAccess, body: OwnTenantChange, seen: Seen, response: Response
) -> Any:
    """Change what is sent; the rest stays. Secrets are kept encrypted."""
    row = await _own(access)
    values = _OWN.values(body)
    if not values:
        raise Problem(422, "nothing to change was sent", code="invalid-request")
    expect(row, seen)
    for name, value in values.items():
        setattr(row, name, value)
    await access.session.flush()
    return show(response, TenantRead, row)


@router.delete("/tenant", status_code=204, tags=["tenant"])
async def delete_own_tenant(access: TenantAccess) -> None:
    """Refuse: a tenant is deleted by the operator. 403."""
    await access.session.delete(await _own(access))
    await access.session.flush()


@router.post("/keys", status_code=201, response_model=KeyMade, tags=["keys"])
@repeatable
async def create_key(access: TenantAccess, body: KeyCreate) -> KeyMade:
    """Make a further key. Its text is in this answer and nowhere else."""
    tenant_id: str = access.fixed["tenant_id"]
    row, text = await repository.issue_key(
        access.session, tenant_id, **body.model_dump(exclude_unset=True)
    )
    return KeyMade(id=row.id, name=row.name, key=text)


@router.patch("/keys/{id}", response_model=KeyRead, tags=["keys"])
@repeatable
@revoking(Revokes.OWN)
async def change_key(
    access: TenantAccess,
    id: uuid.UUID,  # noqa: A002 - the path's name
    body: KeyChange,
    seen: Seen,
    response: Response,
) -> Any:
    """Rename a key, let it expire, or revoke it."""
    row = await KEYS.find(access, id)
    values = body.model_dump(exclude_unset=True)
    if not values:
        raise Problem(422, "nothing to change was sent", code="invalid-request")
    expect(row, seen)
    for name, value in values.items():
        setattr(row, name, value)
    await access.session.flush()
    return show(response, KeyRead, row)


class SearchQuery(Part):
    """What is looked for, and which page."""

    q: Annotated[str, Query(min_length=1, max_length=500)]


# before `/tickets/{id}`, which would take `search` for a key
@router.get("/tickets/search", response_model=Hits, tags=["tickets"])
@degradable(seconds=LAST_GOOD)
async def search_tickets(access: TenantAccess, wanted: Annotated[SearchQuery, Query()]) -> Any:
    """Find tickets by words, best first: `disk full`, `"disk full"`, `disk or ram`, `-printer`."""
    if "\x00" in wanted.q:
        raise Problem(422, "the character U+0000 cannot be looked for", code="invalid-request")
    found, total = await repository.search(access.session, wanted.q, wanted)
    hits = [
        Hit.model_validate({**TicketRead.model_validate(row).model_dump(), "rank": rank})
        for row, rank in found
    ]
    pages = -(-total // wanted.per_page)
    return Hits(
        tickets=hits, total=total, page=wanted.page, per_page=wanted.per_page, total_pages=pages
    )


class NetworkQuery(Part):
    """Which network, and which page."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network


@router.get("/systems/in", response_model=SystemPage, tags=["systems"])
@degradable(seconds=LAST_GOOD)
async def list_systems_of_network(
    access: TenantAccess, wanted: Annotated[NetworkQuery, Query()]
) -> Any:
    """List the systems whose address lies in a network, such as `10.2.0.0/16`."""
    found = await repository.systems_in(
        access.session, access.fixed["tenant_id"], wanted.network, wanted
    )
    rows = [SystemRead.model_validate(row) for row in found.rows]
    return SystemPage(systems=rows, **found.figures)


add_routes(router, routes(KEYS, "/keys"))
add_routes(router, routes(ENHANCEMENTS, "/enhancements"))
add_routes(router, routes(TICKETS, "/tickets"))
add_routes(router, routes(SYSTEMS, "/systems"))
