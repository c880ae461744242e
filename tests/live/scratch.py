"""A server by hand for the tests of what applications import: real PostgreSQL, TLS only, roles
as the foundation makes them, and a connection file. PgBouncer beside it where the machine has one.

`PGSTEAD_TEST_BINDIR` names the binaries; else the newest server of the system is taken.
"""

from __future__ import annotations

import datetime
import ipaddress
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

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
# What a password may hold, and what has broken a URL, an ini file or a passfile somewhere.
NASTY = "p%41 \"q'\\:{}@/#?&"


def bindir() -> Path | None:
    """Return the folder of the server binaries under test."""
    if named := os.environ.get("PGSTEAD_TEST_BINDIR"):
        return Path(named)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def pgbouncer() -> str | None:
    """Return the pooler under test: `PGSTEAD_TEST_PGBOUNCER`, or the system's."""
    return os.environ.get("PGSTEAD_TEST_PGBOUNCER") or shutil.which("pgbouncer")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _server_user() -> str | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return None


def _give(path: Path) -> None:
    if user := _server_user():
        shutil.chown(path, user)


@dataclass
class Scratch:
    """A running server, with one database `jeex_idea` made by hand."""

    folder: Path
    binaries: Path
    port: int = field(default_factory=free_port)
    pooler_port: int | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def socket(self) -> Path:
        return self.folder / "run"

    def admin(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Connect as the superuser through the closed socket."""
        return psycopg.connect(
            host=str(self.socket),
            port=self.port,
            dbname=database,
            user="postgres",
            autocommit=True,
        )

    def connect(
        self, role: str = "app", database: str = "jeex_idea"
    ) -> psycopg.Connection[tuple[object, ...]]:
        """Connect as a role of a database, over TLS, at the direct door."""
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
                self._command("postgres", "-D", str(self.data)), stdout=log, stderr=log
            )
        until = time.monotonic() + 30
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
        """Stop the server, fast."""
        if self.process is not None:
            self.process.send_signal(2)
            self.process.wait(30)
            self.process = None

    def _command(self, program: str, *arguments: str) -> list[str]:
        user = _server_user()
        path = str(self.binaries / program)
        if user is None:
            return [path, *arguments]
        group = str(pwd.getpwnam(user).pw_gid)
        return ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", path, *arguments]

    def initialize(self) -> None:
        """Run initdb and write the configuration."""
        for path in (self.data, self.socket):
            path.mkdir(mode=0o700)
            _give(path)
        subprocess.run(
            self._command(
                "initdb",
                "-D",
                str(self.data),
                "-U",
                "postgres",
                "--auth=trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ),  # fmt: skip
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        certify(self.folder, self.data)
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
            admin.execute(sql.SQL("GRANT {} TO {}").format(owner, migrator))
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

    def _add_role(
        self, admin: psycopg.Connection[tuple[object, ...]], role: str, *, login: bool
    ) -> None:
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


ROLES = {"owner": False, "app": True, "migrator": True, "admin": True, "readonly": True}


def _set_privileges(admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Do what the foundation's roles and databases do, in their strictest form."""
    names = {role: sql.Identifier(f"{name}_{role}") for role in ROLES}
    for statement in (
        "ALTER SCHEMA public OWNER TO {owner}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO {app}, {migrator}, {readonly}, {admin}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
        " GRANT EXECUTE ON FUNCTIONS TO {app}, {admin}, {readonly}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app}, {admin}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
        " GRANT SELECT ON TABLES TO {readonly}",
    ):
        admin.execute(sql.SQL(statement).format(**names))


def certify(folder: Path, data: Path) -> None:
    """Make a CA and a server certificate for loopback."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scratch CA")])

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )

    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(ca.public_bytes(pem))
    (data / "server.crt").write_bytes(certificate.public_bytes(pem))
    path = data / "server.key"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    _give(path)


@contextmanager
def running_server() -> Iterator[Scratch]:
    """Start a server with the database jeex_idea, not migrated; nothing is left afterwards."""
    binaries = bindir()
    assert binaries is not None, "no server binaries: set PGSTEAD_TEST_BINDIR"
    # a path that breaks what does not quote
    folder = Path(tempfile.mkdtemp(prefix="scratch 100%s "))
    folder.chmod(0o755)
    scratch = Scratch(folder, binaries)
    try:
        scratch.initialize()
        scratch.start()
        scratch.add_database("jeex_idea")
        yield scratch
    finally:
        scratch.stop()
        shutil.rmtree(folder)


def alembic(
    *arguments: str, connection: Path, folder: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the plain command as a developer would, in systems/jeex_idea."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "alembic"), *arguments],
        cwd=folder or ROOT / "systems" / "jeex_idea",
        env={**os.environ, "PGSTEAD_CONNECTION": str(connection)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done
