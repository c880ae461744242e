"""The CA and its rotation: a file that may hold two, the one that signs first.

How far a rotation is stands in the files, so that one that was killed is found and finished:
`next/` holds a CA that is announced and does not sign yet.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pgstead.errors import CertificateError
from pgstead.host.files import LocalFiles
from pgstead.host.minting import Mint, Minted
from pgstead.model.layout import Layout
from pgstead.model.rotation import Authority, CaStage


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a private key as text."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode("ascii")


class CaFiles:
    """`ca.crt`, `ca.key` and what is in `next/`."""

    def __init__(self, layout: Layout, files: LocalFiles, mint: Mint) -> None:
        """Keep where they are and who makes new ones."""
        self._crt = layout.ca
        self._key = layout.ca.with_suffix(".key")
        self._next = layout.tls / "next"
        self._files = files
        self._mint = mint

    def look(self, *, provided: bool) -> Authority:
        """Say how far a rotation is. Raises CertificateError where there is no CA."""
        trusted = self._trusted()
        if not trusted:
            raise CertificateError("there is no CA", hint="`pgstead up` makes what is missing")
        stage, coming = CaStage.SETTLED, self._coming()
        if coming is not None and coming[0] in trusted:
            stage = CaStage.ANNOUNCED
        elif len(trusted) > 1 and not provided:
            stage = CaStage.SIGNING
        return Authority(
            stage=stage,
            since=datetime.fromtimestamp(Path(self._crt).stat().st_mtime, UTC),
            ends=trusted[0].not_valid_after_utc,
            trusted=tuple(c.fingerprint(hashes.SHA256()).hex() for c in trusted),
            provided=provided,
        )

    def make(self) -> None:
        """Make another CA at once. The one before stays trusted, so that clients go on.

        Where a switch was killed between key and certificate, that is finished instead.
        """
        coming = self._coming()
        if coming is not None and self._half_switched(coming):
            self.switch()
            return
        certificate, key = self._mint.ca()
        before = self._trusted()[:1]
        self._files.write(self._key, key_pem(key), mode=0o600)
        self._trust(certificate, *before)

    def announce(self) -> None:
        """Make the coming CA, and have it trusted beside the one that signs."""
        coming = self._coming()
        if coming is None:
            certificate, key = coming = self._mint.ca()
            self._files.make_directory(self._next, mode=0o700)
            self._files.write(self._next / "ca.key", key_pem(key), mode=0o600)
            self._files.write(self._next / "ca.crt", certificate_pem(certificate))
        trusted = self._trusted()
        if coming[0] not in trusted:
            self._trust(*trusted[:1], coming[0])

    def switch(self) -> None:
        """Let the coming CA sign; the one before is trusted still."""
        coming = self._coming()
        if coming is None:
            return
        certificate, key = coming
        before = [c for c in self._trusted() if c != certificate][:1]
        self._files.write(self._key, key_pem(key), mode=0o600)
        self._trust(certificate, *before)
        self._files.remove(self._next)

    def retire(self) -> None:
        """Trust the CA that signs, and no other."""
        self._trust(*self._trusted()[:1])

    # -- the files ----------------------------------------------------------------------------

    def _trusted(self) -> list[x509.Certificate]:
        found = self._files.read(self._crt)
        if found is None:
            return []
        return _parsed(found.text, self._crt)

    def _trust(self, *certificates: x509.Certificate) -> None:
        self._files.write(self._crt, "".join(map(certificate_pem, certificates)), mode=0o644)

    def _coming(self) -> Minted | None:
        """Return the CA that is announced; half of one was never trusted, and is none."""
        crt = self._files.read(self._next / "ca.crt")
        key = self._files.read(self._next / "ca.key")
        if crt is None or key is None:
            return None
        [certificate] = _parsed(crt.text, self._next / "ca.crt")
        found = serialization.load_pem_private_key(key.text.encode("ascii"), password=None)
        assert isinstance(found, ec.EllipticCurvePrivateKey)
        return certificate, found

    def _half_switched(self, coming: Minted) -> bool:
        found = self._files.read(self._key)
        key_is_new = found is not None and found.text == key_pem(coming[1])
        return key_is_new or self._trusted()[:1] == [coming[0]]


def _parsed(text: str, path: PurePosixPath) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode("ascii", "replace"))
    except ValueError:
        raise CertificateError(
            f"the certificate {path} is corrupt: it cannot be parsed as PEM",
            hint="remove it and its key and run `pgstead up`, which makes new ones",
        ) from None
