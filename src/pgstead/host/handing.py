"""What other containers are handed of the state: each what it needs, in a volume of its own.

The server and the pooler see their own certificate, and the key of it alone; a service sees the
passwords of the roles that an application may be, and no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pgstead.host.files import LocalFiles
from pgstead.model.containers import HANDED, STORE, STORE_KEYS
from pgstead.model.design import Design
from pgstead.model.resources import Certificate
from pgstead.model.rotation import Authority
from pgstead.ports import Certificates


def hand_out(design: Design) -> None:
    """Copy what has changed; take back what is no longer to be seen."""
    home = Path(design.layout.state, HANDED)
    files = LocalFiles(design.layout.state)
    for name in _services(design):
        # Volumes are mounted there, in one that is read-only: no engine could make the places.
        for place in ("telemetry", "persons"):
            files.make_directory(PurePosixPath(home, name, place), mode=0o700)
    for name, parts in _handed(design):
        place = home / name
        for target, source in parts.items():
            found, there = files.read(source), files.read(PurePosixPath(place, target))
            if found is None or (there is not None and there.text == found.text):
                continue
            files.make_directory(PurePosixPath(place, target).parent, mode=0o700)
            files.write(PurePosixPath(place, target), found.text, mode=found.mode)


def _handed(design: Design) -> Iterator[tuple[str, dict[str, PurePosixPath]]]:
    tls = design.layout.tls
    for owner, name in (("postgres", "server"), ("pgbouncer", "pooler")):
        names = ("ca.crt", f"{name}.crt", f"{name}.key")
        yield owner, {file: tls / file for file in names}
    assert design.host.network is not None
    if STORE in design.host.network.hosts:
        yield STORE, dict(_of_store(design))
    parts = dict(_of_service(design))
    for container in _services(design):
        yield container, parts


def _of_store(design: Design) -> Iterator[tuple[str, PurePosixPath]]:
    for file in (f"{STORE}.crt", f"{STORE}.key"):
        yield file, design.layout.tls / file
    for name in STORE_KEYS:
        yield name, design.layout.secret(name)


def _services(design: Design) -> Iterator[str]:
    assert design.host.network is not None
    for service in design.services:
        yield design.host.network.hosts[f"api-{service.database}"].removesuffix(".internal")


def _of_service(design: Design) -> Iterator[tuple[str, PurePosixPath]]:
    layout = design.layout
    yield "tls/ca.crt", layout.ca
    for database in design.databases:
        # A service may be mounted in another one's process, with a database of its own.
        yield f"connections/{database.name}.json", layout.connection(database.name)
        yield f"keys/{database.name}.json", layout.key_file(database.name)
        for role in (database.app, database.readonly, database.admin):
            yield f"passfiles/{role}", layout.passfile(role)


class HandedCertificates:
    """`ports.Certificates` whose certificates reach the containers that show them."""

    def __init__(self, store: Certificates, design: Design) -> None:
        """Keep the store."""
        self._store = store
        self._design = design

    def inspect(self, name: str) -> Certificate | None:
        """Judge a certificate and its key. Raises CertificateError."""
        return self._store.inspect(name)

    def issue(self, wanted: Certificate) -> None:
        """Make (or renew) a certificate, and hand it out before anybody is told to reload."""
        self._store.issue(wanted)
        hand_out(self._design)

    def fingerprint(self, name: str) -> str:
        """Return the SHA-256 of a certificate, for reports."""
        return self._store.fingerprint(name)

    def authority(self) -> Authority:
        """Say how far a rotation of the CA is. Raises CertificateError where there is none."""
        return self._store.authority()

    def announce_ca(self) -> None:
        """Have a coming CA trusted beside the one that signs, by the other containers too."""
        self._store.announce_ca()
        hand_out(self._design)

    def switch_ca(self) -> None:
        """Let the coming CA sign; where none is announced, nothing."""
        self._store.switch_ca()
        hand_out(self._design)

    def retire_ca(self) -> None:
        """Trust the CA that signs, and no other, in the other containers too."""
        self._store.retire_ca()
        hand_out(self._design)
