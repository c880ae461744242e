"""Why a connection was refused. A refusal for another reason than the promised one proves nothing.

libpq hands over no SQLSTATE for a connection that failed, so its words are read; the servers
speak English (`lc_messages` C, and PgBouncer knows no other language).
"""

from __future__ import annotations

import re
from enum import StrEnum


class Refusal(StrEnum):
    """The reasons that matter to a promise."""

    PLAINTEXT = "TLS is required"
    PROTOCOL = "the TLS version is refused"
    CERTIFICATE = "the client does not trust the server's certificate"
    NAME = "the server's certificate does not carry the name"
    RULE = "no rule lets this client in"
    PASSWORD = "the password is wrong"
    LOGIN = "the role may not log in"
    CONNECT = "the role may not connect to the database"
    DATABASE = "there is no such database"
    PARAMETER = "a startup parameter is refused"
    LIMIT = "there are too many connections"
    UNREACHABLE = "nothing answered"
    OTHER = "another reason"


# In this order: PgBouncer passes on what the server said behind words of its own.
_WORDS: tuple[tuple[Refusal, str], ...] = (
    (Refusal.RULE, r"pg_hba\.conf (?:entry|rejects).*(?:SSL encryption|SSL on)"),
    (Refusal.PLAINTEXT, r"pg_hba\.conf (?:entry|rejects).*(?:no encryption|SSL off)|SSL required"),
    (Refusal.RULE, r"no pg_hba\.conf entry|pg_hba\.conf rejects|login rejected"),
    (Refusal.PROTOCOL, r"protocol version|unsupported protocol|no protocols available"),
    (Refusal.NAME, r"does not match host name"),
    (Refusal.CERTIFICATE, r"certificate verify failed|self[- ]signed|certificate has expired"),
    (Refusal.LOGIN, r"is not permitted to log in"),
    (Refusal.CONNECT, r"permission denied for database"),
    (Refusal.DATABASE, r"no such database|database \".*\" does not exist"),
    (Refusal.PARAMETER, r"unsupported startup parameter|unrecognized configuration parameter"),
    (
        Refusal.PASSWORD,
        (
            r"password authentication failed|SASL authentication failed|no such user|auth failed"
            r"|authentication failed for user|no password supplied|wrong password"
        ),
    ),
    (
        Refusal.LIMIT,
        (
            r"too many (?:clients|connections)|no more connections|remaining connection slots"
            r"|connection limit exceeded|client_login_timeout|query_wait_timeout"
        ),
    ),
    (
        Refusal.UNREACHABLE,
        (
            r"Connection refused|could not translate|timeout expired|Network is unreachable"
            r"|No such file|is starting up|is shutting down|in recovery mode|not yet accepting"
            r"|server_login_retry|server login has been failing|Connection reset|timed out"
        ),
    ),
)
_COMPILED = tuple((why, re.compile(words, re.IGNORECASE | re.DOTALL)) for why, words in _WORDS)


def classified(message: str) -> Refusal:
    """Return the reason that a message tells."""
    return next((why for why, words in _COMPILED if words.search(message)), Refusal.OTHER)
