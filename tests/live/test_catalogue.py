"""The catalogue against the servers that it describes."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pgstead.catalog import lookup
from pgstead.catalog.lookup import MAJORS, Spec
from pgstead.cli.wiring import find_build
from pgstead.errors import ManifestError
from tests.fix_stead import short_directory, toolchain
from tests.live.scratch import server_user

SERVER_USER = server_user()
LIBRARIES = "auth_delay,auto_explain,passwordcheck,pg_stat_statements"
BOOLEANS = ("on", "OFF", "true", "f", "Yes", "n", "1", "0", "of", "o", "maybe", "")
NUMBERS = ("0", "1", "-1", "7", "0x10", "010", "1e3", "1.5", "2.5", "0.05", "99999999", "x", "")
UNFIT = frozenset({
    # 1 ms would end the session that asks.
    "idle_session_timeout", "idle_in_transaction_session_timeout", "transaction_timeout",
    "statement_timeout",
    # The operating system's limit, or a hole in the range, is the server's own check.
    "max_stack_depth", "vacuum_buffer_usage_limit",
    # They show what the socket has: nothing, on a Unix socket.
    "tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout",
})  # fmt: skip
UNITS = ("1kB", "1MB", "3GB", "1.5MB", "30.1GB", "8193B", "1mb", "90s", "1.5min", "2h", "1d",
         "1500us", "100ms", "5 s", "1 TB")  # fmt: skip


@contextmanager
def server(major: int) -> Iterator[psycopg.Connection]:
    """Start a throw-away server of the toolchain on a Unix socket."""
    directory = short_directory()
    build = find_build(toolchain(major).parents[1])
    subprocess.run(["chown", SERVER_USER or str(os.geteuid()), directory], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": build.library_path, "LC_ALL": "C"}

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [Path(build.bindir, program), "-D", directory / "data", *arguments],
            user=SERVER_USER,
            group=pwd.getpwnam(SERVER_USER).pw_gid if SERVER_USER else None,
            extra_groups=[] if SERVER_USER else None,
            env=environment,
            cwd=directory,
            check=True,
            capture_output=True,
        )

    run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
    options = f"-c listen_addresses='' -k {directory} -c shared_preload_libraries={LIBRARIES}"
    run("pg_ctl", "start", "-w", "-o", options, "-l", str(Path(directory, "log")))
    try:
        with psycopg.connect(host=str(directory), user="postgres", autocommit=True) as connection:
            yield connection
    finally:
        run("pg_ctl", "stop", "-m", "immediate")
        subprocess.run(["rm", "-rf", directory], check=True)


def candidates(spec: Spec) -> tuple[str, ...]:
    """Return values worth trying on a setting, possible and impossible ones."""
    match spec.type:
        case "bool":
            return BOOLEANS
        case "enum":
            return (*spec.enum, *(value.upper() for value in spec.enum), *BOOLEANS, "nonsense")
        case "integer" | "real":
            ends = [f"{bound:.0f}" for bound in (spec.minimum, spec.maximum) if bound is not None]
            return (*ends, *NUMBERS, *UNITS)
        case _:
            return ()


def ours(major: int, spec: Spec, value: str) -> tuple[str, str] | None:
    """Return (setting, SHOW) as the catalogue has it, None where it refuses the value."""
    try:
        canonical = lookup.canonical(major, spec.name, value)
    except ManifestError:
        return None
    return canonical, lookup.display(major, spec.name, canonical)


def theirs(connection: psycopg.Connection, spec: Spec, value: str) -> tuple[str, str] | None:
    """Return (setting, SHOW) as the server has it, None where it refuses the value."""
    name = sql.SQL(".").join(map(sql.Identifier, spec.name.split(".")))
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("SET LOCAL {} = {}").format(name, sql.Literal(value)))
            row = connection.execute(
                "SELECT setting, current_setting(name) FROM pg_settings WHERE name = %s",
                [spec.name],
            ).fetchone()
    except psycopg.Error:
        return None
    assert row is not None
    return row[0], row[1]


def missing_methods(connection: psycopg.Connection, spec: Spec) -> set[str]:
    """Return the compression methods that this build was made without (`--with-zstd`)."""
    row = connection.execute(
        "SELECT enumvals FROM pg_settings WHERE name = %s", [spec.name]
    ).fetchone()
    known = set(row[0] or ()) if row else set()
    return {"lz4", "zstd"} & set(spec.enum) - known


@pytest.mark.parametrize("major", MAJORS)
def test_the_catalogue_and_the_server_agree_on_every_value_that_can_be_tried(major: int) -> None:
    differing: list[str] = []
    tried = 0
    with server(major) as connection:
        for spec in lookup.settings(major).values():
            if spec.context not in ("user", "superuser") or spec.name in UNFIT:
                continue
            left_out = missing_methods(connection, spec)
            for value in candidates(spec):
                if value.lower() in left_out:
                    continue
                tried += 1
                mine, found = ours(major, spec, value), theirs(connection, spec, value)
                if mine != found:
                    differing.append(f"{spec.name} = {value!r}: we {mine}, server {found}")
    assert tried > 3000
    assert not differing, "\n".join(differing)
