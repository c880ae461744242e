"""The certificate store: the stead's own CA and what it signs, or what the user brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

from pgstead.errors import CertificateError
from pgstead.host import clock
from pgstead.host.authority import CaFiles, certificate_pem, key_pem
from pgstead.host.files import LocalFiles
from pgstead.host.minting import Mint
from pgstead.model.layout import Layout
from pgstead.model.resources import Certificate
from pgstead.model.rotation import Authority

RENEWAL = timedelta(days=30)
_CA = "ca"


@dataclass(frozen=True, slots=True)
class Provided:
    """A certificate that the user brought. A CA needs no key.

    Its names are the user's business: it counts as having the `names` that are wanted.
    """

    certificate: str
    key: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: PrivateKeyTypes | None


class CertificateStore:
    """`ports.Certificates` in `layout.tls`."""

    def __init__(
        self,
        layout: Layout,
        *,
        owner: str,
        provided: Mapping[str, Provided] | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """Keep where they lie; `owner` is the servers' user, who must read its keys."""
        self._layout = layout
        self._files = LocalFiles(layout.state)
        self._owner = owner
        self._provided = dict(provided or {})
        self._now = now
        self._mint = Mint(now)
        self._ca = CaFiles(layout, self._files, self._mint)

    def path(self, name: str) -> PurePosixPath:
        """Return the path of a certificate; its key's ends in `.key`."""
        folder, _, client = name.rpartition("/")
        return self._layout.tls / folder / f"{client}.crt"

    def inspect(self, name: str) -> Certificate | None:
        """Judge a certificate and its key.

        Raises CertificateError when it cannot be parsed, or when the one that the user brought
        will not do.
        """
        given = self._provided.get(name)
        if given is not None:
            # Before anything is made or changed with it.
            self._vetted(name, given)
        pair = self._load(name)
        if pair is None:
            return None
        fresh = given is None or self._is_copy(name, given)
        return Certificate(
            name=name,
            names=_names(name, pair.certificate) if given is None else given.names,
            issued_by_ca=self._chains(name, pair.certificate),
            key_matches=_matches(pair) or (given is not None and given.key is None),
            in_date=fresh and self._in_date(pair.certificate, renewable=given is None),
            provided=given is not None,
            not_after=clock.stamp(pair.certificate.not_valid_after_utc),
        )

    def issue(self, wanted: Certificate) -> None:
        """Make (or renew) a certificate; the CA first. Never replaces one the user brought."""
        given = self._provided.get(wanted.name)
        if given is not None:
            self._take(wanted.name, given)
        elif wanted.name == _CA:
            self._ca.make()
        else:
            self._sign(wanted)

    def fingerprint(self, name: str) -> str:
        """Return the SHA-256 of a certificate, for reports."""
        pair = self._load(name)
        if pair is None:
            raise CertificateError(
                f"there is no certificate {name!r}", hint="`pgstead up` makes what is missing"
            )
        return pair.certificate.fingerprint(hashes.SHA256()).hex()

    # -- the CA's rotation ---------------------------------------------------------------------

    def authority(self) -> Authority:
        """Say how far a rotation of the CA is. Raises CertificateError where there is none."""
        return self._ca.look(provided=_CA in self._provided)

    def announce_ca(self) -> None:
        """Have a coming CA trusted beside the one that signs."""
        self._ca.announce()

    def switch_ca(self) -> None:
        """Let the coming CA sign."""
        self._ca.switch()

    def retire_ca(self) -> None:
        """Trust the CA that signs, and no other."""
        self._ca.retire()

    # -- reading ------------------------------------------------------------------------------

    def _load(self, name: str) -> _Pair | None:
        path = self.path(name)
        found = self._files.read(path)
        if found is None:
            return None
        key = self._files.read(path.with_suffix(".key"))
        certificate = _parse_certificate(found.text, path)
        return _Pair(
            certificate, None if key is None else _parse_key(key.text, path.with_suffix(".key"))
        )

    def _chains(self, name: str, certificate: x509.Certificate) -> bool:
        found = self._files.read(self._layout.ca)
        if found is None:
            return False
        ca = _parse_certificate(found.text, self._layout.ca)
        return name == _CA or _signed_by(certificate, ca)

    def _in_date(self, certificate: x509.Certificate, *, renewable: bool) -> bool:
        """Within the renewal window ours is due; the user's own is good until its last day."""
        margin = RENEWAL if renewable else timedelta(0)
        now = self._now()
        return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - margin

    def _must_be_valid(self, certificate: x509.Certificate, path: PurePosixPath) -> None:
        now = self._now()
        if certificate.not_valid_after_utc <= now:
            raise CertificateError(
                f"the certificate {path} expired at {clock.stamp(certificate.not_valid_after_utc)}",
                hint="put a renewed one where [tls] points; `pgstead up` takes it, no restart",
            )
        if certificate.not_valid_before_utc > now:
            raise CertificateError(
                f"the certificate {path} is not valid before"
                f" {clock.stamp(certificate.not_valid_before_utc)}",
                hint="check this machine's clock, or bring a certificate that is valid now",
            )

    # -- what the user brought ----------------------------------------------------------------

    def _is_copy(self, name: str, given: Provided) -> bool:
        """Say whether what lies in the store is what the user's files hold now."""
        pairs = [(self.path(name), given.certificate)]
        pairs += [(self.path(name).with_suffix(".key"), given.key)] if given.key else []
        for ours, theirs in pairs:
            found = self._files.read(ours)
            if found is None or found.text != self._given_text(theirs):
                return False
        return True

    def _given_text(self, path: str) -> str:
        full = Path(self._layout.manifest_directory, path)
        try:
            return full.read_text(encoding="ascii")
        except OSError as error:
            raise CertificateError(
                f"reading {full} failed: {(error.strerror or str(error)).lower()}",
                hint="the paths in [tls] are relative to the manifest",
            ) from error
        except UnicodeDecodeError:
            raise CertificateError(
                f"{full} is not in PEM format", hint="`openssl x509 -inform der` converts DER"
            ) from None

    def _take(self, name: str, given: Provided) -> None:
        text, key_text = self._vetted(name, given)
        if key_text is not None:
            self._write_key(name, key_text)
        self._files.write(self.path(name), text, mode=0o644)

    def _vetted(self, name: str, given: Provided) -> tuple[str, str | None]:
        """Return the texts of what the user brought. Raises CertificateError if it won't do."""
        text = self._given_text(given.certificate)
        path = PurePosixPath(given.certificate)
        certificate = _parse_certificate(text, path, hint=_BRING)
        self._must_be_valid(certificate, path)
        if given.key is None:
            if name != _CA:
                raise CertificateError(
                    f"the certificate {given.certificate} comes without a key",
                    hint=f"name it too: [tls] {name}_key",
                )
            return text, None
        key_text = self._given_text(given.key)
        key = _parse_key(key_text, PurePosixPath(given.key), hint=_BRING)
        if not _matches(_Pair(certificate, key)):
            raise CertificateError(
                f"the key {given.key} does not belong to the certificate {given.certificate}",
                hint="tls.key is another's: compare `openssl x509 -pubkey -noout` with"
                " `openssl pkey -pubout`",
            )
        return text, key_text

    # -- making -------------------------------------------------------------------------------

    def _write_key(self, name: str, text: str) -> None:
        owner = self._owner if name in {"server", "pooler"} else None
        self._files.write(self.path(name).with_suffix(".key"), text, mode=0o600, owner=owner)

    def _store(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """Write key and certificate; a crash between them shows as a key that does not match."""
        self._write_key(name, key_pem(key))
        self._files.write(self.path(name), certificate_pem(certificate), mode=0o644)

    def _sign(self, wanted: Certificate) -> None:
        ca, ca_key = self._signer(wanted.name)
        self._store(wanted.name, *self._mint.leaf(wanted, ca, ca_key))

    def _signer(self, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        pair = self._load(_CA)
        if pair is None:
            self._ca.make()
            pair = self._load(_CA)
        assert pair is not None
        if not isinstance(pair.key, ec.EllipticCurvePrivateKey):
            raise CertificateError(
                f"the certificate {name!r} cannot be made: the CA in {self._layout.ca} has no key"
                " here that could sign it (or one that is not ECDSA)",
                hint=f"bring the {name} certificate and its key too, or leave the CA to pgstead",
            )
        return pair.certificate, pair.key


def _names(name: str, certificate: x509.Certificate) -> tuple[str, ...]:
    """Return what a certificate speaks for: a client for its role, a server for its names."""
    if name == _CA:
        return ()
    if name.startswith("client/"):
        told = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(attribute.value) for attribute in told)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = set(found.get_values_for_type(x509.DNSName))
    names.update(str(address) for address in found.get_values_for_type(x509.IPAddress))
    return tuple(sorted(names))


def _matches(pair: _Pair) -> bool:
    if pair.key is None:
        return False
    kind, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    ours = pair.key.public_key().public_bytes(kind, form)
    return ours == pair.certificate.public_key().public_bytes(kind, form)


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


_REMOVE = "remove it and its key and run `pgstead up`, which makes new ones"
_BRING = "bring a whole one in PEM format, or take it out of [tls]: pgstead makes its own then"


def _parse_certificate(text: str, path: PurePosixPath, *, hint: str = _REMOVE) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode("ascii", "replace"))
    except ValueError:
        raise CertificateError(
            f"the certificate {path} is corrupt: it cannot be parsed as PEM",
            hint=hint,
        ) from None


def _parse_key(text: str, path: PurePosixPath, *, hint: str = _REMOVE) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(text.encode("ascii", "replace"), password=None)
    except TypeError:
        raise CertificateError(
            f"the key {path} is encrypted with a passphrase",
            hint="the servers start unattended: decrypt it with `openssl pkey`",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(
            f"the key {path} is corrupt: it cannot be parsed as PEM",
            hint=hint,
        ) from None
