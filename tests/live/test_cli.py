"""The command line on a running stead."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fix_stead import PGSTEAD, LiveStead
from tests.waiting import until

ROLES = {
    "app": "jeex_user",
    "admin": "jeex_admin",
    "readonly": "jeex_readonly",
    "monitor": "pgstead_monitor",
}


def url(stead: LiveStead, *options: str) -> str:
    """Return what `pgstead url` prints."""
    return stead.run("url", "jeex_idea", *options).stdout.strip()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("door", [(), ("--direct",)])
def test_psql_just_works(role: str, door: tuple[str, ...], stead: LiveStead) -> None:
    query = "select current_user, current_database()"
    said = stead.run("psql", "jeex_idea", "--role", role, *door, "--", "-XAtc", query)
    assert said.stdout == f"{ROLES[role]}|jeex_idea\n"


def test_psql_is_the_owner_for_the_migrator(stead: LiveStead) -> None:
    said = stead.run(
        "psql", "jeex_idea", "--role", "migrator", "--direct", "--",
        "-XAtc", "select session_user, current_user",
    )  # fmt: skip
    assert said.stdout == "jeex_migrator|jeex_owner\n"


def test_psql_leaves_with_its_own_status_and_is_led_astray_by_no_variable(
    stead: LiveStead,
) -> None:
    failed = ("psql", "jeex_idea", "--", "-XAtc", "select 1/0")
    assert stead.run(*failed, status=1).stderr == "ERROR:  division by zero\n"
    strange = {
        "PGHOST": "192.0.2.1",
        "PGHOSTADDR": "192.0.2.1",
        "PGSERVICE": "elsewhere",
        "PGPASSWORD": "wrong",
        "PGOPTIONS": "-c search_path=evil",
        "PGSSLMODE": "disable",
    }
    done = subprocess.run(
        [*PGSTEAD, "psql", "jeex_idea", "--", "-XAtc", "select current_user"],
        cwd=stead.directory,
        env={**os.environ, **strange},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "jeex_user\n"


def asleep(stead: LiveStead) -> bool:
    """Tell whether the server runs what was typed."""
    with stead.superuser() as admin:
        return bool(
            admin.execute(
                "SELECT 1 FROM pg_stat_activity"
                " WHERE state = 'active' AND query LIKE 'select pg_sleep(60)%'"
            ).fetchall()
        )


def test_psql_takes_the_terminal_over(stead: LiveStead) -> None:
    """Ctrl-C cancels the statement; psql stays and goes on."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(stead.directory)
        command = [*PGSTEAD, "psql", "jeex_idea", "--", "-X", "-P", "pager=off"]
        os.execvpe(command[0], command, {**os.environ, "TERM": "dumb", "PSQL_HISTORY": "/dev/null"})
    seen = ""

    def wait_for(pattern: str) -> None:
        nonlocal seen
        deadline = time.monotonic() + 30
        while not re.search(pattern, seen):
            left = max(deadline - time.monotonic(), 0)
            assert select.select([terminal], [], [], left)[0], seen
            seen += os.read(terminal, 4096).decode()
        seen = ""

    wait_for("jeex_idea=> ")
    os.write(terminal, b"select pg_sleep(60);\n")
    until(lambda: asleep(stead), "the server runs it")
    os.write(terminal, b"\x03")
    wait_for("canceling statement due to user request")
    os.write(terminal, b"select 'still' || ' here';\n")
    wait_for("still here")
    os.write(terminal, b"\\q\n")
    with contextlib.suppress(OSError):  # Linux says EIO when the other end is closed
        while os.read(terminal, 4096):
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)


@pytest.mark.parametrize("options", [("--direct",), ("--direct", "--reveal"), ()])
def test_the_url_connects_with_psycopg_and_asyncpg(
    options: tuple[str, ...], stead: LiveStead
) -> None:
    import asyncpg
    import psycopg

    place = url(stead, *options)
    query = "select current_user::text"
    with psycopg.connect(place, prepare_threshold=None) as connection:
        assert connection.execute(query).fetchone() == ("jeex_user",)

    async def ask() -> str:
        connection = await asyncpg.connect(place, statement_cache_size=0)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    assert asyncio.run(ask()) == "jeex_user"


