"""Clients that write through the pooler all the time, and keep what they were told."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.fix_stead import LiveStead

TABLE = "public.stall_writes"
_MADE = (
    f"CREATE TABLE {TABLE} (client int, number int, PRIMARY KEY (client, number))",
    f"ALTER TABLE {TABLE} OWNER TO jeex_owner",
    f"GRANT SELECT, INSERT ON {TABLE} TO jeex_user",
)


@dataclass
class Writers:
    """Some clients, each on one connection; nobody tries anything again."""

    stead: LiveStead
    clients: int
    pause: float  # seconds between two transactions of a client, on average
    errors: list[str] = field(default_factory=list)
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    spans: list[tuple[float, float]] = field(default_factory=list)  # time.time() of transactions
    ready: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    connected: int = 0

    @property
    def longest(self) -> float:
        """The longest that anybody waited, in seconds."""
        return max(ended - began for began, ended in self.spans)

    def longest_across(self, moment: float) -> float:
        """The longest of what was under way at a moment, in seconds."""
        return max(ended - began for began, ended in self.spans if began <= moment <= ended)

    def longest_until(self, moment: float) -> float:
        """The longest of what had ended by then, in seconds."""
        return max((ended - began for began, ended in self.spans if ended < moment), default=0.0)

    def reset(self) -> None:
        """Forget how long what was until now took."""
        self.spans.clear()

    def run(self) -> None:
        """Write until the end."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def _client(self, client: int) -> None:
        try:
            async with await psycopg.AsyncConnection.connect(**self._door()) as connection:
                self.connected += 1
                if self.connected == self.clients:
                    self.ready.set()
                number = 0
                while not self.ended.is_set():
                    number += 1
                    await self._write(connection, client, number)
                    await self._rest()
        except psycopg.Error as error:
            self.errors.append(f"client {client}: {' '.join(str(error).split())}")
            self.ready.set()

    async def _rest(self) -> None:
        # Each for another time: a stall sets all off at once, and then all rest during the next.
        await asyncio.sleep(random.uniform(0, 2 * self.pause))

    async def _write(self, connection: Any, client: int, number: int) -> None:
        began = time.time()
        async with connection.transaction():
            await connection.execute(
                f"INSERT INTO {TABLE} VALUES (%s, %s)", (client, number), prepare=False
            )
        self.spans.append((began, time.time()))
        self.acknowledged.add((client, number))

    def _door(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.stead.pooler_port,
            "user": "jeex_user",
            "dbname": "jeex_idea",
            "password": self.stead.password("jeex_user"),
            "sslmode": "verify-full",
            "sslrootcert": str(self.stead.ca),
            "connect_timeout": 60,
            "autocommit": True,
            "prepare_threshold": None,
        }

    def lost(self) -> set[tuple[int, int]]:
        """Return what was acknowledged and is not there."""
        with self.stead.superuser("jeex_idea") as connection:
            rows = connection.execute(f"SELECT client, number FROM {TABLE}").fetchall()
        return self.acknowledged - {(row["client"], row["number"]) for row in rows}


@contextmanager
def writing(
    stead: LiveStead, clients: int, pause: float = 0.2, *, kind: type[Writers] = Writers
) -> Iterator[Writers]:
    """Have clients write, and stop; what they wrote stays until the block ends."""
    with stead.superuser("jeex_idea") as connection:
        for statement in _MADE:
            connection.execute(statement)
    writers = kind(stead, clients, pause)
    thread = threading.Thread(target=writers.run)
    thread.start()
    try:
        assert writers.ready.wait(120), "the clients did not get in"
        yield writers
        stopped(writers, thread)
        assert writers.lost() == set()
    finally:
        stopped(writers, thread)
        with stead.superuser("jeex_idea") as connection:
            connection.execute(f"DROP TABLE IF EXISTS {TABLE}")


def stopped(writers: Writers, thread: threading.Thread) -> None:
    """End the clients."""
    writers.ended.set()
    thread.join(120)


LOAD = """
[[databases.processes]]
name = "load"
count = 5
"""
"""For a manifest: room for 200 clients."""
