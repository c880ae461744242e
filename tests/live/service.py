"""The services of the systems on a server by hand, and their migrations."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pgstead.app.encryption import keyfile
from tests.free_ports import free_port
from tests.live.scratch import Scratch, running_server
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class System:
    """One of the systems: its folder, its database, its variables."""

    name: str
    prefix: str

    @property
    def folder(self) -> Path:
        return ROOT / "systems" / self.name

    @property
    def application(self) -> str:
        return f"systems.{self.name}.api:create_app"


JEEX_IDEA = System("jeex_idea", "JEEX_")
AI_AGENTS = System("ai_agents", "AI_AGENTS_")
SPECGEN = System("specgen", "SPECGEN_")
SYSTEMS = (JEEX_IDEA, AI_AGENTS, SPECGEN)


def alembic(
    *arguments: str,
    connection: Path,
    folder: Path | None = None,
    check: bool = True,
    system: System = JEEX_IDEA,
) -> subprocess.CompletedProcess[str]:
    """Run the plain command as a developer would, in the folder of a system."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "alembic"), *arguments],
        cwd=folder or system.folder,
        env={**os.environ, "PGSTEAD_CONNECTION": str(connection)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass
class Running:
    """A service process, and a client of it."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    port: int
    log: Path

    def stop(self) -> int:
        """Ask it to end, and return how it did."""
        self.process.terminate()
        return self.process.wait(30)


def serving(
    scratch: Scratch, *arguments: str, **environment: str
) -> AbstractContextManager[Running]:
    """Start the service of jeex_idea as the foundation does, and wait until it answers."""
    return serving_system(JEEX_IDEA, scratch, *arguments, **environment)


@contextmanager
def serving_system(
    system: System, scratch: Scratch, *arguments: str, **environment: str
) -> Iterator[Running]:
    """Start the service of a system as the foundation does, and wait until it answers."""
    port = free_port()
    user = ("--user", "nobody") if os.geteuid() == 0 else ()
    log = scratch.folder / f"service-{port}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pgstead.serve", "--port", str(port)),
                *("--application", system.application),
                *("--connection", str(scratch.connection), *user, *arguments),
            ],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            until(lambda: _answers(client, process, log), "the service answers")
            yield Running(process, client, port, log)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


def _answers(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def down(scratch: Scratch) -> Iterator[None]:
    """Stop the server for a while."""
    scratch.stop()
    try:
        yield
    finally:
        scratch.start()


def refused_for_now(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem of an answer that says when to come back."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    problem: dict[str, Any] = answer.json()
    return problem


def told_again(answer: httpx.Response) -> dict[str, Any]:
    """Return the body of a degraded answer, without what says that it is one."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-degraded"] == "true"
    body: dict[str, Any] = answer.json()
    assert body.pop("freshness")["degraded"] is True
    return body


@pytest.fixture(scope="session")
def scratch() -> Iterator[Scratch]:
    """Share one migrated server among the tests of a folder."""
    with running_server() as running:
        alembic("upgrade", "head", connection=running.connection)
        yield running


@pytest.fixture(scope="session")
def service(scratch: Scratch) -> Iterator[Running]:
    """Share one service of jeex_idea."""
    with serving(scratch) as running:
        yield running


@pytest.fixture
def api(service: Running) -> Iterator[httpx.Client]:
    """Give a client of the shared service; what a test adds to its headers is the test's alone."""
    url = f"http://127.0.0.1:{service.port}"
    somebody = {"X-User-ID": str(uuid.uuid4())}
    with httpx.Client(base_url=url, timeout=30, headers=somebody) as client:
        yield client


@contextmanager
def migrated(system: System) -> Iterator[Scratch]:
    """Give a server with a system's database at head, and keys for its encrypted columns."""
    with running_server(system.name, system.prefix) as running:
        keys = running.connection.parent.parent / "keys"
        keys.mkdir(mode=0o700)
        persons = keys.with_name("persons")
        persons.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(persons, "nobody")
        file = keys / f"{system.name}.json"
        file.touch(mode=0o600)
        file.write_text(keyfile.new())
        alembic("upgrade", "head", connection=running.connection, system=system)
        yield running
