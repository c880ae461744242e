"""Backups against the bare tools on the same cluster, in the same run (issue 5).

    python bench/backup.py [--megabytes 1024] [--rounds 3] [--seconds 20] [--load]

Base backup: `pgstead backup now` against `pg_basebackup` with the same compression over the same
door, and against that followed by gpg, which is what an encrypted repository takes at least.
Restore: `pgstead restore` against gpg, zstd, tar and a start by hand. Drill: end to end.
Load: the p95 of pgbench's transactions while a backup runs as the schedule makes it, against
without. A backup begins with a checkpoint, after which each page's first change is written whole:
as after every other checkpoint, of which the server makes one each few minutes. Hence the time
without a backup is measured after one as well, and, for what it costs by itself, without it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fix_stead import LiveStead, stead_in

_LIMIT = "auto"  # the manifest's default
_QUIET = subprocess.DEVNULL
SETTLES = 5.0  # seconds after which what one stretch left is written


@dataclass
class Figures:
    """Seconds of each way, one of each round."""

    seconds: dict[str, list[float]]

    def took(self, name: str, work: Callable[[], object]) -> None:
        """Do something and keep how long it took; what was before is on the disk by then."""
        os.sync()
        began = time.perf_counter()
        work()
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)

    def line(self, name: str, floor: str) -> str:
        """Return the median with its ratio to a floor."""
        mine, base = statistics.median(self.seconds[name]), statistics.median(self.seconds[floor])
        return f"{name:<46}{mine:>9.2f} s{mine / base:>8.2f} x floor"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--load", action="store_true", help="the load alone")
    given = parser.parse_args()
    with stead_in(backup='true\nrate_limit = "none"') as stead:
        stead.run("up")
        fill(stead, given.megabytes)
        stead.run("backup", "now", timeout=3600)
        figures = Figures({})
        for _ in range(0 if given.load else given.rounds):
            one_round(stead, figures)
        for name, floor in (
            ("pg_basebackup, zstd", "pg_basebackup, zstd"),
            ("pg_basebackup, zstd, then gpg", "pg_basebackup, zstd"),
            ("pgstead backup now", "pg_basebackup, zstd"),
            ("gpg, zstd, tar, start, by hand", "gpg, zstd, tar, start, by hand"),
            ("the same with pg_verifybackup", "gpg, zstd, tar, start, by hand"),
            ("pgstead restore", "gpg, zstd, tar, start, by hand"),
            ("pgstead drill, end to end", "gpg, zstd, tar, start, by hand"),
        ):
            if not given.load:
                print(figures.line(name, floor))
        load(stead, given.seconds, given.rounds)


def tool(stead: LiveStead, name: str) -> str:
    """Return one of PostgreSQL's programs."""
    return str(Path(stead.wired.design.build.bindir, name))


def fill(stead: LiveStead, megabytes: int) -> None:
    """Make a table of that size which compresses as text does."""
    with stead.superuser("jeex_idea") as session:
        session.execute("SET statement_timeout = 0")
        session.execute(
            "CREATE TABLE filler AS SELECT i, md5(i::text) || repeat(md5((i % 97)::text), 5) AS t"
            f" FROM generate_series(1, {megabytes * 1024**2 // 235}) AS i"
        )
        # or autovacuum does it in the midst of a round, and writes every page into the WAL
        session.execute("VACUUM (FREEZE, ANALYZE) filler")
        session.execute("CHECKPOINT")


def shell(command: str, stead: LiveStead, *, user: str | None = None) -> None:
    """Run a line of shell; its failure is ours."""
    subprocess.run(
        ["bash", "-c", command],
        check=True,
        env=environment(stead),
        user=user,
        capture_output=True,
    )


def environment(stead: LiveStead) -> dict[str, str]:
    """Return what PostgreSQL's programs need in theirs."""
    library = stead.wired.design.build.library_path
    return {**os.environ, **({"LD_LIBRARY_PATH": library} if library else {})}


