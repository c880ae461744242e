"""Promises of rotation: nothing is too old, and nothing is left between old and new."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pgstead.model.address import Capability
from pgstead.model.resources import Role
from pgstead.model.standin import standin_of
from pgstead.prove import sealed
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.wire import Caller
from pgstead.prove.witness import Witness

_STORED = {"direct": "server", "pooler": "pooler"}
_GRACE = timedelta(days=1)  # in which the agent, or a person, takes the next step


@promise(
    "ROT-001",
    "no password is older than the manifest allows",
    requirement="ROL-5",
    capability=Capability.ROLES,
)
def passwords_are_young(w: Witness) -> Iterator[Finding]:
    limit = timedelta(seconds=w.design.rotation.password_age)
    for role in w.logins():
        path = Path(w.design.layout.secret(role.name))
        with timed() as watch:
            age = _age(path)
        told = answer(f"stat '{path}'", f"set {_words(age)} ago", age, watch)
        yield told.shows(
            holds=age <= limit,
            expected=f"set within the last {_words(limit)}",
            hint=f"`pgstead rotate passwords --role {role.name}`: nobody is interrupted",
        )


@promise(
    "ROT-002",
    "no rotation is left half done: no role has a stand-in that could log in",
    requirement="ROL-5",
    capability=Capability.ROLES,
)
def nothing_is_half_rotated(w: Witness) -> Iterator[Finding]:
    names = sorted(standin_of(role.name) for role in w.design.stead.all(Role))
    told = w.look("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%s)", [names])
    hint = "`pgstead rotate passwords` finishes what a killed run left"
    yield told.shows(holds=not told.value, expected="no row", hint=hint)
    with timed() as watch:
        left = [name for name in names if Path(w.design.layout.secret(name)).exists()]
    seen = answer(f"ls '{w.design.layout.secrets}'", ", ".join(left) or "none", left, watch)
    yield seen.shows(holds=not left, expected="no password of a stand-in", hint=hint)


@promise(
    "ROT-003",
    "one CA is trusted, and a second one no longer than its window",
    requirement="TLS-3",
    capability=Capability.TLS,
)
def one_ca_is_trusted(w: Witness) -> Iterator[Finding]:
    path = Path(w.design.layout.ca)
    window = timedelta(seconds=w.design.rotation.ca_window) + _GRACE
    with timed() as watch:
        age = _age(path)
        try:
            trusted = x509.load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CannotTryError(f"the CA file cannot be read: {error}") from error
    said = f"{len(trusted)} trusted, for {_words(age)}: " + ", ".join(
        c.subject.rfc4514_string() for c in trusted
    )
    told = answer(f"openssl crl2pkcs7 -nocrl -certfile '{path}'", said, trusted, watch)
    provided = "tls/ca.crt" in w.design.initial  # how many the user trusts is the user's business
    yield told.shows(
        holds=len(trusted) == 1 or provided or (len(trusted) == 2 and age <= window),
        expected=f"one, or two for at most {_words(window)}",
        hint="`pgstead rotate ca` takes the next step",
    )


@promise(
    "ROT-004",
    "each door shows the certificate that was made last",
    requirement="TLS-3",
    capability=Capability.TLS,
    needs=("door", "database"),
)
def the_newest_is_shown(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # who is shown is compared, not trusted
    for door, host in w.places:
        told = w.greet(Caller(host, door.port, plan.app, plan.name), unverified)
        if not told.value.certificate:
            raise CannotTryError("no certificate was shown", evidence=told.evidence)
        shown = x509.load_der_x509_certificate(told.value.certificate)
        path = Path(w.design.layout.tls, f"{_STORED[door.name]}.crt")
        try:
            stored = x509.load_pem_x509_certificate(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CannotTryError(f"{path} cannot be read: {error}") from error
        yield told.shows(
            holds=shown == stored,
            expected=f"that of {path}: {_print(stored)}",
            said=f"shown: {_print(shown)}",
            hint="`pgstead rotate certificates` makes new ones and sees that they are shown",
        )


@promise(
    "ROT-005",
    "the key that columns are written with is no older than the manifest allows",
    requirement="ENC-2",
    capability=Capability.ENCRYPTION,
)
def keys_are_young(w: Witness) -> Iterator[Finding]:
    limit = timedelta(seconds=w.design.rotation.key_age)
    for database in dict.fromkeys(c.database for c in sealed.columns(w)):
        path = sealed.keys_of(w, database).path
        with timed() as watch:
            version, made = _writing(path)
            age = datetime.now(UTC) - made
        told = answer(
            f"read '{path}'", f"version {version} writes, made {_words(age)} ago", age, watch
        )
        yield told.shows(
            holds=age <= limit,
            expected=f"made within the last {_words(limit)}",
            hint=f"`pgstead rotate keys {database}`: applications go on",
        )


def _writing(path: Path) -> tuple[str, datetime]:
    """Return the version that writes values, and when it was made."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        version = str(document["writes"]["values"])
        return version, datetime.fromisoformat(document["values"][version]["created"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotTryError(f"{path} does not tell when a key was made: {error}") from error


def _age(path: Path) -> timedelta:
    try:
        made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise CannotTryError(f"{path}: {error.strerror}") from error
    return max(timedelta(0), datetime.now(UTC) - made)


def _words(span: timedelta) -> str:
    if span < timedelta(days=1):
        return f"{span.total_seconds() / 3600:.1f} h"
    return f"{span.days} d"


def _print(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()[:16]


PROMISES = (
    passwords_are_young,
    nothing_is_half_rotated,
    one_ca_is_trusted,
    the_newest_is_shown,
    keys_are_young,
)
