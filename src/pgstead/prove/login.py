"""Logging in as a client does, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from pgstead.prove.finding import Answer, Finding, answer, timed
from pgstead.prove.refusal import Refusal, classified

_HIDDEN = frozenset({"password", "connect_timeout", "gssencmode", "sslcertmode"})


@dataclass(frozen=True, slots=True)
class Login:
    """One way to log in. A password given here never shows."""

    user: str
    database: str
    host: str
    port: int
    sslmode: str = "verify-full"
    ca: str = ""
    passfile: str = ""
    hostaddr: str = ""
    password: str = field(default="", repr=False)
    most_tls: str = ""  # "TLSv1.2"
    channel_binding: str = ""
    timeout: int = 8

    def parameters(self) -> dict[str, Any]:
        """Return libpq's keywords."""
        told: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "sslmode": self.sslmode,
            "connect_timeout": self.timeout,
            "gssencmode": "disable",  # a ticket of this machine would be another way in
            "sslcertmode": "disable",  # so would a client certificate in ~/.postgresql
        }
        optional = {
            "sslrootcert": self.ca,
            "passfile": self.passfile,
            "hostaddr": self.hostaddr,
            "password": self.password,
            "channel_binding": self.channel_binding,
        }
        told.update({name: value for name, value in optional.items() if value})
        if self.most_tls:
            told.update(
                ssl_min_protocol_version=self.most_tls, ssl_max_protocol_version=self.most_tls
            )
        return told

    def shown(self) -> str:
        """Return the command that tries the same, without the password."""
        seen = {k: v for k, v in self.parameters().items() if k not in _HIDDEN}
        return f'psql "{make_conninfo("", **seen)}"' + (" (password given)" * bool(self.password))


@dataclass(frozen=True, slots=True)
class LoginResult:
    """Let in, or refused and why."""

    refusal: Refusal | None
    message: str = ""


PATIENCE = 2.0  # seconds for sessions that were just closed to give their place free


def open_patiently(login: Login) -> psycopg.Connection[Any]:
    """Log in; where the role's places are taken, wait a moment: ours of before may still close."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return open_session(login)
        except psycopg.Error as error:
            full = classified(str(error)) is Refusal.LIMIT
            if not full or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def open_session(login: Login) -> psycopg.Connection[Any]:
    """Log in. Transaction pooling and old poolers bear no named statements, so none is made."""
    return psycopg.connect(autocommit=True, prepare_threshold=None, **login.parameters())


def try_login(login: Login, *, ask: bool = True) -> Answer[LoginResult]:
    """Log in, ask one question (a console has no SELECT), log out; say what became of it."""
    with timed() as watch:
        try:
            with open_patiently(login) as session:
                if ask:
                    session.execute("SELECT 1")
            result = LoginResult(None)
        except psycopg.Error as error:
            message = str(error).strip()
            result = LoginResult(classified(message), message)
    text = result.message if result.refusal else "let in"
    return answer(login.shown(), text, result, watch)


def must_be_let_in(tried: Answer[LoginResult], *, hint: str = "") -> Finding:
    """Judge a login that should succeed. No answer at all proves nothing."""
    if tried.value.refusal is None:
        return tried.kept()
    if tried.value.refusal is Refusal.UNREACHABLE:
        return tried.unproven("the server did not answer")
    return tried.broken("to be let in", hint=hint)


def must_be_refused(
    tried: Answer[LoginResult],
    by: Iterable[Refusal],
    *,
    betrayed_by: Iterable[Refusal] = (),
    hint: str = "",
) -> Finding:
    """Judge a login that should be refused for the reasons `by`.

    Being let in breaks the promise, as does a refusal of a later stage (`betrayed_by`): who asks
    for a password without TLS has let plaintext in. Any other refusal proves nothing.
    """
    wanted = tuple(by)
    expected = "a refusal: " + " or ".join(wanted)
    refusal = tried.value.refusal
    if refusal is None or refusal in tuple(betrayed_by):
        return tried.broken(expected, hint=hint)
    if refusal in wanted:
        return tried.kept()
    return tried.unproven(f"refused, but for another reason ({refusal}); expected {expected}")
