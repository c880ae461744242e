"""An application follows its passfile, also where that changes while a connection is opened."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest
from sqlalchemy import text

from pgstead.app import Database
from pgstead.app.passfile import Credential, Password
from pgstead.app.target import Driver
from tests.fix_stead import LiveStead
from tests.live.rotation.clients import settings_at


class Fickle(Password):
    """One whose file names another user as soon as it was read."""

    __slots__ = ("names",)

    def __init__(self, given: Credential) -> None:
        """Log in as one user, and say that it is others."""
        super().__init__(lambda: given)
        self.names = (f"{given.user}_{number}" for number in itertools.count())

    def user(self) -> str:
        """Return yet another user."""
        return next(self.names)


@pytest.mark.parametrize("driver", list(Driver))
def test_a_passfile_that_changes_while_a_connection_is_opened_refuses_nobody(
    stead: LiveStead, driver: Driver
) -> None:
    known = settings_at(stead.manifest, "direct", driver, size=1)
    password = Fickle(Credential("jeex_user", stead.password("jeex_user")))
    database = Database(replace(known, target=replace(known.target, password=password)))

    async def work() -> list[int]:
        backends: list[int] = []
        for _ in range(3):
            async with database.session() as session:
                found = await session.execute(text("SELECT pg_backend_pid()"))
                backends.append(found.scalar_one())
        await database.close()
        return backends

    backends = asyncio.run(work())
    assert len(set(backends)) == len(backends)  # each is of a user who logs in no longer
