"""What the prover reads from others: refusals, times, protocol messages, types."""

from __future__ import annotations

import pytest

from pgstead.prove import processes
from pgstead.prove.finding import Answer, CannotTryError, Verdict
from pgstead.prove.limits import milliseconds
from pgstead.prove.login import Login, LoginResult, must_be_let_in, must_be_refused
from pgstead.prove.models import as_catalog
from pgstead.prove.refusal import Refusal, classified
from pgstead.prove.wire import Caller, error_fields, startup_message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        # As PostgreSQL 18.6 and PgBouncer 1.18 and 1.24 were seen to say it.
        ('no pg_hba.conf entry for host "::1", user "a", database "b", no encryption', "PLAINTEXT"),
        (
            'pg_hba.conf rejects connection for host "1", user "a", database "b", no encryption',
            "PLAINTEXT",
        ),
        ("FATAL:  SSL required", "PLAINTEXT"),
        ('no pg_hba.conf entry for host "::1", user "a", database "b", SSL encryption', "RULE"),
        (
            'pg_hba.conf rejects connection for host "1", user "a", database "b", SSL encryption',
            "RULE",
        ),
        ("SSL error: tlsv1 alert protocol version", "PROTOCOL"),
        ("SSL error: certificate verify failed", "CERTIFICATE"),
        ('server certificate for "x" does not match host name "y"', "NAME"),
        ('FATAL:  password authentication failed for user "a"', "PASSWORD"),
        ("FATAL:  SASL authentication failed", "PASSWORD"),
        ("FATAL:  no such user", "PASSWORD"),
        ('FATAL:  role "a" is not permitted to log in', "LOGIN"),
        ('FATAL:  permission denied for database "b"', "CONNECT"),
        ("FATAL:  no such database: b", "DATABASE"),
        ("FATAL:  unsupported startup parameter: jit", "PARAMETER"),
        ('FATAL:  too many connections for role "a"', "LIMIT"),
        ("FATAL:  no more connections allowed (max_client_conn)", "LIMIT"),
        ("FATAL:  query_wait_timeout", "LIMIT"),
        ('connection to server at "127.0.0.1", port 1 failed: Connection refused', "UNREACHABLE"),
        ("FATAL:  the database system is starting up", "UNREACHABLE"),
        ("something that nobody has seen", "OTHER"),
    ],
)
def test_a_refusal_is_told_by_its_words(message: str, reason: str) -> None:
    assert classified(message) is Refusal[reason]


def attempt(refusal: Refusal | None) -> Answer[LoginResult]:
    """Return a login's answer."""
    return Answer("psql", str(refusal), LoginResult(refusal), 0.0, "now")


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        (Refusal.PLAINTEXT, Verdict.KEPT),
        (None, Verdict.BROKEN),
        (Refusal.PASSWORD, Verdict.BROKEN),
        (Refusal.UNREACHABLE, Verdict.UNPROVEN),
        (Refusal.LIMIT, Verdict.UNPROVEN),
        (Refusal.OTHER, Verdict.UNPROVEN),
    ],
)
def test_a_refusal_for_another_reason_proves_nothing(
    refusal: Refusal | None, verdict: Verdict
) -> None:
    finding = must_be_refused(
        attempt(refusal), (Refusal.PLAINTEXT,), betrayed_by=(Refusal.PASSWORD,)
    )
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        (None, Verdict.KEPT),
        (Refusal.PASSWORD, Verdict.BROKEN),
        (Refusal.UNREACHABLE, Verdict.UNPROVEN),
    ],
)
def test_silence_does_not_break_what_should_be_let_in(
    refusal: Refusal | None, verdict: Verdict
) -> None:
    assert must_be_let_in(attempt(refusal)).verdict is verdict


def test_a_login_shows_all_but_its_password() -> None:
    login = Login("o'brien", 'my "db"', "127.0.0.1", 5220, password="hunter2 %")
    assert "hunter2" not in login.shown()
    assert "hunter2" not in repr(login)
    assert "(password given)" in login.shown()
    assert r"o\'brien" in login.shown()


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("30s", 30_000), ("15min", 900_000), ("250", 250),
     ("1d", 86_400_000), ("1 h", 3_600_000),
          ("", None), ("soon", None), ("5 fortnights", None)],
)  # fmt: skip
def test_time_settings_are_read_as_the_server_reads_them(text: str, value: int | None) -> None:
    assert milliseconds(text) == value


def test_a_startup_message_carries_its_length_version_and_parameters() -> None:
    sent = startup_message(Caller("h", 1, "u", "d", parameters=(("extra_float_digits", "2"),)))
    assert int.from_bytes(sent[:4], "big") == len(sent)
    assert sent[4:8] == b"\x00\x03\x00\x00"
    assert sent[8:] == b"user\0u\0database\0d\0extra_float_digits\x002\0\0"


def test_the_fields_of_an_error_are_told_by_their_letters() -> None:
    fields = error_fields(b"SFATAL\0C28000\0Mno entry\0\0")
    assert (fields["C"], fields["M"]) == ("28000", "no entry")


@pytest.mark.parametrize(
    ("compiled", "shown"),
    [
        ("VARCHAR(255)", "character varying(255)"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp with time zone"),
        ("NUMERIC(10, 2)", "numeric(10,2)"),
        ("FLOAT", "double precision"),
        ("TEXT[]", "text[]"),
        ("JSONB", "jsonb"),
    ],
)
def test_types_are_compared_as_the_catalog_writes_them(compiled: str, shown: str) -> None:
    assert as_catalog(compiled) == shown


def test_a_listening_socket_is_found_with_its_address() -> None:
    import os
    import socket

    if not processes.available():
        pytest.skip("this system shows no processes in /proc")
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = processes.listening(os.getpid())
        assert ("127.0.0.1", server.getsockname()[1]) in {(s.address, s.port) for s in found}


def test_what_could_not_be_tried_keeps_its_reason() -> None:
    finding = CannotTryError("no pooler", could_try=False).finding()
    assert (finding.verdict, finding.reason, finding.could_try) == (
        Verdict.UNPROVEN,
        "no pooler",
        False,
    )
