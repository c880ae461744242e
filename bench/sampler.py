"""What sampling costs: CPU of the agent and of the server, and of pgbench's throughput (issue 6).

    python bench/sampler.py [--looks 20] [--seconds 10] [--rounds 3] [--tables 500]
        [--statements 5000]

CPU: looks in this process as the agent does them, with the time of this process and of the
server's backends from /proc; as share of one core at the default interval of 30 s, where one look
in ten is slow. The floor is `SELECT 1` on as many connections. Throughput: pgbench while a look
follows each second (thirty times as often as by default) against without, by turns in one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgstead.agent.sampling import Sampler
from tests.fix_stead import LiveStead, stead_in

INTERVAL, SLOW = 30.0, 10  # the manifest's default, and how many looks a slow one comes after
_TICK = os.sysconf("SC_CLK_TCK")
# Without the stead's own agent beside: this process looks.
QUIET = 'true\ninterval = "300s"'


@dataclass
class Spent:
    """Seconds of CPU of one look."""

    agent: float
    server: float

    @property
    def share(self) -> float:
        """Of one core, if there is such a look each interval."""
        return (self.agent + self.server) / INTERVAL


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--looks", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--statements", type=int, default=5000)
    given = parser.parse_args()
    with stead_in(telemetry=QUIET) as stead:
        stead.run("up")
        print(f"{'':<34}{'agent':>9}{'server':>9}{'of a core at 30 s':>19}")
        cost(stead, given.looks, "as up makes it")
        grow(stead, given.tables, given.statements)
        cost(stead, given.looks, f"{given.tables} tables, {given.statements} statements")
        throughput(stead, given.seconds, given.rounds)


def sampler(stead: LiveStead) -> Sampler:
    """Return one as the agent makes it."""
    wired = stead.wired
    plan, own = wired.design.telemetry, wired.ports.telemetry
    assert plan is not None
    assert own is not None
    return Sampler(wired.design, plan, wired.ports, own)


def cost(stead: LiveStead, looks: int, title: str) -> None:
    """Print what a fast and a slow look take, and both together as they come."""
    made = sampler(stead)
    made.look()  # connects, declares
    made.look()
    fast, slow = look_cost(stead, made, looks, slow=False), look_cost(stead, made, looks, slow=True)
    made.close()
    print(title)
    for name, spent in (("a fast look", fast), ("a slow look", slow)):
        print(row(name, spent))
    both = Spent(
        (fast.agent * (SLOW - 1) + slow.agent) / SLOW,
        (fast.server * (SLOW - 1) + slow.server) / SLOW,
    )
    print(row("on average", both))
    floor = floor_cost(stead, looks)
    ratio = (both.agent + both.server) / max(floor.agent + floor.server, 1e-9)
    print(f"{row('the floor: SELECT 1', floor)}{ratio:>8.0f} x floor")


def row(name: str, spent: Spent) -> str:
    """Return a line."""
    return (
        f"  {name:<32}{spent.agent * 1000:>6.1f} ms{spent.server * 1000:>6.1f} ms"
        f"{spent.share:>18.3%}"
    )


def look_cost(stead: LiveStead, made: Sampler, looks: int, *, slow: bool) -> Spent:
    """Return what one look takes, as the mean of some."""

    def look() -> None:
        made._slow_due = 0.0 if slow else float("inf")
        made.look()

    return measured(stead, look, looks)


def floor_cost(stead: LiveStead, looks: int) -> Spent:
    """Return what it takes to ask both connections for nothing."""
    own = stead.wired.ports.telemetry
    assert own is not None
    with own.monitor.connect("postgres") as one, own.monitor.connect("jeex_idea") as other:

        def ask() -> None:
            one.execute("SELECT 1")
            other.execute("SELECT 1")

        return measured(stead, ask, looks)


def measured(stead: LiveStead, work: Callable[[], None], times: int) -> Spent:
    """Return the CPU of doing something, here and in the server; seconds of one time."""
    began, before = time.process_time(), server_cpu(stead)
    for _ in range(times):
        work()
    return Spent((time.process_time() - began) / times, (server_cpu(stead) - before) / times)


def server_cpu(stead: LiveStead) -> float:
    """Return the CPU time of the monitoring role's backends."""
    with stead.superuser() as admin:
        rows = admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = 'pgstead_monitor'"
        ).fetchall()
    return sum(cpu_of(r["pid"]) for r in rows)


