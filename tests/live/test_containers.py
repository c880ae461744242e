"""The stead in containers, built and run by Docker Compose: what it promises is tried for real.

It takes an engine, which CI has not, and minutes: the images are built. Where there is none it is
skipped, and says so. On a machine with podman alone, a thread stands for the timers of systemd, by
which podman runs health checks.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fix_stead import CHECKOUT, PGSTEAD, LiveStead, stead_in
from tests.live import parity

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("containers")]

DATABASES = ("jeex_idea",)
IMAGES = """
[containers]
requirements = "{requirements}"
python = "3.14"
network = "10.213.54.0/24"

[containers.image]
base = "docker.io/library/debian:forky-slim"
server = "base"
"""
SOCKET = "host=/var/lib/pgstead/server/run port=5432 user=postgres dbname="


@dataclass
class Contained:
    """A stead in containers, driven as a user would."""

    stead: LiveStead

    @property
    def directory(self) -> Path:
        """Where compose.yml lies."""
        return self.stead.directory / "containers"

    def compose(self, *arguments: str, check: bool = True, told: bytes | None = None) -> bytes:
        """Run Compose; return what it prints."""
        done = subprocess.run(
            ["docker", "compose", "--project-directory", str(self.directory), *arguments],
            input=told,
            capture_output=True,
            timeout=1800,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments}: {done.stderr.decode()[-3000:]}")
        return done.stdout

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command of ours on it; return what it prints."""
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
        assert done.returncode == status, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def ask(self, database: str, sql: str) -> str:
        """Ask the server as its superuser."""
        words = ("exec", "-T", "postgres", "psql", "-XAtqc", sql, f"{SOCKET}{database}")
        return self.compose(*words).decode()

    def names(self) -> dict[str, str]:
        """Return the containers' own names, by service."""
        rows = self.compose("ps", "--all", "--format", "json").decode().splitlines()
        return {row["Service"]: row["Name"] for row in map(json.loads, rows)}

    def inspected(self, service: str) -> Any:
        """Return what the engine tells of a container."""
        told = subprocess.run(
            ["docker", "inspect", self.names()[service]], capture_output=True, check=True
        )
        return json.loads(told.stdout)[0]

    def wait_until_healthy(self, seconds: float = 300) -> None:
        """Wait until every container that has a check passes it."""
        end = time.monotonic() + seconds
        while True:
            rows = self.compose("ps", "--all", "--format", "json").decode().splitlines()
            states = {row["Service"]: row.get("Health", "") for row in map(json.loads, rows)}
            if set(states.values()) <= {"healthy", ""}:
                return
            assert time.monotonic() < end, states
            time.sleep(1)


def _must_have_an_engine() -> None:
    for words in (["docker", "compose", "version"], ["docker", "info"]):
        done = subprocess.run(words, capture_output=True, check=False)
        if shutil.which("docker") is None or done.returncode:
            pytest.skip(f"`{' '.join(words)}` fails: there is no container engine here")


@pytest.fixture(scope="module", autouse=True)
def _timers() -> Iterator[None]:
    """Run the health checks that systemd's timers would run for podman."""
    _must_have_an_engine()
    if shutil.which("podman") is None or Path("/run/systemd/system").is_dir():
        yield
        return
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(2):
            listed = subprocess.run(
                ["podman", "ps", "--filter", "name=pgstead-", "--format", "{{.Names}}"],
                capture_output=True,
                text=True,
                check=False,
            )
            for name in listed.stdout.split():
                subprocess.run(
                    ["podman", "healthcheck", "run", name], capture_output=True, check=False
                )

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join(30)


@pytest.fixture(scope="module", name="contained")
def _contained(_timers: None) -> Iterator[Contained]:
    images = IMAGES.format(requirements=CHECKOUT / "requirements.lock")
    with stead_in(link=False, backup="true", telemetry="true", extra=images) as stead:
        found = Contained(stead)
        try:
            found.run("up")
            yield found
        finally:
            found.compose("down", "--volumes", "--rmi", "local", check=False)


def test_every_container_is_healthy_and_a_second_up_changes_nothing(contained: Contained) -> None:
    contained.run("up")
    contained.wait_until_healthy()
    assert contained.run("plan").startswith("nothing to change")


def test_every_promise_that_can_be_tried_there_is_kept(contained: Contained) -> None:
    contained.run("drill")
    told = json.loads(contained.run("prove", "--json", status=0))
    assert not [p for p in told["promises"] if p["verdict"] == "broken"]


def test_it_is_the_same_stead_as_on_this_machine(contained: Contained) -> None:
    with stead_in(backup="true", telemetry="true") as embedded:
        embedded.run("up")

        def ask(database: str, sql: str) -> str:
            with embedded.superuser(database) as connection:
                row = connection.execute(sql.encode()).fetchone()
            return json.dumps(next(iter(row.values())))

        here = parity.taken(ask, DATABASES)
    there = parity.taken(contained.ask, DATABASES)
    assert parity.unexplained(parity.differences(here, there)) == {}