@pytest.mark.parametrize("options", [("--direct",), ("--direct", "--reveal")])
def test_the_url_of_a_driver_connects_with_sqlalchemy(
    options: tuple[str, ...], stead: LiveStead
) -> None:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    query = sa.text("select current_user::text, ssl from pg_stat_ssl where pid = pg_backend_pid()")
    engine = sa.create_engine(url(stead, "--driver", "psycopg", *options))
    with engine.connect() as connection:
        assert tuple(connection.execute(query).one()) == ("jeex_user", True)
    engine.dispose()

    async def ask() -> tuple[object, ...]:
        asynchronous = create_async_engine(url(stead, "--driver", "asyncpg", *options))
        async with asynchronous.connect() as connection:
            found = (await connection.execute(query)).one()
        await asynchronous.dispose()
        return tuple(found)

    assert asyncio.run(ask()) == ("jeex_user", True)


@pytest.mark.parametrize("driver", [(), ("--driver", "psycopg"), ("--driver", "asyncpg")])
def test_the_url_verifies_the_server(
    driver: tuple[str, ...], stead: LiveStead, tmp_path: Path
) -> None:
    """With another CA in its place the connection is refused by the client."""
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    other = tmp_path / "other.crt"
    other.write_bytes(_another_ca())
    place = url(stead, "--direct", *driver).replace(str(stead.ca), str(other))
    assert str(other) in place

    async def ask() -> None:
        engine = create_async_engine(place)
        async with engine.connect():
            pass

    def connect() -> None:
        if "asyncpg" in driver:
            asyncio.run(ask())
        else:
            sa.create_engine(place.replace("postgresql:", "postgresql+psycopg:")).connect()

    with pytest.raises(Exception, match=r"(?i)certificate.verify.failed"):
        connect()


def _another_ca() -> bytes:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_only_reveal_shows_a_password(stead: LiveStead) -> None:
    password = stead.password("jeex_user")
    for words in (("url", "jeex_idea"), ("status",), ("status", "--json"), ("plan", "--json")):
        said = stead.run(*words, status=None)
        assert password not in said.stdout + said.stderr
    assert password in url(stead, "--reveal")


def test_a_database_that_there_is_not_is_refused_with_the_one_that_was_meant(
    stead: LiveStead,
) -> None:
    said = stead.run("url", "jeex_ida", status=2)
    assert said.stderr.startswith(
        "error: there is no database `jeex_ida`; did you mean `jeex_idea`?\nhint: there is: "
    )


def test_status_tells_what_runs_where(stead: LiveStead) -> None:
    said = stead.run("status")
    for pattern in (
        rf"postgres +running +127\.0\.0\.1:{stead.direct_port} +PostgreSQL 18\.\d+",
        rf"pgbouncer +running +127\.0\.0\.1:{stead.pooler_port} +PgBouncer \d+\.\d+\.\d+",
        rf"api-jeex_idea +running +http://127\.0\.0\.1:{stead.api_port}",
        r"jeex_idea +[0-9a-f]{12}",
        r"server +\d{4}-\d\d-\d\d \(\d+ days\)",
    ):
        assert re.search(pattern, said.stdout), f"{pattern}\n{said.stdout}"
    told = stead.json("status")
    assert told["healthy"] is True
    assert {program["name"] for program in told["programs"]} == {
        "postgres",
        "pgbouncer",
        "api-jeex_idea",
    }


def test_plan_shows_one_readable_line_per_operation_and_exits_with_3(stead: LiveStead) -> None:
    with stead.superuser() as connection:
        connection.execute("ALTER ROLE jeex_readonly CREATEDB")
    try:
        said = stead.run("plan", status=3)
        assert re.search(
            r"^  ~  roles +role jeex_readonly +createdb: yes -> no +online$",
            said.stdout,
            re.MULTILINE,
        ), said.stdout
        assert "1 operation; worst impact: online" in said.stdout
        assert said.stderr.endswith("hint: `pgstead up`\n")
        (operation,) = stead.json("plan", status=3)["operations"]
        assert operation["address"] == "role:jeex_readonly"
    finally:
        stead.run("up")
    assert "nothing to change" in stead.run("plan").stdout


