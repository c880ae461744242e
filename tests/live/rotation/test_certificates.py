"""Certificates and the CA are changed while 100 clients work."""

from __future__ import annotations

import ssl
from pathlib import Path

import psycopg
import pytest

from tests.fix_stead import LiveStead
from tests.live.rotation.clients import working


def shown(stead: LiveStead) -> set[str]:
    """Return the certificates that both doors show now."""
    return {stead.wired.ports.visitor.certificate(door) for door in ("direct", "pooler")}


def trusted(stead: LiveStead) -> int:
    return stead.ca.read_text().count("BEGIN CERTIFICATE")


def trusts(stead: LiveStead, ca: Path, *, direct: bool) -> bool:
    """Say whether a client that holds a CA is content with whom it meets."""
    try:
        stead.connect(direct=direct, sslrootcert=str(ca)).close()
    except psycopg.OperationalError as error:
        return "certificate verify failed" not in str(error)
    return True


def test_certificates_are_renewed_under_load_and_shown_at_once(rotating: LiveStead) -> None:
    before = shown(rotating)
    with working(rotating.manifest) as load:
        told = rotating.json("rotate", "certificates")
        load.grows()
    assert load.errors == []
    assert told["certificates"] == ["server", "pooler"]
    assert not before & shown(rotating)


def test_the_ca_is_changed_under_load_and_the_old_one_is_trusted_no_more(
    rotating: LiveStead, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.crt", tmp_path / "new.crt"
    old.write_text(rotating.ca.read_text())
    with working(rotating.manifest) as load:
        told = rotating.json("rotate", "ca", "--window", "1h")
        assert told["done"] == ["announced"]
        assert trusted(rotating) == 2
        load.grows()
        assert trusts(rotating, old, direct=True)  # nothing is signed by the new one yet
        told = rotating.json("rotate", "ca", "--window", "0s")
        load.grows()
    assert load.errors == []
    assert told["done"] == ["signing", "settled"]
    assert trusted(rotating) == 1
    new.write_text(rotating.ca.read_text())
    for direct in (True, False):
        assert not trusts(rotating, old, direct=direct)
        assert trusts(rotating, new, direct=direct)
    assert not (rotating.state / "tls" / "next").exists()
    assert rotating.json("plan")["operations"] == []


def test_a_ca_that_was_half_switched_is_finished_by_the_next_up(rotating: LiveStead) -> None:
    store = rotating.wired.ports.certificates
    store.announce_ca()
    coming = rotating.state / "tls" / "next"
    (rotating.state / "tls" / "ca.key").write_text((coming / "ca.key").read_text())
    rotating.run("up")
    assert not coming.exists()
    assert trusted(rotating) == 2  # who trusted the one before goes on
    rotating.run("rotate", "ca", "--window", "0s")
    assert trusted(rotating) == 1
    rotating.connect(direct=True).close()
    ssl.create_default_context(cafile=rotating.ca)


@pytest.mark.parametrize("name", ["nobody"])
def test_a_certificate_that_is_not_there_is_named(rotating: LiveStead, name: str) -> None:
    done = rotating.run("rotate", "certificates", "--name", name, status=2)
    assert "there is: server, pooler" in done.stderr
