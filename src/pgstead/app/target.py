"""Where to connect, as whom, and how safely: from a connection file, or from a URL."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pgstead.app.connection import ConnectionFile
from pgstead.app.passfile import Login, Password
from pgstead.errors import UsageError

CONNECT_TIMEOUT = 30  # seconds (APP-1)

_log = logging.getLogger(__name__)

_SSLMODES = ("disable", "require", "verify-ca", "verify-full")
_QUERY = ("host", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Driver(StrEnum):
    """The drivers; the value is what a URL says."""

    ASYNCPG = "asyncpg"
    PSYCOPG = "psycopg"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a client shows of itself, where a server asks for it."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Target:
    """One role at one door. Its `repr` holds no secret."""

    driver: Driver
    host: str
    port: int
    database: str
    user: str
    password: Password | None
    sslmode: str
    ca: Path | None
    pooled: bool  # a pooler in transaction mode may stand between
    certificate: Certificate | None = None

    @classmethod
    def from_file(
        cls,
        file: ConnectionFile,
        *,
        role: str = "app",
        door: Literal["pooler", "direct"] | None = None,
        driver: Driver = Driver.ASYNCPG,
    ) -> Target:
        """Take a role of a connection file; through the pooler where there is one."""
        name = door or ("pooler" if "pooler" in file.doors else "direct")
        place = file.door(name)
        account = file.account(role)
        login = Login(place.host, place.port, file.database, account.user)
        return cls(
            driver=driver,
            host=place.host,
            port=place.port,
            database=file.database,
            user=account.user,
            password=Password.of_file(account.passfile, login),
            sslmode=file.sslmode,
            ca=file.ca,
            pooled=name == "pooler",
        )

    @classmethod
    def from_url(cls, text: str, *, variable: str, beside: Mapping[str, str] = _NOTHING) -> Target:
        """Read a URL; `variable` is what messages call it, for its text may hold a password."""
        try:
            url = make_url(text)
        except ArgumentError:
            raise UsageError(
                f"{variable} is no URL", hint="postgresql+asyncpg://user@host:port/database"
            ) from None
        return cls.of_url(url, variable=variable, beside=beside)

    @classmethod
    def of_url(cls, url: URL, *, variable: str, beside: Mapping[str, str] = _NOTHING) -> Target:
        """Take a URL, and what is said `beside` it of TLS by libpq's names.

        What stands behind a URL is not known, so a pooler is reckoned with.
        """
        driver = _driver(url, variable)
        query = _agreed(_query(url, variable), beside, variable)
        host = query.get("host") or url.host or ""
        if not (host and url.username and url.database):
            raise UsageError(
                f"{variable} does not name host, user and database",
                hint="postgresql+asyncpg://user@host:port/database",
            )
        login = Login(host, url.port or 5432, url.database, url.username)
        return cls(
            driver=driver,
            host=host,
            port=login.port,
            database=url.database,
            user=url.username,
            password=_password(url, query, login),
            sslmode=_sslmode(host, query, variable),
            ca=Path(query["sslrootcert"]) if "sslrootcert" in query else None,
            pooled=True,
            certificate=_certificate(query, variable),
        )

    @property
    def url(self) -> URL:
        """The URL for SQLAlchemy, without the password: that is given to the driver alone."""
        socket = self.host.startswith("/")
        return URL.create(
            f"postgresql+{self.driver}",
            username=self.user,
            host=None if socket else self.host,
            port=self.port,
            database=self.database,
            query={"host": self.host} if socket else {},
        )

    def driver_arguments(self, application_name: str) -> dict[str, Any]:
        """Return what the driver needs beside the URL. No startup parameter that a pooler refuses.

        Behind a pooler in transaction mode prepared statements are off altogether: with asyncpg
        that means both caches, its own and SQLAlchemy's (docs/explanation: with one of them left
        on, a changed column type gives wrong values).
        """
        if self.driver is Driver.ASYNCPG:
            caches = (
                {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
                if self.pooled
                else {}
            )
            return {
                "timeout": CONNECT_TIMEOUT,
                "ssl": self.tls() if self.encrypted else False,
                "server_settings": {"application_name": application_name},
                **caches,
            }
        threshold = {"prepare_threshold": None} if self.pooled else {}
        return {
            "connect_timeout": CONNECT_TIMEOUT,
            "application_name": application_name,
            **self._libpq_tls(),
            **threshold,
        }

    @property
    def place(self) -> str:
        """The words for it in messages."""
        return f"{self.database} at {self.host}:{self.port}"

    @property
    def encrypted(self) -> bool:
        """Whether there is TLS on the way; a Unix socket needs none."""
        return self.sslmode != "disable" and not self.host.startswith("/")

    def tls(self) -> ssl.SSLContext:
        """Return whom a connection trusts, by the CA as its file is now."""
        context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = self.sslmode == "verify-full"
        if self.sslmode == "require" and self.ca is None:
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            context.load_cert_chain(self.certificate.chain, self.certificate.key)
        return context

    def _libpq_tls(self) -> dict[str, str]:
        if not self.encrypted:
            return {"sslmode": "disable"}
        return {
            "sslmode": self.sslmode,
            "sslrootcert": str(self.ca) if self.ca else "system",
            "ssl_min_protocol_version": "TLSv1.3",
            "gssencmode": "disable",
            **self._shown(),
        }

    def _shown(self) -> dict[str, str]:
        if self.certificate is None:
            # else libpq looks for a client certificate in a home directory
            # that this process may not be able to enter
            return {"sslcertmode": "disable"}
        return {"sslcert": str(self.certificate.chain), "sslkey": str(self.certificate.key)}


def _driver(url: URL, variable: str) -> Driver:
    if url.drivername == "postgresql+asyncpg":
        return Driver.ASYNCPG
    if url.drivername == "postgresql+psycopg":
        return Driver.PSYCOPG
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg2"):
        _log.info("%s: %s is taken for postgresql+psycopg (psycopg 3)", variable, url.drivername)
        return Driver.PSYCOPG
    raise UsageError(
        f"{variable} asks for {url.drivername!r}",
        hint="postgresql+asyncpg or postgresql+psycopg",
    )


def _query(url: URL, variable: str) -> dict[str, str]:
    query: dict[str, str] = {}
    given = {key: value for key, value in url.query.items() if key != "dsn"}
    # where `pgstead url --driver asyncpg` puts what asyncpg takes from a URL of its own only
    inner = url.query.get("dsn", "")
    given |= make_url(inner).query if isinstance(inner, str) and inner else {}
    for key, value in given.items():
        if key not in _QUERY or not isinstance(value, str):
            raise UsageError(
                f"{variable} has a parameter {key!r} that is not read",
                hint=f"it may have: {', '.join(_QUERY)}",
            )
        query[key] = value
    return query


def _agreed(query: dict[str, str], beside: Mapping[str, str], variable: str) -> dict[str, str]:
    """Return both; what is said twice has to be the same."""
    for key, value in beside.items():
        if query.setdefault(key, value) != value:
            raise UsageError(
                f"{variable} has another {key} than POSTGRES_SSL_... says",
                hint="say it in one place",
            )
    return query


def _certificate(query: Mapping[str, str], variable: str) -> Certificate | None:
    chain, key = query.get("sslcert"), query.get("sslkey")
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise UsageError(
            f"{variable}: of a client's certificate and its key only one is named",
            hint="sslcert and sslkey, or POSTGRES_SSL_CERT and POSTGRES_SSL_KEY",
        )
    for path in (chain, key):
        if not Path(path).is_file():
            raise UsageError(
                f"{variable}: there is no file {path}", hint="the client's certificate and its key"
            )
    return Certificate(Path(chain), Path(key))


def _password(url: URL, query: dict[str, str], login: Login) -> Password | None:
    if url.password is not None:
        return Password.fixed(str(url.password), str(url.username))
    if "passfile" in query:
        return Password.of_file(Path(query["passfile"]), login)
    return None


def _sslmode(host: str, query: dict[str, str], variable: str) -> str:
    mode = query.get("sslmode", "disable" if host.startswith("/") else "verify-full")
    if mode not in _SSLMODES:
        raise UsageError(
            f"{variable} has sslmode={mode}", hint=f"it may be: {', '.join(_SSLMODES)}"
        )
    if mode != "verify-full" and not host.startswith("/"):
        _log.warning("%s: sslmode=%s does not prove who the server is", variable, mode)
    return mode
