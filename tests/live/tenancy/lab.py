"""The laboratory's server: its schema made by autogenerate, rows of two tenants in it."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg
from sqlalchemy import Engine, NullPool, create_engine

from tests.live.scratch import NASTY, Scratch, running_server
from tests.live.tenancy import models

TENANT = "app.current_tenant_id"
USER = "app.current_user_id"
TABLES = ("accounts", "orders", "readings")
UUIDS = {"acme": uuid.UUID(int=1), "globex": uuid.UUID(int=2)}


@dataclass
class Lab:
    """The database of the laboratory."""

    scratch: Scratch

    def engine(self, role: str = "migrator") -> Engine:
        """Give an engine of one role."""
        return create_engine(
            "postgresql+psycopg://", creator=lambda: self.connect(role), poolclass=NullPool
        )

    def connect(self, role: str = "app") -> psycopg.Connection[Any]:
        """Connect as one role."""
        return self.scratch.connect(role, models.NAME)

    async def comes(self, role: str = "app") -> asyncpg.Connection:
        """Connect as one role, by asyncpg."""
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.scratch.port,
            user=f"{models.NAME}_{role}",
            password=NASTY,
            database=models.NAME,
            ssl=ssl.create_default_context(cafile=str(self.scratch.ca)),
        )

    def admin(self) -> psycopg.Connection[Any]:
        """Connect as the superuser."""
        return self.scratch.admin(models.NAME)

    @contextmanager
    def asking(
        self, tenant: str = "", role: str = "app", *, user: object = ""
    ) -> Iterator[psycopg.Connection[Any]]:
        """Give a transaction of a tenant (or of a user) that is undone."""
        with self.connect(role) as connection:
            act(connection, **{TENANT: tenant, USER: user})
            yield connection
            connection.rollback()


def act(connection: psycopg.Connection[Any], **settings: object) -> None:
    """Say for whom the transaction asks."""
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, true)", [name, str(value)])


def one(connection: psycopg.Connection[Any], query: str, *values: object) -> Any:
    """Return the first column of the first row."""
    row = connection.execute(query.encode(), values or None).fetchone()
    return None if row is None else row[0]


@contextmanager
def laboratory() -> Iterator[Lab]:
    """Make the server, the schema and the rows."""
    with running_server() as scratch:
        scratch.add_database(models.NAME, "LAB_")
        lab = Lab(scratch)
        engine = lab.engine()
        with engine.begin() as connection:
            script = models.differences(connection)
            models.carry_out(connection, script.upgrade_ops)
        engine.dispose()
        with lab.connect("migrator") as migrator:
            for number in range(2):
                migrator.execute(
                    f"CREATE TABLE readings_{number} PARTITION OF readings"
                    f" FOR VALUES WITH (MODULUS 2, REMAINDER {number})".encode()
                )
        _fill(lab)
        yield lab


def _fill(lab: Lab) -> None:
    for start, tenant in ((0, "acme"), (100, "globex")):
        with lab.connect() as app:
            act(app, **{TENANT: tenant})
            for n in range(start, start + 10):
                app.execute("INSERT INTO accounts (id, email) VALUES (%s, %s)", [n, f"a{n % 100}"])
                app.execute("INSERT INTO orders (id, account_id) VALUES (%s, %s)", [n, n])
                app.execute("INSERT INTO readings (tenant_id, id) VALUES (%s, %s)", [tenant, n])
            act(app, **{TENANT: UUIDS[tenant]})
            app.execute(
                'INSERT INTO "Devices of 100%%" (id, "of ""tenant""") VALUES (%s, %s)',
                [start, UUIDS[tenant]],
            )
            act(app, **{USER: UUIDS[tenant]})
            app.execute("INSERT INTO members VALUES (%s, %s)", [UUIDS[tenant], UUIDS[tenant]])
            app.execute(
                "INSERT INTO notes (id, workspace_id) VALUES (%s, %s)", [start, UUIDS[tenant]]
            )
