"""Secrets of persons: what a value of theirs needs beside the ring, until they are erased.

A file for each person, in a directory beside the servers and in no backup of theirs (ADR 0044).
It holds 32 random bytes or, after an erasure, the word that they are destroyed: a name that was
used once is never given a second secret, so that "erased" and "lost" stay two things.

    DIRECTORY/9f/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b     sha256 of table and key
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pgstead.app.encryption.errors import ErasedError, KeyringError, PersonKeyError
from pgstead.app.encryption.place import Owner

SIZE: Final = 32  # bytes of a secret
_HELD: Final = "pgstead-person-1 "
_GONE: Final = "pgstead-person-1 destroyed "
_NAME: Final = re.compile("[0-9a-f]{40}")
_LINE: Final = 64  # characters of a file: what is destroyed is written over


class PersonKeys(Protocol):
    """Where secrets of persons lie: files, or an object of yours with these methods.

    All three raise KeyringError where the place cannot be used.
    """

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    def secret(self, owner: Owner) -> bytes | None:
        """Return a person's secret, None where there never was one. Raises ErasedError."""
        ...

    def make(self, owner: Owner) -> bytes:
        """Return a person's secret, made now where there is none. Raises ErasedError.

        It is there for good when this returns, and whoever makes it at once gets the same.
        """
        ...

    def destroy(self, owner: Owner) -> bool:
        """End a person's secret for good, also one that was never made; say whether it was there.

        Done again it changes nothing.
        """
        ...


@dataclass(frozen=True, slots=True)
class PersonFiles:
    """`PersonKeys` as files of mode 0600, for any number of processes at once."""

    directory: Path

    @property
    def name(self) -> str:
        """What errors call it."""
        return str(self.directory)

    def secret(self, owner: Owner) -> bytes | None:
        """Return a person's secret, None where there never was one."""
        path = self.path(owner)
        try:
            # UTF-8 is there from the start; another codec would be imported now, by a process that
            # has given up root and may not read the interpreter's own files any more
            return _secret(path.read_text(encoding="utf-8"), path, owner)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(path, error) from error

    def make(self, owner: Owner) -> bytes:
        """Return a person's secret, made now where there is none."""
        found = self.secret(owner)
        if found is None:
            drawn = base64.b64encode(secrets.token_bytes(SIZE)).decode("ascii")
            _put(self.path(owner), f"{_HELD}{drawn}")
            found = self.secret(owner)  # of whoever was first
        if found is None:
            raise PersonKeyError(owner, self.name)
        return found

    def destroy(self, owner: Owner) -> bool:
        """Write over a person's secret, in its own blocks."""
        moment = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        told, path = f"{_GONE}{moment}", self.path(owner)
        if _put(path, told):
            return False
        try:
            if self.secret(owner) is None:
                return False
        except ErasedError:
            return False
        except KeyringError:
            pass  # damaged: nobody needs it any more
        _write_over(path, told)
        return True

    def copy_to(self, other: PersonFiles) -> Copied:
        """Bring a copy up to date, and destroy there too what was destroyed here.

        What is missing here stays there: this may be what was lost. What was destroyed there
        stays so.
        """
        made = ended = held = 0
        for path in sorted(self.directory.glob("??/*")):
            if not _NAME.fullmatch(path.name):
                continue  # of a process that was killed
            text, target = _text(path), other.directory / path.parent.name / path.name
            held += 1
            if _put(target, text):
                made += 1
            elif text.startswith(_GONE) and not _text(target).startswith(_GONE):
                _write_over(target, text)
                ended += 1
        return Copied(held, made, ended)

    def path(self, owner: Owner) -> Path:
        """Return where a person's secret lies. The name tells nobody's key."""
        name = name_of(owner)
        return self.directory / name[:2] / name


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a copy of the secrets."""

    held: int  # persons that are known here
    made: int  # of them, that the copy had not
    ended: int  # destroyed there, since they were here


def name_of(owner: Owner) -> str:
    """Return what a person is called in the store."""
    told = f"pgstead-person-1\0{owner.table}\0{owner.key}"
    return hashlib.sha256(told.encode()).hexdigest()[:40]


def _put(path: Path, text: str) -> bool:
    """Make a person's file, whole or not at all; say whether there was none."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        made = _directory(path.parent)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb", buffering=0) as file:
                _give(handle, path.parent)
                file.write(_line(text))
                os.fsync(handle)
            os.link(temporary, path)  # unlike a rename it replaces nothing
        finally:
            temporary.unlink()
        for folder in (path.parent, *made):
            _sync(folder)
    except FileExistsError:
        return False
    except OSError as error:
        raise _unusable(path, error) from error
    return True


def _write_over(path: Path, text: str) -> None:
    try:
        with path.open("r+b", buffering=0) as file:
            file.write(_line(text))
            os.fsync(file.fileno())
    except OSError as error:
        raise _unusable(path, error) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


def _line(text: str) -> bytes:
    return f"{text:<{_LINE - 1}}\n".encode()


def _secret(text: str, path: Path, owner: Owner) -> bytes:
    told = text.rstrip()
    if told.startswith(_GONE):
        raise ErasedError(owner.table, told.removeprefix(_GONE))
    try:
        found = base64.b64decode(told.removeprefix(_HELD), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != SIZE or not told.startswith(_HELD):
        raise KeyringError(
            f"the secret of a person in {path} is damaged",
            hint="put back the copy of the file; without it their values are lost",
        )
    return found


def _directory(path: Path) -> list[Path]:
    """Make a directory and those above it, for whom the first one above belongs to."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue  # somebody else was faster
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            _give(descriptor, folder.parent)
        finally:
            os.close(descriptor)
    return [folder.parent for folder in missing]


def _give(descriptor: int, like: Path) -> None:
    """As root, give what was made to whom its directory belongs: the application reads it."""
    if os.geteuid() == 0:
        found = like.stat()
        os.fchown(descriptor, found.st_uid, found.st_gid)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: Exception) -> KeyringError:
    why = error.strerror if isinstance(error, OSError) else "it is not text"
    return KeyringError(
        f"the secret of a person in {path} cannot be used: {why}",
        hint="the directory belongs to whom the application runs as, with mode 0700",
    )
