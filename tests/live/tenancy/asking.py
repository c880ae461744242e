"""Somebody who asks one of the systems, and what becomes of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.live.scratch import Scratch
from tests.live.tenancy.lab import act

ADA, EVE = (uuid.UUID(int=(0x0190 << 112) | (7 << 76) | (2 << 62) | n) for n in (1, 2))
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"
REFUSALS = (errors.InsufficientPrivilege, errors.UniqueViolation)


@dataclass
class Asking:
    """A transaction of somebody, which is undone."""

    connection: psycopg.Connection[Any]

    def rows(self, statement: str, *values: object) -> int:
        """Return how many rows a statement finds or touches."""
        return self.connection.execute(statement.encode(), values).rowcount

    def refused(self, statement: str, *values: object) -> type[BaseException]:
        """Return how a statement is refused."""
        with pytest.raises(psycopg.Error) as caught, self.connection.transaction():
            self.connection.execute(statement.encode(), values)
        return caught.type


@contextmanager
def asking(scratch: Scratch, system: str, role: str = "app", /, **said: object) -> Iterator[Asking]:
    """Ask as somebody; nothing stays."""
    with scratch.connect(role, system) as connection:
        act(connection, **said)
        yield Asking(connection)
        connection.rollback()
