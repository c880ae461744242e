"""What a window of upkeep does to a churned database, and to who works beside it (issue 8).

    python bench/upkeep.py [--gigabytes 0.2] [--clients 8] [--seconds 30] [--rounds 3]

Tables are filled, churned and left without autovacuum; one index is planted that is not valid.
Clients read and write one row at a time through PgBouncer, at an open rate: p95 without upkeep is
the floor, p95 beside the window is shown against it. Bloat, freeze age and statistics are shown
before and after. With `--gigabytes 5` this is point 5 of issue 8: it takes about three times as
much disk, and a quarter of an hour.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg

from pgstead.model.upkeep import Outcome, UpkeepWork
from pgstead.workflows import upkeep
from tests.fix_stead import LiveStead, stead_in

ROW = 160  # bytes on disk, about
TABLES = 4
BATCH = 200_000
_BEGAN = time.monotonic()
_KEEP = 3  # of so many rows one is kept


def main() -> None:
    """Print a table."""
    given = arguments()
    with stead_in() as stead:
        stead.run("up")
        size = churn(stead, int(given.gigabytes * 1024**3 / ROW / TABLES))
        before = bounds(stead)
        floor = [load(stead, given, given.seconds) for _ in range(given.rounds)]
        told("the load without upkeep is measured")
        beside, report, took = together(stead, given)
        show(size, before, bounds(stead), report, took)
    usual = statistics.median(floor)
    spread = f"from {min(floor):.2f} to {max(floor):.2f}"
    print(f"p95 without upkeep, median of {given.rounds} rounds {usual:8.2f} ms  ({spread})")
    print(f"p95 beside it                           {beside:8.2f} ms{beside / usual:8.2f} x")


def told(text: str) -> None:
    """Say how far it is, and after how many seconds."""
    print(f"{time.monotonic() - _BEGAN:7.0f} s  {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=80.0, help="transactions a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each round without upkeep")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=3600.0)
    return parser.parse_args()


def together(stead: LiveStead, given: argparse.Namespace) -> tuple[float, upkeep.Report, float]:
    """Keep up beside the load; return its p95, what was done, and the seconds that took."""
    ended = threading.Event()
    done: list[tuple[upkeep.Report, float]] = []

    def kept() -> None:
        began = time.monotonic()
        try:
            done.append((run(stead, given.window), time.monotonic() - began))
        finally:
            ended.set()

    thread = threading.Thread(target=kept)
    thread.start()
    beside = load(stead, given, given.window, ended)
    thread.join()
    report, took = done[0]
    return beside, report, took


def run(stead: LiveStead, window: float) -> upkeep.Report:
    """Keep up as the agent does."""
    design = stead.wired.design
    assert design.upkeep is not None
    plan = replace(design.upkeep, window=window)
    return upkeep.run(replace(design, upkeep=plan), stead.wired.ports, "bench", seconds=window)


def churn(stead: LiveStead, rows: int) -> float:
    """Fill tables, delete most and change the rest; return the bytes of it all."""
    with stead.superuser("jeex_idea") as session:
        session.execute("SET statement_timeout = 0")
        session.execute("SET synchronous_commit = off")
        session.execute("SET maintenance_work_mem = '512MB'")
        session.execute("SET ROLE jeex_owner")
        for number in range(TABLES):
            name = f"churned_{number}"
            session.execute(
                f"CREATE TABLE {name} (id bigint, name text, body text, n int)"
                " WITH (autovacuum_enabled = false)".encode()
            )
            for first in range(0, rows, BATCH):
                last = min(first + BATCH, rows) - 1
                session.execute(
                    f"INSERT INTO {name} SELECT g, md5(g::text), repeat('x', 60), 0"
                    f" FROM generate_series({first}, {last}) AS g".encode()
                )
            # of what lies there already: one by one they would take most of the time
            session.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)".encode())
            session.execute(f"CREATE INDEX ON {name} (name)".encode())
            session.execute(f"GRANT SELECT, UPDATE ON {name} TO jeex_user".encode())
            session.execute(f"ANALYZE {name}".encode())
            session.execute(f"DELETE FROM {name} WHERE id % {_KEEP} <> 0".encode())
            session.execute(f"UPDATE {name} SET name = md5(name) WHERE id % 2 = 0".encode())
            told(f"{name} is filled and churned")
        session.execute("CREATE TABLE doubles AS SELECT n FROM generate_series(1, 2) AS n")
        session.execute("INSERT INTO doubles VALUES (1)")
        try:
            session.execute("CREATE UNIQUE INDEX CONCURRENTLY doubles_n ON doubles (n)")
        except psycopg.errors.UniqueViolation:
            session.execute("DELETE FROM doubles WHERE ctid = '(0,1)'")
        session.execute("SELECT pg_stat_force_next_flush()")
        row = session.execute("SELECT pg_database_size('jeex_idea')::float8 AS size").fetchone()
        return float(row["size"])


def bounds(stead: LiveStead) -> dict[str, float]:
    """Return what is due, and the figures that it is due by."""
    work: UpkeepWork = upkeep.look(stead.wired.design, stead.wired.ports)
    with stead.superuser("jeex_idea") as session:
        figures: Any = session.execute(
            "SELECT (SELECT sum(n_dead_tup) FROM pg_stat_user_tables)::float8 AS dead,"
            " (SELECT max(age(relfrozenxid)) FROM pg_class WHERE relkind = 'r')::float8 AS age,"
            " (SELECT count(*) FROM pg_index WHERE NOT indisvalid)::float8 AS invalid,"
            " (SELECT sum(pg_relation_size(indexrelid)) FROM pg_index)::float8 AS indexes"
        ).fetchone()
    return {**figures, "chores due": float(len(work.chores))}


def load(
    stead: LiveStead, given: argparse.Namespace, seconds: float,
    until: threading.Event | None = None,
) -> float:  # fmt: skip
    """Read and change a row at a time, each at its moment; return p95 in milliseconds."""
    took: list[float] = []
    end = time.monotonic() + seconds
    each = given.clients / given.rate

    def client(number: int) -> None:
        chance = random.Random(number)
        with stead.connect() as session:
            due = time.monotonic() + chance.random() * each
            while due < end and not (until is not None and until.is_set()):
                time.sleep(max(0.0, due - time.monotonic()))
                name, key = f"churned_{chance.randrange(TABLES)}", chance.randrange(10_000) * 3
                session.execute(f"SELECT name FROM {name} WHERE id = {key}".encode())
                if chance.random() < 0.3:
                    session.execute(f"UPDATE {name} SET n = n + 1 WHERE id = {key}".encode())
                took.append(time.monotonic() - due)  # from when it was due: an open load
                due += each

    threads = [threading.Thread(target=client, args=(n,)) for n in range(given.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1000 * statistics.quantiles(took, n=20)[-1] if len(took) > 20 else float("nan")


def show(
    size: float, before: dict[str, float], after: dict[str, float], report: upkeep.Report,
    took: float,
) -> None:  # fmt: skip
    """Print what was there, what was done, and what is there now."""
    print(f"{size / 1024**2:.0f} MB, upkeep took {took:.1f} s and is {report.outcome}")
    done = [c for c in report.chores if c.outcome is Outcome.DONE]
    print(f"{len(report.chores)} chores, {len(done)} of them done")
    for chore in report.chores:
        if chore.outcome is not Outcome.DONE:
            print(f"  {chore.outcome}: {chore.work} {chore.name}: {chore.error}")
    for name, value in before.items():
        print(f"{name:<12}{value:>16.0f} -> {after[name]:>16.0f}")


if __name__ == "__main__":
    main()
