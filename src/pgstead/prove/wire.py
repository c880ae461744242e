"""The first messages of the PostgreSQL protocol, by hand: what no driver lets a stranger try.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PROTOCOL_3 = 196608
SHORT = 5.0


@dataclass(frozen=True, slots=True)
class Greeting:
    """How the other side took our first messages."""

    kind: str  # "authentication", "error", "closed", "no TLS", "TLS failed"
    message: str = ""
    sqlstate: str = ""
    tls: str = ""  # "TLSv1.3"
    cipher: str = ""
    certificate: bytes = b""  # DER, where a TLS session was made

    def __str__(self) -> str:
        said = " ".join(part for part in (self.sqlstate, self.message) if part)
        link = f" over {self.tls}" if self.tls else ""
        return f"{self.kind}{link}: {said}" if said else f"{self.kind}{link}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls where, from which address, with which startup parameters."""

    host: str
    port: int
    user: str
    database: str
    source: str = ""  # a local address to call from
    parameters: tuple[tuple[str, str], ...] = ()


def startup_message(caller: Caller) -> bytes:
    """Return a StartupMessage."""
    pairs: Mapping[str, str] = {
        "user": caller.user,
        "database": caller.database,
        **dict(caller.parameters),
    }
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in pairs.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, PROTOCOL_3) + body


def error_fields(body: bytes) -> dict[str, str]:
    """Return the fields of an ErrorResponse by their letter."""
    parts = [p for p in body.split(b"\0") if p]
    return {p[:1].decode(): p[1:].decode(errors="replace") for p in parts}


def greet(caller: Caller, context: ssl.SSLContext | None) -> Greeting:
    """Start a session, with TLS where a context is given, and hang up after the first answer.

    Raises OSError when nothing answers at all.
    """
    source = (caller.source, 0) if caller.source else None
    with socket.create_connection((caller.host, caller.port), SHORT, source) as plain:
        plain.settimeout(SHORT)
        if context is None:
            return _start(plain, caller)
        plain.sendall(SSL_REQUEST)
        if plain.recv(1) != b"S":
            return Greeting("no TLS", "the server declined TLS")
        try:
            secured = context.wrap_socket(plain, server_hostname=caller.host)
        except (ssl.SSLError, ConnectionResetError) as error:
            return Greeting("TLS failed", str(error))
        with secured:
            return _start(secured, caller)


def _start(link: socket.socket, caller: Caller) -> Greeting:
    tls, cipher, certificate = _session(link)
    try:
        link.sendall(startup_message(caller))
        head = _exactly(link, 5)
        if head is None:
            return Greeting("closed", "", "", tls, cipher, certificate)
        length = struct.unpack("!i", head[1:])[0] - 4
        body = _exactly(link, min(length, 65536)) or b""
    except ssl.SSLError as error:
        # A TLS 1.3 client learns of a refusal only with the first bytes that it reads.
        return Greeting("TLS failed", str(error), "", tls, cipher, certificate)
    except (ConnectionResetError, BrokenPipeError):
        return Greeting("closed", "", "", tls, cipher, certificate)
    if head[:1] == b"E":
        fields = error_fields(body)
        said, state = fields.get("M", ""), fields.get("C", "")
        return Greeting("error", said, state, tls, cipher, certificate)
    return Greeting("authentication", "", "", tls, cipher, certificate)


def _session(link: socket.socket) -> tuple[str, str, bytes]:
    if not isinstance(link, ssl.SSLSocket):
        return "", "", b""
    cipher = link.cipher()
    return (
        link.version() or "",
        cipher[0] if cipher else "",
        link.getpeercert(binary_form=True) or b"",
    )


def _exactly(link: socket.socket, count: int) -> bytes | None:
    received = b""
    while len(received) < count:
        part = link.recv(count - len(received))
        if not part:
            return None
        received += part
    return received