def cpu_of(pid: int) -> float:
    """Return the CPU time of a process in seconds (proc(5): utime and stime)."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / _TICK


def grow(stead: LiveStead, tables: int, statements: int) -> None:
    """Make tables with an index, and statements that differ in their form."""
    with stead.superuser("jeex_idea") as admin:
        admin.execute("CREATE SCHEMA bench")
        for n in range(tables):
            admin.execute(f"CREATE TABLE bench.t{n} (n int PRIMARY KEY, other text)".encode())
        for n in range(statements):
            # aliases are no part of what is compared, columns are
            names = ", ".join(f"{'n' if n >> bit & 1 else 'other'}" for bit in range(13))
            admin.execute(f"SELECT {names} FROM bench.t0".encode())
        found = admin.execute("SELECT count(*) AS n FROM pg_stat_statements").fetchone()
    print(f"(pg_stat_statements has {found['n']} entries)")


def throughput(stead: LiveStead, seconds: int, rounds: int) -> None:
    """Print pgbench's transactions a second with and without looks, by turns."""
    with stead.superuser() as admin:
        admin.execute("CREATE DATABASE bench")
    pgbench(stead, "-i", "-s", "5", "-q")
    found: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(rounds):
        for looking in (False, True) if turn % 2 == 0 else (True, False):
            found[looking].append(tps(stead, seconds, looking=looking))
    without, with_ = statistics.median(found[False]), statistics.median(found[True])
    each = (1 - with_ / without) / INTERVAL
    print(f"pgbench without looks {without:>10.0f} tps (of {sorted(map(round, found[False]))})")
    print(f"pgbench with one a second {with_:>6.0f} tps (of {sorted(map(round, found[True]))})")
    print(f"lost: {1 - with_ / without:.2%} at a look a second, so {each:.3%} at one in 30 s")


def tps(stead: LiveStead, seconds: int, *, looking: bool) -> float:
    """Run pgbench for a while; with a look each second beside it, one in ten of them slow."""
    made = sampler(stead)
    made.look()
    running = subprocess.Popen(
        pgbench_command(stead, "-c", "4", "-j", "2", "-T", str(seconds)),
        stdout=subprocess.PIPE, env=environment(stead), user=user(), text=True,
    )  # fmt: skip
    turn = 0
    while looking and running.poll() is None:
        turn += 1
        made._slow_due = 0.0 if turn % SLOW == 0 else float("inf")
        made.look()
        time.sleep(1)
    told, _ = running.communicate()
    made.close()
    return next(float(line.split()[2]) for line in told.splitlines() if line.startswith("tps"))


def pgbench_command(stead: LiveStead, *arguments: str) -> list[str]:
    """Return pgbench's command line, over the administrative socket."""
    design = stead.wired.design
    return [
        str(Path(design.build.bindir, "pgbench")), *arguments,
        "-h", str(design.layout.socket), "-p", str(stead.direct_port),
        "-U", "postgres", "bench",
    ]  # fmt: skip


def pgbench(stead: LiveStead, *arguments: str) -> None:
    """Run pgbench once."""
    subprocess.run(
        pgbench_command(stead, *arguments), check=True, capture_output=True,
        env=environment(stead), user=user(),
    )  # fmt: skip


def environment(stead: LiveStead) -> dict[str, str]:
    """Return where programs find the libraries that were fetched with them."""
    library = stead.wired.design.build.library_path
    return {**os.environ, **({"LD_LIBRARY_PATH": library} if library else {})}


def user() -> str | None:
    """Return whom the administrative socket lets in."""
    return "postgres" if os.geteuid() == 0 else None


if __name__ == "__main__":
    main()
