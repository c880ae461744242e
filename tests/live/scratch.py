"""A server by hand, for the tests of what applications import.

Real PostgreSQL with TLS only, roles as the foundation makes them, a connection file, and PgBouncer
beside it where a test asks for it. `PGSTEAD_TEST_BINDIR` and `PGSTEAD_TEST_PGBOUNCER` name the
programs; else the ones that the shared steads use are taken.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.fix_stead import toolchain
from tests.free_ports import free_port
from tests.live.certify import certify
from tests.reaper import watched

# What a password may hold, and what has broken a URL, an ini file or a passfile somewhere.
NASTY = "p%41 \"q'\\:{}@/#?&"


def bindir() -> Path:
    """Return the folder of the server binaries under test."""
    if named := os.environ.get("PGSTEAD_TEST_BINDIR"):
        return Path(named)
    return max(toolchain(18).glob("postgresql/*/bin"))


def pgbouncer() -> str:
    """Return the pooler under test."""
    named = os.environ.get("PGSTEAD_TEST_PGBOUNCER") or shutil.which("pgbouncer")
    return named or str(max(toolchain(18).glob("pgbouncer/*/usr/sbin/pgbouncer")))


def server_user() -> str | None:
    """Return whom servers run as; root must not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return None


def _environment() -> dict[str, str]:
    """Return where programs find the libraries that were fetched with them."""
    return {**os.environ, "LD_LIBRARY_PATH": str(toolchain(18) / "lib")}


def _give(path: Path) -> None:
    if user := server_user():
        shutil.chown(path, user)


@dataclass
class Scratch:
    """A running server, with one database made by hand."""

    folder: Path
    binaries: Path
    database: str = "jeex_idea"
    port: int = field(default_factory=free_port)
    pooler_port: int | None = None
    process: subprocess.Popen[bytes] | None = None
    pooler: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def connection(self) -> Path:
        """The connection file of its database."""
        return self.folder / ".pgstead" / "connections" / f"{self.database}.json"

    @property
    def socket(self) -> Path:
        return self.folder / "run"

    def raw(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the superuser through the closed socket."""
        return psycopg.connect(
            host=str(self.socket), port=self.port, dbname=database, user="postgres"
        )

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the superuser, each statement a transaction."""
        connection = self.raw(database)
        connection.autocommit = True
        return connection

    def connect(self, role: str = "app", database: str = "") -> psycopg.Connection[Any]:
        """Connect as a role of a database, over TLS, at the direct door."""
        database = database or self.database
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=f"{database}_{role}",
            password=NASTY,
            sslmode="verify-full",
            sslrootcert=str(self.ca),
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command("postgres", "-D", str(self.data)),
                env=_environment(),
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 120
        while True:
            try:
                self.admin().close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until or self.process.poll() is not None:
                    print((self.folder / "server.log").read_text()[-4000:], file=sys.stderr)
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the pooler and the server, fast."""
        if self.pooler is not None:
            self.pooler.kill()
            self.pooler.wait(120)
            self.pooler = None
        if self.process is not None:
            self.process.send_signal(2)
            self.process.wait(30)
            self.process = None

    def start_pooler(self, pool_size: int = 5) -> None:
        """Start PgBouncer in transaction mode, TLS on both sides; connection files name it."""
        self.pooler_port = free_port()
        folder = self.folder / "pooler"
        folder.mkdir(mode=0o700)
        users = [f"jeex_idea_{role}" for role, login in ROLES.items() if login]
        quoted = NASTY.replace('"', '""')
        (folder / "users.txt").write_text("".join(f'"{user}" "{quoted}"\n' for user in users))
        shutil.copy(self.ca, folder / "ca.crt")
        for name in ("server.crt", "server.key"):
            shutil.copy(self.data / name, folder / name)
        (folder / "pgbouncer.ini").write_text(
            _PGBOUNCER.format(port=self.port, own=self.pooler_port, size=pool_size)
        )
        for path in (folder, *folder.iterdir()):
            _give(path)
        self._run_pooler()
        self.write_connection("jeex_idea")

    def restart_pooler(self) -> None:
        """Kill the pooler and start it again."""
        assert self.pooler is not None
        self.pooler.kill()
        self.pooler.wait(120)
        self._run_pooler()

    def _run_pooler(self) -> None:
        folder = self.folder / "pooler"
        command = self._command("", pgbouncer(), "pgbouncer.ini")
        with (self.folder / "pooler.log").open("ab") as log:
            self.pooler = subprocess.Popen(
                command, cwd=folder, env=_environment(), stdout=log, stderr=log
            )
        until = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.pooler_port), 1).close()
                break
            except OSError:
                assert time.monotonic() < until, (self.folder / "pooler.log").read_text()
                time.sleep(0.05)

    def _command(self, program: str, *arguments: str) -> list[str]:
        user = server_user()
        named = [str(self.binaries / program)] if program else []
        if user is None:
            return [*named, *arguments]
        group = str(pwd.getpwnam(user).pw_gid)
        return ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", *named, *arguments]

    def initialize(self) -> None:
        """Run initdb and write the configuration."""
        for path in (self.data, self.socket):
            path.mkdir(mode=0o700)
            _give(path)
        subprocess.run(
            self._command("initdb", "-D", str(self.data), *_INITDB),
            check=True,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        certify(self.folder, self.data)
        _give(self.data / "server.key")
        (self.data / "postgresql.auto.conf").write_text(
            f"""
listen_addresses = '127.0.0.1'
port = {self.port}
unix_socket_directories = '{self.socket}'
fsync = off
ssl = on
ssl_min_protocol_version = 'TLSv1.3'
password_encryption = 'scram-sha-256'
max_connections = 120
timezone = 'UTC'
shared_buffers = '32MB'
lc_messages = 'C'
"""
        )
        (self.data / "pg_hba.conf").write_text(
            "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        )

    def add_database(self, name: str, prefix: str = "JEEX_") -> Path:
        """Make a database with its roles, and its connection file; return the file's path."""
        with self.admin() as admin:
            for role, login in ROLES.items():
                self._add_role(admin, f"{name}_{role}", login=login)
            owner = sql.Identifier(f"{name}_owner")
            migrator = sql.Identifier(f"{name}_migrator")
            admin.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), owner)
            )
            admin.execute(sql.SQL("GRANT {}, pg_read_all_stats TO {}").format(owner, migrator))
            admin.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET role = {}").format(
                    migrator, sql.Identifier(name), owner
                )
            )
            admin.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
            )
            for role in ("app", "migrator", "admin", "readonly"):
                admin.execute(
                    sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                        sql.Identifier(name), sql.Identifier(f"{name}_{role}")
                    )
                )
        with self.admin(name) as admin:
            _set_privileges(admin, name)
        return self.write_connection(name, prefix)

    def _add_role(self, admin: psycopg.Connection[Any], role: str, *, login: bool) -> None:
        how = sql.SQL("LOGIN PASSWORD {}").format(NASTY) if login else sql.SQL("NOLOGIN")
        admin.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), how))

    def write_connection(self, name: str, prefix: str = "JEEX_") -> Path:
        """Write the connection file as `pgstead up` would."""
        state = self.folder / ".pgstead"
        (state / "connections").mkdir(parents=True, exist_ok=True)
        (state / "passfiles").mkdir(exist_ok=True)
        roles = {}
        for role in ("app", "migrator", "admin", "readonly"):
            user = f"{name}_{role}"
            passfile = state / "passfiles" / user
            fields = [x.replace("\\", "\\\\").replace(":", "\\:") for x in (user, NASTY)]
            passfile.touch(mode=0o600)
            passfile.write_text(f"*:*:*:{fields[0]}:{fields[1]}\n")
            roles[role] = {"user": user, "passfile": str(passfile)}
        pooled = self.pooler_port is not None
        path = state / "connections" / f"{name}.json"
        path.write_text(
            json.dumps(
                {
                    "version": 1,
                    "stead": "scratch",
                    "environment": "test",
                    "database": name,
                    "prefix": prefix,
                    "server": {"major": 0},
                    "doors": {
                        "direct": {"host": "127.0.0.1", "port": self.port},
                        "pooler": {"host": "127.0.0.1", "port": self.pooler_port}
                        if pooled
                        else None,
                    },
                    "ca": str(self.ca),
                    "sslmode": "verify-full",
                    "roles": roles,
                    "pooler": {"version": "", "prepared_statements": False} if pooled else None,
                    "pool": {"size": 5, "max_overflow": 10, "timeout": 10.0, "recycle": 840},
                    "heads": [],
                }
            )
        )
        return path


