r"""libpq's password file, read by us: both drivers get the password from one place.

https://www.postgresql.org/docs/current/libpq-pgpass.html: `host:port:database:user:password`,
`*` matches anything, `:` and `\` are escaped by `\`, lines that begin with `#` are comments.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pgstead.errors import SteadError
from pgstead.model.passfile import STANDIN_MARK

LOOK_AGAIN: Final = 0.25  # seconds between two looks at the file on behalf of pooled connections


class PasswordError(SteadError):
    """A password could not be read."""

    code = "password"


@dataclass(frozen=True, slots=True)
class Login:
    """Whose password is asked for, and where it will be used."""

    host: str
    port: int
    database: str
    user: str

    @property
    def fields(self) -> tuple[str, str, str, str]:
        """The fields of a line; a socket directory is written `localhost` (libpq's rule)."""
        host = "localhost" if self.host.startswith("/") else self.host
        return host, str(self.port), self.database, self.user


def split(line: str) -> tuple[str, ...]:
    """Split a line at its bare colons and take the escapes away."""
    fields = [""]
    characters = iter(line)
    for character in characters:
        if character == "\\":
            fields[-1] += next(characters, "")
        elif character == ":" and len(fields) < 5:
            fields.append("")
        else:
            fields[-1] += character
    return tuple(fields)


@dataclass(frozen=True, slots=True)
class Credential:
    """As whom to log in, and with what."""

    user: str
    password: str = field(repr=False)


def credential(path: Path, login: Login) -> Credential:
    """Return who logs in for a user now: itself, or its stand-in while its password is changed.

    Raises PasswordError without values.
    """
    lines = _lines(path)
    for line in lines:
        fields = split(line)
        if len(fields) == 3 and fields[:2] == (STANDIN_MARK, login.user):
            login = replace(login, user=fields[2])
            break
    return Credential(login.user, _matching(path, lines, login))


def _lines(path: Path) -> list[str]:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise PasswordError(
                f"the password file {path} is readable by others",
                hint=f"chmod 600 {path} (libpq would ignore it in silence)",
            )
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PasswordError(
            f"the password file {path} cannot be read: {error.strerror}",
            hint="`pgstead up` writes it for the user who runs it",
        ) from error


def _matching(path: Path, lines: list[str], login: Login) -> str:
    for line in lines:
        fields = split(line)
        if line.startswith("#") or len(fields) != 5:
            continue
        if all(have in ("*", want) for have, want in zip(fields[:4], login.fields, strict=True)):
            return fields[4]
    raise PasswordError(
        f"the password file {path} has no line for {login.user} at {login.host}:{login.port}",
        hint="run `pgstead up`, or add the line",
    )


class Password:
    """A password that is read anew for every connection, so that a rotation needs no restart.

    A process that gave up the right to read the file (`pgstead.serve --user`) goes on with the
    password that it read last.
    """

    __slots__ = ("_last", "_looked", "_read")

    def __init__(self, read: Callable[[], Credential]) -> None:
        """Keep how to read it; read it once, so that a missing file is found at the start."""
        self._read = read
        self._last = read()
        self._looked = time.monotonic()

    @classmethod
    def of_file(cls, path: Path, login: Login) -> Password:
        """Read it from a passfile."""
        return cls(lambda: credential(path, login))

    @classmethod
    def fixed(cls, value: str, user: str = "") -> Password:
        """Take it as it was given, in a URL."""
        return cls(lambda: Credential(user, value))

    def __call__(self) -> str:
        """Return the password as it is now."""
        return self.credential().password

    def credential(self) -> Credential:
        """Return who logs in now, and with which password."""
        try:
            self._last = self._read()
        except PasswordError as error:
            if not isinstance(error.__cause__, PermissionError):
                raise
        self._looked = time.monotonic()
        return self._last

    def user(self) -> str:
        """Return who logs in, by a look that is at most `LOOK_AGAIN` old.

        A file that cannot be read for now leaves it as it was: nobody loses a connection by that.
        """
        if time.monotonic() - self._looked >= LOOK_AGAIN:
            with suppress(PasswordError):
                self._last = self._read()
            self._looked = time.monotonic()
        return self._last.user

    def __repr__(self) -> str:
        return "Password(...)"
