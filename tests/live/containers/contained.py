"""A stead in containers, built and run by Docker Compose, driven as a user would."""

from __future__ import annotations

import csv
import io
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fix_stead import CHECKOUT, PGSTEAD, LiveStead, stead_in

PROJECT = "pgstead-test"
IMAGES = """
[containers]
requirements = "{requirements}"
python = "3.14"
network = "{network}"

[containers.image]
base = "docker.io/library/debian:forky-slim"
server = "base"
"""
SOCKET = "host=/var/lib/pgstead/server/run port=5432 user=postgres dbname="
LASTING = ("postgres", "pgbouncer", "agent", "wal-receiver", "api-jeex-idea")


class Rows:
    """What a statement answered, as psycopg's cursor of dictionaries tells it."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        """Keep them."""
        self._rows = rows

    def fetchall(self) -> list[dict[str, Any]]:
        """Return all rows."""
        return self._rows

    def fetchone(self) -> dict[str, Any] | None:
        """Return the first row."""
        return next(iter(self._rows), None)


@dataclass
class Superuser:
    """The superuser of the server in its container, as far as tests ask it something."""

    contained: Contained
    database: str

    def execute(self, sql: str | bytes) -> Rows:
        """Run one statement; numbers come as numbers."""
        text = sql.decode() if isinstance(sql, bytes) else sql
        words = ("exec", "-T", "postgres", "psql", "-Xqv", "ON_ERROR_STOP=1", "--csv", "-c", text)
        told = self.contained.compose(*words, f"{SOCKET}{self.database}").decode()
        rows = csv.DictReader(io.StringIO(told))
        return Rows([{name: _number(value) for name, value in row.items()} for row in rows])


def _number(text: str) -> Any:
    return int(text) if text.lstrip("-").isdigit() else text


@dataclass
class ContainedStead(LiveStead):
    """The same stead, for tests that were written for one on this machine."""

    contained: Contained | None = None
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        """The CA that clients verify with, fetched once."""
        place = self.directory / "ca.crt"
        if not place.exists():
            place.write_bytes(self._read("tls/ca.crt"))
        return place

    def password(self, role: str) -> str:
        """Return a role's password."""
        if role not in self.passwords:
            self.passwords[role] = self._read(f"secrets/{role}").decode().strip("\n")
        return self.passwords[role]

    def _read(self, name: str) -> bytes:
        assert self.contained is not None
        return self.contained.compose("exec", "-T", "agent", "cat", f"/var/lib/pgstead/{name}")

    @contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[Any]:
        """Ask the server as its superuser."""
        assert self.contained is not None
        yield Superuser(self.contained, database)