def test_logs_show_each_program_and_follow_goes_on(stead: LiveStead) -> None:
    headers = re.findall(r"^==> (.+) <==$", stead.run("logs", "-n", "2").stdout, re.MULTILINE)
    assert {"postgres", "pgbouncer", "supervisord"} <= set(headers)
    with subprocess.Popen(
        [*PGSTEAD, "logs", "postgres", "-f", "-n", "0"],
        cwd=stead.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        time.sleep(1)
        with stead.superuser() as connection:
            connection.execute("DO $$ BEGIN RAISE LOG 'a mark of ours'; END $$")
        assert following.stdout is not None
        assert any("a mark of ours" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0


def test_demo_data_comes_and_goes(stead: LiveStead) -> None:
    # as the administrator: the application sees nobody but who asks
    count = ("psql", "jeex_idea", "--role", "admin", "--", "-XAtc", "select count(*) from users")
    before = int(stead.run(*count).stdout)
    loaded = stead.json("demo", "load", "jeex_idea")["rows"]["users"]
    assert loaded > 0
    assert stead.json("demo", "load", "jeex_idea")["rows"]["users"] == 0
    assert int(stead.run(*count).stdout) == before + loaded
    assert stead.json("demo", "remove", "jeex_idea")["rows"]["users"] == loaded
    assert int(stead.run(*count).stdout) == before


def test_prove_keeps_its_report_and_shows_evidence_when_asked(stead: LiveStead) -> None:
    said = stead.run("prove", "TLS-001", "--evidence")
    assert said.stdout.startswith("TLS-001  kept ")
    assert "-> " in said.stdout
    (path,) = re.findall(r"^report: (.+)$", said.stderr, re.MULTILINE)
    kept = json.loads(Path(path).read_text())
    assert [p["code"] for p in kept["promises"]] == ["TLS-001"]
    assert stead.password("jeex_user") not in Path(path).read_text()


def test_an_interrupted_up_says_that_it_continues(make_stead: Callable[..., LiveStead]) -> None:
    stead = make_stead()
    with subprocess.Popen(
        [*PGSTEAD, "up"], cwd=stead.directory, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "starting postgres" in line:
                break
        running.send_signal(signal.SIGINT)
        told = running.stderr.read()
        assert running.wait(60) == 130
    assert told.endswith("error: interrupted; run `pgstead up` again: it continues\n")
    assert "is up" in stead.run("up").stdout


def test_up_names_who_holds_a_port_before_it_starts_anything(
    make_stead: Callable[..., LiveStead],
) -> None:
    stead = make_stead()
    with socket.create_server(("127.0.0.1", stead.pooler_port)):
        said = stead.run("up", status=1)
    assert said.stderr.startswith(f"error: port {stead.pooler_port} (pooler.port) is taken by "), (
        said.stderr
    )
    assert f"(pid {os.getpid()})" in said.stderr
    assert not (stead.state / "server" / "data").exists()
    stead.run("up")


def test_demo_data_is_refused_in_production(make_stead: Callable[..., LiveStead]) -> None:
    stead = make_stead()
    stead.run("up")
    text = stead.manifest.read_text()
    stead.manifest.write_text(text.replace('"development"', '"production"'))
    said = stead.run("demo", "load", "jeex_idea", status=2)
    assert "production" in said.stderr


def test_the_python_api_does_what_the_commands_do(stead: LiveStead) -> None:
    from pgstead import design, load, plan, prove

    manifest = load(stead.manifest)
    assert manifest.name == "test"
    wanted = design(manifest, directory=stead.directory)
    assert wanted == design(stead.manifest)
    assert plan(wanted).empty
    report = prove(wanted, "TLS-001")
    assert [outcome.verdict.value for outcome in report.outcomes] == ["kept"]
