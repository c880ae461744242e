"""Settings from the environment: one prefix per system, the specifications' bare names as aliases.

| with the prefix `JEEX_`      | alias               | what                                  |
|------------------------------|---------------------|---------------------------------------|
| `JEEX_DATABASE_URL`          | `DATABASE_URL`      | the application's (mostly the pooler) |
| `JEEX_DATABASE_URL_SYNC`     | `DATABASE_URL_SYNC` | the direct one, for migrations        |
| `JEEX_DATABASE_POOL_SIZE`    | `DB_POOL_SIZE`      | connections kept                      |
| `JEEX_DATABASE_MAX_OVERFLOW` | `DB_MAX_OVERFLOW`   | connections beyond that               |
| `JEEX_DATABASE_POOL_TIMEOUT` | `DB_POOL_TIMEOUT`   | seconds that a request waits for one  |
| `JEEX_DATABASE_POOL_RECYCLE` | `DB_POOL_RECYCLE`   | seconds after which one is replaced   |
| `JEEX_DATABASE_ECHO`         | `DB_ECHO`           | log statements; in development only   |

Instead of a URL its parts may be named: see `pgstead.app.url_parts`. What counts: a URL, then parts
with the prefix, then the connection file, then parts without it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pgstead.app.connection import (
    VARIABLE,
    ConnectionFile,
    ConnectionFileError,
    Figures,
    database_of_prefix,
    find,
    read,
)
from pgstead.app.encryption.sources import Keys, keys_of
from pgstead.app.target import Driver, Target
from pgstead.app.url_parts import Parts, tls_beside
from pgstead.app.variables import Variables
from pgstead.errors import UsageError


@dataclass(frozen=True, slots=True)
class Settings:
    """What an application was told about its database."""

    name: str
    environment: str
    target: Target
    figures: Figures
    echo: bool
    file: ConnectionFile | None
    # reads the keys of encrypted columns; raises KeyringError where there are none
    keys: Callable[[], Keys] | None = field(default=None, repr=False, compare=False)


def settings(
    database: str,
    prefix: str,
    *,
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
    driver: Driver = Driver.ASYNCPG,
) -> Settings:
    """Read what the application of a database needs: its URL from the environment, or its file."""
    variables = Variables(prefix, os.environ if environ is None else environ)
    file = locate(database, variables, start=start)
    target = _application(database, variables, file, driver)
    environment = file.environment if file else "production"
    echo = variables.flag("DATABASE_ECHO", "DB_ECHO")
    if echo and environment != "development":
        raise UsageError(
            f"{prefix}DATABASE_ECHO is set in {environment}",
            hint="statements hold personal values; they are shown in development only",
        )
    return Settings(
        name=database,
        environment=environment,
        target=target,
        figures=_figures(variables, file.figures if file else Figures()),
        echo=echo,
        file=file,
        keys=partial(keys_of, prefix, variables.environ, file),
    )


def _application(
    database: str, variables: Variables, file: ConnectionFile | None, driver: Driver
) -> Target:
    parts = Parts(variables, database)
    if url := variables.text("DATABASE_URL", "DATABASE_URL"):
        variable = f"{variables.prefix}DATABASE_URL"
        return Target.from_url(url, variable=variable, beside=tls_beside(variables))
    if parts.own:
        return parts.target(driver)
    if file is not None:
        return Target.from_file(file, driver=driver)
    if parts.given:
        return parts.target(driver)
    raise _nowhere(database, f"{variables.prefix}DATABASE_URL")


def settings_of_url(url: str) -> Settings:
    """Return settings made of a URL alone, as `pgstead url` prints one."""
    target = Target.from_url(url, variable="the URL")
    return Settings(target.database, "production", target, Figures(), echo=False, file=None)


def settings_of_prefix(
    prefix: str,
    *,
    environ: Mapping[str, str] | None = None,
    driver: Driver = Driver.ASYNCPG,
) -> Settings:
    """Read what the application with a prefix needs; its database is found by the prefix."""
    given = os.environ if environ is None else environ
    database = _database_of(Variables(prefix, given))
    return settings(database, prefix, environ=given, driver=driver)


def _database_of(variables: Variables) -> str:
    prefix, parts = variables.prefix, Parts(variables)
    if url := variables.text("DATABASE_URL", "DATABASE_URL"):
        return Target.from_url(url, variable=f"{prefix}DATABASE_URL").database
    if parts.own:
        return parts.name
    try:
        return database_of_prefix(prefix, variables.environ, [Path.cwd()])
    except ConnectionFileError:
        if parts.given:
            return parts.name
        raise


def settings_of_manifest(
    manifest: Path,
    database: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    driver: Driver = Driver.ASYNCPG,
) -> Settings:
    """Read what the application of a manifest's database needs, from beside the manifest.

    A variable of the environment with the database's prefix wins, as everywhere.
    """
    given = dict(os.environ if environ is None else environ)
    declared = _declared(manifest)
    name = database or (declared[0] if len(declared) == 1 else "")
    if name not in declared:
        raise UsageError(
            f"{manifest} has {'several databases' if not database else f'no database {name!r}'}",
            hint=f"name one of: {', '.join(declared) or 'none'}",
        )
    # the environment's own choice of a file stands; else it is the one beside the manifest
    found = find(name, given, [manifest.resolve().parent])
    if found is None:
        raise ConnectionFileError(
            f"{name} of {manifest} is not up: there is no connection file", hint="run `pgstead up`"
        )
    given[VARIABLE] = str(found)
    return settings(name, read(found, name).prefix, environ=given, driver=driver)


def _declared(manifest: Path) -> list[str]:
    """Return the names of a manifest's databases."""
    try:
        document = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"the manifest {manifest} cannot be read: {error}", hint="`pgstead init` writes one"
        ) from error
    databases: list[dict[str, Any]] = document.get("databases", [])
    return [str(database["name"]) for database in databases if "name" in database]


