"""How long nobody is served during a major upgrade, and how well a rehearsal tells it (issue 7).

    python bench/upgrade.py [--from 15 16 17] [--rounds 1] [--mode copy] [--rows 100000]

A stead with the data of the three systems and a table of some rows is rehearsed and upgraded to 18.
Shown is each part of the downtime, rehearsed and real, and how far the prediction was off. The
floor is pg_upgrade by itself, the longest part, of the same run. The load of the machine is told
beside both: where others need the processors at one of the two times, no prediction can hold.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.live.stairway import Stairway
from tests.live.test_matrix import MORE, SYSTEMS
from tests.live.upgrade.both import ask_for, stead_of_two

WANTED = 0.3  # how far a prediction may be off, as a part of what it was
PARTS = (("stop", "stop"), ("upgrade", "pg_upgrade"), ("start", "start"))
MADE = "CREATE TABLE public.bulk AS SELECT g AS n, repeat(md5(g::text), 4) AS t"


def main() -> None:
    """Print a table per version."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="old", type=int, nargs="+", default=[15, 16, 17])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--mode", choices=["copy", "link"], default="copy")
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    off: list[float] = []
    for old in given.old:
        for _ in range(given.rounds):
            told, done, loads = upgraded(old, given.mode, given.rows)
            off.append(show(old, told, done, loads))
    within = sum(abs(part) <= WANTED for part in off)
    print(f"predicted within {WANTED:.0%}: {within} of {len(off)}")


def upgraded(old: int, mode: str, rows: int) -> tuple[Any, Any, tuple[float, float]]:
    """Rehearse and upgrade a stead; return what the two commands say, and the load after each."""
    with stead_of_two(old, 18, backup="true", extra=MORE) as stead:
        for name in SYSTEMS:
            Stairway(stead, name).fill()
        with stead.superuser("specgen") as connection:
            connection.execute(f"{MADE} FROM generate_series(1, {rows}) AS g")
        ask_for(stead, 18)
        told = stead.json("upgrade", "--rehearse", "--mode", mode)
        load = os.getloadavg()[0]
        done = stead.json("upgrade", "--mode", mode)
        return told, done, (load, os.getloadavg()[0])


def show(old: int, told: Any, done: Any, loads: tuple[float, float]) -> float:
    """Print the parts beside each other; return how far off the prediction was."""
    rehearsed, real = told["rehearsed"], done["seconds"]
    said, was = done["predicted"], done["downtime"]
    print(f"{old} to 18, {rehearsed['mode']}, {rehearsed['bytes'] / 2**20:.0f} MB")
    print("                 rehearsed     real")
    for name, also in PARTS:
        print(f"  {name:<12}{rehearsed['seconds'][name]:12.2f}{real[also]:9.2f} s")
    rest = sum(real[part] for part in ("pause", "statistics", "resume"))
    besides = said - sum(rehearsed["seconds"][name] for name, _ in PARTS)
    print(f"  {'the rest':<12}{besides:12.2f}{rest:9.2f} s")
    print(f"  {'downtime':<12}{said:12.2f}{was:9.2f} s{100 * (said - was) / was:+8.0f} %")
    print(f"  {'load':<12}{loads[0]:12.1f}{loads[1]:9.1f}")
    print(f"  downtime against pg_upgrade by itself {was / real['pg_upgrade']:19.2f} x", flush=True)
    return (said - was) / was


if __name__ == "__main__":
    main()
