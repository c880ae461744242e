"""Who asks: a tenant by an API key, or the operator by theirs. No header names a tenant by itself.

| who      | sends                                         | sees                                |
|----------|-----------------------------------------------|-------------------------------------|
| tenant   | `Authorization: Bearer aia.<tenant>.<secret>` | the rows of that tenant             |
| operator | `Authorization: Bearer aiaop.<name>.<secret>` | all rows, as the administrator role |

A tenant's key is proved by a row of `tenant_api_keys`, read in the transaction of the request, as
that tenant. The operator's is proved by its SHA-256 in `AI_AGENTS_OPERATOR_KEY_SHA256`; without
that variable nobody is the operator.
"""

from __future__ import annotations

import datetime as dt
import hmac
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import tokens
from pgstead.app.degraded import proved
from pgstead.app.engine import Database
from pgstead.app.problems import Problem
from pgstead.app.resources import Access
from pgstead.app.scope import Scope
from pgstead.app.tokens import Token
from pgstead.app.transactions import opened
from systems.ai_agents.models import SLUG, TenantApiKey, TenantConfig

KIND: Final = "aia"
OPERATOR: Final = "aiaop"
STATE: Final = "operator"  # where the application keeps its Operator: `app.state.operator`

_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="aia.<tenant>.<secret>")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class Unauthorized(Problem):
    """Nobody is known by what was sent."""

    def __init__(self, detail: str, hint: str = "") -> None:
        """Ask for a bearer token (RFC 6750)."""
        super().__init__(401, detail, code="unauthorized", hint=hint)
        self.headers = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Operator:
    """How the operator is known, and the administrator's database."""

    digest: bytes
    database: Database


def _claimed(credentials: HTTPAuthorizationCredentials | None) -> Token:
    if credentials is None:
        raise Unauthorized(
            "the request has no API key", "send Authorization: Bearer aia.<tenant>.<secret>"
        )
    token = tokens.parse(KIND, credentials.credentials)
    if token is None or not re.fullmatch(SLUG, token.bearer):
        raise Unauthorized("the API key has not the form of one", "aia.<tenant>.<secret>")
    return token


async def _prove(session: AsyncSession, token: Token) -> dt.datetime | None:
    """Return when the key ends, if ever. Raises Unauthorized, the same for every reason."""
    found = await session.execute(
        select(func.least(TenantApiKey.expires_at, TenantApiKey.revoked_at).label("ends"))
        .join(TenantConfig, TenantConfig.tenant_id == TenantApiKey.tenant_id)
        .where(
            TenantApiKey.key_hash == token.digest,
            TenantApiKey.revoked_at.is_(None) | (TenantApiKey.revoked_at > func.now()),
            or_(TenantApiKey.expires_at.is_(None), TenantApiKey.expires_at > func.now()),
            TenantConfig.is_active,
        )
    )
    key = found.first()
    if key is None:
        raise Unauthorized("the API key is not known, not valid any more, or its tenant is closed")
    return key.ends


async def tenant(request: Request, credentials: Credentials) -> AsyncGenerator[Access]:
    """Yield a session in which the tenant of the key sees what is theirs."""
    token = _claimed(credentials)
    async with opened(request, Scope(tenant=token.bearer)) as session:
        proved(request.scope, token.bearer, await _prove(session, token))
        yield Access(session, {"tenant_id": token.bearer})


async def operator(request: Request, credentials: Credentials) -> AsyncGenerator[Access]:
    """Yield a session of the administrator, for whom no tenant is too many."""
    known: object = getattr(request.app.state, STATE, None)
    token = tokens.parse(OPERATOR, credentials.credentials) if credentials else None
    if token is None:
        raise Unauthorized("this is the operator's", "send Authorization: Bearer aiaop.<...>")
    if not isinstance(known, Operator) or not hmac.compare_digest(known.digest, token.digest):
        raise Unauthorized("the operator's key is not known")
    async with opened(request, Scope(across_tenants=True), known.database) as session:
        yield Access(session)


TenantAccess = Annotated[Access, Depends(tenant, scope="function")]
OperatorAccess = Annotated[Access, Depends(operator, scope="function")]
