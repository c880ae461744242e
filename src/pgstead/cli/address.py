"""Addresses: a connection as a URL, for libpq and for SQLAlchemy. Pure.

What each driver understands (tried with psycopg 3.3, asyncpg 0.32 and SQLAlchemy 2.1):

* libpq, psycopg and `asyncpg.connect(dsn)` take `sslmode`, `sslrootcert` and `passfile` in the
  query of a `postgresql://` URL.
* SQLAlchemy's `postgresql+psycopg://` hands the query to libpq: the same.
* SQLAlchemy's `postgresql+asyncpg://` hands the query to `asyncpg.connect()` as keyword
  arguments. `passfile` is one; `sslrootcert` and `sslmode` are not, they exist in a DSN only.
  `dsn` is a keyword argument too, so the two travel as a DSN in a query of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlencode


class Driver(StrEnum):
    """Whose dialect of URL."""

    LIBPQ = "libpq"  # psql, psycopg, asyncpg.connect, JDBC-like tools
    PSYCOPG = "psycopg"  # SQLAlchemy with psycopg 3
    ASYNCPG = "asyncpg"  # SQLAlchemy with asyncpg


@dataclass(frozen=True, slots=True)
class Address:
    """Where a role finds a database, and what it verifies the server with."""

    host: str
    port: int
    database: str
    user: str
    ca: str
    passfile: str
    sslmode: str = "verify-full"


def url(address: Address, driver: Driver = Driver.LIBPQ, password: str | None = None) -> str:
    """Return the URL; with a password instead of the passfile where one is given."""
    secret = {"passfile": address.passfile} if password is None else {}
    tls = {"sslmode": address.sslmode, "sslrootcert": address.ca}
    match driver:
        case Driver.LIBPQ:
            return f"postgresql://{_place(address, password)}?{_query(tls | secret)}"
        case Driver.PSYCOPG:
            return f"postgresql+psycopg://{_place(address, password)}?{_query(tls | secret)}"
        case Driver.ASYNCPG:
            dsn = {"dsn": f"postgresql:///?{_query(tls)}"}
            return f"postgresql+asyncpg://{_place(address, password)}?{_query(dsn | secret)}"


def _place(address: Address, password: str | None) -> str:
    """Return `user[:password]@host:port/database`, each part percent-encoded."""
    host = f"[{address.host}]" if ":" in address.host else _quoted(address.host)
    login = _quoted(address.user) + ("" if password is None else f":{_quoted(password)}")
    return f"{login}@{host}:{address.port}/{_quoted(address.database)}"


def _query(values: dict[str, str]) -> str:
    # quote, not quote_plus: libpq does not read `+` as a space. The slash may stay as it is.
    return urlencode(values, quote_via=quote, safe="/")


def _quoted(text: str) -> str:
    return quote(text, safe="")
