"""Accounts and sessions."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import delete, func, select

from pgstead.app import tokens
from pgstead.app.degraded import Revokes, revoking
from pgstead.app.models import uuid7
from pgstead.app.problems import Problem
from pgstead.app.resilience import repeatable
from pgstead.app.resources import Resource, routes
from pgstead.app.routing import add_routes
from pgstead.app.scope import Scope
from pgstead.app.shapes import read_of
from pgstead.app.transactions import database_of, opened
from pgstead.app.versions import Seen, expect, show
from systems.specgen import codes
from systems.specgen.identity import KIND, PersonAccess, Unauthorized, person
from systems.specgen.models import User, UserSession
from systems.specgen.models.people import SIGNING_IN
from systems.specgen.passwords import Passwords
from systems.specgen.repository import note
from systems.specgen.schemas import (
    Credentials,
    NewPassword,
    Profile,
    Registration,
    SignedIn,
)
from systems.specgen.vocabulary import AuditAction

LASTS: Final = dt.timedelta(hours=12)
STATE: Final = "passwords"  # where the application keeps its Passwords
SECRETS = ("password_hash", "two_factor_secret", "two_factor_step")

UserRead: Any = read_of(User, "UserRead", without=SECRETS)
SESSIONS = Resource(
    UserSession,
    plural="sessions",
    create=Credentials,
    reading=person,
    writing=person,
    hidden=("token_hash",),
    verbs=frozenset({"list", "read", "delete"}),
    repeatable=True,
    revokes=Revokes.OWN,
)

router = APIRouter()


async def _passwords(request: Request) -> Passwords:
    found: object = getattr(request.app.state, STATE)
    assert isinstance(found, Passwords)
    return found


Hashing = Annotated[Passwords, Depends(_passwords)]


@router.post("/users", status_code=201, response_model=UserRead, tags=["users"])
@repeatable
async def register(
    request: Request, body: Registration, passwords: Hashing, response: Response
) -> Any:
    """Open an account. An address that is taken is refused: 409, `users_email_key`."""
    hashed = await passwords.hash(body.password)
    user = User(
        id=uuid7(),
        email=body.email.lower(),
        password_hash=hashed,
        **body.model_dump(include={"full_name", "avatar_url"}),
    )
    # as themselves: nobody can make a row that is somebody else's
    async with opened(request, Scope(user=user.id)) as session:
        session.add(user)
        await session.flush()
        note(session, request, AuditAction.USER_CREATE, user.id)
    return show(response, UserRead, user)


@router.post("/sessions", status_code=201, tags=["sessions"])
@repeatable
async def sign_in(request: Request, body: Credentials, passwords: Hashing) -> SignedIn:
    """Sign in with address, password and, where one is set up, a code. 401 for every reason."""
    found = await _account(request, body.email.lower())
    right = await passwords.verify(found[1] if found else None, body.password)
    if found is None:
        raise Unauthorized("address, password or code is wrong")
    made = await _begin(request, found[0], body.code, right=right)
    if made is None:
        raise Unauthorized("address, password or code is wrong")
    return made


async def _account(request: Request, email: str) -> tuple[uuid.UUID, str] | None:
    """Return key and hash of an account; the transaction sees the row of this address alone."""
    async with database_of(request).session(across_tenants=True) as session:
        await session.execute(select(func.set_config(SIGNING_IN, email, True)))  # noqa: FBT003
        row = (
            await session.execute(select(User.id, User.password_hash).where(User.email == email))
        ).first()
    return None if row is None else (row.id, row.password_hash)


async def _begin(
    request: Request, key: uuid.UUID, code: str | None, *, right: bool
) -> SignedIn | None:
    """Begin a session, or tell the audit log that somebody tried."""
    now = dt.datetime.now(dt.UTC)
    async with opened(request, Scope(user=key)) as session:
        # locked: of two with the same code one is first
        user = await session.get(User, key, with_for_update=True)
        if user is None or not (right and user.is_active and _takes(user, code, now)):
            if user is not None:
                note(session, request, AuditAction.LOGIN_FAILED, key, success=False)
            return None
        token = tokens.new(KIND, str(key))
        made = UserSession(user_id=key, token_hash=token.digest, expires_at=now + LASTS)
        session.add(made)
        user.last_login_at = now
        await session.execute(
            delete(UserSession).where(UserSession.user_id == key, UserSession.expires_at < now)
        )
        note(session, request, AuditAction.LOGIN, key)
    return SignedIn(user_id=key, token=token.text, expires_at=made.expires_at)


def _takes(user: User, code: str | None, now: dt.datetime) -> bool:
    """Say whether a code is right, and keep that it was used."""
    if not user.two_factor_enabled:
        return True
    if code is None or user.two_factor_secret is None:
        return False
    step = codes.step_of(
        user.two_factor_secret.reveal(), code, now.timestamp(), user.two_factor_step
    )
    if step is not None:
        user.two_factor_step = step
    return step is not None


@router.delete("/sessions/current", status_code=204, tags=["sessions"])
@repeatable
@revoking(Revokes.OWN)
async def sign_out(request: Request, access: PersonAccess) -> None:
    """End the session of the token."""
    assert access.author is not None
    row = await access.session.get(UserSession, request.state.session_id)
    if row is not None:
        await access.session.delete(row)
    note(access.session, request, AuditAction.LOGOUT, access.author)


@router.get("/users/me", response_model=UserRead, tags=["users"])
async def read_own_account(access: PersonAccess, response: Response) -> Any:
    """Read one's own account. Hash and secret are never shown."""
    return show(response, UserRead, await account_of(access))


@router.patch("/users/me", response_model=UserRead, tags=["users"])
@repeatable
async def change_own_account(
    access: PersonAccess, body: Profile, seen: Seen, response: Response
) -> Any:
    """Change what is sent; the rest stays."""
    row = await account_of(access)
    values: dict[str, Any] = body.model_dump(exclude_unset=True)
    if not values:
        raise Problem(422, "nothing to change was sent", code="invalid-request")
    expect(row, seen)
    for name, value in values.items():
        setattr(row, name, value)
    await access.session.flush()
    return show(response, UserRead, row)


@router.delete("/users/me", status_code=204, tags=["users"])
@repeatable
@revoking(Revokes.ALL)
async def delete_own_account(access: PersonAccess, seen: Seen) -> None:
    """Delete one's own account, with the workspaces that one owns."""
    row = await account_of(access)
    expect(row, seen)
    await access.session.delete(row)
    await access.session.flush()


@router.post("/users/me/password", status_code=204, tags=["users"])
@repeatable
@revoking(Revokes.OWN)
async def change_password(
    request: Request, access: PersonAccess, body: NewPassword, passwords: Hashing
) -> None:
    """Change one's password. All other sessions end."""
    row = await account_of(access)
    if not await passwords.verify(row.password_hash, body.password):
        raise Problem(403, "the password is not the one so far", code="access-denied")
    row.password_hash = await passwords.hash(body.new_password)
    await access.session.execute(
        delete(UserSession).where(
            UserSession.user_id == row.id, UserSession.id != request.state.session_id
        )
    )
    note(access.session, request, AuditAction.PASSWORD_CHANGE, row.id)


async def account_of(access: Any) -> User:
    """Return the row of who asks."""
    row = await access.session.get(User, access.author)
    assert isinstance(row, User)  # the session was proved by this very row
    return row


add_routes(router, routes(SESSIONS, "/sessions"))
