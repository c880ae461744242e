"""Malformed messages: they end the connection that they came by, and nothing else.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pgstead.catalog.gaps import of_pooler
from pgstead.model.address import Capability
from pgstead.model.design import DatabasePlan, Door
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import must_be_let_in, try_login
from pgstead.prove.promise import promise
from pgstead.prove.wire import PROTOCOL_3, SSL_REQUEST, Caller, startup_message
from pgstead.prove.witness import Witness

_PATIENCE = 3.0  # seconds
_LENGTH = struct.Struct("!ii")
_LET_IN = b"R" + _LENGTH.pack(8, 0)  # AuthenticationOk
# What is sent first, by a client that speaks no TLS.
_PLAIN: Mapping[str, bytes] = MappingProxyType({
    "a request of another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a startup packet of 2 GB": _LENGTH.pack(0x7FFFFFFF, PROTOCOL_3) + b"user\0",
    "a startup packet of negative length": _LENGTH.pack(-1, PROTOCOL_3),
})  # fmt: skip
# What is sent within TLS.
_SEALED: Mapping[str, bytes] = MappingProxyType({
    "a startup packet without its end": _LENGTH.pack(28, PROTOCOL_3) + b"user" * 5,
    "an unknown protocol": _LENGTH.pack(9, 0x7FFF0000) + b"\0",
    "a query before the login": b"Q" + struct.pack("!i", 13) + b"SELECT 1\0",
})  # fmt: skip
_SCRAM = b"SCRAM-SHA-256\0"
# What is sent where the first message of SCRAM is awaited (RFC 5802).
_LOGIN: Mapping[str, bytes] = MappingProxyType({
    "a first message of SCRAM that is none": _SCRAM + struct.pack("!i", 8) + b"\xff\0,,\x80\x80==",
    "an unknown mechanism": b"NONE-SUCH\0" + struct.pack("!i", -1),
})  # fmt: skip


# It ends a PgBouncer that lacks the fix, with all its clients: newer ones alone are asked. Those
# wait for more of it, until client_login_timeout (seen with 1.26.1).
_CRASH = "CVE-2026-6664"
_FATAL: Mapping[str, bytes] = MappingProxyType({
    "a first message of SCRAM of negative length": _SCRAM + struct.pack("!i", -2),
})  # fmt: skip


@promise(
    "ROL-026",
    "malformed and oversized messages are refused by every door before any login, and nobody"
    " else notices",
    requirement="REL-1 ROL-4",
    capability=Capability.ROLES,
    needs=("door", "database", "proc"),
    limit=90,
)
def malformed_messages_end_their_connection(w: Witness) -> Iterator[Finding]:
    (plan, *_) = w.databases
    before = _processes(w)
    for door in w.doors:
        for finding in _refused(w, door, plan):
            yield finding
            if finding.hint == _OPEN:  # each further one would wait as long
                return
        yield must_be_let_in(try_login(w.login(door, plan.app, plan.name)))
    told = _processes(w)
    yield told.shows(holds=told.value == before.value, expected=before.text)


_OPEN = "the connection stayed open: see authentication_timeout and client_login_timeout"


def _processes(w: Witness) -> Answer[tuple[str, int]]:
    """Return since when the server runs without a crash, and the pooler's process."""
    told = w.look(
        "SELECT pg_postmaster_start_time()::text, min(backend_start)::text"
        " FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
    )
    started = " ".join(map(str, told.value[0]))
    pooler = w.pooler_process() if w.door("pooler") is not None else 0
    said = f"server and checkpointer since {started}" + (f", pooler {pooler}" if pooler else "")
    return Answer(told.tried, said, (started, pooler), told.seconds, told.at)


def _refused(w: Witness, door: Door, plan: DatabasePlan) -> Iterator[Finding]:
    host = w.login(door, "", "").host
    caller = Caller(host, door.port, plan.app, plan.name)
    for name, sent in _PLAIN.items():
        yield _judged(caller, name, (sent,), None)
    for name, sent in _SEALED.items():
        yield _judged(caller, name, (sent,), w.trusting())
    pooler = w.design.pooler
    weak = pooler is not None and _CRASH in {gap.code for gap in of_pooler(pooler.version)}
    spared = door.name == "pooler" and weak
    for name, sent in (_LOGIN if spared else {**_LOGIN, **_FATAL}).items():
        message = b"p" + struct.pack("!i", len(sent) + 4) + sent
        yield _judged(caller, name, (startup_message(caller), message), w.trusting())


def _judged(
    caller: Caller, name: str, messages: tuple[bytes, ...], context: ssl.SSLContext | None
) -> Finding:
    tried = f"socket to {caller.host}:{caller.port}, {'TLS' if context else 'no TLS'}: {name}"
    with timed() as watch:
        try:
            said = _said(caller, messages, context)
        except OSError as error:
            raise CannotTryError(f"{tried}: {error}") from error
    if said is None and name in _FATAL:
        return answer(tried, "waits for more, which the time for logins ends", said, watch).kept()
    if said is None:
        told = answer(tried, f"still open after {_PATIENCE:g} s", said, watch)
        return told.broken("an end", hint=_OPEN)
    told = answer(tried, said, said, watch)
    return told.shows(holds=said != "let in", expected="an end of the connection")


def _said(
    caller: Caller, messages: tuple[bytes, ...], context: ssl.SSLContext | None
) -> str | None:
    """Send messages, each after an answer to the one before; None where it stays open."""
    with socket.create_connection((caller.host, caller.port), _PATIENCE) as plain:
        plain.settimeout(_PATIENCE)
        if context is None:
            return _ending(plain, messages)
        plain.sendall(SSL_REQUEST)
        if plain.recv(1) != b"S":
            return "TLS declined"
        with context.wrap_socket(plain, server_hostname=caller.host) as sealed:
            return _ending(sealed, messages)


def _ending(link: socket.socket, messages: tuple[bytes, ...]) -> str | None:
    heard = b""
    try:
        for message in messages:
            link.sendall(message)
            if message is not messages[-1]:
                heard = link.recv(4096)
        heard = b""
        while part := link.recv(4096):
            heard += part
    except TimeoutError:
        return None
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        pass
    if _LET_IN in heard:
        return "let in"
    return f"closed after {len(heard)} bytes"


PROMISES = (malformed_messages_end_their_connection,)
