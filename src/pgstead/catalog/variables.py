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


VARIABLES = (
    Variable(
        "DATABASE_URL", "The application's database, mostly by the pooler; else as the file says.",
        "postgresql+asyncpg://{app}@127.0.0.1:{pooler}/{database}?ssl=verify-full",
        "DATABASE_URL", secret=True,
    ),
    Variable(
        "DATABASE_URL_SYNC", "For migrations: the migrator, by the direct door.",
        "postgresql+psycopg://{migrator}@127.0.0.1:{direct}/{database}?sslmode=verify-full",
        "DATABASE_URL_SYNC", secret=True,
    ),
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
