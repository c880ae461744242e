"""What auditing costs: a table with a change history beside one without, and logged statements.

    python bench/audit.py [--pairs 400] [--rows 20000]

Everything is done by turns, in pairs, on one server: who goes first changes. The floor of each
ratio is the same work without, in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgstead.workflows import audit
from tests.fix_stead import LiveStead, stead_in

AUDITED = """
[audit]
enabled = true
interval = "300s"
"""
HISTORY = """
[databases.history]
tables = ["kept_*", "valued_*"]
"""
TABLES = ("plain_rows", "kept_rows")
WIDE = ", ".join(f"c{n} text NOT NULL DEFAULT repeat('x', 20)" for n in range(12))
Work = Callable[[Any, str, int], None]


def made(stead: LiveStead) -> None:
    """Make both tables, and have `up` give one of them its triggers."""
    with stead.superuser("jeex_idea") as admin:
        for table in TABLES:
            admin.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, {WIDE})".encode())
            admin.execute(f"ALTER TABLE {table} OWNER TO jeex_owner".encode())
    stead.run("up")


def inserts(session: Any, table: str, number: int) -> None:
    session.execute(f"INSERT INTO {table} (id) VALUES ({number})")


def updates(session: Any, table: str, number: int) -> None:
    session.execute(f"UPDATE {table} SET c3 = 'y{number}' WHERE id = {number}")


def deletes(session: Any, table: str, number: int) -> None:
    session.execute(f"DELETE FROM {table} WHERE id = {number}")


def tell(name: str, with_: list[float], without: list[float]) -> None:
    """Print the ratio of the medians, and of the 95th percentiles."""
    middle = statistics.median(with_), statistics.median(without)
    late = [sorted(each)[len(each) * 95 // 100] for each in (with_, without)]
    print(
        f"  {name:28} with {middle[0]:8.0f} us, without {middle[1]:8.0f} us:"
        f" x {middle[0] / middle[1]:.2f}  (p95 x {late[0] / late[1]:.2f})"
    )


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e6


def single_rows(stead: LiveStead, pairs: int) -> None:
    """Transactions of one row, each committed."""
    print(f"one row a transaction, {pairs} pairs, synchronous_commit as it is:")
    with stead.superuser("jeex_idea") as session:
        session.execute("SET log_statement = 'none'")
        for work in (inserts, updates, deletes):
            taken: dict[str, list[float]] = {table: [] for table in TABLES}
            for number in range(pairs):
                for table in TABLES if number % 2 else TABLES[::-1]:
                    taken[table].append(timed(lambda w=work, t=table, n=number: w(session, t, n)))
            tell(work.__name__, taken["kept_rows"], taken["plain_rows"])


def many_rows(stead: LiveStead, rows: int) -> None:
    """One statement with many rows: nothing else to hide the cost in."""
    print(f"{rows} rows a statement, 5 pairs:")
    steps = {
        "insert": f"INSERT INTO {{}} (id) SELECT g FROM generate_series(1, {rows}) g",
        "update": "UPDATE {} SET c3 = 'z' || id",
        "delete": "DELETE FROM {}",
    }
    taken: dict[tuple[str, str], list[float]] = {}
    with stead.superuser("jeex_idea") as session:
        session.execute("SET log_statement = 'none'")
        for number in range(5):
            for table in TABLES if number % 2 else TABLES[::-1]:
                for step, text in steps.items():
                    statement = text.format(table).encode()
                    found = timed(lambda s=statement: session.execute(s))
                    taken.setdefault((step, table), []).append(found)
    for step in steps:
        tell(step, taken[step, "kept_rows"], taken[step, "plain_rows"])


def logged(stead: LiveStead, pairs: int) -> None:
    """Point reads with the statement log, and without."""
    print(f"a point read, {pairs} pairs:")
    log = stead.state / "server" / "log"

    def size() -> int:
        return sum(path.stat().st_size for path in log.glob("postgresql-*"))

    with stead.superuser("jeex_idea") as kept, stead.superuser("jeex_idea") as plain:
        kept.execute("SET log_statement = 'all'")
        plain.execute("SET log_statement = 'none'")
        taken: dict[bool, list[float]] = {True: [], False: []}
        before = size()
        for number in range(pairs):
            for all_ in (True, False) if number % 2 else (False, True):
                session = kept if all_ else plain
                text = b"SELECT c1, c2, c3 FROM plain_rows WHERE id = 7"
                taken[all_].append(timed(lambda s=session, t=text: s.execute(t).fetchall()))
    tell("read", taken[True], taken[False])
    time.sleep(1)
    print(f"  {(size() - before) / pairs:.0f} bytes of log for each statement, both formats")


def collected(stead: LiveStead) -> None:
    """How much of a processor the collection takes."""
    plan, ports = stead.wired.design.audit, stead.wired.ports.audit
    assert plan is not None
    assert ports is not None
    time.sleep(2)
    began = time.process_time()
    count = audit.collect(plan, ports)
    spent = time.process_time() - began
    if count:
        print(f"collecting: {count} events, {spent / count * 1e6:.0f} us of a processor each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--rows", type=int, default=20_000)
    told = parser.parse_args()
    with stead_in(extra=HISTORY + AUDITED) as stead:
        stead.run("up")
        made(stead)
        single_rows(stead, told.pairs)
        many_rows(stead, told.rows)
        logged(stead, told.pairs)
        collected(stead)


if __name__ == "__main__":
    main()
