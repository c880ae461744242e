"""What a database per test costs, against the bare CREATE DATABASE of the same run.

    bench/testing.py [ROUNDS]

The floor is what nobody can avoid who wants a database of his own: copy the template, connect
once, drop the copy, all by the superuser's socket. Ours makes it as `up` would have, comes as the
application (TLS, SCRAM, pooler), looks who else came, and drops it. Rounds alternate.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from psycopg import sql

from pgstead.host.sql import SocketSql
from pgstead.testing.fresh import TestStead, held
from pgstead.testing.lease import Worker
from pgstead.testing.place import Request
from pgstead.testing.template import TEMPLATE, Superuser
from tests.fix_stead import short_directory, write_manifest

_THERE = "SELECT FROM pg_stat_activity WHERE datname = %s"

Times = dict[str, list[float]]


def clocked(times: Times, name: str, work: Callable[[], object]) -> None:
    """Note how long something takes, in seconds."""
    began = time.perf_counter()
    work()
    times.setdefault(name, []).append(time.perf_counter() - began)


def floor(superuser: Superuser, stead: TestStead, name: str, strategy: str) -> None:
    """Copy, connect, drop; nothing else."""
    made = {
        "name": sql.Identifier(name),
        "template": sql.Identifier(TEMPLATE),
        "strategy": sql.Literal(strategy),
    }
    create = sql.SQL("CREATE DATABASE {name} TEMPLATE {template} STRATEGY {strategy}")
    superuser.execute(create.format(**made))
    with socket_of(stead).connect(name) as connection:
        connection.execute("SELECT 1")
    # DROP looks ten times a second whether somebody is still there: the backend of a moment ago.
    while superuser.execute(_THERE, [name]).fetchone():
        pass
    superuser.execute(sql.SQL("DROP DATABASE {name}").format(**made))


def socket_of(stead: TestStead) -> SocketSql:
    """Return the superuser's way in."""
    return SocketSql(PurePosixPath(stead.answer.socket), stead.answer.port)


def ours(stead: TestStead) -> None:
    """Do what a test with `pgstead_database` does."""
    with stead.fresh() as database:
        database.connect().execute("SELECT 1")
        stead.objection()


def parts(stead: TestStead, times: Times) -> None:
    """Time the parts of it one by one."""
    fresh = stead.fresh()
    clocked(times, "  make it", fresh.__enter__)
    clocked(times, "  look who came", stead.objection)
    clocked(times, "  drop it", lambda: fresh.__exit__(None, None, None))
    with stead.fresh() as database:
        clocked(times, "  connect directly", lambda: database.connect(direct=True))
        clocked(times, "  connect through the pooler", lambda: database.connect().execute("SELECT"))


def main() -> None:
    """Print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    directory = short_directory()
    times: Times = {}
    try:
        project = write_manifest(directory)
        project.link_toolchain()
        request = Request(str(project.manifest), str(directory), "", 1)
        began = time.perf_counter()
        with held(request, Worker()) as stead, socket_of(stead).connect() as superuser:
            print(f"the stead of jeex_idea, migrated: {time.perf_counter() - began:.1f} s")
            for number in range(rounds):
                for way in ("FILE_COPY", "WAL_LOG"):
                    name = f"{way.lower()}_{number}"
                    clocked(times, f"floor, {way}", partial(floor, superuser, stead, name, way))
                clocked(times, "a database per test", lambda: ours(stead))
                parts(stead, times)
            began = time.perf_counter()
        print(f"all of it removed: {time.perf_counter() - began:.1f} s")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    least = statistics.median(times["floor, FILE_COPY"])
    print(f"milliseconds, median of {rounds} rounds; ratio to the first")
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"{name:<30} {middle * 1000:8.1f} {middle / least:6.2f}")


if __name__ == "__main__":
    main()
