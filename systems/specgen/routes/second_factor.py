"""The second factor of an account: set up, confirmed with a first code, taken away with a last."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request

from pgstead.app.encryption import Encrypted
from pgstead.app.problems import Problem
from pgstead.app.resilience import repeatable
from systems.specgen import codes
from systems.specgen.identity import PersonAccess
from systems.specgen.models import User
from systems.specgen.repository import note
from systems.specgen.routes.people import account_of
from systems.specgen.schemas import Confirmation, SecondFactor
from systems.specgen.vocabulary import AuditAction

router = APIRouter(prefix="/users/me/second-factor", tags=["second factor"])


@router.post("", status_code=201)
@repeatable
async def set_up(access: PersonAccess) -> SecondFactor:
    """Make a secret for an authenticator. It counts from the first code that is confirmed on."""
    row = await account_of(access)
    if row.two_factor_enabled:
        raise Problem(
            409, "a second factor is set up already", code="second-factor", hint="DELETE it first"
        )
    secret = codes.new_secret()
    row.two_factor_secret = Encrypted(secret)
    await access.session.flush()
    return SecondFactor(secret=secret, address=codes.address(secret, row.email))


@router.post("/confirm", status_code=204)
@repeatable
async def confirm(request: Request, access: PersonAccess, body: Confirmation) -> None:
    """Switch it on with a first code."""
    row = await account_of(access)
    _take(row, body.code)
    row.two_factor_enabled = True
    note(access.session, request, AuditAction.MFA_ENABLED, row.id)


@router.delete("", status_code=204)
@repeatable
async def take_away(request: Request, access: PersonAccess, body: Confirmation) -> None:
    """Switch it off with a last code."""
    row = await account_of(access)
    _take(row, body.code)
    row.two_factor_enabled = False
    row.two_factor_secret = None
    note(access.session, request, AuditAction.MFA_DISABLED, row.id)


def _take(row: User, code: str) -> None:
    secret: Any = row.two_factor_secret
    if secret is None:
        raise Problem(409, "no second factor is set up", code="second-factor", hint="POST it first")
    step = codes.step_of(secret.reveal(), code, time.time(), row.two_factor_step)
    if step is None:
        raise Problem(403, "the code is wrong, or was used already", code="access-denied")
    row.two_factor_step = step
