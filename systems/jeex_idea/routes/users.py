"""People: each sees, changes and deletes themselves."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response

from pgstead.app.resilience import repeatable
from systems.jeex_idea import repository
from systems.jeex_idea.models import User
from systems.jeex_idea.routes.identity import Newcomer, NewcomerSession, Session
from systems.jeex_idea.routes.request import Seen, Wanted, changes, show
from systems.jeex_idea.schemas import UserChange, UserCreate, UserRead, Users

router = APIRouter(prefix="/users", tags=["users"])


@router.post("", status_code=201)
@repeatable
async def create_user(
    body: UserCreate, key: Newcomer, session: NewcomerSession, response: Response
) -> UserRead:
    """Add a person. An address that is taken is refused: 409, `users_email_key`.

    Keep the key that is answered: it is what `X-User-ID` takes, and nobody else can look it up.
    """
    row = await repository.add(session, User(id=key, **body.model_dump()))
    response.headers["Location"] = f"/users/{row.id}"
    return show(response, UserRead, row)


@router.get("")
async def list_users(
    session: Session, wanted: Wanted, email: Annotated[str | None, Query(max_length=255)] = None
) -> Users:
    """List the people that one may see: oneself."""
    listed = await repository.users(session, wanted, email)
    return Users(users=[UserRead.model_validate(row) for row in listed.rows], **listed.figures)


@router.get("/{user_id}")
async def read_user(user_id: uuid.UUID, session: Session, response: Response) -> UserRead:
    """Read a person."""
    return show(response, UserRead, await repository.find(session, User, user_id))


@router.patch("/{user_id}")
@router.put("/{user_id}")
@repeatable
async def change_user(
    user_id: uuid.UUID, body: UserChange, session: Session, seen: Seen, response: Response
) -> UserRead:
    """Change what is sent; the rest stays."""
    row = await repository.find(session, User, user_id)
    return show(response, UserRead, await repository.change(session, row, changes(body), seen))


@router.delete("/{user_id}", status_code=204)
@repeatable
async def delete_user(user_id: uuid.UUID, session: Session, seen: Seen) -> None:
    """Delete a person who owns no project: else 409, `projects_created_by_fkey`."""
    await repository.remove(session, await repository.find(session, User, user_id), seen)
