"""The service as a process: how it starts, as whom it runs, how it ends."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.free_ports import free_port
from tests.live.scratch import Scratch
from tests.live.service import ROOT, serving
from tests.waiting import until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a service that will not come up."""
    return subprocess.run(
        [sys.executable, "-m", "pgstead.serve", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def identity(*more: str) -> list[str]:
    """Return the arguments that make a service start as this user."""
    user = ["--user", "nobody"] if os.geteuid() == 0 else []
    return ["--application", "systems.jeex_idea.api:create_app", *user, *more]


@needs_root
def test_it_gives_up_root_before_it_serves(scratch: Scratch) -> None:
    nobody = pwd.getpwnam("nobody")
    with serving(scratch) as running:
        status = Path(f"/proc/{running.process.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert fields["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert fields["Groups"].split() == []
    assert int(fields["CapEff"], 16) == 0


@needs_root
def test_it_imports_nothing_after_root_is_given_up(scratch: Scratch, tmp_path: Path) -> None:
    """The interpreter may lie where the service's user cannot read."""
    noted = tmp_path / "imports"
    noted.touch(mode=0o666)
    noted.chmod(0o666)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    path = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with serving(scratch, PYTHONPATH=path, IMPORTS_AFTER_DROP=str(noted)) as running:
        api = running.client
        body = {"email": "imports@example.com", "name": "I"}
        user = api.post("/users", json=body).json()
        api.headers["X-User-ID"] = user["id"]
        for answer in (
            api.post("/users", json=body),
            api.post("/users", json={}),
            api.post("/users", content=b"\xff"),
            api.patch(f"/users/{user['id']}", json={"name": "J"}, headers={"If-Match": '"1"'}),
            api.get("/users"),
            api.get("/nowhere"),
            api.get("/docs"),
            api.get("/openapi.json"),
            api.get("/health/db"),
        ):
            assert answer.status_code < 500
        scratch.stop()
        assert api.get("/users").status_code == 503
        scratch.start()
        until(lambda: api.get("/users").status_code == 200, "the database is back")
        assert api.delete(f"/users/{user['id']}").status_code == 204
        assert running.stop() in (0, -15)
    assert noted.read_text() == "watching\n"


def test_at_sigterm_it_closes_every_connection(scratch: Scratch) -> None:
    def connections() -> int:
        with scratch.admin() as admin:
            row = admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'jeex_idea_app'"
            ).fetchone()
            assert row is not None
            return row[0]

    with serving(scratch) as running:
        api = running.client
        api.headers["X-User-ID"] = str(uuid.uuid4())
        assert api.get("/users").status_code == 200
        assert connections() >= 1
        assert running.stop() in (0, -15)
        until(lambda: connections() == 0, "no connection is left")
        log = running.log.read_text()
    assert "Application shutdown complete" in log
    assert "Traceback" not in log


def test_a_port_that_is_taken_is_said_in_two_lines(scratch: Scratch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start(*identity("--port", str(port), "--connection", str(scratch.connection)))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("target", ["systems.none:app", "systems.jeex_idea.api:none", "x", ":y"])
def test_an_application_that_is_not_there_is_a_usage_error(target: str) -> None:
    user = ["--user", "nobody"] if os.geteuid() == 0 else []
    done = start("--application", target, "--port", str(free_port()), *user)
    assert done.returncode == 2
    assert "cannot be loaded" in done.stderr


def test_a_connection_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    missing = tmp_path / "none.json"
    done = start(*identity("--port", str(free_port()), "--connection", str(missing)))
    assert done.returncode == 1
    assert str(missing) in done.stderr


@needs_root
@pytest.mark.parametrize("user", [[], ["--user", "root"], ["--user", "no such user"]])
def test_it_does_not_serve_as_root(scratch: Scratch, user: list[str]) -> None:
    application = ["--application", "systems.jeex_idea.api:create_app"]
    done = start(
        *application, "--port", str(free_port()), "--connection", str(scratch.connection), *user
    )
    assert done.returncode == 1
    assert "--user" in done.stderr


def test_a_password_file_that_others_may_read_is_refused(scratch: Scratch) -> None:
    passfile = scratch.folder / ".pgstead" / "passfiles" / "jeex_idea_app"
    passfile.chmod(0o644)
    try:
        arguments = identity("--port", str(free_port()), "--connection", str(scratch.connection))
        done = start(*arguments)
    finally:
        passfile.chmod(0o600)
    assert done.returncode == 1
    assert "readable by others" in done.stderr


def test_a_role_that_policies_do_not_bind_is_refused(scratch: Scratch) -> None:
    with scratch.admin() as admin:
        admin.execute("ALTER ROLE jeex_idea_app BYPASSRLS")
        try:
            arguments = identity(
                "--port", str(free_port()), "--connection", str(scratch.connection)
            )
            done = start(*arguments)
        finally:
            admin.execute("ALTER ROLE jeex_idea_app NOBYPASSRLS")
    assert done.returncode != 0
    assert "row-level security does not bind: jeex_idea_app bypasses" in done.stderr


def test_a_role_that_is_a_member_of_the_owner_is_refused(scratch: Scratch) -> None:
    with scratch.admin() as admin:
        admin.execute("GRANT jeex_idea_owner TO jeex_idea_app")
        try:
            arguments = identity(
                "--port", str(free_port()), "--connection", str(scratch.connection)
            )
            done = start(*arguments)
        finally:
            admin.execute("REVOKE jeex_idea_owner FROM jeex_idea_app")
    assert done.returncode != 0
    assert "row-level security does not bind: jeex_idea_owner owns" in done.stderr


def test_echo_is_refused_outside_of_development(scratch: Scratch) -> None:
    arguments = identity("--port", str(free_port()), "--connection", str(scratch.connection))
    done = start(*arguments, JEEX_DATABASE_ECHO="1")
    assert done.returncode == 2
    assert "development only" in done.stderr


def test_the_pool_s_figures_come_from_the_environment(scratch: Scratch) -> None:
    given = {"JEEX_DATABASE_POOL_SIZE": "3", "DB_MAX_OVERFLOW": "1"}
    with serving(scratch, **given) as running:
        told = running.client.get("/health/db").json()
    assert (told["pool_size"], told["pool_limit"]) == (3, 4)


def test_no_password_is_in_its_arguments_environment_or_log(scratch: Scratch) -> None:
    passfile = scratch.folder / ".pgstead" / "passfiles" / "jeex_idea_app"
    password = passfile.read_text().split(":")[4][:6]
    with serving(scratch) as running:
        running.client.get("/users")
        proc = Path(f"/proc/{running.process.pid}")
        seen = (proc / "cmdline").read_text() + (proc / "environ").read_text(errors="replace")
        seen += running.log.read_text() + running.client.get("/health/db").text
    assert password not in seen


def test_the_connection_file_of_another_database_is_refused(
    scratch: Scratch, tmp_path: Path
) -> None:
    told = json.loads(scratch.connection.read_text())
    told["database"] = "specgen"
    other = tmp_path / "specgen.json"
    other.write_text(json.dumps(told))
    done = start(*identity("--port", str(free_port()), "--connection", str(other)))
    assert done.returncode == 1
    assert "'specgen'" in done.stderr
