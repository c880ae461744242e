"""Real steads for tests: made by the command itself, on free ports, removed whatever happens.

Binaries are fetched once into a cache beside the checkout (`make clean` removes it) and shared
by symbolic link, so that a stead costs seconds. Nothing here imitates a server.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.far_schedules import undisturbed
from tests.free_ports import free_ports
from tests.reaper import end_processes_of, watched

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired

CHECKOUT = Path(__file__).resolve().parent.parent
PGSTEAD = [sys.executable, "-m", "pgstead"]
MAJORS = (15, 16, 17, 18)


MANIFEST = """\
version = 1
name = "test"
environment = "{environment}"

[server]
major = {major}
port = {direct}
memory = "4GB"
{server}

[backup]
enabled = {backup}

[telemetry]
enabled = {telemetry}

[upkeep]
enabled = {upkeep}

[networks]
allow = ["127.0.0.1/32", "::1/128"]

[pooler]
port = {pooler}
{pooler_extra}

[[databases]]
name = "jeex_idea"
owner = "jeex_owner"
app = "jeex_user"
admin = "jeex_admin"
readonly = "jeex_readonly"
migrator = "jeex_migrator"
migrations = "systems/jeex_idea"
models = "systems.jeex_idea.models:Base"
sample = "systems.jeex_idea.sample"
prefix = "JEEX_"

[databases.pool]
size = 20
max_overflow = 30
timeout = "30s"
recycle = "14min"

[[databases.processes]]
name = "api"
count = 1

[databases.service]
application = "systems.jeex_idea.api:create_app"
port = {api}

{extra}
"""


# the database of another system, beside the one of MANIFEST
SPECGEN = """
[[databases]]
name = "specgen"
owner = "specgen_owner"
app = "specgen"
migrations = "systems/specgen"
models = "systems.specgen.models:Base"
prefix = "SPECGEN_"
"""

# A look each second, and a minute's wait is not what is tried.
SAMPLED = """\
true
interval = "1s"

[telemetry.thresholds]
idle_in_transaction = { warning = "1s", critical = "3s" }
blocked = { warning = "1s", critical = "3s" }
"""


@dataclass
class LiveStead:
    """A stead in a directory of its own, driven by the command as a user would."""

    directory: Path
    direct_port: int
    pooler_port: int
    api_port: int
    major: int = 18
    environment: dict[str, str] = field(default_factory=dict)

    def link_toolchain(self) -> None:
        """Share the binaries that were fetched once; `destroy` takes the link away."""
        self.state.mkdir(mode=0o755, exist_ok=True)
        (self.state / "toolchain").symlink_to(toolchain(self.major))

    @property
    def manifest(self) -> Path:
        """The manifest's path."""
        return self.directory / "pgstead.toml"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / ".pgstead"

    def run(self, *arguments: str, status: int | None = 0, timeout: float = 240) -> Any:
        """Run the command; unless `status` is None its exit status must be that."""
        done = subprocess.run(
            [*PGSTEAD, *arguments],
            cwd=self.directory,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        if status is not None and done.returncode != status:
            raise AssertionError(
                f"pgstead {' '.join(arguments)}: exit {done.returncode}, expected {status}\n"
                f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}\n{self.log_tail()}"
            )
        return done

    def json(self, *arguments: str, status: int | None = 0) -> Any:
        """Run the command with --json and read its answer."""
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    def log_tail(self) -> str:
        """Return the last lines of every log, for a failing test."""
        told: list[str] = []
        for log in sorted(self.state.rglob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-15:]
            told += [f"--- {log.name}", *lines]
        return "\n".join(told)

    @property
    def ca(self) -> Path:
        """The CA that clients verify with."""
        return self.state / "tls" / "ca.crt"

    def password(self, role: str) -> str:
        """Return a role's password."""
        return (self.state / "secrets" / role).read_text().strip("\n")

    def connect(self, role: str = "jeex_user", *, direct: bool = False, **options: Any) -> Any:
        """Connect as a stranger would, with verify-full."""
        import psycopg

        given: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.direct_port if direct else self.pooler_port,
            "user": role,
            "dbname": "jeex_idea",
            "password": self.password(role),
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca),
            "connect_timeout": 10,
            "autocommit": True,
            "prepare_threshold": None,
        }
        return psycopg.connect(**{**given, **options})

    def wait_for_pooler(self, seconds: float = 120) -> None:
        """Wait until the pooler lets the application in; after a refusal it tries each second."""
        import psycopg

        end = time.monotonic() + seconds
        while True:
            try:
                with self.connect() as connection:
                    connection.execute("SELECT 1")
                return
            except psycopg.Error:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def wait_for_service(self, seconds: float = 120) -> None:
        """Wait until the service listens; `up` has only started it."""
        end = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.api_port), 1).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    @cached_property
    def wired(self) -> Wired:
        """The design and the ports, as the command wires them."""
        from pgstead.cli.wiring import wire

        return wire(self.manifest)

    def superuser(self, database: str = "postgres") -> Any:
        """Connect over the administrative socket."""
        return self.wired.ports.sql.connect(database)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between test processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_directory() -> Path:
    """Return where binaries are kept between runs; the servers' user must get there."""
    beside = CHECKOUT / ".pgstead-tests"
    closed = os.geteuid() == 0 and any(
        not (parent.stat().st_mode & 0o001) for parent in [CHECKOUT, *CHECKOUT.parents]
    )
    chosen = Path("/var/lib/pgstead/tests") if closed else beside
    chosen.mkdir(parents=True, exist_ok=True, mode=0o755)
    return chosen


