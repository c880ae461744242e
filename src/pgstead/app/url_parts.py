"""Where a database is, told in parts as images and older settings do, instead of by a URL (APP-8).

| with the prefix `JEEX_`                  | alias                     | what                     |
|------------------------------------------|---------------------------|--------------------------|
| `JEEX_POSTGRES_HOST`, `_PORT`            | `POSTGRES_HOST`, ...      | the server, 5432         |
| `JEEX_POSTGRES_USER`, `_PASSWORD`, `_DB` | `POSTGRES_USER`, ...      | who, and which database  |
| `JEEX_POSTGRES_SSL_MODE`, `_SSL_...`     | `POSTGRES_SSL_MODE`, ...  | TLS; beside a URL, too   |
| `JEEX_PGBOUNCER_HOST`, `_PORT`           | `PGBOUNCER_HOST`, ...     | the pooler, 6432         |
| `JEEX_PGBOUNCER_USER`, `_PASSWORD`       | `PGBOUNCER_USER`, ...     | who there, if another    |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.engine import URL

from pgstead.app.target import Driver, Target
from pgstead.app.variables import Variables
from pgstead.errors import UsageError

Door = Literal["pooler", "direct"]


@dataclass(frozen=True, slots=True)
class _Names:
    """What the parts of one door are called."""

    host: str
    port: str
    user: str
    password: str
    usual: int  # port


_SERVER = _Names("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", usual=5432)
_POOLER = _Names(
    "PGBOUNCER_HOST", "PGBOUNCER_PORT", "PGBOUNCER_USER", "PGBOUNCER_PASSWORD", usual=6432
)
_HOSTS = (_SERVER.host, _POOLER.host)
_DATABASE = "POSTGRES_DB"
# Their name, and what a URL of libpq calls it.
_TLS: Mapping[str, str] = {
    "POSTGRES_SSL_MODE": "sslmode",
    "POSTGRES_SSL_ROOT_CERT": "sslrootcert",
    "POSTGRES_SSL_CERT": "sslcert",
    "POSTGRES_SSL_KEY": "sslkey",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the environment names; `database` is the one meant where none is named."""

    variables: Variables
    database: str = ""

    @property
    def given(self) -> bool:
        """Whether a host is named at all, by whatever name."""
        return any(self._text(name) for name in _HOSTS)

    @property
    def own(self) -> bool:
        """Whether a host is named for this system, by its prefix.

        A bare `POSTGRES_HOST` may be meant for something else that runs here: it counts where
        nothing else says where the database is.
        """
        return any(self.variables.own(name) for name in _HOSTS)

    @property
    def name(self) -> str:
        """The database that is named. Raises UsageError where none is."""
        if name := self._text(_DATABASE) or self.database:
            return name
        raise UsageError(
            f"{self.variables.prefix}{_DATABASE} is not set, and a host is",
            hint="name the database, or give a whole DATABASE_URL",
        )

    def target(self, driver: Driver, *, door: Door = "pooler") -> Target:
        """Return what the parts mean: by the pooler where one is named, unless `door` is direct.

        Raises UsageError, which holds no value, where a part is missing or wrong.
        """
        names = self._names(door)
        user = self._text(names.user) or self._text(_SERVER.user)
        if user is None:
            raise UsageError(
                f"{self.variables.prefix}{names.host} is set, and {names.user} is not",
                hint="name the role to log in as, or give a whole DATABASE_URL",
            )
        host = self._text(names.host) or ""
        socket = host.startswith("/")  # its directory
        url = URL.create(
            f"postgresql+{driver}",
            username=user,
            password=self._text(names.password) or self._text(_SERVER.password),
            host=None if socket else host,
            port=self.variables.number(names.port, names.port, int) or names.usual,
            database=self.name,
            query={"host": host} if socket else {},
        )
        variable = f"{self.variables.prefix}{names.host}"
        return Target.of_url(url, variable=variable, beside=tls_beside(self.variables))

    def _names(self, door: Door) -> _Names:
        """Return the door that counts; where only one is named, that one."""
        first, other = (_POOLER, _SERVER) if door == "pooler" else (_SERVER, _POOLER)
        return first if self._text(first.host) else other

    def _text(self, name: str) -> str | None:
        return self.variables.text(name, name)


def tls_beside(variables: Variables) -> Mapping[str, str]:
    """Return what the environment says of TLS beside a URL, by libpq's names."""
    told = {key: variables.text(name, name) for name, key in _TLS.items()}
    return {key: value for key, value in told.items() if value is not None}
