"""What a tenant does with ai_agents, for `pgstead bench`: as one that is removed afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import samples, tokens
from pgstead.app.encryption import Encrypted
from pgstead.app.identifiers import uuid7
from pgstead.app.load import Request, sending
from pgstead.app.rows import Row
from pgstead.app.scope import Scope
from systems.ai_agents.identity import KIND
from systems.ai_agents.models import Base, TenantApiKey, TenantConfig


@contextmanager
def requests(_url: str, connection: Path) -> Generator[Sequence[Request]]:
    """Yield requests of a tenant; only the administrator's role may make and remove one."""
    name = f"bench-{uuid.uuid4().hex[:12]}"
    token = tokens.new(KIND, name)
    config = TenantConfig(
        id=uuid7(),
        tenant_id=name,
        name=name,
        servicedesk_url="https://desk.example.com",
        servicedesk_api_key=Encrypted(name),
        webhook_signing_secret=Encrypted(name),
    )
    key = TenantApiKey(id=uuid7(), tenant_id=name, key_hash=token.digest, name="bench")
    made: list[Row] = [config, key]

    async def adding(session: AsyncSession) -> Mapping[str, int]:
        return await samples.add_missing(session, made)

    async def removing(session: AsyncSession) -> Mapping[str, int]:
        return await samples.remove_present(session, made)

    def run(work: samples.Work, scope: Scope, role: str) -> None:
        samples.run_scoped(
            [(scope, work)], Base.metadata, database="ai_agents", prefix="AI_AGENTS_",
            connection=connection, role=role,
        )  # fmt: skip

    headers = {"Authorization": f"Bearer {token.text}"}
    run(adding, Scope(tenant=name), "app")
    try:
        yield (
            sending("GET", "/tenant", headers, what="/tenant"),
            sending("GET", "/tickets", headers, what="/tickets"),
            sending("GET", "/tickets/search?q=disk", headers, what="/tickets/search"),
            sending("GET", "/enhancements", headers, what="/enhancements"),
        )
    finally:
        run(removing, Scope(across_tenants=True), "admin")
