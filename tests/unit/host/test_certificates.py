"""The certificate store."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from pgstead.errors import CertificateError
from pgstead.host import facts
from pgstead.host.certificates import CertificateStore, Provided
from pgstead.model.layout import Layout
from pgstead.model.resources import Certificate

NAMES = ("127.0.0.1", "::1", "db.example", "localhost")
CA = Certificate("ca", ())
SERVER = Certificate("server", NAMES)
CLIENT = Certificate("client/o'brien %", ("o'brien %",))
OWNER = facts.gather().server_user


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 6, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A state directory."""
    return Layout(PurePosixPath(tmp_path / "state"), PurePosixPath(tmp_path))


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def store(layout: Layout, clock: Clock) -> CertificateStore:
    """A store with its CA and a server certificate."""
    made = CertificateStore(layout, owner=OWNER, now=clock)
    for wanted in (CA, SERVER, CLIENT):
        assert made.inspect(wanted.name) is None
        made.issue(wanted)
    return made


@pytest.mark.parametrize("wanted", [CA, SERVER, CLIENT], ids=lambda c: c.name)
def test_what_was_issued_is_what_was_wanted(store: CertificateStore, wanted: Certificate) -> None:
    assert store.inspect(wanted.name) == wanted


def test_openssl_accepts_it_strictly_for_every_name(
    store: CertificateStore, layout: Layout, clock: Clock
) -> None:
    at = str(int(clock.moment.timestamp()) + 60)
    base = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-attime", at]
    for name in NAMES:
        kind = "-verify_ip" if ":" in name or name[0].isdigit() else "-verify_hostname"
        done = subprocess.run(
            [*base, "-CAfile", layout.ca, kind, name, layout.tls / "server.crt"],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_keys_are_for_their_owner_alone(store: CertificateStore, layout: Layout) -> None:
    assert store.fingerprint("ca") != store.fingerprint("server")
    for name in ("ca.key", "server.key"):
        assert Path(layout.tls, name).stat().st_mode & 0o777 == 0o600
    assert Path(layout.tls, "server.key").owner() == OWNER


def test_a_certificate_is_due_thirty_days_before_its_end(
    store: CertificateStore, clock: Clock
) -> None:
    clock.moment += timedelta(days=397 - 31)
    assert store.inspect("server") == SERVER
    clock.moment += timedelta(days=2)
    due = store.inspect("server")
    assert due is not None
    assert not due.in_date
    store.issue(SERVER)
    assert store.inspect("server") == SERVER


def test_a_new_ca_makes_the_certificates_of_the_old_one_due(store: CertificateStore) -> None:
    store.issue(CA)
    found = store.inspect("server")
    assert found is not None
    assert not found.issued_by_ca
    store.issue(SERVER)
    assert store.inspect("server") == SERVER


def test_another_key_is_noticed(store: CertificateStore, layout: Layout) -> None:
    Path(layout.tls, "server.key").write_text(Path(layout.tls, "ca.key").read_text())
    found = store.inspect("server")
    assert found is not None
    assert not found.key_matches


def test_a_missing_key_is_noticed(store: CertificateStore, layout: Layout) -> None:
    Path(layout.tls, "server.key").unlink()
    found = store.inspect("server")
    assert found is not None
    assert not found.key_matches


@pytest.mark.parametrize("file", ["server.crt", "server.key", "ca.crt"])
@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_corrupt_file_is_refused_and_named(
    store: CertificateStore, layout: Layout, file: str, text: str
) -> None:
    Path(layout.tls, file).write_text(text)
    with pytest.raises(CertificateError, match=rf"{file} is corrupt"):
        store.inspect("server")


def test_a_name_that_no_certificate_can_have_is_refused(store: CertificateStore) -> None:
    with pytest.raises(CertificateError, match="cannot be a name"):
        store.issue(Certificate("server", ("ü" * 80,)))


@pytest.fixture
def brought(store: CertificateStore, layout: Layout, tmp_path: Path) -> dict[str, Provided]:
    """Certificates that the user has from somewhere: here from another store."""
    for source, name in (
        ("ca.crt", "my ca.pem"),
        ("server.crt", "my.pem"),
        ("server.key", "my.key"),
    ):
        (tmp_path / name).write_text(Path(layout.tls, source).read_text())
        Path(layout.tls, source).unlink()
    return {
        "ca": Provided("my ca.pem"),
        "server": Provided("my.pem", "my.key", ("wanted.example",)),
    }


def own(layout: Layout, brought: dict[str, Provided], clock: Clock) -> CertificateStore:
    """A store that takes what the user brought."""
    made = CertificateStore(layout, owner=OWNER, provided=brought, now=clock)
    for name in brought:
        made.issue(Certificate(name, (), provided=True))
    return made


def test_the_users_own_certificates_are_taken(
    layout: Layout, brought: dict[str, Provided], clock: Clock, tmp_path: Path
) -> None:
    made = own(layout, brought, clock)
    assert made.inspect("ca") == Certificate("ca", (), provided=True)
    assert made.inspect("server") == Certificate("server", ("wanted.example",), provided=True)
    assert Path(layout.tls, "server.key").read_text() == (tmp_path / "my.key").read_text()
    assert Path(layout.tls, "server.key").stat().st_mode & 0o777 == 0o600


def test_a_renewed_file_of_the_users_is_noticed(
    layout: Layout, brought: dict[str, Provided], clock: Clock, tmp_path: Path
) -> None:
    made = own(layout, brought, clock)
    with (tmp_path / "my.pem").open("a") as file:
        file.write((tmp_path / "my ca.pem").read_text())
    found = made.inspect("server")
    assert found is not None
    assert not found.in_date
    made.issue(Certificate("server", (), provided=True))
    assert made.inspect("server") == Certificate("server", ("wanted.example",), provided=True)


def test_the_users_own_is_good_until_its_last_day_and_then_refused(
    layout: Layout, brought: dict[str, Provided], clock: Clock
) -> None:
    made = own(layout, brought, clock)
    clock.moment += timedelta(days=396)
    found = made.inspect("server")
    assert found is not None
    assert found.in_date
    clock.moment += timedelta(days=2)
    with pytest.raises(CertificateError, match="expired at"):
        made.inspect("server")
    with pytest.raises(CertificateError, match=r"my\.pem expired at"):
        made.issue(Certificate("server", (), provided=True))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Provided("no.pem", "my.key"), "reading .*no.pem failed"),
        (Provided("my.pem", "no.key"), "reading .*no.key failed"),
        (Provided("my.pem"), "comes without a key"),
        (Provided("my ca.pem", "my.key"), "does not belong to the certificate"),
        (Provided("my.key", "my.key"), "is corrupt"),
    ],
)
def test_what_the_user_brought_wrongly_is_explained(
    layout: Layout, brought: dict[str, Provided], clock: Clock, given: Provided, message: str
) -> None:
    with pytest.raises(CertificateError, match=message):
        own(layout, {**brought, "server": given}, clock)


def test_a_ca_without_its_key_cannot_sign(
    layout: Layout, brought: dict[str, Provided], clock: Clock
) -> None:
    Path(layout.tls, "ca.key").unlink()
    made = own(layout, {"ca": brought["ca"]}, clock)
    with pytest.raises(CertificateError, match="has no key"):
        made.issue(SERVER)
