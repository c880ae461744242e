"""An outage as callers of a service see it: jeex_idea over HTTP, direct and behind PgBouncer.

    python bench/outage.py [--seconds 5]

REL-2 in figures: how fast a call fails once the breaker is open, whether degradable reads answer,
how soon all are served again, and how many connections reach what is down (a herd would be as many
as there are callers). The floor is the same service's answer that needs no database, in the same
outage: what HTTP costs on this machine at that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx

from tests.live.scratch import Scratch, running_server
from tests.live.service import Running, alembic, serving
from tests.waiting import until

CALLERS = 20
# as the foundation designs them (POL-4, REL-1)
POOLER = "\nserver_login_retry = 1\nquery_wait_timeout = 5\nserver_connect_timeout = 5\n"


@dataclass
class Doorman:
    """Takes the place of what is down: lets nobody in, and counts who came."""

    port: int
    came: int = 0

    async def turn_away(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        writer.transport.abort()

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        """Stand at the port."""
        own = socket.socket()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(("127.0.0.1", self.port))
        server = await asyncio.start_server(self.turn_away, sock=own)
        try:
            yield
        finally:
            server.close()


@dataclass
class Calls:
    """What calls to one path cost, in seconds, by how they ended."""

    path: str
    took: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    async def make(self, client: httpx.AsyncClient) -> str:
        """Call once; return how it ended."""
        began = time.perf_counter()
        answer = await client.get(self.path)
        kind = "degraded" if "x-degraded" in answer.headers else str(answer.status_code)
        if answer.status_code == 503:
            kind = answer.json()["type"].rpartition(":")[2]
        self.took.setdefault(kind, []).append(time.perf_counter() - began)
        return kind

    def show(self) -> str:
        """Return each ending with its number, median and worst."""
        return "; ".join(
            f"{kind} x {len(took)}: median {statistics.median(took) * 1000:.1f} ms,"
            f" worst {max(took) * 1000:.1f} ms"
            for kind, took in sorted(self.took.items())
        )


@dataclass(frozen=True)
class Outage:
    """What is taken away, and how it comes back."""

    name: str
    port: int
    stop: Callable[[], None]
    start: Callable[[], None]


async def insist(client: httpx.AsyncClient, calls: Calls, until: Callable[[], bool]) -> None:
    """Call again and again, as impatient callers do."""
    while not until():
        await calls.make(client)
        await asyncio.sleep(0.25)


async def measure(service: Running, outage: Outage, seconds: float) -> None:
    """Go through an outage from its beginning to its end."""
    print(f"\n{outage.name}")
    address = str(service.client.base_url)
    limits = httpx.Limits(max_connections=3 * CALLERS + 3)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        path = await project(client)
        await client.get(path)
        doorman = Doorman(outage.port)
        await asyncio.to_thread(outage.stop)
        async with doorman.standing():
            await asyncio.wait_for(opening(client), 60)
            before, began = doorman.came, time.perf_counter()
            plain, marked, floor = Calls("/users"), Calls(path), Calls("/health/live")

            def over() -> bool:
                return time.perf_counter() > began + seconds

            await asyncio.gather(
                *(insist(client, c, over) for c in (plain, marked) for _ in range(CALLERS)),
                insist(client, floor, over),
            )
            came = doorman.came - before
        print(f"  needs no database  {floor.show()}")
        print(f"  open, not marked   {plain.show()}")
        print(f"  open, degradable   {marked.show()}")
        print(f"  no herd            {CALLERS * 2} callers, {came} connections in {seconds:g} s")
        await recovery(client, outage)


async def opening(client: httpx.AsyncClient) -> None:
    """Call until the breaker is open; tell how long that takes."""
    calls, began = Calls("/users"), time.perf_counter()

    async def until_refused() -> None:
        while await calls.make(client) != "breaker-open":
            pass

    await asyncio.gather(*(until_refused() for _ in range(CALLERS)))
    print(f"  until it is open   {time.perf_counter() - began:.2f} s ({calls.show()})")


async def recovery(client: httpx.AsyncClient, outage: Outage) -> None:
    """Measure from the first answer of what was down until all callers are served."""
    served: list[float] = []

    async def until_served() -> None:
        calls = Calls("/users")
        while await calls.make(client) != "200":  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0.05)
        served.append(time.perf_counter())

    callers = [asyncio.create_task(until_served()) for _ in range(CALLERS)]
    await asyncio.to_thread(outage.start)
    began = time.perf_counter()
    await asyncio.gather(*callers)
    first, last = (max(0.0, at - began) for at in (min(served), max(served)))
    print(
        f"  back               first served after {first:.2f} s, all {CALLERS} after {last:.2f} s"
    )


async def project(client: httpx.AsyncClient) -> str:
    """Make a person with a project; return its path."""
    body = {"email": f"{uuid.uuid4()}@example.com", "name": "A"}
    user = (await client.post("/users", json=body)).json()["id"]
    client.headers["X-User-ID"] = user
    made = await client.post("/projects", json={"name": "P", "created_by": user})
    return f"/projects/{made.json()['id']}"


def outages(scratch: Scratch) -> list[Outage]:
    """Return what can be taken away here."""

    def stop_pooler() -> None:
        assert scratch.pooler is not None
        scratch.pooler.kill()
        scratch.pooler.wait(10)

    def kill_server() -> None:
        assert scratch.process is not None
        scratch.process.kill()  # the postmaster alone: its children notice, and go
        scratch.process.wait(30)
        # the shared memory of the last backend has to be gone before another server starts
        until(lambda: not (scratch.data / "postmaster.pid").exists() or quiet(scratch), "gone")
        (scratch.data / "postmaster.pid").unlink(missing_ok=True)

    found = [Outage("PostgreSQL is killed", scratch.port, kill_server, scratch.start)]
    if scratch.pooler_port is not None:
        found.append(
            Outage("PgBouncer is killed", scratch.pooler_port, stop_pooler, scratch._run_pooler)
        )
    return found


def quiet(scratch: Scratch) -> bool:
    """Say whether nobody listens at the server's port any more."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", scratch.port), 1).close()
        return False
    time.sleep(1)
    return True


def main() -> None:
    """Measure each outage, direct and behind the pooler."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    with running_server() as scratch:
        alembic("upgrade", "head", connection=scratch.connection)
        for way in ("direct", "behind PgBouncer"):
            if way != "direct":
                scratch.start_pooler()
                ini = scratch.folder / "pooler" / "pgbouncer.ini"
                ini.write_text(ini.read_text() + POOLER)
                scratch.restart_pooler()
            print(f"\n== {way}")
            for outage in outages(scratch):
                with serving(scratch) as service:
                    asyncio.run(measure(service, outage, seconds))


if __name__ == "__main__":
    main()
