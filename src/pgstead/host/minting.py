"""Making certificates: what is in them. Where they lie is `certificates`' business."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pgstead.errors import CertificateError
from pgstead.model.resources import Certificate

_CA_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=397)
# Clocks of clients differ; a certificate that is valid from now on is refused by some of them.
_SKEW = timedelta(hours=1)

Minted = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


class Mint:
    """Makes CAs, and signs by them."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Keep the clock."""
        self._now = now

    def ca(self) -> Minted:
        """Make a CA."""
        key = ec.generate_private_key(ec.SECP384R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"pgstead CA {_mark()}")])
        usage = _usage(signs_certificates=True)
        certificate = (
            self._builder(name, name, key.public_key(), _CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA384())
        )
        return certificate, key

    def leaf(
        self, wanted: Certificate, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
    ) -> Minted:
        """Make what a server or a client shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        client = wanted.name.startswith("client/")
        common = wanted.name.removeprefix("client/") if client else f"pgstead {wanted.name}"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())  # pyright: ignore[reportArgumentType]
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH]
        builder = (
            self._builder(subject, ca.subject, key.public_key(), _LEAF_LIFE, ca)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(authority, critical=False)
        )
        if wanted.names and not client:
            alternatives = x509.SubjectAlternativeName([_general_name(n) for n in wanted.names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(ca_key, hashes.SHA256()), key

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePublicKey,
        life: timedelta,
        ca: x509.Certificate | None = None,
    ) -> x509.CertificateBuilder:
        now = self._now()
        ends = now + life
        if ca is not None:  # a leaf that outlives its issuer only misleads
            ends = min(ends, ca.not_valid_after_utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(ends)
        )


def _mark() -> str:
    """Return something that tells two CAs apart in a list."""
    return f"{x509.random_serial_number():x}"[:8]


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text.encode("idna").decode("ascii") if not text.isascii() else text)
    except ValueError:
        raise CertificateError(
            f"{text!r} cannot be a name in a certificate", hint="check tls.names"
        ) from None
