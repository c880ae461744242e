"""The key document: made, given a further version, told which version writes; and its file."""

from __future__ import annotations

import base64
import datetime as dt
import fcntl
import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from pgstead.app.encryption.errors import KeyringError
from pgstead.app.encryption.ring import FORM, KEY_SIZE, parse
from pgstead.app.encryption.sources import FileSource, Kms
from pgstead.errors import UsageError

Document = dict[str, Any]


class KeyKind(StrEnum):
    """What a key is for."""

    VALUES = "values"
    INDEXES = "indexes"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a key, as people see it."""

    kind: KeyKind
    number: int
    created: str
    writes: bool
    wrapped: bool


def new(kms: Kms | None = None, *, now: dt.datetime | None = None) -> str:
    """Return a document with a first version of each key."""
    entry = {kind.value: {"1": _entry(kms, now)} for kind in KeyKind}
    return _text({"form": FORM, "writes": {kind.value: 1 for kind in KeyKind}, **entry})


def with_version(
    text: str, kind: KeyKind, kms: Kms | None = None, *, now: dt.datetime | None = None
) -> tuple[str, int]:
    """Return the document with a further version, which reads and does not write yet."""
    document = _document(text)
    number = max(int(name) for name in document[kind]) + 1
    document[kind][str(number)] = _entry(kms, now)
    return _text(document), number


def writing_with(text: str, kind: KeyKind, number: int) -> str:
    """Return the document in which a version writes."""
    document = _document(text)
    if str(number) not in document[kind]:
        raise UsageError(
            f"there is no version {number} of the key of {kind}",
            hint=f"there is: {', '.join(document[kind])}",
        )
    document["writes"][kind.value] = number
    return _text(document)


def without_version(text: str, kind: KeyKind, number: int) -> str:
    """Return the document without a version. What it encrypted is lost with it."""
    document = _document(text)
    if document["writes"][kind.value] == number:
        raise UsageError(
            f"version {number} of the key of {kind} still writes",
            hint="`pgstead keys new` and `pgstead keys rotate` put another in its place",
        )
    if document[kind].pop(str(number), None) is None:
        raise UsageError(
            f"there is no version {number} of the key of {kind}",
            hint=f"there is: {', '.join(document[kind])}",
        )
    return _text(document)


def versions(text: str) -> tuple[Version, ...]:
    """Return the versions of a document, without their keys."""
    document = _document(text)
    return tuple(
        Version(
            kind,
            int(name),
            str(entry.get("created", "")),
            document["writes"][kind.value] == int(name),
            "wrapped" in entry,
        )
        for kind in KeyKind
        for name, entry in sorted(document[kind].items(), key=lambda item: int(item[0]))
    )


def _entry(kms: Kms | None, now: dt.datetime | None) -> dict[str, str]:
    key = secrets.token_bytes(KEY_SIZE)
    moment = (now or dt.datetime.now(dt.UTC)).isoformat(timespec="seconds")
    if kms is None:
        return {"created": moment, "key": base64.b64encode(key).decode("ascii")}
    wrapped = kms.wrap(key)
    if key in wrapped:
        raise KeyringError("the KMS gave the key back as it was", hint="wrap() must encrypt it")
    return {"created": moment, "wrapped": base64.b64encode(wrapped).decode("ascii")}


def _document(text: str) -> Document:
    # parse() has judged it before; what is wrapped stays wrapped here
    return cast("Document", json.loads(text))


def _text(document: Document) -> str:
    return json.dumps(document, indent=2) + "\n"


# -- the file -----------------------------------------------------------------------------------


@contextmanager
def held(path: Path) -> Generator[None]:
    """Hold the file's lock, so that two commands do not both add a version."""
    # as for passfiles: to be entered by who runs the application, and listed by nobody
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write(path: Path, text: str, kms: Kms | None = None, *, owner: tuple[int, int] | None) -> None:
    """Put a document in its place, whole or not at all, for its owner's eyes only.

    `owner` is user and group of who reads it, where this process may give it away.
    """
    parse(text, kms.unwrap if kms else None, where=str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(handle, *owner)
            file.write(text)
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def copy(path: Path, into: Path, kms: Kms | None = None) -> None:
    """Copy a key file, with mode 0600; one that cannot be read replaces no copy."""
    text = read(path, kms)
    into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(into, text, kms, owner=None)


def read(path: Path, kms: Kms | None = None) -> str:
    """Return a key file's document, judged. Raises KeyringError."""
    text = FileSource(path).read()
    parse(text, kms.unwrap if kms else None, where=str(path))
    return text
