"""Sample data for ai_agents: `load()` twice is `load()` once, `remove()` takes it away again.

Loaded as the tenants themselves. Removing needs the administrator, for the application's role may
delete neither tenants nor enhancements.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import samples
from pgstead.app.encryption import Encrypted
from pgstead.app.rows import Row
from pgstead.app.scope import Scope
from systems.ai_agents.models import (
    Base,
    EnhancementHistory,
    SystemInventory,
    TenantConfig,
    TicketHistory,
)

TENANTS: Final = ("acme", "globex")
TICKETS: Final = (
    ("The disk of the mail server is full", "Rotated the logs and moved the archive"),
    ("Printer on the second floor prints blank pages", "Replaced the toner"),
    ("VPN drops every ten minutes", "Raised the keep-alive of the tunnel"),
)
_THEN: Final = dt.datetime(2025, 11, 3, 9, 0, tzinfo=dt.UTC)


def load(connection: Path | None = None) -> Mapping[str, int]:
    """Insert what is not there yet; return how many rows of each table that was."""

    def adding(tenant: str) -> samples.Work:
        async def work(session: AsyncSession) -> Mapping[str, int]:
            return await samples.add_missing(session, rows(tenant))

        return work

    works = [(Scope(tenant=tenant), adding(tenant)) for tenant in TENANTS]
    return samples.run_scoped(
        works, Base.metadata, database="ai_agents", prefix="AI_AGENTS_", connection=connection
    )


def remove(connection: Path | None = None) -> Mapping[str, int]:
    """Delete the sample's tenants as the administrator; what is theirs goes with them."""

    async def work(session: AsyncSession) -> Mapping[str, int]:
        return await samples.remove_present(
            session, [row for tenant in TENANTS for row in rows(tenant)]
        )

    return samples.run_scoped(
        [(Scope(across_tenants=True), work)],
        Base.metadata,
        database="ai_agents",
        prefix="AI_AGENTS_",
        connection=connection,
        role="admin",
    )


def key(*name: object) -> uuid.UUID:
    """Return the same key for the same name, every time."""
    return samples.sample_key(*name, then=_THEN)


def rows(tenant: str) -> list[Row]:
    """Return the rows of a tenant, in the order in which they can be inserted."""
    made: list[Row] = [
        TenantConfig(
            id=key("tenant", tenant),
            tenant_id=tenant,
            name=tenant.capitalize(),
            servicedesk_url=f"https://desk.{tenant}.example.com",
            servicedesk_api_key=Encrypted(f"sample-key-of-{tenant}"),
            webhook_signing_secret=Encrypted(f"sample-secret-of-{tenant}"),
            enhancement_preferences={"language": "en", "sample": True},
        )
    ]
    for number, (what, helped) in enumerate(TICKETS, start=1):
        ticket = f"{tenant.upper()}-{number}"
        made += [
            TicketHistory(
                id=key("ticket", tenant, number),
                tenant_id=tenant,
                ticket_id=ticket,
                subject=what[:40],
                description=what,
                resolution=helped,
                resolved_date=_THEN + dt.timedelta(hours=number),
                priority="medium",
                tags=["sample"],
            ),
            EnhancementHistory(
                id=key("enhancement", tenant, number),
                tenant_id=tenant,
                ticket_id=ticket,
                status="completed",
                context_gathered={"similar": []},
                llm_output=helped,
                processing_time_ms=1200 * number,
                completed_at=_THEN + dt.timedelta(hours=number),
            ),
            SystemInventory(
                id=key("system", tenant, number),
                tenant_id=tenant,
                ip_address=f"10.{number}.0.{number}",
                hostname=f"host-{number}.{tenant}.example.com",
                role="mail",
            ),
        ]
    return made
