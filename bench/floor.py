"""The floor that `up` is measured against: the raw tools with the same binaries, in the same run.

initdb WITH fsync, start, first query (DESIGN.md, "How the parts really behave").
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def server_user() -> str | None:
    """Return whom the raw tools run as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None


def run(command: Sequence[str], *, cwd: Path | str) -> subprocess.CompletedProcess[str]:
    """Run a raw tool as the servers' user; its failure is ours."""
    user = server_user()
    return subprocess.run(
        [str(part) for part in command],
        check=True,
        capture_output=True,
        text=True,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd=cwd,
    )


@dataclass(frozen=True)
class Raw:
    """A server made with the raw tools, listening on a Unix socket only."""

    bindir: Path
    home: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    def initialize(self) -> None:
        """Run initdb with checksums and fsync."""
        options = ["--data-checksums", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        run([f"{self.bindir}/initdb", "-D", str(self.data), *options], cwd=self.home)

    def start(self, settings: str = "") -> None:
        """Start the server and wait until it accepts connections."""
        (self.home / "extra.conf").write_text(
            f"listen_addresses = ''\nunix_socket_directories = '{self.home}'\n{settings}"
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"include '{self.home}/extra.conf'\n")
        log = self.home / "log"
        command = [f"{self.bindir}/pg_ctl", "-D", str(self.data), "-l", str(log), "-w", "start"]
        # No pipe: the postmaster would hold it open for as long as it lives.
        user = server_user()
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd=self.home,
        )

    def query(self, text: str, database: str = "postgres") -> str:
        """Run a query with psql over the socket."""
        options = ["-h", str(self.home), "-U", "postgres", "-XAtqc", text, database]
        return run([f"{self.bindir}/psql", *options], cwd=self.home).stdout.strip()

    def stop(self) -> None:
        """Stop the server at once."""
        run([f"{self.bindir}/pg_ctl", "-D", str(self.data), "-m", "immediate", "stop"], cwd="/")


@contextmanager
def raw(bindir: Path) -> Iterator[Raw]:
    """Give a home that the servers' user owns; everything is removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="pgstead-bench-"))
    user = server_user()
    if user:
        shutil.chown(home, user)
    server = Raw(bindir, home)
    try:
        yield server
    finally:
        if (server.data / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(home, ignore_errors=True)


def seconds(bindir: Path) -> float:
    """Return how long initdb, start and a first query take, in seconds."""
    with raw(bindir) as server:
        began = time.perf_counter()
        server.initialize()
        server.start()
        server.query("SELECT 1")
        return time.perf_counter() - began
