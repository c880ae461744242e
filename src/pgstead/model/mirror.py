"""The copy of the repository in object storage: where it is, and what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

INDEX = "index.json"  # written last: what it does not name is not part of the copy
CATALOG = "catalog.sqlite"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class MirrorPlan:
    """Where the copy is kept. Spans in seconds; secrets by the files that hold them."""

    bucket: str
    prefix: str  # of all keys; several steads may share a bucket
    endpoint: str  # empty: that of AWS
    region: str
    access_key: str  # a file; empty: from where boto3 finds it
    secret_key: str
    ca: str  # a file with certificates; empty: those of the system
    interval: float  # between two looks for what is new
    max_age: float  # what is older and not copied yet is late
    with_key: bool  # the secret half too, under its passphrase

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of the repository that belongs into the copy."""

    path: str  # relative to the repository
    source: str  # where it lies
    size: int
    changed: int  # nanoseconds since the epoch (st_mtime_ns)
    fixed: bool  # never changes once it is there: base backups and segments of WAL


@dataclass(frozen=True, slots=True)
class Copy:
    """An object of the copy."""

    key: str  # relative to the prefix; holds its sum, so that nothing is ever written over
    size: int
    sha256: str
    etag: str  # as the store told it: another content has another one


@dataclass(frozen=True, slots=True)
class Index:
    """What a copy holds: whole, or it is no copy."""

    writer: str  # the id of the stead that keeps it; another one may not write
    number: int
    at: datetime
    copies: Mapping[str, Copy] = field(default_factory=dict[str, Copy])

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(copy.size for copy in self.copies.values())

    @property
    def bases(self) -> tuple[str, ...]:
        """The names of the base backups, oldest first."""
        parts = (path.split("/") for path in self.copies)
        return tuple(sorted({p[2] for p in parts if len(p) > 3 and p[1] == "base"}))


@dataclass(frozen=True, slots=True)
class Known:
    """What this machine remembers of the copy, so that it need not ask each time."""

    tried: datetime
    succeeded: datetime | None
    error: str = ""
    index: Index | None = None
    changed: Mapping[str, int] = field(default_factory=dict[str, int])  # as they were copied

    def failed(self, moment: datetime, error: str) -> Known:
        """Return it after an attempt that failed."""
        return replace(self, tried=moment, error=error)


def object_key(path: str, sha256: str) -> str:
    """Return under which key a file with that content is kept."""
    return f"files/{path}@{sha256[:20]}"


def index_text(index: Index) -> str:
    """Return an index as it is stored, with a sum over itself."""
    body = _body(index)
    return json.dumps({"format": _FORMAT, "sum": _sum(body), "index": body}, indent=1)


def index_of(text: str) -> Index:
    """Return a stored index. Raises ValueError for one that was altered or is of a later format."""
    told = cast("dict[str, Any]", json.loads(text))
    try:
        if told["format"] != _FORMAT:
            raise ValueError(f"its format is {told['format']}, and this pgstead reads {_FORMAT}")
        body = told["index"]
        if told["sum"] != _sum(body):
            raise ValueError("it is not what was written: its sum is another")
        copies = {path: Copy(**copy) for path, copy in body["copies"].items()}
        moment = datetime.fromisoformat(body["at"])
        return Index(str(body["writer"]), int(body["number"]), moment, copies)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks what an index has: {error}") from error


def known_text(known: Known) -> str:
    """Return what is remembered, as it is stored."""
    return json.dumps(
        {
            "tried": known.tried.isoformat(),
            "succeeded": known.succeeded and known.succeeded.isoformat(),
            "error": known.error,
            "index": known.index and index_text(known.index),
            "changed": dict(known.changed),
        }
    )


def known_of(text: str) -> Known:
    """Return what was stored. Raises ValueError for what cannot be read."""
    try:
        told = cast("dict[str, Any]", json.loads(text))
        return Known(
            datetime.fromisoformat(told["tried"]),
            told["succeeded"] and datetime.fromisoformat(told["succeeded"]),
            told["error"],
            told["index"] and index_of(told["index"]),
            told["changed"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def _body(index: Index) -> dict[str, Any]:
    return {
        "writer": index.writer,
        "number": index.number,
        "at": index.at.isoformat(),
        "copies": {
            path: {"key": c.key, "size": c.size, "sha256": c.sha256, "etag": c.etag}
            for path, c in sorted(index.copies.items())
        },
    }


def _sum(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
