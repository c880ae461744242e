"""The design's settings against the stock configuration, on pgbench-like loads (SRV-4).

Both servers come from the same binaries and run one after the other, in alternating rounds,
in the same run; the table shows the ratio tuned / stock (above 1: the design is faster).

    python bench/tuned.py BINDIR PGSTEAD_CONF [--seconds 10] [--rounds 3] [--scale 20]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from pathlib import Path

from floor import Raw, raw, run

# What a stock server must share with the tuned one, or the comparison is of something else.
_COMMON = "fsync = on\nfull_page_writes = on\nsynchronous_commit = on\n"

_ANALYTIC = (
    "SELECT count(*) FROM (SELECT aid % 50000 AS k, sum(abalance), count(DISTINCT bid) "
    "FROM pgbench_accounts GROUP BY 1 ORDER BY 2 DESC) AS s"
)
_JOIN = (
    "SELECT count(*) FROM pgbench_accounts AS a JOIN pgbench_accounts AS b ON a.aid = b.aid "
    "WHERE a.bid % 2 = 0"
)
_BULK = (
    "DROP TABLE IF EXISTS bulk; CREATE TABLE bulk AS SELECT i, md5(i::text) AS t "
    "FROM generate_series(1, 400000) AS i; CREATE INDEX ON bulk (t)"
)

_SKIPPED = re.compile(
    r"^(ssl|port|listen_addresses|unix_socket|hba_file|ident_file|log|include|data_directory|cluster_name"
    r"|shared_preload|auth_delay|auto_explain|pg_stat_statements|password_encryption|max_connections)"
)


def performance_settings(conf: Path) -> str:
    """Keep what can change speed; leave out doors, logs and libraries of the stead."""
    lines = conf.read_text().splitlines()
    return "\n".join(x for x in lines if x and x[0] != "#" and not _SKIPPED.match(x)) + "\n"


def pgbench(server: Raw, seconds: int, *options: str) -> float:
    """Return transactions per second."""
    base = [f"{server.bindir}/pgbench", "-h", str(server.home), "-U", "postgres"]
    done = run([*base, "-n", "-T", str(seconds), *options, "postgres"], cwd=server.home)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None:
        raise SystemExit(done.stdout)
    return float(found.group(1))


def rate(server: Raw, statement: str) -> float:
    """Return how often a statement runs per second, once."""
    began = time.perf_counter()
    server.query(statement)
    return 1 / (time.perf_counter() - began)


def measure(server: Raw, seconds: int) -> dict[str, float]:
    """Run each load once."""
    return {
        "read only (-S, 8 clients)": pgbench(server, seconds, "-S", "-c", "8", "-j", "2"),
        "TPC-B-like (8 clients)": pgbench(server, seconds, "-c", "8", "-j", "2"),
        "aggregate and sort": rate(server, _ANALYTIC),
        "hash join": rate(server, _JOIN),
        "bulk load and index": rate(server, _BULK),
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bindir", type=Path)
    parser.add_argument("conf", type=Path, help="<state>/server/pgstead.conf of a stead")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = {"stock": {}, "tuned": {}}
    configurations = {"stock": _COMMON, "tuned": _COMMON + performance_settings(asked.conf)}
    for _ in range(asked.rounds):
        for name, settings in configurations.items():
            print(f"round of {name} ...", file=sys.stderr)
            with raw(asked.bindir) as server:
                server.initialize()
                server.start(settings)
                loader = [f"{server.bindir}/pgbench", "-h", str(server.home), "-U", "postgres"]
                run([*loader, "-i", "-q", "-s", str(asked.scale), "postgres"], cwd=server.home)
                server.query("CHECKPOINT")
                for load, value in measure(server, asked.seconds).items():
                    figures[name].setdefault(load, []).append(value)
    _report(figures, as_json=asked.json)


def _report(figures: dict[str, dict[str, list[float]]], *, as_json: bool) -> None:
    rows = [
        {
            "load": load,
            "stock": statistics.median(stock),
            "tuned": statistics.median(figures["tuned"][load]),
            "ratio": statistics.median(figures["tuned"][load]) / statistics.median(stock),
        }
        for load, stock in figures["stock"].items()
    ]
    if as_json:
        print(json.dumps({"rows": rows, "raw": figures}, indent=2))
        return
    print(f"{'load':<28}{'stock/s':>12}{'tuned/s':>12}{'tuned/stock':>13}")
    for row in rows:
        print(f"{row['load']:<28}{row['stock']:>12.2f}{row['tuned']:>12.2f}{row['ratio']:>13.2f}")


if __name__ == "__main__":
    main()
