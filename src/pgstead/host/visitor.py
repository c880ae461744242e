"""A client of our own at the doors: it logs in as a client does, and looks at what is shown."""

from __future__ import annotations

import psycopg
from cryptography.hazmat.primitives import hashes

from pgstead.errors import NotRunningError
from pgstead.host import doors, handshake
from pgstead.model.design import Design


class DoorVisitor:
    """`ports.Visitor` by psycopg and a TLS handshake."""

    def __init__(self, design: Design) -> None:
        """Keep where the doors are; nothing is opened yet."""
        self._design = design

    def _place(self, door: str) -> tuple[str, int]:
        found = self._design.door(door)
        if found is None:
            raise NotRunningError(
                f"this stead has no {door} door", hint="`pgstead status` shows which there are"
            )
        return found.here, found.port

    def log_in(self, role: str, password: str, database: str, door: str) -> str:
        """Log in and out. Return why that was refused, empty where it was not."""
        self._place(door)  # there is one
        try:
            with doors.connect(
                self._design, door, role, password, database=database, program="pgstead rotate"
            ) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            return " ".join(str(error).split()) or type(error).__name__
        return ""

    def certificate(self, door: str) -> str:
        """Return the SHA-256 of the certificate that a door shows. Raises NotRunningError."""
        host, port = self._place(door)
        try:
            return handshake.shown(host, port).fingerprint(hashes.SHA256()).hex()
        except OSError as error:
            raise NotRunningError(
                f"the {door} door shows no certificate: {error}",
                hint="`pgstead status` shows what runs",
            ) from error
