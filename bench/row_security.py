"""What row-level security costs (TEN-5): the same work on two tables, one with the policies.

    python bench/row_security.py [--transactions 400] [--statements 2000]

Whole transactions of a tenant through PgBouncer and `pgstead.app`, by turns, in pairs: a point
read, a page read, an insert. The table without policies has the tenant in its WHERE clause, so
both find the same rows by the same index. Then bare statements inside of the server, planned each
time (EXPLAIN ANALYZE: planning + execution), where there is nothing else to hide the cost in.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg
from sqlalchemy import (
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    bindparam,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from pgstead.app import policies
from pgstead.app.engine import Database
from pgstead.app.target import Driver
from pgstead.app.tenancy import RowSecurity, declared
from tests.live.app.ways import settings_to
from tests.live.scratch import Scratch, running_server

TENANTS, ROWS = 100, 200_000
TENANT = "t7"
DIALECT: Any = postgresql.dialect()
ROLES = {role: f"jeex_idea_{role}" for role in ("app", "readonly", "admin", "migrator")}


def table(name: str, *more: Any) -> Table:
    """Declare one of the two tables."""
    made = Table(
        name,
        MetaData(),
        Column("id", Uuid(), primary_key=True),
        Column("tenant_id", String(100), nullable=False),
        Column("n", Integer, nullable=False),
        Column("body", Text, nullable=False),
        *more,
    )
    Index(f"{name}_tenant_n", made.c.tenant_id, made.c.n.desc())
    return made


GUARDED = table("guarded", RowSecurity.by_tenant())
OPEN = table("unguarded")


def fill(scratch: Scratch) -> list[uuid.UUID]:
    """Make both tables with the same rows; return keys of the tenant's."""
    with scratch.admin("jeex_idea") as admin:
        for made in (GUARDED, OPEN):
            admin.execute(str(CreateTable(made).compile(dialect=DIALECT)).encode())
            for index in made.indexes:
                admin.execute(str(CreateIndex(index).compile(dialect=DIALECT)).encode())
            admin.execute(f"GRANT ALL ON {made.name} TO PUBLIC".encode())
        admin.execute(
            f"INSERT INTO guarded SELECT uuidv7(), 't' || g % {TENANTS}, g, repeat('x', 100)"
            f" FROM generate_series(1, {ROWS}) g".encode()
        )
        admin.execute("INSERT INTO unguarded SELECT * FROM guarded")
        security = declared(GUARDED)
        assert security is not None
        admin.execute(policies.switch("guarded", None, enabled=True, forced=True).encode())
        for policy in security.policies(GUARDED):
            admin.execute(policies.create(policy.called(ROLES)).encode())
        admin.execute("VACUUM ANALYZE")
        found = admin.execute(
            "SELECT id FROM guarded WHERE tenant_id = %s ORDER BY n LIMIT 1000", [TENANT]
        )
        return [row[0] for row in found]


@dataclass
class Pair:
    """The same work with policies and without, in microseconds."""

    name: str
    guarded: list[float] = field(default_factory=list[float])
    unguarded: list[float] = field(default_factory=list[float])

    def tell(self) -> None:
        """Print what the policies cost."""
        with_, without = statistics.median(self.guarded), statistics.median(self.unguarded)
        p95 = [sorted(each)[len(each) * 95 // 100] for each in (self.guarded, self.unguarded)]
        differences = [a - b for a, b in zip(self.guarded, self.unguarded, strict=True)]
        print(
            f"  {self.name:12} with {with_:7.1f} us, without {without:7.1f} us"
            f"  {100 * (with_ / without - 1):+5.1f} %"
            f"  p95 {p95[0]:7.1f} and {p95[1]:7.1f} us"
            f"  median of the pairs' differences {statistics.median(differences):+6.1f} us"
        )


def works(keys: list[uuid.UUID]) -> dict[str, tuple[Any, Any, Callable[[int], dict[str, Any]]]]:
    """Return each work: the statements of both tables, and the values of a turn."""
    key, point = bindparam("key", type_=Uuid()), [select(made) for made in (GUARDED, OPEN)]
    mine = OPEN.c.tenant_id == bindparam("tenant", TENANT)
    page = [
        made.order_by(t.c.n.desc()).limit(20)
        for made, t in zip(point, (GUARDED, OPEN), strict=True)
    ]

    def new(number: int) -> dict[str, Any]:
        return {"id": uuid.uuid4(), "tenant_id": TENANT, "n": number, "body": "y" * 100}

    return {
        "point read": (
            point[0].where(GUARDED.c.id == key),
            point[1].where(OPEN.c.id == key, mine),
            lambda number: {"key": keys[number % len(keys)]},
        ),
        "page read": (page[0], page[1].where(mine), lambda _number: {}),
        "insert": (insert(GUARDED), insert(OPEN), new),
    }


async def transactions(scratch: Scratch, driver: Driver, keys: list[uuid.UUID], many: int) -> None:
    """Measure whole transactions; the two take turns, and who begins changes."""
    database = Database(settings_to(scratch, driver))

    async def once(statement: Any, values: dict[str, Any]) -> float:
        began = time.perf_counter()
        async with database.session(tenant=TENANT) as session:
            await session.execute(statement, values)
        return (time.perf_counter() - began) * 1e6

    try:
        for name, (guarded, unguarded, values) in works(keys).items():
            pair = Pair(name)
            sides = [(guarded, pair.guarded), (unguarded, pair.unguarded)]
            for number in range(-10, many):
                for statement, taken in sides if number % 2 else sides[::-1]:
                    elapsed = await once(statement, values(number))
                    if number >= 0:  # the first ones connect and warm up
                        taken.append(elapsed)
            pair.tell()
    finally:
        await database.close()


STATEMENTS = {
    "point read": "SELECT * FROM {table} WHERE id = '{key}'{mine}",
    "page read": "SELECT * FROM {table} WHERE true{mine} ORDER BY n DESC LIMIT 20",
    "insert": "INSERT INTO {table} VALUES (uuidv7(), 't7', 1, repeat('y', 100))",
}


def statements(scratch: Scratch, keys: list[uuid.UUID], many: int) -> None:
    """Measure bare statements inside of the server, as the application's role."""
    with scratch.connect() as app:
        app.execute("SELECT set_config('app.current_tenant_id', %s, true)", [TENANT])
        for name, text in STATEMENTS.items():
            pair = Pair(name)
            sides = [
                ("guarded", "", pair.guarded),
                ("unguarded", " AND tenant_id = 't7'", pair.unguarded),
            ]
            for number in range(-10, many):
                for made, mine, taken in sides if number % 2 else sides[::-1]:
                    query = text.format(table=made, mine=mine, key=keys[number % len(keys)])
                    elapsed = inside(app, query)
                    if number >= 0:
                        taken.append(elapsed)
            pair.tell()


def inside(app: psycopg.Connection[Any], query: str) -> float:
    """Return the microseconds that the server took to plan and execute a statement."""
    row = app.execute(f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {query}".encode()).fetchone()
    assert row is not None
    return (row[0][0]["Planning Time"] + row[0][0]["Execution Time"]) * 1000


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=400)
    parser.add_argument("--statements", type=int, default=2000)
    given = parser.parse_args()
    with running_server() as scratch:
        keys = fill(scratch)
        scratch.start_pooler()
        for driver in Driver:
            print(f"\nwhole transactions through PgBouncer, {driver}: aim 5 % at most")
            asyncio.run(transactions(scratch, driver, keys, given.transactions))
        print("\nbare statements inside of the server, planning + execution")
        statements(scratch, keys, given.statements)


if __name__ == "__main__":
    main()
