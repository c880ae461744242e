"""Sabotages of TLS and of the pooler."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.on_server import OVERRIDDEN
from tests.sabotage.scene import Scene

INI = ("POL-001", "SRV-007")  # an edited and loaded pgbouncer.ini shows in these two


@sabotage("TLS-001", also=("SRV-007",))
def plaintext_comes_to_the_server(scene: Scene) -> Iterator[Design | None]:
    """A rule lets the application come without TLS."""
    plan = scene.plan
    with scene.hba(f"host {plan.name} {plan.app} 127.0.0.1/32 scram-sha-256"):
        yield None


@sabotage("TLS-001", "TLS-008", also=INI)
def plaintext_comes_to_the_pooler(scene: Scene) -> Iterator[Design | None]:
    """The pooler takes clients without TLS."""
    with scene.ini_with(client_tls_sslmode="allow"):
        yield None


@sabotage("TLS-002", also=OVERRIDDEN)
def the_server_speaks_tls_1_2(scene: Scene) -> Iterator[Design | None]:
    """The server speaks an old protocol."""
    with scene.altered(ssl_min_protocol_version="TLSv1.2"):
        yield None


@sabotage("TLS-002", "TLS-008", also=INI)
def the_pooler_speaks_tls_1_2(scene: Scene) -> Iterator[Design | None]:
    """The pooler speaks an old protocol."""
    with scene.ini_with(client_tls_protocols="secure"):
        yield None


@sabotage(
    "TLS-003", "TLS-004", also=(*INI, "ROT-004", "ROL-001", "DBS-012", "POL-006"), blinds=("*",)
)
def the_pooler_shows_a_strangers_certificate(scene: Scene) -> Iterator[Design | None]:
    """The pooler's certificate was made by someone else."""
    with another_certificate(scene, ours=False):
        yield None


@sabotage("TLS-004", also=(*INI, "ROT-004"))
def a_name_is_missing(scene: Scene) -> Iterator[Design | None]:
    """The pooler's certificate does not carry the name localhost."""
    with another_certificate(scene, names=("127.0.0.1", "::1")):
        yield None


@sabotage("TLS-005", also=(*INI, "ROT-004"))
def a_certificate_runs_out(scene: Scene) -> Iterator[Design | None]:
    """The pooler's certificate expires the day after tomorrow."""
    with another_certificate(scene, days=2):
        yield None