@dataclass
class Contained:
    """A stead in containers, driven as a user would."""

    stead: LiveStead

    @property
    def directory(self) -> Path:
        """Where compose.yml lies."""
        return self.stead.directory / "containers"

    @property
    def door(self) -> ContainedStead:
        """The stead as clients see it."""
        given = self.stead
        ports = (given.direct_port, given.pooler_port, given.api_port)
        return ContainedStead(given.directory, *ports, given.major, contained=self)

    def compose(self, *arguments: str, check: bool = True, told: bytes | None = None) -> bytes:
        """Run Compose; return what it prints."""
        done = subprocess.run(
            ["docker", "compose", "--project-directory", str(self.directory), *arguments],
            input=told,
            stdin=subprocess.DEVNULL if told is None else None,
            capture_output=True,
            timeout=1800,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments}: {done.stderr.decode()[-3000:]}")
        return done.stdout

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command of ours on it."""
        words = [*PGSTEAD, *arguments[:1], "--target", "compose", *arguments[1:]]
        done = subprocess.run(
            words,
            cwd=self.stead.directory,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=2400,
            check=False,
        )
        assert done.returncode == status, (
            f"{arguments}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done

    def json(self, *arguments: str, status: int = 0) -> Any:
        """Run a command of ours, and read what it tells programs."""
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    def broken(self) -> list[str]:
        """Try every promise; show how many have which verdict, and return what is broken."""
        words = [*PGSTEAD, "prove", "--target", "compose", "--json"]
        done = subprocess.run(
            words,
            cwd=self.stead.directory,
            capture_output=True,
            text=True,
            timeout=2400,
            check=False,
        )
        assert done.returncode in {0, 1, 4}, (
            done.returncode,
            done.stdout[-1500:],
            done.stderr[-1500:],
        )
        told = json.loads(done.stdout)["promises"]
        verdicts = [p["verdict"] for p in told]
        print({word: verdicts.count(word) for word in sorted(set(verdicts))})
        return [
            f"{p['code']}: {attempt}"
            for p in told
            if p["verdict"] == "broken"
            for attempt in p["attempts"]
            if attempt["verdict"] == "broken"
        ]

    def ask(self, database: str, sql: str) -> str:
        """Ask the server as its superuser."""
        words = ("exec", "-T", "postgres", "psql", "-XAtqc", sql, f"{SOCKET}{database}")
        return self.compose(*words).decode()

    def rows(self) -> list[dict[str, Any]]:
        """Return what the engine tells of the containers."""
        told = self.compose("ps", "--all", "--format", "json").decode().splitlines()
        return [json.loads(line) for line in told]

    def names(self) -> dict[str, str]:
        """Return the containers' own names, by service."""
        return {row["Service"]: row["Name"] for row in self.rows()}

    def inspected(self, service: str) -> Any:
        """Return what the engine tells of a container."""
        words = ["docker", "inspect", self.names()[service]]
        told = subprocess.run(words, capture_output=True, check=True)
        return json.loads(told.stdout)[0]

    def health(self) -> dict[str, str]:
        """Return what the checks say, by service."""
        return {r["Service"]: r.get("Health") or r["State"] for r in self.rows()}

    def wait_until_healthy(self, seconds: float = 300) -> None:
        """Wait until every container that has a check passes it."""
        end = time.monotonic() + seconds
        while not set(self.health().values()) <= {"healthy", "running", "exited"}:
            assert time.monotonic() < end, self.health()
            time.sleep(1)
        ended = {r["Service"] for r in self.rows() if r["State"] != "running"}
        assert ended <= {"prepare", "provision"}, self.health()

    def wait_for_api(self, seconds: float = 120) -> None:
        """Wait until the service's port takes a connection."""
        end = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.stead.api_port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.2)

    def kill(self, service: str) -> None:
        """Send SIGKILL to what a container runs, and wait until the engine has begun it anew."""
        before = self.inspected(service)["State"]["StartedAt"]
        # The first process is the engine's `init`, which the kernel lets nobody in there kill.
        child = "ls /proc | grep -E '^[0-9]+$' | sort -n | sed -n 2p"
        if service == "postgres":
            child = "head -n 1 /var/lib/pgstead/server/data/postmaster.pid"
        self.compose("exec", "-T", service, "sh", "-c", f"kill -9 $({child})", check=False)
        end = time.monotonic() + 120
        while self.inspected(service)["State"]["StartedAt"] == before:
            assert time.monotonic() < end, f"{service} was not started again"
            time.sleep(0.2)


def must_have_an_engine() -> None:
    """Skip, and say why, where there is none."""
    for words in (["docker", "compose", "version"], ["docker", "info"]):
        if shutil.which("docker") is None:
            pytest.skip("there is no container engine here")
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip(f"`{' '.join(words)}` fails: there is no container engine here")


@contextmanager
def timers() -> Generator[None]:
    """Run the health checks that systemd's timers would run for podman."""
    podman = shutil.which("podman")  # once: tests take the PATH away
    if podman is None or Path("/run/systemd/system").is_dir():
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_tick, args=(podman, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


def _tick(podman: str, ended: threading.Event) -> None:
    names = [podman, "ps", "--filter", f"name={PROJECT}-", "--format", "{{.Names}}"]
    while not ended.wait(2):
        listed = subprocess.run(names, capture_output=True, text=True, check=False)
        for name in listed.stdout.split():
            words = [podman, "healthcheck", "run", name]
            subprocess.run(words, capture_output=True, check=False)


@contextmanager
def contained_stead(
    name: str = "test",
    *,
    part: int = 54,
    extra: str = "",
    override: str = "",
    images: str = IMAGES,
    **given: Any,
) -> Generator[Contained]:
    """Give a stead that is not up yet; all of it is gone afterwards.

    Each has a name and a part of the network of its own. `override` is a compose.override.yml,
    which Compose reads beside what we write.
    """
    requirements, network = CHECKOUT / "requirements.lock", f"10.213.{part}.0/24"
    told = images.format(requirements=requirements, network=network)
    texts = {"backup": "true", "telemetry": "true", **given, "extra": told + extra}
    with stead_in(link=False, **texts) as stead:
        found = Contained(stead)
        text = stead.manifest.read_text()
        stead.manifest.write_text(text.replace('name = "test"', f'name = "{name}"', 1))
        if override:
            stead.run("render", "compose", timeout=1800)
            (found.directory / "compose.override.yml").write_text(override)
        try:
            yield found
        finally:
            if found.directory.exists():
                found.compose("down", "--volumes", "--timeout", "20", check=False)
