r"""libpq's password file, read by us: both drivers get the password from one place.

https://www.postgresql.org/docs/current/libpq-pgpass.html: `host:port:database:user:password`,
`*` matches anything, `:` and `\` are escaped by `\`, lines that begin with `#` are comments.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pgstead.errors import SteadError


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


def look_up(path: Path, login: Login) -> str:
    """Return the password of the first line that matches. Raises PasswordError without values."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise PasswordError(
                f"the password file {path} is readable by others",
                hint=f"chmod 600 {path} (libpq would ignore it in silence)",
            )
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PasswordError(
            f"the password file {path} cannot be read: {error.strerror}",
            hint="`pgstead up` writes it for the user who runs it",
        ) from error
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

    __slots__ = ("_last", "_read")

    def __init__(self, read: Callable[[], str]) -> None:
        """Keep how to read it; read it once, so that a missing file is found at the start."""
        self._read = read
        self._last = read()

    @classmethod
    def of_file(cls, path: Path, login: Login) -> Password:
        """Read it from a passfile."""
        return cls(lambda: look_up(path, login))

    @classmethod
    def fixed(cls, value: str) -> Password:
        """Take it as it was given, in a URL."""
        return cls(lambda: value)

    def __call__(self) -> str:
        """Return the password as it is now."""
        try:
            self._last = self._read()
        except PasswordError as error:
            if not isinstance(error.__cause__, PermissionError):
                raise
        return self._last

    def __repr__(self) -> str:
        return "Password(...)"