@contextmanager
def another_certificate(
    scene: Scene,
    *,
    ours: bool = True,
    days: int = 30,
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"),
) -> Iterator[None]:
    """Have the pooler show a certificate of the saboteur's making."""
    tls = Path(scene.design.layout.tls)
    old = x509.load_pem_x509_certificate((tls / "pooler.crt").read_bytes())
    wanted = names
    if names[0] == "localhost":
        san = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        wanted = (
            *san.get_values_for_type(x509.DNSName),
            *map(str, san.get_values_for_type(x509.IPAddress)),
        )
    certificate, key = _issued(tls, wanted, days, ours=ours)
    files = {"client_tls_cert_file": certificate, "client_tls_key_file": key}
    owner = (tls / "pooler.key").stat()
    made = {name: tls / f"sabotage-{name}.pem" for name in files}
    for name, path in made.items():
        path.write_bytes(files[name])
        path.chmod(0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
    try:
        with scene.ini_with(**{name: str(path) for name, path in made.items()}):
            yield
    finally:
        for path in made.values():
            path.unlink()


def _issued(tls: Path, names: tuple[str, ...], days: int, *, ours: bool) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = key
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a stranger")])
    if ours:
        signer = serialization.load_pem_private_key((tls / "ca.key").read_bytes(), None)
        issuer = x509.load_pem_x509_certificate((tls / "ca.crt").read_bytes()).subject
    now = dt.datetime.now(dt.UTC)
    alternatives = [_alternative(name) for name in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sabotage")]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(signer, hashes.SHA256())  # pyright: ignore[reportArgumentType]
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@sabotage("TLS-006")
def a_key_is_readable(scene: Scene) -> Iterator[Design | None]:
    """Everyone may read the CA's key."""
    with scene.mode(Path(scene.design.layout.tls) / "ca.key", 0o644):
        yield None


@sabotage("TLS-007", "TLS-001", "TLS-008", also=INI, blinds=("ROL-024",))
def the_pooler_speaks_plainly_to_the_server(scene: Scene) -> Iterator[Design | None]:
    """What the pooler and the server say to each other can be read on the way."""
    plan = scene.plan
    people = f"{plan.app},{plan.readonly},{plan.admin},{scene.design.lookup_role}"
    with scene.hba(f"host {plan.name} {people} 127.0.0.1/32 scram-sha-256"):
        with scene.ini_with(server_tls_sslmode="disable"):
            scene.reconnect()
            yield None
        scene.reconnect()


@sabotage("TLS-008", also=("POL-001",))
def the_pooler_trusts_any_server(scene: Scene) -> Iterator[Design | None]:
    """The pooler no longer checks whom it hands passwords to."""
    with scene.console_set("server_tls_sslmode", "require"):
        yield None


@sabotage("SRV-023", "POL-009", also=("POL-001",))
def the_pooler_keeps_idle_clients(scene: Scene) -> Iterator[Design | None]:
    """The pooler never ends idle clients."""
    with scene.console_set("client_idle_timeout", "0"):
        yield None


@sabotage("ROL-022")
def the_poolers_log_was_moved(scene: Scene) -> Iterator[Design | None]:
    """Someone rotated the pooler's log and did not tell it: what it writes is not found."""
    log = scene.state / "pooler" / "pgbouncer.log"
    moved = log.with_suffix(".sabotage")
    log.rename(moved)
    log.touch()
    try:
        yield None
    finally:
        moved.replace(log)


@sabotage("POL-001")
def a_pooler_setting_is_changed(scene: Scene) -> Iterator[Design | None]:
    """The running pooler has another value than its file."""
    with scene.console_set("server_lifetime", "100"):
        yield None


@sabotage("POL-003", also=("DBS-010", "TEN-023"))
def the_application_may_look_up(scene: Scene) -> Iterator[Design | None]:
    """The application may ask for passwords."""
    app = scene.plan.app
    with scene.done_and_undone(
        (
            f"GRANT USAGE ON SCHEMA pgstead TO {app}",
            f"GRANT EXECUTE ON FUNCTION pgstead.pooler_lookup(text) TO {app}",
        ),
        (
            f"REVOKE EXECUTE ON FUNCTION pgstead.pooler_lookup(text) FROM {app}",
            f"REVOKE USAGE ON SCHEMA pgstead FROM {app}",
        ),
    ):
        yield None


@sabotage("POL-004")
def a_password_is_copied(scene: Scene) -> Iterator[Design | None]:
    """An application's password stands in the userlist."""
    path = scene.state / "pooler" / "userlist.txt"
    with scene.edited(path, lambda text: f'{text}"{scene.plan.app}" "sabotage"\n'):
        yield None


@sabotage("POL-005")
def another_pooler_was_designed(scene: Scene) -> Iterator[Design | None]:
    """The pooler at hand is newer than the one that still runs."""
    assert scene.design.pooler is not None
    major, minor, patch = scene.design.pooler.version
    newer = replace(scene.design.pooler, version=(major, minor, patch + 90))
    yield replace(scene.design, pooler=newer)


@sabotage("POL-006", also=INI)
def statistics_are_closed(scene: Scene) -> Iterator[Design | None]:
    """The monitoring role may not ask the pooler anything."""
    with scene.ini_with(stats_users=""):
        yield None


@sabotage("POL-007", "POL-004", also=INI)
def the_console_is_open(scene: Scene) -> Iterator[Design | None]:
    """A database's administrator may command the pooler."""
    # An old console looks nobody up: it lets in whom the userlist names. The application will
    # not do here: 1.18 dies when the userlist names someone whom it has looked up before.
    admin = scene.plan.admin
    password = (scene.state / "secrets" / admin).read_text().strip()
    listed = scene.edited(
        scene.state / "pooler" / "userlist.txt", lambda text: f'{text}"{admin}" "{password}"\n'
    )
    with listed, scene.ini_with(admin_users=admin):
        yield None


@sabotage("POL-008", also=("POL-001",))
def startup_parameters_are_refused(scene: Scene) -> Iterator[Design | None]:
    """The pooler refuses what drivers send."""
    with scene.console_set("ignore_startup_parameters", ""):
        yield None


@sabotage("POL-009", also=("POL-001",))
def idle_clients_are_cut_early(scene: Scene) -> Iterator[Design | None]:
    """The pooler ends clients that the application's pool still counts on."""
    with scene.console_set("client_idle_timeout", "600"):
        yield None


@sabotage("POL-010", also=("POL-001",))
def clients_wait_too_long(scene: Scene) -> Iterator[Design | None]:
    """The pooler lets clients wait for five minutes."""
    with scene.console_set("query_wait_timeout", "300"):
        yield None


# who is turned away tries nothing; 1.18 counts silent clients until client_login_timeout
@sabotage("POL-011", "POL-021", also=("POL-001",), shakes=("POL-023",), blinds=("*",))
def clients_are_turned_away(scene: Scene) -> Iterator[Design | None]:
    """The pooler takes fewer clients than the applications open."""
    with scene.console_set("max_client_conn", "15"):
        yield None


@sabotage("POL-020", "POL-022", also=("POL-001",), shakes=("POL-023",))
def clients_hold_on(scene: Scene) -> Iterator[Design | None]:
    """A client keeps its server connection for as long as it stays."""
    with scene.console_set("pool_mode", "session"):
        yield None
    scene.restart_services()  # their pools keep what they got until they ask the next time
    # What the pooler believes to be prepared was discarded between sessions.
    scene.reconnect()


# a service that is cut off in a transaction answers 503, with the sqlstate that API-001 looks for
@sabotage("POL-023", also=("POL-001",), shakes=("API-001",), blinds=("*",))
def transactions_are_torn(scene: Scene) -> Iterator[Design | None]:
    """The pooler hands the server connection on after each statement."""
    with scene.console_set("pool_mode", "statement"):
        yield None
    scene.reconnect()


@sabotage("POL-030", also=("SRV-007",), blinds=("*",), disruptive=True)
def the_pooler_cannot_start_again(scene: Scene) -> Iterator[Design | None]:
    """A line of nonsense keeps a killed pooler from coming back."""
    try:
        with scene.edited(scene.ini, lambda text: text + "nonsense = sabotage\n"):
            yield None
    finally:
        scene.wait_for_doors(120)


SABOTAGES = (
    plaintext_comes_to_the_server,
    plaintext_comes_to_the_pooler,
    the_server_speaks_tls_1_2,
    the_pooler_speaks_tls_1_2,
    the_pooler_shows_a_strangers_certificate,
    a_name_is_missing,
    a_certificate_runs_out,
    a_key_is_readable,
    the_pooler_speaks_plainly_to_the_server,
    the_pooler_trusts_any_server,
    the_pooler_keeps_idle_clients,
    the_poolers_log_was_moved,
    a_pooler_setting_is_changed,
    the_application_may_look_up,
    a_password_is_copied,
    another_pooler_was_designed,
    statistics_are_closed,
    the_console_is_open,
    startup_parameters_are_refused,
    idle_clients_are_cut_early,
    clients_wait_too_long,
    clients_are_turned_away,
    clients_hold_on,
    transactions_are_torn,
    the_pooler_cannot_start_again,
)