_DEFAULT = "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
_INITDB = ("-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
ROLES = {"owner": False, "app": True, "migrator": True, "admin": True, "readonly": True}


_PGBOUNCER = """
[databases]
jeex_idea = host=127.0.0.1 port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 400
auth_type = scram-sha-256
auth_file = users.txt
admin_users = jeex_idea_admin
client_tls_sslmode = require
client_tls_cert_file = server.crt
client_tls_key_file = server.key
client_tls_protocols = tlsv1.3
server_tls_sslmode = verify-full
server_tls_ca_file = ca.crt
"""


def _set_privileges(admin: psycopg.Connection[Any], name: str) -> None:
    """Do what the foundation's roles and databases do, in their strictest form."""
    names = {role: sql.Identifier(f"{name}_{role}") for role in ROLES}
    for statement in (
        "ALTER SCHEMA public OWNER TO {owner}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO {app}, {migrator}, {readonly}, {admin}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        f"{_DEFAULT} GRANT EXECUTE ON FUNCTIONS TO {{app}}, {{admin}}, {{readonly}}",
        f"{_DEFAULT} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {{app}}, {{admin}}",
        f"{_DEFAULT} GRANT TRUNCATE ON TABLES TO {{admin}}",
        f"{_DEFAULT} GRANT SELECT ON TABLES TO {{readonly}}",
    ):
        admin.execute(sql.SQL(statement).format(**names))


@contextmanager
def running_server(database: str = "jeex_idea", prefix: str = "JEEX_") -> Iterator[Scratch]:
    """Start a server with one database, not migrated; nothing is left afterwards."""
    binaries = bindir()
    # a path that breaks what does not quote
    folder = Path(tempfile.mkdtemp(prefix="scratch 100%s "))
    folder.chmod(0o755)
    scratch = Scratch(folder, binaries, database)
    with watched(folder):
        try:
            scratch.initialize()
            scratch.start()
            scratch.add_database(database, prefix)
            yield scratch
        finally:
            scratch.stop()
            shutil.rmtree(folder)