def write_manifest(directory: Path, **given: Any) -> LiveStead:
    """Write a manifest with free ports into a directory."""
    direct, pooler, api = free_ports(3)
    values = {
        "environment": "development",
        "major": 18,
        "server": "",
        "pooler_extra": "",
        "extra": "",
        # where backups and samples are not what is tried, they would only take time
        "backup": "false",
        "telemetry": "false",
        "upkeep": "false",
        "direct": direct,
        "pooler": pooler,
        "api": api,
        **given,
    }
    (directory / "pgstead.toml").write_text(undisturbed(MANIFEST.format(**values)))
    systems = directory / "systems"
    if not systems.exists():
        systems.symlink_to(CHECKOUT / "systems")
    return LiveStead(directory, values["direct"], values["pooler"], values["api"], values["major"])


def toolchain(major: int) -> Path:
    """Fetch the binaries of a major version, PgBouncer and Barman, once."""
    cache = cache_directory()
    seed = cache / f"seed-{major}"
    done = seed / "complete-with-barman"
    with locked(cache / "lock"):
        if not done.exists():
            seed.mkdir(exist_ok=True, mode=0o755)
            stead = write_manifest(seed, major=major, backup="true")
            stead.run("doctor", "--fix", timeout=600)
            done.touch()
    return seed / ".pgstead" / "toolchain"


def short_directory() -> Path:
    """Make a directory whose path leaves room for a socket's name (107 bytes)."""
    directory = Path(tempfile.mkdtemp(prefix="pgst-", dir="/tmp"))
    directory.chmod(0o755)
    return directory


@contextmanager
def workplace() -> Iterator[Path]:
    """Give a short directory; it and what runs for it are gone afterwards."""
    directory = short_directory()
    with watched(directory):
        try:
            yield directory
        finally:
            end_processes_of(directory)
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def stead_in(
    directory: Path | None = None, *, link: bool = True, **given: Any
) -> Iterator[LiveStead]:
    """Give a stead that is not up yet; remove everything afterwards, also after a failure."""
    place = directory or short_directory()
    with watched(place):
        yield from _stead_at(place, link=link, given=given)


def _stead_at(place: Path, *, link: bool, given: dict[str, Any]) -> Iterator[LiveStead]:
    try:
        stead = write_manifest(place, **given)
        if link:
            stead.link_toolchain()
        try:
            yield stead
        finally:
            done = stead.run("destroy", "--yes", status=None)
            left = end_processes_of(place)
        assert not left, f"destroy exited {done.returncode} and left {left}\n{done.stderr}"
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def stead() -> Iterator[LiveStead]:
    """Share one running stead on 18 among the tests of a worker; they mend what they break."""
    with stead_in() as made:
        made.run("up")
        yield made


@pytest.fixture(scope="session")
def sampled_stead() -> Iterator[LiveStead]:
    """Share one stead whose thresholds can be reached."""
    with stead_in(telemetry=SAMPLED, upkeep="true") as made:
        made.run("up")
        made.wait_for_service()
        yield made


@pytest.fixture(scope="module")
def sampled(sampled_stead: LiveStead) -> Iterator[LiveStead]:
    """Give it sampled each second: a tenth of a core, which the tests of other modules need."""
    supervisor = sampled_stead.wired.ports.supervisor
    supervisor.start("agent")
    yield sampled_stead
    supervisor.stop("agent")


@pytest.fixture
def make_stead() -> Iterator[Callable[..., LiveStead]]:
    """Make steads of one's own, for tests that kill or reconfigure; removed at the end."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda **given: stack.enter_context(stead_in(**given))
