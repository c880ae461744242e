"""What the service asks of the database beyond single rows."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from sqlalchemy import cast, column, func, select
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import listing, tokens
from pgstead.app.listing import Listed
from pgstead.app.shapes import Part
from systems.ai_agents.identity import KIND
from systems.ai_agents.models import SystemInventory, TenantApiKey, TicketHistory

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


async def search(
    session: AsyncSession, words: str, part: Part
) -> tuple[Sequence[tuple[TicketHistory, float]], int]:
    """Return tickets that have the words, best first, and how many there are.

    The database's own function finds their keys (it may ask the index before the policy, see the
    migration); the rows are read as every other row, under the policy.
    """
    found = func.search_tickets(words, part.per_page, (part.page - 1) * part.per_page).table_valued(
        column("id"), column("rank"), column("total"), name="found"
    )
    rows = await session.execute(
        select(TicketHistory, found.c.rank, found.c.total)
        .join(found, found.c.id == TicketHistory.id)
        .order_by(found.c.rank.desc(), TicketHistory.id.desc())
    )
    listed: list[tuple[TicketHistory, float]] = []
    total = 0
    for ticket, rank, count in rows:
        listed.append((ticket, float(rank)))
        total = int(count)
    return listed, total


async def systems_in(
    session: AsyncSession, tenant_id: str, network: Network, part: Part
) -> Listed[SystemInventory]:
    """Return the systems whose address lies in a network.

    As a range, not by `<<=`: the operators of inet that compare are leakproof, the ones that
    contain are not, so only the range can use the index under row-level security.
    """
    first: Any = cast(str(network.network_address), INET)
    last: Any = cast(str(network.broadcast_address), INET)
    conditions = [SystemInventory.ip_address >= first, SystemInventory.ip_address <= last]
    return await listing.select_part(
        session, SystemInventory, part, {"tenant_id": tenant_id}, (), conditions
    )


async def issue_key(
    session: AsyncSession, tenant_id: str, **values: Any
) -> tuple[TenantApiKey, str]:
    """Make a key for a tenant; its text is returned this once."""
    token = tokens.new(KIND, tenant_id)
    row = TenantApiKey(tenant_id=tenant_id, key_hash=token.digest, **values)
    session.add(row)
    await session.flush()
    return row, token.text
