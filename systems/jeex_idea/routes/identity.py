"""Who asks. People see their own row; projects are their owner's alone (row-level security).

The service stands behind something that knows who a caller is, and is told by `X-User-ID`; it
keeps no passwords. Without the header a route is refused, with it the transaction sees that
person's rows. Who signs up is nobody yet: the row is written as whom it is about to be.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Header
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.identifiers import uuid7
from pgstead.app.problems import Problem
from pgstead.app.scope import Scope
from pgstead.app.transactions import scoped

HEADER = "X-User-ID"


async def _scope(
    x_user_id: Annotated[uuid.UUID | None, Header(description="the person who asks")] = None,
) -> Scope:
    if x_user_id is None:
        raise Problem(
            401,
            f"the request does not say who asks ({HEADER})",
            code="identity-missing",
            hint=f"send {HEADER}: the key that POST /users answered",
        )
    return Scope(user=x_user_id)


async def _newcomer() -> uuid.UUID:
    return uuid7()


Newcomer = Annotated[uuid.UUID, Depends(_newcomer)]  # one per request: FastAPI asks once


async def _as_newcomer(key: Newcomer) -> Scope:
    return Scope(user=key)


Session = Annotated[AsyncSession, scoped(_scope)]
NewcomerSession = Annotated[AsyncSession, scoped(_as_newcomer)]
