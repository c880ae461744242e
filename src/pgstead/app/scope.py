"""Whose rows a transaction is about: settings that live exactly as long as the transaction.

They travel in the message that the driver sends for BEGIN anyway (`pgstead.app.beginning`), so
that they cost no round trip, and they are sent with every BEGIN, empty where there is none: what
somebody else left behind on a server connection is never seen.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, TypedDict

from pgstead.app.errors import DatabaseError

TENANT: Final = "app.current_tenant_id"
USER: Final = "app.current_user_id"
CORRELATION: Final = "app.correlation_id"
SETTINGS: Final = (TENANT, USER, CORRELATION)
_FIELDS: Final = MappingProxyType({TENANT: "tenant", USER: "user", CORRELATION: "correlation_id"})

OPTION: Final = "pgstead_scope"  # the execution option that carries a Scope to its connection
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.@:/ -]*")
LONGEST: Final = 255  # characters of an identity

Identity = str | uuid.UUID
Isolation = Literal["read committed", "repeatable read", "serializable"]


class ScopeError(DatabaseError):
    """The application asked for something that would take the scope off a transaction."""

    code = "scope"


class ScopeInvalidError(ScopeError):
    """A tenant, user, correlation id or time-out cannot be one."""

    code = "scope-invalid"


class ScopeChangedError(ScopeError):
    """The scope of a transaction was about to change while it ran."""

    code = "scope-changed"


class AutocommitError(ScopeError):
    """Without a transaction there is nothing that a scope could last for."""

    code = "scope-autocommit"


class UnscopedError(ScopeError):
    """A table that belongs to tenants or users was asked for without saying whose rows."""

    code = "unscoped"


class Limits(TypedDict, total=False):
    """What else a session may be told."""

    correlation_id: Identity | None
    statement_timeout: float | None  # seconds
    lock_timeout: float | None  # seconds
    isolation: Isolation | None
    read_only: bool
    across_tenants: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom a transaction runs, and how long it may take.

    `across_tenants` says that reading tables of tenants without a tenant is meant: policies still
    decide what is seen, but nobody is told that the tenant was forgotten.
    """

    tenant: Identity | None = None
    user: Identity | None = None
    correlation_id: Identity | None = None
    statement_timeout: float | None = None  # seconds
    lock_timeout: float | None = None  # seconds
    isolation: Isolation | None = None
    read_only: bool = False
    across_tenants: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be an identity or a time. Raises ScopeInvalidError."""
        _check("tenant", self.tenant)
        _check("user", self.user)
        _check("correlation id", self.correlation_id)
        _check_seconds("statement_timeout", self.statement_timeout)
        _check_seconds("lock_timeout", self.lock_timeout)
        if self.tenant is not None and self.across_tenants:
            raise ScopeInvalidError(
                "a session of one tenant was asked to be across tenants as well",
                hint="leave out `tenant` or `across_tenants`",
            )

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the transaction; the identities are always there, empty without one."""
        given = {
            TENANT: _text(self.tenant),
            USER: _text(self.user),
            CORRELATION: _text(self.correlation_id),
        }
        if self.statement_timeout is not None:
            given["statement_timeout"] = _milliseconds(self.statement_timeout)
        if self.lock_timeout is not None:
            given["lock_timeout"] = _milliseconds(self.lock_timeout)
        return given

    def prelude(self) -> str:
        """Return the SQL that follows BEGIN, in plain ASCII.

        `set_config` and not SET LOCAL: before version 18 pg_stat_statements keeps every SET with
        another value as a statement of its own, and each request has another correlation id.
        """
        modes = [f"ISOLATION LEVEL {self.isolation.upper()}"] if self.isolation else []
        modes += ["READ ONLY"] if self.read_only else []
        mode = f"SET TRANSACTION {', '.join(modes)};" if modes else ""
        calls = (f"set_config('{name}',{literal(v)},true)" for name, v in self.settings.items())
        return f"{mode}SELECT {','.join(calls)}"

    def names(self, setting: str) -> bool:
        """Say whether the scope has an identity for a setting."""
        # by the field: this is asked for each statement, and `settings` makes text of them all
        return setting in _FIELDS and getattr(self, _FIELDS[setting]) is not None

    def correlated(self, correlation_id: str) -> Scope:
        """Return the scope with a correlation id, where it has none of its own."""
        if self.correlation_id is not None or not correlation_id:
            return self
        return replace(self, correlation_id=correlation_id)


def literal(text: str) -> str:
    r"""Quote a string for SQL in plain ASCII, whatever the server's and the client's settings.

    In an E'' string a backslash escapes under either value of standard_conforming_strings, and
    `\uXXXX` needs no agreement about the client's encoding.
    """
    plain = _PLAIN.fullmatch(text)
    return f"E'{text if plain else ''.join(_escaped(character) for character in text)}'"


def _escaped(character: str) -> str:
    if character == "'":
        return "''"
    if character == "\\":
        return "\\\\"
    if " " <= character <= "~":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _check(what: str, identity: Identity | None) -> None:
    if identity is None or isinstance(identity, uuid.UUID):
        return
    if not identity:
        raise ScopeInvalidError(
            f"an empty {what} names nobody",
            hint=f"leave {what} out (None) where there is none",
        )
    if len(identity) > LONGEST or not identity.isprintable() or identity != identity.strip():
        raise ScopeInvalidError(
            f"the {what} has {len(identity)} characters, or some that cannot be printed",
            hint=f"1 to {LONGEST} printable characters, no space at either end; the value is not"
            " shown here, for it may be personal",
        )


def _check_seconds(name: str, seconds: float | None) -> None:
    # PostgreSQL keeps milliseconds in 31 bits, and takes 0 for "no limit"
    if seconds is not None and not 0.001 <= seconds <= 2_000_000:
        raise ScopeInvalidError(
            f"{name} is {seconds} s",
            hint="from 0.001 to 2,000,000 seconds; leave it out for the role's own",
        )


def _text(identity: Identity | None) -> str:
    return "" if identity is None else str(identity)


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


NOBODY: Final = Scope()
