"""The doors, tried by real clients: who gets in with verify-full, and what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import psycopg
import pytest

from tests.fix_stead import LiveStead
from tests.waiting import until

pytestmark = pytest.mark.live

DOORS = pytest.mark.parametrize("direct", [True, False], ids=["direct", "pooler"])
HOSTS = pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])


def port_of(stead: LiveStead, *, direct: bool) -> int:
    return stead.direct_port if direct else stead.pooler_port


@DOORS
@HOSTS
def test_psycopg_gets_in_with_verify_full(stead: LiveStead, host: str, *, direct: bool) -> None:
    with stead.connect(direct=direct, host=host) as connection:
        assert connection.execute("SELECT current_user::text").fetchone() == ("jeex_user",)


@DOORS
@HOSTS
def test_asyncpg_gets_in_with_verify_full(stead: LiveStead, host: str, *, direct: bool) -> None:
    async def ask() -> str:
        context = ssl.create_default_context(cafile=str(stead.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        connection = await asyncpg.connect(
            host=host,
            port=port_of(stead, direct=direct),
            user="jeex_user",
            password=stead.password("jeex_user"),
            database="jeex_idea",
            ssl=context,
            statement_cache_size=0,
        )
        try:
            return await connection.fetchval("SELECT current_user::text")
        finally:
            await connection.close()

    assert asyncio.run(ask()) == "jeex_user"


@DOORS
def test_psql_gets_in_with_verify_full(stead: LiveStead, *, direct: bool) -> None:
    url = stead.run("url", "jeex_idea", *(["--direct"] if direct else [])).stdout.strip()
    assert stead.password("jeex_user") not in url
    psql = stead.wired.design.build.bindir + "/psql"
    done = subprocess.run(
        [psql, url, "-XAtc", "SELECT 42"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert (done.stdout.strip(), done.returncode) == ("42", 0), done.stderr


@DOORS
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sslmode": "disable"}, ("no encryption", "SSL required")),
        (
            {"ssl_max_protocol_version": "TLSv1.2", "ssl_min_protocol_version": "TLSv1.2"},
            ("protocol version", "unsupported protocol", "SSL error", "alert"),
        ),
        ({"password": "wrong"}, ("password authentication failed", "SASL authentication failed")),
        (
            {"dbname": "postgres"},
            (
                "no pg_hba.conf entry",
                "pg_hba.conf rejects",
                "no such database",
                "SASL authentication failed",
                "not allowed",
            ),
        ),
        (
            {"user": "postgres", "password": "anything"},
            (
                "pg_hba.conf rejects",
                "no pg_hba.conf entry",
                "password authentication failed",
                "SASL authentication failed",
                "no such user",
            ),
        ),
    ],
    ids=["plaintext", "TLS 1.2", "wrong password", "foreign database", "superuser"],
)
def test_a_stranger_is_refused_for_the_right_reason(
    stead: LiveStead, changed: dict[str, str], words: tuple[str, ...], *, direct: bool
) -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        stead.connect(direct=direct, **changed).close()
    assert any(word in str(refused.value) for word in words), refused.value


@DOORS
def test_a_server_of_another_ca_is_not_trusted(
    stead: LiveStead, tmp_path: Path, *, direct: bool
) -> None:
    other = tmp_path / "other.crt"
    openssl = shutil.which("openssl")
    assert openssl
    subprocess.run(
        [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            str(tmp_path / "k"),
            "-out",
            str(other),
            "-subj",
            "/CN=other",
            "-days",
            "2",
        ],
        check=True,
        capture_output=True,
    )
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        stead.connect(direct=direct, sslrootcert=str(other)).close()


@DOORS
@pytest.mark.parametrize(("version", "accepted"), [("-tls1_3", True), ("-tls1_2", False)])
def test_openssl_sees_tls_1_3_only(
    stead: LiveStead, version: str, *, direct: bool, accepted: bool
) -> None:
    openssl = shutil.which("openssl")
    assert openssl
    done = subprocess.run(
        [
            openssl,
            "s_client",
            "-starttls",
            "postgres",
            version,
            "-CAfile",
            str(stead.ca),
            "-verify_return_error",
            "-connect",
            f"127.0.0.1:{port_of(stead, direct=direct)}",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert ("Verify return code: 0 (ok)" in done.stdout and "TLSv1.3" in done.stdout) is accepted


@pytest.fixture
def expired(stead: LiveStead) -> Iterator[LiveStead]:
    with stead.superuser() as connection:
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        connection.execute(f"ALTER ROLE jeex_readonly VALID UNTIL '{yesterday}'")
    yield stead
    stead.run("up")


@DOORS
def test_a_role_past_valid_until_is_refused(expired: LiveStead, *, direct: bool) -> None:
    with pytest.raises(psycopg.OperationalError):
        expired.connect("jeex_readonly", direct=direct).close()


def test_a_role_past_valid_until_is_refused_through_a_warm_pool(stead: LiveStead) -> None:
    with stead.connect("jeex_readonly") as connection:
        connection.execute("SELECT 1")
    with stead.superuser() as connection:
        connection.execute("ALTER ROLE jeex_readonly VALID UNTIL '2020-01-01'")
    try:
        with pytest.raises(psycopg.OperationalError):
            stead.connect("jeex_readonly").close()
    finally:
        stead.run("up")
    with stead.connect("jeex_readonly") as connection:
        connection.execute("SELECT 1")


@DOORS
def test_an_md5_password_is_refused(stead: LiveStead, *, direct: bool) -> None:
    with stead.superuser() as connection:
        told = (stead.password("jeex_readonly") + "jeex_readonly").encode()
        stored = "md5" + hashlib.md5(told, usedforsecurity=False).hexdigest()
        connection.execute(f"ALTER ROLE jeex_readonly PASSWORD '{stored}'")
    try:
        with pytest.raises(psycopg.OperationalError):
            stead.connect("jeex_readonly", direct=direct).close()
        assert "jeex_readonly" in stead.run("plan", status=3).stdout
    finally:
        stead.run("up")


def test_no_password_is_seen_in_processes_logs_or_journal(stead: LiveStead) -> None:
    values = {path.name: path.read_text().strip() for path in (stead.state / "secrets").iterdir()}
    assert values
    told: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            for name in ("cmdline", "environ"):
                try:
                    told.append((entry / name).read_bytes().decode(errors="replace"))
                except OSError:
                    continue
    seen_in = ("server/log", "log", "journal.jsonl", "pooler/pgbouncer.log", "run", "connections")
    for place in seen_in:
        path = stead.state / place
        files = path.rglob("*") if path.is_dir() else [path]
        told += [f.read_text(errors="replace") for f in files if f.is_file()]
    told += [stead.run("plan", "--json", status=None).stdout, stead.run("status", "--json").stdout]
    shown = [name for name, value in values.items() if any(value in text for text in told)]
    assert shown == []


def test_who_is_unknown_to_the_console_is_refused_at_once_and_keeps_no_place(
    stead: LiveStead,
) -> None:
    console = stead.wired.ports.console

    def places() -> int:
        lists = {row["list"]: row["items"] for row in console.rows("SHOW LISTS")}
        return int(lists["used_clients"])

    before = places()
    for user in ("jeex_user", "nobody_at_all") * 5:
        with pytest.raises(psycopg.OperationalError) as caught:
            stead.connect(
                direct=False, user=user, dbname="pgbouncer", password="wrong", connect_timeout=20
            )
        assert "timeout" not in str(caught.value)
    until(lambda: places() <= before, "the places are free again")