def process_environment(connection: Path | None = None) -> Mapping[str, str]:
    """Return this process's environment, with another connection file where one is given."""
    named = {} if connection is None else {VARIABLE: str(connection)}
    return {**os.environ, **named}


def migration_target(
    database: str,
    prefix: str,
    *,
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
) -> Target:
    """Return where migrations run: always psycopg, never through the pooler if it is known.

    `DATABASE_URL_SYNC` first, then the migrator of the connection file at the direct door. The
    application's own URL, or its parts, are the last resort: mostly its role may not change the
    schema.
    """
    variables = Variables(prefix, os.environ if environ is None else environ)
    parts, beside = Parts(variables, database), tls_beside(variables)
    for name in ("DATABASE_URL_SYNC", "DATABASE_URL"):
        if url := variables.text(name, name):
            target = Target.from_url(url, variable=f"{prefix}{name}", beside=beside)
            return replace(target, driver=Driver.PSYCOPG)
        file = locate(database, variables, start=start)
        if file is not None:
            return Target.from_file(file, role="migrator", door="direct", driver=Driver.PSYCOPG)
    if parts.given:
        return parts.target(Driver.PSYCOPG, door="direct")
    raise _nowhere(database, f"{prefix}DATABASE_URL_SYNC")


def migration_file(
    database: str,
    prefix: str,
    *,
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
) -> ConnectionFile | None:
    """Return the connection file that migrations see, wherever their URL comes from."""
    variables = Variables(prefix, os.environ if environ is None else environ)
    return locate(database, variables, start=start)


def locate(
    database: str, variables: Variables, *, start: Path | None = None
) -> ConnectionFile | None:
    """Find and read the connection file from the working directory and from `start`."""
    starts = [Path.cwd(), *([start] if start else [])]
    path = find(database, variables.environ, starts)
    return read(path, database) if path else None


def _figures(variables: Variables, given: Figures) -> Figures:
    size = variables.number("DATABASE_POOL_SIZE", "DB_POOL_SIZE", int)
    overflow = variables.number("DATABASE_MAX_OVERFLOW", "DB_MAX_OVERFLOW", int)
    timeout = variables.number("DATABASE_POOL_TIMEOUT", "DB_POOL_TIMEOUT", float)
    recycle = variables.number("DATABASE_POOL_RECYCLE", "DB_POOL_RECYCLE", int)
    return Figures(
        size=given.size if size is None else size,
        max_overflow=given.max_overflow if overflow is None else overflow,
        timeout=given.timeout if timeout is None else timeout,
        recycle=given.recycle if recycle is None else recycle,
    )


def _nowhere(database: str, variable: str) -> ConnectionFileError:
    return ConnectionFileError(
        f"it is not known where the database {database!r} is",
        hint=f"run `pgstead up` here or above, or set PGSTEAD_CONNECTION or {variable}",
    )