def test_nobody_in_a_container_is_root_or_may_become_it(contained: Contained) -> None:
    for service in ("postgres", "pgbouncer", "agent", "wal-receiver", "api-jeex-idea"):
        status = contained.compose("exec", "-T", service, "cat", "/proc/self/status").decode()
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert set(told["Uid"].split()) == {"999"}, service
        assert int(told["CapEff"], 16) == 0, service
        assert int(told["CapBnd"], 16) == 0, service
        assert told["NoNewPrivs"] == "1", service
        contained.compose("exec", "-T", service, "sh", "-c", "! touch /etc/x 2>/dev/null")


def test_no_password_is_told_by_the_engine_an_image_or_a_log(contained: Contained) -> None:
    listed = "for f in /var/lib/pgstead/secrets/*; do cat $f; echo; done"
    secrets = contained.compose("exec", "-T", "agent", "sh", "-c", listed).split()
    assert len(secrets) >= 8
    told = contained.compose("logs", "--no-color")
    for name in contained.names().values():
        told += _said("docker", "inspect", name)
    for image in _said(
        "docker", "images", "--quiet", "--filter", "reference=*pgstead-test*"
    ).split():
        told += _said("docker", "history", "--no-trunc", image.decode())
    assert not [index for index, secret in enumerate(secrets) if secret in told]


def _said(*words: str) -> bytes:
    return subprocess.run(words, capture_output=True, check=True).stdout


def test_a_service_sees_the_passwords_of_its_roles_alone(contained: Contained) -> None:
    listed = contained.compose(
        "exec", "-T", "api-jeex-idea", "ls", "/var/lib/pgstead", "/var/lib/pgstead/passfiles"
    ).decode()
    assert {"jeex_user", "jeex_readonly", "jeex_admin"} <= set(listed.split())
    assert not {"jeex_migrator", "pgstead_backup", "secrets", "server"} & set(listed.split())


def test_only_the_ports_of_the_manifest_are_published_and_on_loopback(
    contained: Contained,
) -> None:
    stead = contained.stead
    found = {
        (binding["HostIp"], int(binding["HostPort"]))
        for service in contained.names()
        for bindings in (contained.inspected(service)["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert found == {
        ("127.0.0.1", port) for port in (stead.direct_port, stead.pooler_port, stead.api_port)
    }


@pytest.mark.parametrize(
    "service", ["postgres", "pgbouncer", "api-jeex-idea", "wal-receiver", "agent"]
)
def test_what_is_killed_in_a_container_is_back_by_itself(
    contained: Contained, service: str
) -> None:
    contained.ask("postgres", "CREATE TABLE IF NOT EXISTS mark (at text)")
    contained.ask("postgres", f"INSERT INTO mark VALUES ('{service}')")
    before = contained.inspected(service)["State"]["StartedAt"]
    child = "ls /proc | grep -E '^[0-9]+$' | sort -n | sed -n 2p"
    if service == "postgres":
        child = "head -n 1 /var/lib/pgstead/server/data/postmaster.pid"
    contained.compose("exec", "-T", service, "sh", "-c", f"kill -9 $({child})", check=False)
    end = time.monotonic() + 120
    while contained.inspected(service)["State"]["StartedAt"] == before:
        assert time.monotonic() < end, f"{service} was not started again"
        time.sleep(0.2)
    contained.wait_until_healthy()
    found = contained.ask("postgres", f"SELECT count(*) FROM mark WHERE at = '{service}'")
    assert int(found) >= 1


def test_containers_that_were_removed_come_back_with_the_data(contained: Contained) -> None:
    contained.ask("postgres", "CREATE TABLE kept AS SELECT 1 AS n")
    contained.compose("rm", "--stop", "--force", "postgres", "pgbouncer", "agent")
    contained.run("up")
    assert contained.ask("postgres", "SELECT n FROM kept").strip() == "1"


def test_a_backup_is_restored_over_what_runs(contained: Contained) -> None:
    contained.ask("postgres", "CREATE TABLE before_it AS SELECT 1 AS n")
    contained.run("restore", "--in-place", "--yes")
    contained.wait_until_healthy()
    assert contained.ask("postgres", "SELECT n FROM before_it").strip() == "1"


def test_a_port_that_is_taken_is_said_and_nothing_else_is_touched(contained: Contained) -> None:
    import socket

    port = contained.stead.api_port
    contained.compose("stop", "api-jeex-idea")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen()
        contained.run("up", status=1)
    contained.run("up")
    contained.wait_until_healthy()