def one_round(stead: LiveStead, figures: Figures) -> None:
    """Do everything once, the floors first."""
    layout, place = stead.wired.design.layout, stead.directory / "floor"
    place.mkdir()
    connection = (
        f"host=localhost port={stead.direct_port} user=pgstead_backup sslmode=verify-full"
        f" sslrootcert={layout.ca} passfile={layout.passfile('pgstead_backup')}"
    )
    copied = (
        f"{tool(stead, 'pg_basebackup')} --dbname='{connection}' --format=tar --wal-method=none"
        f" --checkpoint=fast --no-password --compress=client-zstd --pgdata={place}/base"
    )
    figures.took("pg_basebackup, zstd", lambda: shell(copied, stead))
    shutil.rmtree(place / "base")
    key = f"{layout.backup}/repository/key/public.asc"
    home = f"export GNUPGHOME=$(mktemp -d); gpg --quiet --batch --import {key} 2>/dev/null"
    sealed = (
        f"{copied} && {home} && gpg --quiet --batch --trust-model always --compress-level 0"
        f" --recipient-file {key} --output {place}/base.gpg --encrypt {place}/base/base.tar.zst"
    )
    figures.took("pg_basebackup, zstd, then gpg", lambda: shell(sealed, stead))
    figures.took("pgstead backup now", lambda: stead.run("backup", "now", timeout=3600))
    figures.took("gpg, zstd, tar, start, by hand", lambda: by_hand(stead, place))
    figures.took("the same with pg_verifybackup", lambda: by_hand(stead, place, verified=True))
    figures.took("pgstead restore", lambda: restored(stead))
    figures.took("pgstead drill, end to end", lambda: stead.run("drill", timeout=3600))
    shutil.rmtree(place)


def by_hand(stead: LiveStead, place: Path, *, verified: bool = False) -> None:
    """Restore the newest base backup with the bare tools, up to the last segment."""
    plan = stead.wired.design.backup
    assert plan is not None
    backup = stead.wired.ports.backup
    assert backup is not None
    made = backup.engine.backups()[-1]
    newest, first = Path(plan.base, made.name), made.begin_wal
    into = place / "restored"
    checked = (
        f" {tool(stead, 'pg_verifybackup')} --no-parse-wal --ignore tablespace_map"
        f" --manifest-path {newest}/data/backup_manifest {into};"
        if verified
        else ""
    )
    shell(
        f"set -e; mkdir -m 0700 {into}; export GNUPGHOME=$(mktemp -d);"
        f" gpg='gpg --quiet --batch --pinentry-mode loopback --passphrase-file {plan.passphrase}';"
        f" $gpg --import {plan.key}/secret.asc;"
        f" $gpg --decrypt {newest}/data/base.tar.zst.gpg | zstd -d | tar -x -C {into};{checked}"
        f" for f in {plan.wals}/*/*; do [[ $(basename $f) < {first} ]] ||"
        f" $gpg --decrypt $f | zstd -dq > {into}/pg_wal/$(basename $f); done;"
        f" cp {plan.streaming}/*.partial {into}/pg_wal/ || true;"
        f" cd {into}/pg_wal; for f in *.partial; do mv $f ${{f%.partial}}; done;"
        f" touch {into}/recovery.signal; gpgconf --kill gpg-agent",
        stead,
    )
    start_and_stop(stead, into)
    shutil.rmtree(into)


def start_and_stop(stead: LiveStead, data: Path) -> None:
    """Start a server on restored files, wait until recovery is over, stop it."""
    user = stead.wired.design.host.server_user
    if os.geteuid() == 0:
        shell(f"chown -R {user} {data}", stead)
    (data / "by_hand.conf").write_text(
        f"listen_addresses = ''\nunix_socket_directories = '{data}'\nport = 5432\n"
        f"max_connections = 500\nmax_worker_processes = 64\nmax_wal_senders = 10\n"
        "restore_command = 'false'\n"
        f"hba_file = '{data}/by_hand.hba'\nident_file = '{data}/pg_ident.conf'\n"
    )
    (data / "by_hand.hba").write_text("local all all trust\n")
    options = f"-c config_file={data}/by_hand.conf"
    shell(
        f"{tool(stead, 'pg_ctl')} -D {data} -o '{options}' -l {data}/log -w -t 600 start"
        f" && until {tool(stead, 'psql')} -h {data} -U postgres -Atc 'SELECT pg_is_in_recovery()'"
        f" postgres | grep -q f; do sleep 0.05; done"
        f" && {tool(stead, 'pg_ctl')} -D {data} -w stop",
        stead,
        user=user if os.geteuid() == 0 else None,
    )


