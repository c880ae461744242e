"""Who asks. Projects and what belongs to them are their owner's alone (row-level security).

The service stands behind something that knows who a caller is, and is told by `X-User-ID`; it
keeps no passwords. Without the header a route of projects is refused, with it the transaction
sees that person's rows.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Header
from sqlalchemy.ext.asyncio import AsyncSession

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
            hint=f"send {HEADER}: the key of a person of /users",
        )
    return Scope(user=x_user_id)


Session = Annotated[AsyncSession, scoped(_scope)]
