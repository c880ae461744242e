"""TLS: nobody speaks in plain text or with an old protocol, and clients know whom they speak to."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pgstead.model.address import Capability
from pgstead.model.design import Door
from pgstead.model.resources import Certificate
from pgstead.prove import processes
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import must_be_let_in, must_be_refused, try_login
from pgstead.prove.promise import promise
from pgstead.prove.refusal import Refusal, classified
from pgstead.prove.wire import Caller, Greeting
from pgstead.prove.witness import Witness

TLS = Capability.TLS
_NEEDS = ("door", "database")
_REMAINING = timedelta(days=7)  # a certificate with less to live is one that nobody renews

# What a server says only to a client that it has let in further than plaintext may come.
_LET_IN = (Refusal.PASSWORD, Refusal.LOGIN, Refusal.CONNECT, Refusal.DATABASE)


@promise(
    "TLS-001",
    "a client without TLS is refused",
    requirement="TLS-1",
    capability=TLS,
    needs=_NEEDS,
)
def plaintext_is_refused(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    for door, host in w.places:
        login = w.login(door, plan.app, plan.name, host=host, sslmode="disable", ca="")
        tried = try_login(login)
        yield must_be_refused(tried, (Refusal.PLAINTEXT,), betrayed_by=_LET_IN)
        for role, its in w.people():
            greeting = w.greet(Caller(host, door.port, role, its.name), None)
            yield _no_plaintext(greeting)


def _no_plaintext(told: Answer[Greeting]) -> Finding:
    expected = f"a refusal: {Refusal.PLAINTEXT}"
    if told.value.kind == "authentication":
        return told.broken(expected, said="was asked to authenticate in plain text")
    refusal = classified(told.value.message)
    if told.value.kind == "error" and refusal is Refusal.PLAINTEXT:
        return told.kept()
    if refusal in _LET_IN:
        return told.broken(expected)
    return told.unproven(f"refused for another reason; expected {expected}")


@promise(
    "TLS-002",
    "a client that speaks TLS 1.2 at most is refused",
    requirement="TLS-1",
    capability=TLS,
    needs=_NEEDS,
)
def old_protocols_are_refused(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    for door, host in w.places:
        login = w.login(door, plan.app, plan.name, host=host, most_tls="TLSv1.2")
        yield must_be_refused(try_login(login), (Refusal.PROTOCOL,), betrayed_by=_LET_IN)
        context = w.trusting()
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        yield _no_old_tls(w.greet(Caller(host, door.port, plan.app, plan.name), context))
        if w.access.openssl:
            yield _openssl_is_refused(w.access.openssl, door, host)


def _no_old_tls(told: Answer[Greeting]) -> Finding:
    expected = f"a refusal: {Refusal.PROTOCOL}"
    if told.value.tls:
        return told.broken(expected)
    if told.value.kind == "TLS failed" and classified(told.value.message) is Refusal.PROTOCOL:
        return told.kept()
    return told.unproven(f"refused for another reason; expected {expected}")


def _openssl_is_refused(openssl: str, door: Door, host: str) -> Finding:
    place = f"[{host}]:{door.port}" if ":" in host else f"{host}:{door.port}"
    command = [openssl, "s_client", "-starttls", "postgres", "-connect", place, "-tls1_2"]
    with timed() as watch:
        done = subprocess.run(command, input=b"", capture_output=True, timeout=10, check=False)
    said = done.stderr.decode(errors="replace")
    alert = next((line for line in said.splitlines() if "alert" in line), said)
    told = answer(" ".join(command), alert or "handshake done", done.returncode, watch)
    if done.returncode == 0:
        return told.broken(f"a refusal: {Refusal.PROTOCOL}", said="a TLS 1.2 session was made")
    if classified(alert) is Refusal.PROTOCOL:
        return told.kept()
    return told.unproven("openssl failed for another reason")


@promise(
    "TLS-003",
    "a client can verify whom it speaks to: by the foundation's CA, and by no other",
    requirement="TLS-2",
    capability=TLS,
    needs=_NEEDS,
)
def clients_can_verify_the_server(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    with _foreign_ca() as foreign:
        for door, host in w.places:
            proper = w.login(door, plan.app, plan.name, host=host)
            yield _verified(door, must_be_let_in(try_login(proper)))
            wrong = w.login(door, plan.app, plan.name, host=host, ca=foreign)
            yield must_be_refused(try_login(wrong), (Refusal.CERTIFICATE,))


def _verified(door: Door, finding: Finding) -> Finding:
    """Leave a login that failed for other reasons than the certificate to other promises."""
    said = finding.evidence.answer if finding.evidence else ""
    if finding.reason and classified(said) not in {Refusal.CERTIFICATE, Refusal.NAME}:
        raise CannotTryError(f"no login by {door.name}: {said}", evidence=finding.evidence)
    return finding


@contextmanager
def _foreign_ca() -> Generator[str]:
    """Yield the file of a CA that was made a moment ago and that nobody knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a stranger's CA")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory(prefix="pgstead-proof-") as directory:
        file = Path(directory, "ca.crt")
        file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        yield str(file)


