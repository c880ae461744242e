"""What auditing costs, each part against the same work without it, in the same run.

    python bench/audit.py [--pairs 400] [--rows 20000] [--days 200] [--a-day 5000]

- An application's transactions through the pooler: two steads side by side, one audited as
  production is (every statement logged, every table with a history, the agent collecting), one
  not.
- On the audited one: a table with a change history beside one without; a session whose statements
  are logged beside one whose are not; the processor that collecting takes.
- A trail of many days: following its chain and asking it, against reading its bytes alone.

What is compared is done by turns, in pairs, and who goes first changes: what else the machine does
falls on both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgstead.host.audit_logs import RotatedLog
from pgstead.host.audit_trail import TrailFiles
from pgstead.host.journal import JsonJournal
from pgstead.model.audit import AuditPlan, Event, Head, Kind, Place, Record
from pgstead.ports.audit import AuditPorts
from pgstead.workflows import audit
from pgstead.workflows.audit_query import Question, ask
from tests.fix_stead import LiveStead, stead_in

AUDITED = """
[audit]
enabled = true
interval = "300s"
"""
AS_IN_PRODUCTION = """
[audit]
enabled = true
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


def of_an_application(session: Any, number: int) -> None:
    """One request: whose it is, a read, a write."""
    person = uuid.uuid4()
    session.execute(
        "BEGIN;SELECT set_config('app.current_user_id', "
        f"'{person}', true), set_config('app.correlation_id', 'bench-{number}', true)"
    )
    session.execute(f"SELECT id, name FROM users WHERE id = '{person}'").fetchall()
    session.execute(
        f"INSERT INTO users (id, email, name) VALUES ('{person}', '{person}@example.com', 'B')"
    )
    session.execute("COMMIT")


def transactions(audited: LiveStead, plain: LiveStead, pairs: int) -> None:
    """Whole transactions of the application's role, as production audits them."""
    print(f"a transaction of an application through the pooler (a read, a write), {pairs} pairs:")
    taken: dict[bool, list[float]] = {True: [], False: []}
    with audited.connect() as kept, plain.connect() as other:
        for number in range(-20, pairs):
            for which in (True, False) if number % 2 else (False, True):
                session = kept if which else other
                spent = timed(lambda s=session, n=number: of_an_application(s, n))
                if number >= 0:  # the first ones warm both up
                    taken[which].append(spent)
    tell("transaction", taken[True], taken[False])


def event(at: datetime, number: int) -> dict[str, Any]:
    """Return what the trail has of a read, about as long as they are."""
    return Event(
        at=at.isoformat(timespec="milliseconds"), kind=Kind.READ, role="jeex_user",
        database="jeex_idea", application="api", client="127.0.0.1:40000",
        tenant="7d1f6e0a-5f0c-4c57-9a3e-0a6f5a3f1c11", correlation_id=f"request-{number}",
        session="6920f1a2.4c1d", transaction=f"5/{number}", objects=("projects",),
        what="SELECT projects.id, projects.name, projects.status FROM projects WHERE id = $1",
        source=Place("postgresql-Sun.json", number),
    ).told()  # fmt: skip


def planted(folder: Path, days: int, a_day: int) -> AuditPorts:
    """Write a trail as so many days would have left it."""
    head, now = Head(), datetime.now(UTC)
    (folder / "audit").mkdir(parents=True)
    for back in range(days, 0, -1):
        begun = (now - timedelta(days=back)).replace(hour=0, minute=0, second=0, microsecond=0)
        opened = {"at": begun.isoformat(), "kind": "opened", "previous": head.hash}
        lines: list[str] = []
        for number in range(a_day + 1):
            at = begun + timedelta(seconds=number * 86_000 / a_day)
            record = Record.after(head, event(at, back * a_day + number) if number else opened)
            head = Head(record.seq, record.hash)
            lines.append(f"{record.line()}\n")
        (folder / "audit" / f"trail-{begun.date()}.jsonl").write_text("".join(lines))
    (folder / "audit" / "head.json").write_text(json.dumps({"seq": head.seq, "hash": head.hash}))
    journal = JsonJournal(PurePosixPath(folder / "journal.jsonl"))
    log = RotatedLog(folder / "log", "*.json")
    return AuditPorts(TrailFiles(folder / "audit", journal), log, None, log)


def at_length(days: int, a_day: int) -> None:
    """Verify and ask a long trail; the floor is reading it."""
    with tempfile.TemporaryDirectory(prefix="pgst-trail-") as folder:
        ports = planted(Path(folder), days, a_day)
        now, nobody = datetime.now(UTC), AuditPlan("", 5, 0, (), (), "", "", "")
        files = sorted((Path(folder) / "audit").glob("trail-*"))
        size = sum(path.stat().st_size for path in files)
        print(f"a trail of {days} days with {a_day} events each, {size / 2**20:.0f} MiB:")

        def asked(since: int, until: int = 0, **told: Any) -> Callable[[], int]:
            span = now - timedelta(days=since), now - timedelta(days=until)
            return lambda: len(list(ask(Question(*span, **told), nobody, ports, None)))

        works: dict[str, Callable[[], int]] = {
            "reading its bytes": lambda: sum(len(path.read_bytes()) for path in files),
            "verify": lambda: audit.verify(ports).records,
            "query: one request of all": asked(days + 1, correlation_id=f"request-{a_day + 1}"),
            "query: one day, long ago": asked(days // 2, days // 2 - 1),
            "query: the last day": asked(1),
        }
        for name, work in works.items():
            began = time.process_time()
            count = work()
            print(f"  {name:28} {time.process_time() - began:8.3f} s of a processor -> {count}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--a-day", type=int, default=5000)
    told = parser.parse_args()
    at_length(told.days, told.a_day)
    with stead_in(extra=AS_IN_PRODUCTION) as audited, stead_in() as plain:
        audited.run("up")
        plain.run("up")
        for stead in (audited, plain):
            stead.wait_for_pooler()
        transactions(audited, plain, told.pairs)
    with stead_in(extra=HISTORY + AUDITED) as stead:
        stead.run("up")
        made(stead)
        single_rows(stead, told.pairs)
        many_rows(stead, told.rows)
        logged(stead, told.pairs)
        collected(stead)


if __name__ == "__main__":
    main()
