"""The certificate that a door shows to whoever comes: what clients see, not what lies in a file."""

from __future__ import annotations

import socket
import ssl
import struct
from datetime import datetime

from cryptography import x509

# https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PATIENCE = 1.0  # seconds


def not_after(host: str, port: int) -> datetime:
    """Return when the certificate of a door ends. Raises OSError (ssl.SSLError too)."""
    return shown(host, port).not_valid_after_utc


def shown(host: str, port: int) -> x509.Certificate:
    """Return the certificate of a door. Raises OSError (ssl.SSLError too)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # an expired certificate has to be seen, not refused; nothing is sent over this connection
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=_PATIENCE) as plain:
        plain.sendall(_SSL_REQUEST)
        if plain.recv(1) != b"S":
            raise ConnectionError("it offers no TLS")
        with context.wrap_socket(plain) as secured:
            seen = secured.getpeercert(binary_form=True)
    if seen is None:
        raise ConnectionError("it shows no certificate")
    return x509.load_der_x509_certificate(seen)
