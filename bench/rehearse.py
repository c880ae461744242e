"""A rehearsal's prediction against what happens then: a table that is rewritten (issue 4, MIG-9).

    python bench/rehearse.py [--megabytes 1024] [--major 18] [--rounds 1]

The lock that is predicted on the copy, and the one that `migrate up` holds afterwards on the
original, are taken by the same watch. The ratio is to be within 0.7 and 1.3, the rehearsal below
five minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgstead.cli.rehearsing import PROGRAM
from pgstead.observe.lock_watch import LockWatch
from tests.live.migrate.shop import Shop, shop

WIDTH = 200  # characters of text in a row
BYTES = 270  # that such a row takes in its table
LIMITS = 0.7, 1.3
BUDGET = 300.0


def main() -> int:
    """Print prediction, truth and their ratio; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--major", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    good = True
    with shop(given.major) as made:
        made.fill(given.megabytes * 1024**2 // BYTES, WIDTH)
        for at in range(given.rounds):
            there, back = ("integer", "bigint") if at % 2 else ("bigint", "integer")
            down = (f"ALTER TABLE item ALTER COLUMN size TYPE {back}",)
            made.sql(f"ab{at:02}", f"ALTER TABLE item ALTER COLUMN size TYPE {there}", down=down)
            good = _round(made) and good
    return 0 if good else 1


def _settle() -> None:
    """Let the disk take what was written so far: neither run is to wait for the other's pages."""
    os.sync()
    time.sleep(2)


def _round(made: Shop) -> bool:
    with made.stead.superuser("shop") as session:
        row = session.execute("SELECT pg_table_size('item') AS n").fetchone()
    _settle()
    began = time.monotonic()
    told = made.rehearse("--longest-lock", "3600")
    took = time.monotonic() - began
    (statement,) = told["passes"][0]["statements"]
    predicted = _longest(statement["locks"]) * told["growth"].get("item", 1.0)
    _settle()
    real = _really(made)
    ratio = predicted / real
    print(f"table {row['n'] / 1024**2:.0f} MB, copied in {told['copy_seconds']:.1f} s", end="; ")
    print(f"WAL {statement['wal'] / 1024**2:.0f} MB, disk +{statement['disk'] / 1024**2:.0f} MB")
    waits = {waited["what"]: waited["longest"] for waited in told["passes"][0]["waits"]}
    print(f"longest waits beside it: {waits}")
    print(f"rehearsal {took:.1f} s (limit {BUDGET:.0f} s)")
    print(f"ACCESS EXCLUSIVE predicted {predicted:.2f} s, really {real:.2f} s, ratio {ratio:.2f}")
    return LIMITS[0] <= ratio <= LIMITS[1] and took <= BUDGET


def _really(made: Shop) -> float:
    """Migrate the original, and return how long its table was locked."""
    with made.stead.superuser("shop") as session:
        session.execute("SET statement_timeout = 0")
        with LockWatch(session, PROGRAM, made.stead.major) as watch:
            made.stead.run("migrate", "up", "shop", timeout=900)
    return max(lock.seconds for lock in watch.held if lock.table == "item" and lock.stops_readers)


def _longest(locks: list[dict[str, object]]) -> float:
    return max(
        float(str(lock["seconds"]))
        for lock in locks
        if lock["table"] == "item" and lock["mode"] == "ACCESS EXCLUSIVE"
    )


if __name__ == "__main__":
    sys.exit(main())
