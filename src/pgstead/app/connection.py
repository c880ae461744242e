"""The connection file: what an application must know of a stead. It holds no secret.

`pgstead up` writes one per database. It is found by `PGSTEAD_CONNECTION`, else in the nearest
`.pgstead/` of the working directory or above (as root that may be a pointer: its file `location`
names the real state directory).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from pgstead.app.telemetry.samples import Samples
from pgstead.errors import SteadError
from pgstead.model.telemetry import Exporter

VARIABLE = "PGSTEAD_CONNECTION"
VERSION = 1


class ConnectionFileError(SteadError):
    """The connection file is missing or wrong."""

    code = "connection-file"


@dataclass(frozen=True, slots=True)
class Door:
    """A place to connect to."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Account:
    """A role, and the libpq passfile that has its password."""

    user: str
    passfile: Path


@dataclass(frozen=True, slots=True)
class Figures:
    """The sizes of an application's pool (APP-1)."""

    size: int = 20
    max_overflow: int = 10
    timeout: float = 5.0  # seconds that a request waits for a connection
    recycle: int = 840  # seconds; below the pooler's client_idle_timeout

    @property
    def limit(self) -> int:
        """The most connections that one process opens."""
        return self.size + self.max_overflow


@dataclass(frozen=True, slots=True)
class Pooler:
    """What the pooler is, as far as a driver must know."""

    version: str
    prepared_statements: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """How the stead is watched."""

    samples: Samples | None = None  # what the agent has seen; None where nobody looks
    networks: tuple[str, ...] = ()  # who may see more than the status, beside loopback
    exporter: Exporter | None = None  # where OTLP goes


@dataclass(frozen=True, slots=True)
class ConnectionFile:
    """One database of a stead, as an application sees it."""

    path: Path
    stead: str
    environment: str
    database: str
    prefix: str
    major: int
    doors: Mapping[str, Door]
    ca: Path
    sslmode: str
    roles: Mapping[str, Account]
    pooler: Pooler | None
    figures: Figures
    heads: tuple[str, ...]
    stands_for: str = ""
    watched: Watched = Watched()

    @property
    def name(self) -> str:
        """The database's name in the manifest; the copy that a test works on has another."""
        return self.stands_for or self.database

    def door(self, name: str) -> Door:
        """Return a door by name. Raises ConnectionFileError where this stead has none such."""
        try:
            return self.doors[name]
        except KeyError:
            raise ConnectionFileError(
                f"{self.stead} has no door {name!r} to {self.database}",
                hint=f"there is: {', '.join(sorted(self.doors)) or 'none'}",
            ) from None

    def account(self, role: str) -> Account:
        """Return a role by what it is for (app, migrator, admin, readonly, monitor)."""
        try:
            return self.roles[role]
        except KeyError:
            raise ConnectionFileError(
                f"{self.stead} has no role for {role!r} in {self.database}",
                hint=f"there is: {', '.join(sorted(self.roles)) or 'none'}",
            ) from None


def find(database: str, environ: Mapping[str, str], starts: Iterable[Path] = ()) -> Path | None:
    """Return the path of a database's connection file, or None where there is none."""
    if named := environ.get(VARIABLE):
        return Path(named)
    for start in starts:
        for folder in (start, *start.parents):
            path = _state(folder / ".pgstead") / "connections" / f"{database}.json"
            if path.is_file():
                return path
    return None


def database_of_prefix(prefix: str, environ: Mapping[str, str], starts: Iterable[Path]) -> str:
    """Return the database whose connection file has a prefix. Raises ConnectionFileError."""
    named = environ.get(VARIABLE)
    folders = [
        _state(folder / ".pgstead") / "connections"
        for start in starts
        for folder in (start, *start.parents)
    ]
    paths = [Path(named)] if named else [p for f in folders for p in sorted(f.glob("*.json"))]
    for path in paths:
        if (found := read(path)).prefix == prefix:
            return found.name
    raise ConnectionFileError(
        f"no connection file is of the prefix {prefix!r}",
        hint=f"run `pgstead up` here or above, or set {prefix}DATABASE_URL or {VARIABLE}",
    )


def _state(folder: Path) -> Path:
    try:
        return Path((folder / "location").read_text(encoding="utf-8").strip())
    except OSError:
        return folder


def read(path: Path, database: str | None = None) -> ConnectionFile:
    """Read a connection file; `database` is the one that the caller expects to find in it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConnectionFileError(
            f"the connection file {path} cannot be read: {error.strerror}",
            hint="`pgstead up` writes it; PGSTEAD_CONNECTION may name another",
        ) from error
    except ValueError as error:
        raise ConnectionFileError(
            f"the connection file {path} is no JSON: {error}", hint="`pgstead up` writes it anew"
        ) from error
    try:
        found = _parse(path, raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConnectionFileError(
            f"the connection file {path} is not complete: {type(error).__name__} {error}",
            hint="`pgstead up` writes it anew",
        ) from error
    if database is not None and found.name != database:
        raise ConnectionFileError(
            f"the connection file {path} is of the database {found.name!r}, not of {database!r}",
            hint=f"unset {VARIABLE} or name the right file",
        )
    return found


def _parse(path: Path, raw: dict[str, Any]) -> ConnectionFile:
    if raw["version"] != VERSION:
        raise ConnectionFileError(
            f"the connection file {path} has version {raw['version']!r}, not {VERSION}",
            hint="this pgstead is older or newer than the one that wrote it; run `pgstead up`",
        )
    doors = {
        str(name): Door(str(door["host"]), int(door["port"]))
        for name, door in cast("dict[str, Any]", raw["doors"]).items()
        if door is not None
    }
    roles = {
        str(name): Account(str(role["user"]), Path(role["passfile"]))
        for name, role in cast("dict[str, Any]", raw["roles"]).items()
    }
    pooler = raw.get("pooler")
    pool = raw["pool"]
    return ConnectionFile(
        path=path,
        stead=str(raw["stead"]),
        environment=str(raw["environment"]),
        database=str(raw["database"]),
        prefix=str(raw["prefix"]),
        major=int(raw["server"]["major"]),
        doors=MappingProxyType(doors),
        ca=Path(raw["ca"]),
        sslmode=str(raw["sslmode"]),
        roles=MappingProxyType(roles),
        pooler=Pooler(str(pooler["version"]), bool(pooler["prepared_statements"]))
        if pooler
        else None,
        figures=Figures(
            int(pool["size"]),
            int(pool["max_overflow"]),
            float(pool["timeout"]),
            int(pool["recycle"]),
        ),
        heads=tuple(str(head) for head in raw.get("heads", ())),
        stands_for=str(raw.get("stands_for", "")),
        watched=_watched(raw.get("telemetry")),
    )


def _watched(raw: dict[str, Any] | None) -> Watched:
    if raw is None:
        return Watched()
    otlp = raw["otlp"]
    return Watched(
        Samples(Path(raw["samples"]), float(raw["interval"])),
        tuple(str(network) for network in raw["networks"]),
        Exporter(**otlp) if otlp else None,
    )