@promise(
    "TLS-004",
    "verify-full works for every name and address of the machine that the certificate promises",
    requirement="TLS-2",
    capability=TLS,
    needs=_NEEDS,
)
def every_name_verifies(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    for door in w.doors:
        wanted = w.design.stead.find(
            Certificate, {"direct": "server", "pooler": "pooler"}[door.name]
        )
        for name in dict.fromkeys(("localhost", *(wanted.names if wanted else ()))):
            login = w.login(door, plan.app, plan.name, host=name, hostaddr=_address(w, door, name))
            yield _verified(door, must_be_let_in(try_login(login)))


def _address(w: Witness, door: Door, name: str) -> str:
    """Return where to knock for a name: libpq checks the name against the certificate alone."""
    hosts = [host for d, host in w.places if d == door]
    host = name if name in hosts else next(iter(hosts))
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:  # a name; hostaddr takes numbers alone
        return socket.gethostbyname(host)


@promise(
    "TLS-005",
    "the certificates that the doors show are in date, and will be for a week",
    requirement="TLS-3",
    capability=TLS,
    needs=_NEEDS,
)
def certificates_are_in_date(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # an expired certificate is to be read, not trusted
    for door, host in w.places:
        told = w.greet(Caller(host, door.port, plan.app, plan.name), unverified)
        if not told.value.certificate:
            raise CannotTryError("no certificate was shown", evidence=told.evidence)
        yield _in_date(told, x509.load_der_x509_certificate(told.value.certificate))
    with timed() as watch:
        try:
            ca = x509.load_pem_x509_certificate(Path(w.design.layout.ca).read_bytes())
        except (OSError, ValueError) as error:
            raise CannotTryError(f"the CA file cannot be read: {error}") from error
    yield _in_date(answer(f"read {w.design.layout.ca}", "", None, watch), ca)


def _in_date(told: Answer[Greeting] | Answer[None], shown: x509.Certificate) -> Finding:
    begins, ends, now = shown.not_valid_before_utc, shown.not_valid_after_utc, datetime.now(UTC)
    return told.shows(
        holds=begins <= now and ends - now > _REMAINING,
        expected="valid now and for at least 7 days more",
        said=f"{shown.subject.rfc4514_string()}: {begins.isoformat()} to {ends.isoformat()}",
        hint="`pgstead up` renews what pgstead issued",
    )


@promise(
    "TLS-006",
    "private keys can be read by their owner alone",
    requirement="TLS-3 ROL-4",
    capability=TLS,
)
def keys_are_private(w: Witness) -> Iterator[Finding]:
    paths = set(Path(w.design.layout.tls).glob("**/*.key"))
    server_key = w.setting("ssl_key_file").value
    paths |= {Path(w.design.layout.data, server_key)} if server_key else set()
    if w.door("pooler"):
        config = w.pooler_config().value
        names = ("client_tls_key_file", "server_tls_key_file")
        paths |= {Path(config[name]) for name in names if config.get(name)}
    for path in sorted(paths):
        try:
            with timed() as watch:
                mode = processes.mode(path)
        except OSError as error:
            yield CannotTryError(f"{path}: {error.strerror}").finding()
            continue
        told = answer(f"stat -c %a '{path}'", f"{mode:04o}", mode, watch)
        yield told.shows(
            holds=mode & 0o077 == 0, expected="0600 or less", hint=f"chmod 0600 '{path}'"
        )


_LINK = """
SELECT inet_client_addr() IS NULL AS socket, s.ssl, coalesce(s.version, ''), coalesce(s.cipher, '')
FROM pg_catalog.pg_stat_ssl AS s WHERE s.pid = pg_backend_pid()
"""


@promise(
    "TLS-007",
    "every session on the server, the pooler's too, is TLS 1.3 or does not leave the machine",
    requirement="TLS-1",
    capability=TLS,
    needs=_NEEDS,
)
def sessions_are_encrypted(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        for door in w.doors:
            with w.session(plan.app, plan.name, door.name) as session:
                told = session.ask(_LINK)
            socket, encrypted, version, _cipher = told.value[0]
            yield told.shows(
                holds=bool(socket) or (encrypted and version == "TLSv1.3"),
                expected="a Unix socket, or TLSv1.3",
            )
    others = w.look(
        "SELECT a.usename, a.client_addr, coalesce(s.version, 'plain text')"
        " FROM pg_catalog.pg_stat_activity AS a JOIN pg_catalog.pg_stat_ssl AS s USING (pid)"
        # Who has no name yet is still shaking hands, or being refused for plain text.
        " WHERE a.client_addr IS NOT NULL AND a.usename IS NOT NULL AND"
        " coalesce(s.version, '') <> 'TLSv1.3'"
    )
    yield others.shows(holds=not others.value, expected="no row")


@promise(
    "TLS-008",
    "the pooler verifies the server before it hands over anything, and asks TLS of its clients",
    requirement="TLS-1 TLS-2",
    capability=TLS,
    needs=("pooler",),
)
def the_pooler_verifies_the_server(w: Witness) -> Iterator[Finding]:
    told = w.pooler_config()
    wanted: dict[str, tuple[str, ...]] = {
        "client_tls_sslmode": ("require", "verify-ca", "verify-full"),
        "client_tls_protocols": ("tlsv1.3",),
    }
    if w.door("direct"):
        wanted |= {"server_tls_sslmode": ("verify-full",), "server_tls_protocols": ("tlsv1.3",)}
    for name, allowed in wanted.items():
        value = told.value.get(name, "")
        yield told.shows(
            holds=value in allowed,
            expected=f"{name} = {' or '.join(allowed)}",
            said=f"{name} = {value}",
        )
    if w.door("direct"):
        trusted = told.value.get("server_tls_ca_file", "")
        yield told.shows(
            holds=bool(trusted) and Path(trusted).exists(),
            expected="a CA file that exists",
            said=f"server_tls_ca_file = {trusted}",
        )


PROMISES = (
    plaintext_is_refused,
    old_protocols_are_refused,
    clients_can_verify_the_server,
    every_name_verifies,
    certificates_are_in_date,
    keys_are_private,
    sessions_are_encrypted,
    the_pooler_verifies_the_server,
)