def restored(stead: LiveStead) -> None:
    """Restore with pgstead, and remove what came of it."""
    told = stead.json("restore")
    shutil.rmtree(told["place"])


def load(stead: LiveStead, seconds: int, rounds: int) -> None:
    """Print the p95 of transactions without a backup, and with one as the schedule makes it.

    The load never stops; both kinds of stretch follow each other, as a disk has its moods, and
    last as long: half a minute behind a checkpoint the kernel begins to write what it kept.
    """
    directory = stead.wired.design.layout.socket
    base = f"{tool(stead, 'pgbench')} -h {directory} -p {stead.direct_port} -U postgres"
    shell(f"{base} -i -q -s 10 jeex_idea", stead)
    text = stead.manifest.read_text().replace('rate_limit = "none"', f'rate_limit = "{_LIMIT}"')
    stead.manifest.write_text(text)
    stead.run("up")
    logs = stead.directory / "pgbench"
    logs.mkdir()
    line = f"cd {logs}; exec {base} -n -c 8 -j 2 -T 86400 -R 400 --log jeex_idea"
    stretches: dict[str, list[tuple[float, float]]] = {"without a backup": [], "with a backup": []}
    with subprocess.Popen(
        ["bash", "-c", line], env=environment(stead), stdout=_QUIET, stderr=_QUIET
    ) as running:
        try:
            time.sleep(seconds)  # what is cold is no floor
            for _ in range(rounds):
                made = backed_up(stead)
                stretches["with a backup"].append(made)
                time.sleep(SETTLES)
                checkpoint(stead)  # with which a backup begins as well
                began = time.time()
                time.sleep(made[1] - made[0])
                stretches["without a backup"].append((began, time.time()))
                time.sleep(SETTLES)
        finally:
            running.terminate()
    show(logs, stretches)


def checkpoint(stead: LiveStead) -> None:
    """Have everything written."""
    with stead.superuser() as session:
        session.execute("CHECKPOINT")


def backed_up(stead: LiveStead) -> tuple[float, float]:
    """Make a backup as the schedule does; return from when to when, behind its checkpoint."""
    with subprocess.Popen(
        [sys.executable, "-m", "pgstead", "backup", "now", "--gentle"],
        cwd=stead.directory,
        stdout=_QUIET,
        stderr=_QUIET,
    ) as made:
        copied(stead, "waiting for checkpoint to finish")
        checkpoint(stead)  # a spread one that runs makes haste then
        copied(stead, "streaming database files")
        began = time.time()
        assert made.wait() == 0
    return began, time.time()


def show(logs: Path, stretches: dict[str, list[tuple[float, float]]]) -> None:
    """Print the p95 of all transactions of each kind of stretch, and of each stretch."""
    taken = [
        (int(words[4]) + int(words[5]) / 1e6, int(words[2]) / 1000)
        for log in logs.glob("pgbench_log.*")
        for words in map(str.split, log.read_text().splitlines())
        if len(words) >= 6
    ]
    floor = 0.0
    for name, kind in stretches.items():
        within = [[ms for at, ms in taken if begin <= at < end] for begin, end in kind]
        mine = p95([ms for stretch in within for ms in stretch])
        floor = floor or mine
        told = " ".join(f"{p95(stretch):.2f}" for stretch in within)
        took = sum(end - begin for begin, end in kind)
        print(f"p95 {name:<24}{took:>6.0f} s{mine:>9.2f} ms{mine / floor:>7.2f} x floor  ({told})")


def p95(milliseconds: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(milliseconds, n=20)[18]


def copied(stead: LiveStead, phase: str) -> None:
    """Wait until a base backup is at a phase, or after it."""
    with stead.superuser() as session:
        row = None
        while row is None or row["phase"] not in (phase, "streaming database files"):
            row = session.execute("SELECT phase FROM pg_stat_progress_basebackup").fetchone()
            time.sleep(0.05)


if __name__ == "__main__":
    main()
