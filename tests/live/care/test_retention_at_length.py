"""Retention at length: millions of rows, exactly those that are due, in short transactions."""

from __future__ import annotations

import os
import threading

import pytest

from pgstead.model.retention import Rule
from pgstead.workflows import retention
from tests.fix_stead import stead_in

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]
ROWS = int(os.environ.get("PGSTEAD_SOAK_ROWS", "10000000"))
MAKE = """
    CREATE TABLE care_old (id bigint PRIMARY KEY, at timestamptz NOT NULL, word text);
    INSERT INTO care_old SELECT n, now() - make_interval(mins => {age}), 'w'
    FROM generate_series(1, {rows}) AS n;
    CREATE INDEX care_old_at ON care_old (at);
    ANALYZE care_old;
"""
AGE = """
    SELECT extract(epoch FROM clock_timestamp() - min(xact_start))::float8 AS age
    FROM pg_stat_activity WHERE application_name = 'pgstead retention'
"""


SPREAD = "(n % 1000)::int"
AT_ONCE = "CASE WHEN n % 5 < 2 THEN 900 ELSE 5 END"  # all that is due was written by one COPY


@pytest.mark.parametrize(
    ("age", "indexed"), [(SPREAD, True), (SPREAD, False), (AT_ONCE, True)],
    ids=["by age", "by key", "of one moment"],
)  # fmt: skip
def test_exactly_what_is_due_of_millions_goes_and_no_transaction_is_long(
    age: str, indexed: bool
) -> None:
    ages: list[float] = []
    over = threading.Event()
    with stead_in() as stead:
        stead.run("up")
        with stead.connect("jeex_migrator", direct=True) as owner:
            owner.execute(MAKE.format(rows=ROWS, age=age))
            if not indexed:
                owner.execute("DROP INDEX care_old_at")

        def watch() -> None:
            with stead.superuser() as connection:
                while not over.wait(0.02):
                    row = connection.execute(AGE).fetchone()
                    ages.append(row["age"] or 0.0)

        wired = stead.wired
        rules = {"jeex_idea": (Rule("public.care_old", "at", 600 * 60.0),)}
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            (done,) = retention.run(wired.design, wired.ports, rules, "command")
        finally:
            over.set()
            watcher.join()
        with stead.superuser("jeex_idea") as connection:
            left = connection.execute(
                "SELECT count(*) AS n, count(*) FILTER (WHERE at < %s) AS due FROM care_old",
                [done.before],
            ).fetchone()
        told = f"{done.rows} rows in {done.batches} batches, {done.longest:.3f} s the longest"
        print(f"\n{told}; of {len(ages)} looks {max(ages):.3f} s the oldest transaction")
        assert (left["due"], done.left) == (0, 0)
        assert left["n"] + done.rows == ROWS
        assert max(ages) < 1.0
