"""Every variable of the environment that a stead's programs read (APP-8, DEP-8).

A test looks for each name that the code reads.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable. One with a prefix begins with that of its database: `JEEX_DATABASE_URL`."""

    name: str
    meaning: str
    example: str = ""
    alias: str = ""  # the specifications' own name, read where the prefixed one is not set
    prefixed: bool = True
    secret: bool = False
    only: str = ""  # the prefix of the one system that reads it; empty: all do


def _part(name: str, meaning: str, example: str = "", *, secret: bool = False) -> Variable:
    return Variable(name, meaning, example, alias=name, secret=secret)


# Instead of a URL: with the prefix they count before the connection file, without it after it.
_PARTS = (
    _part("POSTGRES_HOST", "Instead of a URL: the server, or its socket's directory.", "127.0.0.1"),
    _part("POSTGRES_PORT", "Its port; else 5432.", "{direct}"),
    _part("POSTGRES_DB", "The database; else the one of the prefix.", "{database}"),
    _part("POSTGRES_USER", "The role to log in as.", "{app}"),
    _part("POSTGRES_PASSWORD", "Its password.", secret=True),
    _part(
        "POSTGRES_SSL_MODE", "How far the server has to prove itself; beside a URL, too.",
        "verify-full",
    ),
    _part("POSTGRES_SSL_ROOT_CERT", "The CA to verify it with.", ".pgstead/tls/ca.crt"),
    _part("POSTGRES_SSL_CERT", "The client's certificate, where the server asks for one."),
    _part("POSTGRES_SSL_KEY", "Its key."),
    _part("PGBOUNCER_HOST", "The pooler: the application goes by it.", "127.0.0.1"),
    _part("PGBOUNCER_PORT", "Its port; else 6432.", "{pooler}"),
    _part("PGBOUNCER_USER", "The role there; else POSTGRES_USER.", "{app}"),
    _part("PGBOUNCER_PASSWORD", "Its password; else POSTGRES_PASSWORD.", secret=True),
)  # fmt: skip

VARIABLES = (
    Variable(
        "DATABASE_URL", "The application's database, mostly by the pooler; else as the file says.",
        "postgresql+asyncpg://{app}@127.0.0.1:{pooler}/{database}?sslmode=verify-full",
        "DATABASE_URL", secret=True,
    ),
    Variable(
        "DATABASE_URL_SYNC", "For migrations: the migrator, by the direct door.",
        "postgresql+psycopg://{migrator}@127.0.0.1:{direct}/{database}?sslmode=verify-full",
        "DATABASE_URL_SYNC", secret=True,
    ),
    *_PARTS,
    Variable("DATABASE_POOL_SIZE", "Connections kept by each process.", "{size}", "DB_POOL_SIZE"),
    Variable(
        "DATABASE_MAX_OVERFLOW", "Connections beyond that, under load.", "{overflow}",
        "DB_MAX_OVERFLOW",
    ),
    Variable(
        "DATABASE_POOL_TIMEOUT", "Seconds that a request waits for a connection.", "{timeout}",
        "DB_POOL_TIMEOUT",
    ),
    Variable(
        "DATABASE_POOL_RECYCLE", "Seconds after which a connection is replaced.", "{recycle}",
        "DB_POOL_RECYCLE",
    ),
    Variable("DATABASE_ECHO", "Log every statement; in development only.", "no", "DB_ECHO"),
    Variable(
        "ENCRYPTION_KEYS", "The ring of keys itself (JSON); one of"
        " this and the file.", secret=True,
    ),
    Variable(
        "ENCRYPTION_KEYS_FILE", "The file with the ring; else the one of the connection file.",
        "/etc/{database}/keys.json",
    ),
    Variable(
        "ENCRYPTION_KMS", "What unwraps the keys, as `module:function`; else they are not wrapped.",
        "orders.keys:kms",
    ),
    Variable(
        "PERSON_KEYS", "The directory with secrets of persons, or a store of yours as"
        " `module:object`; else beside the connection file.", "/srv/{database}/persons",
    ),
    Variable(
        "OPERATOR_KEY_SHA256", "SHA-256 of the operator's API key; without it nobody is one.",
        only="AI_AGENTS_",
    ),
    Variable(
        "PGSTEAD_CONNECTION", "The connection file, where it is not found upwards.",
        ".pgstead/connections/{database}.json", prefixed=False,
    ),
    Variable(
        "NO_COLOR", "Set to anything: the command prints no colours.", "1", prefixed=False
    ),
)  # fmt: skip
