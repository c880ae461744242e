"""How long a client of the pooler waits while the server restarts (issue 7).

    python bench/restart.py [--clients 200] [--rounds 5] [--pause 0.5] [--backup]

Clients write through PgBouncer all the time, each on one connection, and try nothing again. Shown
are the longest transaction of any client that was under way while the server was away, what the
command says of it, and the floor: `pg_ctl restart -m fast` of an idle server of the same binaries,
in the same run. What is beyond the command's own figure is the queue that it leaves: each client's
transaction is done within that time, on connections that the pooler opens one after the other.

With --backup there is a receiver of WAL, and the server ends when that has all of it on the disk.

The longest transaction before the server goes tells how quiet the machine is: that is while the
command starts and the checkpoint is written, when nobody is made to wait. One error ends it all.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fix_stead import LiveStead, stead_in
from tests.live.upgrade.test_restart import server_started
from tests.live.upgrade.writers import LOAD, Writers, writing


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.5)
    parser.add_argument("--backup", action="store_true")
    given = parser.parse_args()
    with stead_in(extra=LOAD, backup="true" if given.backup else "false") as stead:
        stead.run("up", timeout=600)
        floor = statistics.median(bare(stead) for _ in range(given.rounds))
        with writing(stead, given.clients, given.pause) as writers:
            found = [restarted(stead, writers) for _ in range(given.rounds)]
        assert not writers.errors, writers.errors[:3]
    longest = [client for client, _, _ in found]
    before = [calm for _, calm, _ in found]
    print(f"clients {given.clients}, transactions {len(writers.acknowledged)}, errors 0")
    print(f"{'floor, pg_ctl restart when idle':<34}median {floor:6.2f} s")
    said = [seconds for _, _, seconds in found]
    for name, values in (
        ("the command says", said),
        ("longest stall of a client", longest),
        ("longest transaction before it", before),
    ):
        median, worst = statistics.median(values), max(values)
        print(f"{name:<34}median {median:6.2f} s{median / floor:6.1f} x   worst {worst:6.2f} s")


def restarted(stead: LiveStead, writers: Writers) -> tuple[float, float, float]:
    """Restart once; return the longest wait for it, the longest before, and what it says itself."""
    settled(writers)
    writers.reset()
    said = stead.json("restart")["seconds"]
    settled(writers)
    started = server_started(stead)
    # the server is away for a part of what the command says, and started at the end of that
    return writers.longest_across(started), writers.longest_until(started - said), said


def settled(writers: Writers) -> None:
    """Wait until each client has written twice more."""
    wanted = len(writers.acknowledged) + 2 * writers.clients
    while len(writers.acknowledged) < wanted:
        assert not writers.errors, writers.errors[:3]
        time.sleep(0.05)


def bare(stead: LiveStead) -> float:
    """Return what stopping and starting takes where nobody is connected, in seconds."""
    design = stead.wired.design
    user, binary = design.host.server_user, Path(design.build.bindir)
    place = Path(tempfile.mkdtemp(prefix="pgst-floor-", dir="/tmp"))
    shutil.chown(place, user)
    server = place / "data"
    options = f"-c listen_addresses= -c unix_socket_directories={place}"

    def run(program: str, *arguments: str) -> None:
        command = [str(binary / program), "-D", str(server), *arguments]
        subprocess.run(command, user=user, cwd="/", check=True, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "--no-sync")
        run("pg_ctl", "-w", "-o", options, "-l", str(place / "log"), "start")
        began = time.perf_counter()
        run("pg_ctl", "-w", "-m", "fast", "-l", str(place / "log"), "restart")
        took = time.perf_counter() - began
        run("pg_ctl", "-w", "-m", "fast", "stop")
        return took
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
