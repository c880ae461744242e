"""Requests per second of a project read: the service against bare FastAPI and asyncpg.

    python bench/reads_per_second.py [--rounds 15] [--seconds 1] [--connections 8] [--direct]

One run, alternating rounds, the same client, uvicorn settings, size of pool and way to the server.
A request's CPU time in the server's process is told too: it moves less than requests per second
where others load the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx

from bench.load import Seen, call
from tests.live.scratch import Scratch, free_port
from tests.live.service import JEEX_IDEA, migrated, serving
from tests.waiting import until

SIZE = 20  # connections (APP-1)
OWNERS, PROJECTS = 50, 20_000
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Side:
    """A server and its path, and what was seen of it in each round."""

    name: str
    path: str
    process: int
    port: int
    rounds: list[Seen] = field(default_factory=list[Seen])
    cpu: list[float] = field(default_factory=list[float])  # seconds per request

    @property
    def rate(self) -> float:
        """The median of the rounds' requests per second."""
        return statistics.median(seen.rate for seen in self.rounds)

    @property
    def work(self) -> float:
        """The median of the rounds' CPU seconds per request."""
        return statistics.median(self.cpu)

    @property
    def latencies(self) -> tuple[float, float]:
        """Median and 95th percentile in seconds."""
        found = sorted(latency for seen in self.rounds for latency in seen.latencies)
        return found[len(found) // 2], found[len(found) * 95 // 100]

    def spent(self) -> float:
        """Return the CPU seconds of the server's process until now."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def fill(scratch: Scratch) -> list[tuple[str, str]]:
    """Insert projects of many owners; return some of their keys with their owners'."""
    with scratch.admin("jeex_idea") as admin:
        for statement in (
            (
                "INSERT INTO users (email, name) SELECT 'p' || g || '@example.com', 'P'"
                f" FROM generate_series(1, {OWNERS}) g"
            ),
            (
                "INSERT INTO projects (created_by, name) SELECT id, 'a project of ' || email FROM"
                f" users, generate_series(1, {PROJECTS // OWNERS})"
            ),
        ):
            admin.execute(statement.encode())
        admin.execute("ANALYZE")
        found = admin.execute("SELECT id::text, created_by::text FROM projects ORDER BY random()")
        return found.fetchmany(5000)


def widen(scratch: Scratch) -> None:
    """Give the service as many connections as APP-1 says."""
    told = json.loads(scratch.connection.read_text())
    told["pool"] |= {"size": SIZE, "max_overflow": 0}
    scratch.connection.write_text(json.dumps(told))


@contextmanager
def bare(scratch: Scratch) -> Iterator[tuple[int, int]]:
    """Run the floor; give its process and port."""
    port = free_port()
    script = Path(__file__).with_name("bare_service.py")
    with (scratch.folder / "floor.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), str(scratch.connection), str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            until(lambda: _answers(client), "the floor answers")
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/no-such-path").status_code == 404
    except httpx.TransportError:
        return False


def requests(path: str, keys: list[tuple[str, str]]) -> list[bytes]:
    """Return requests as they go over the wire."""
    return [
        (
            f"GET {path}/{project} HTTP/1.1\r\nHost: localhost\r\nX-User-ID: {owner}\r\n"
            "Accept: application/json\r\n\r\n"
        ).encode()
        for project, owner in keys
    ]


async def compare(
    sides: list[Side], keys: list[tuple[str, str]], given: argparse.Namespace
) -> None:
    """Let the sides take turns, in the other order each time."""
    wire = {side.path: requests(side.path, keys) for side in sides}
    for number in range(given.rounds + 1):
        for side in sides if number % 2 else sides[::-1]:
            seen, before = Seen(), side.spent()
            await call(
                side.port,
                wire[side.path],
                seen,
                connections=given.connections,
                seconds=given.seconds,
            )
            if seen.wrong:
                raise SystemExit(f"{side.name}: {seen.wrong} of {seen.answers} answers not 200")
            if number:  # the first round connects and warms up
                side.rounds.append(seen)
                side.cpu.append((side.spent() - before) / seen.answers)


def tell(sides: list[Side]) -> None:
    """Print a table; ratios are against the first side."""
    floor = sides[0]
    for side in sides:
        median, p95 = side.latencies
        print(
            f"  {side.name:34} {side.rate:6.0f} /s  x {side.rate / floor.rate:4.2f}"
            f"   median {median * 1e3:5.1f} ms, p95 {p95 * 1e3:5.1f} ms"
            f"   server's own work {side.work * 1e6:5.0f} us  x {floor.work / side.work:4.2f}"
        )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round and side")
    parser.add_argument("--connections", type=int, default=8, help="of the client")
    parser.add_argument("--direct", action="store_true", help="without PgBouncer")
    given = parser.parse_args()
    with migrated(JEEX_IDEA) as scratch:
        keys = fill(scratch)
        if not given.direct:
            scratch.start_pooler(pool_size=SIZE)
        widen(scratch)
        with bare(scratch) as (process, port), serving(scratch) as ours:
            sides = [
                Side("bare, user set by a statement", "/projects", process, port),
                Side("bare, user set in BEGIN", "/in-begin", process, port),
                Side("bare, SQLAlchemy for asyncpg", "/sqlalchemy", process, port),
                Side("jeex_idea", "/projects", ours.process.pid, ours.port),
            ]
            asyncio.run(compare(sides, keys, given))
            tell(sides)


if __name__ == "__main__":
    main()
