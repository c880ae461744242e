"""Passwords: one file of mode 0600 per role, made before anyone else can open it."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pgstead.errors import SteadError
from pgstead.host.files import problem, sync_directory

# 32 bytes of the system's generator; URL-safe, so that a password never needs escaping.
_BYTES = 32


class SecretFiles:
    """`ports.Secrets` as files. The names are those of roles."""

    def __init__(self, directory: PurePosixPath) -> None:
        """Keep the directory; it is made with the first secret."""
        self._directory = directory

    def __repr__(self) -> str:
        return f"SecretFiles({str(self._directory)!r})"

    def _path(self, name: str) -> Path:
        if not name or "/" in name or "\0" in name or name.startswith("."):
            raise SteadError(
                f"a secret cannot be named {name!r}",
                hint="names of roles that log in have no slash and no leading dot",
            )
        return Path(self._directory, name)

    def names(self) -> Sequence[str]:
        """Return the names that have a file."""
        try:
            names = [entry.name for entry in Path(self._directory).iterdir()]
        except FileNotFoundError:
            return ()
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def mode(self, name: str) -> int | None:
        """Return the permission bits of a secret's file, None where there is none."""
        try:
            return stat.S_IMODE(self._path(name).lstat().st_mode)
        except FileNotFoundError:
            return None

    def ensure(self, name: str, *, mode: int = 0o600) -> None:
        """Make a strong password where there is none, and mend the mode."""
        path = self._path(name)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.chmod(0o700)
            if not path.is_file() or path.is_symlink() or path.stat().st_size == 0:
                self._write(path, self.make())
            if stat.S_IMODE(path.lstat().st_mode) != mode:
                path.chmod(mode, follow_symlinks=os.chmod not in os.supports_follow_symlinks)
        except OSError as error:
            raise problem(error, path, "writing") from error

    def make(self) -> str:
        """Return a strong password that is stored nowhere yet."""
        return secrets.token_urlsafe(_BYTES)

    def store(self, name: str, value: str) -> None:
        """Put a password in the place of the one before, whole or not at all."""
        path = self._path(name)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(path, value)
        except OSError as error:
            raise problem(error, path, "writing") from error

    def _write(self, path: Path, value: str) -> None:
        """Write a password beside its place and move it there: never half of one."""
        temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.new")
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
        sync_directory(path.parent)

    def value(self, name: str) -> str:
        """Return the value. Raises SteadError where there is none."""
        path = self._path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise SteadError(
                f"there is no secret for {name!r}", hint="`pgstead up` makes what is missing"
            ) from None
        except UnicodeDecodeError:
            raise SteadError(
                f"the secret for {name!r} is not text in UTF-8",
                hint=f"remove {path} and run `pgstead up`: it makes a new one",
            ) from None
        except OSError as error:
            raise problem(error, path, "reading") from error
        value = text.removesuffix("\n").removesuffix("\r")
        if not value or "\n" in value or "\0" in value:
            raise SteadError(
                f"the secret for {name!r} is not one line of text",
                hint=f"remove {path} and run `pgstead up`: it makes a new one",
            )
        return value

    def remove(self, name: str) -> None:
        """Remove a secret."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise problem(error, self._path(name), "removing") from error
