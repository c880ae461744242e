"""Who asks: a person by the token of a session, and what their place in a workspace lets them.

`Authorization: Bearer sgn.<person>.<secret>`. The token is proved by a row of `user_sessions`, read
in the transaction of the request, as that person. Rows of a workspace are shown to its members by
the database; what a viewer, an editor, an administrator may change is decided here.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import tokens
from pgstead.app.degraded import proved
from pgstead.app.problems import Problem
from pgstead.app.resources import Access
from pgstead.app.scope import Scope
from pgstead.app.tokens import Token
from pgstead.app.transactions import opened
from systems.specgen.models import User, UserSession, WorkspaceMember
from systems.specgen.vocabulary import WorkspaceRole

KIND: Final = "sgn"
# Seconds for which what was read is given again while the database is down. It is also for how long
# a session that another process ended meanwhile still gets what it had got before.
LAST_GOOD: Final = 900.0

_bearer = HTTPBearer(auto_error=False, scheme_name="session", description="sgn.<person>.<secret>")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class Unauthorized(Problem):
    """Nobody is known by what was sent."""

    def __init__(self, detail: str, hint: str = "") -> None:
        """Ask for a bearer token (RFC 6750)."""
        super().__init__(401, detail, code="unauthorized", hint=hint)
        self.headers = {"WWW-Authenticate": "Bearer"}


def _claimed(credentials: HTTPAuthorizationCredentials | None) -> tuple[Token, uuid.UUID]:
    if credentials is None:
        raise Unauthorized("nobody is signed in", "POST /sessions, then send its token as Bearer")
    token = tokens.parse(KIND, credentials.credentials)
    try:
        if token is not None:
            return token, uuid.UUID(token.bearer)
    except ValueError:
        pass
    raise Unauthorized("the token has not the form of one", "sgn.<person>.<secret>")


async def prove(session: AsyncSession, token: Token) -> tuple[uuid.UUID, dt.datetime]:
    """Return the session's key, and its end. Raises Unauthorized, the same for every reason."""
    rows = await session.execute(
        select(UserSession.id, UserSession.expires_at)
        .join(User, User.id == UserSession.user_id)
        .where(
            UserSession.token_hash == token.digest,
            UserSession.expires_at > func.now(),
            User.is_active,
        )
    )
    found = rows.first()
    if found is None:
        raise Unauthorized("the session is not known, or over", "sign in again: POST /sessions")
    return found.id, found.expires_at


async def person(request: Request, credentials: Credentials) -> AsyncGenerator[Access]:
    """Yield a session in which a person sees what is theirs."""
    token, user = _claimed(credentials)
    async with opened(request, Scope(user=user)) as session:
        request.state.session_id, ends = await prove(session, token)
        proved(request.scope, token.bearer, ends)
        yield Access(session, author=user)


PersonAccess = Annotated[Access, Depends(person, scope="function")]


def rank(role: str) -> int:
    """Return how much a role may do."""
    return list(WorkspaceRole).index(WorkspaceRole(role))


async def require(access: Access, workspace_id: uuid.UUID, least: WorkspaceRole) -> None:
    """Refuse who may not: 404 where they do not belong, 403 where they may do less."""
    role = await access.session.scalar(
        select(WorkspaceMember.role).where(
            WorkspaceMember.workspace_id == workspace_id,
            WorkspaceMember.user_id == access.author,
            WorkspaceMember.is_active,
        )
    )
    if role is None:
        raise Problem(404, "there is no such workspace", code="not-found")
    if rank(role) < rank(least):
        raise Problem(
            403,
            f"a {role} of this workspace may not do that",
            code="access-denied",
            hint=f"ask an owner to make you {least}",
        )


def member(least: WorkspaceRole) -> Callable[..., Any]:
    """Return the dependency of routes below `/workspaces/{workspace_id}`."""

    async def within(workspace_id: uuid.UUID, access: PersonAccess) -> Access:
        await require(access, workspace_id, least)
        return Access(access.session, {"workspace_id": workspace_id}, access.author)

    return within


def holder(least: WorkspaceRole) -> Callable[..., Any]:
    """Return the dependency of routes of a workspace itself, `/workspaces/{id}`."""

    async def of_path(id: uuid.UUID, access: PersonAccess) -> Access:  # noqa: A002 - the path
        await require(access, id, least)
        return access

    return of_path


viewer = member(WorkspaceRole.VIEWER)
editor = member(WorkspaceRole.EDITOR)
owner = member(WorkspaceRole.OWNER)
ViewerAccess = Annotated[Access, Depends(viewer, scope="function")]
