"""Credentials are changed while clients work, by both doors and with both drivers."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from tests.fix_stead import LiveStead
from tests.live.rotation.clients import working
from tests.live.rotation.kills import kill_when_lent, stop_when_lent

PEOPLE = ("jeex_user", "jeex_readonly", "jeex_admin", "jeex_migrator")
OWN = ("pgstead_monitor", "pgstead_backup", "pgstead_pooler")
DOORS = ("direct", "pooler")
CHANGES = 20


def shown(stead: LiveStead) -> set[str]:
    """Return the certificates that both doors show now."""
    return {stead.wired.ports.visitor.certificate(door) for door in DOORS}


def trusted(stead: LiveStead) -> int:
    return stead.ca.read_text().count("BEGIN CERTIFICATE")


def trusts(stead: LiveStead, ca: Path, *, direct: bool) -> bool:
    """Say whether a client that holds a CA is content with whom it meets."""
    try:
        stead.connect(direct=direct, sslrootcert=str(ca)).close()
    except psycopg.OperationalError as error:
        return "certificate verify failed" not in str(error)
    return True


def refused(stead: LiveStead, role: str, password: str, *, direct: bool) -> bool:
    with pytest.raises(psycopg.OperationalError) as caught:
        stead.connect(role, direct=direct, password=password).close()
    return "authentication failed" in str(caught.value)


def change_all(stead: LiveStead, tmp_path: Path, *, clients: int) -> None:
    """Change everything while clients work, after a run that was killed."""
    passwords = {role: stead.password(role) for role in (*PEOPLE, *OWN)}
    certificates, old = shown(stead), tmp_path / "old.crt"
    old.write_text(stead.ca.read_text())
    with working(stead.manifest, clients=clients) as load:
        kill_when_lent(stead)  # what is begun is finished
        told = stead.json("rotate", "passwords", "--watch", "200ms")
        assert stead.json("rotate", "ca", "--window", "1h")["done"] == ["announced"]
        assert trusted(stead) == 2
        assert trusts(stead, old, direct=True)  # nothing is signed by the new one yet
        assert stead.json("rotate", "ca", "--window", "0s")["done"] == ["signing", "settled"]
    assert load.errors == []
    # both logins were valid and used; whoever logged in, the role worked
    assert load.users == {"jeex_user", "jeex_user_standin"}
    assert load.acting == {"jeex_user"}
    assert set(told["roles"]) == set(passwords)
    assert "jeex_user" in told["finished"]
    for role in PEOPLE:
        for direct in (True, False):
            assert refused(stead, role, passwords[role], direct=direct)
        stead.connect(role, direct=True).close()
    assert all(stead.password(role) != before for role, before in passwords.items())
    assert not certificates & shown(stead)
    assert trusted(stead) == 1
    assert not trusts(stead, old, direct=True)
    assert not trusts(stead, old, direct=False)
    assert trusts(stead, stead.ca, direct=False)
    assert not (stead.state / "tls" / "next").exists()
    assert stead.json("plan")["operations"] == []


def test_passwords_and_certificates_change_under_load(stead: LiveStead) -> None:
    """In short: the application's and the pooler's own, after a run that Ctrl-C ended."""
    passwords = {role: stead.password(role) for role in ("jeex_user", "pgstead_pooler")}
    chosen = [option for role in passwords for option in ("--role", role)]
    certificates = shown(stead)
    with working(stead.manifest, clients=20) as load:
        stopped = stop_when_lent(stead, signal.SIGINT, *chosen)
        told = stead.json("rotate", "passwords", "--watch", "200ms", *chosen)
        stead.run("rotate", "certificates")
    assert load.errors == []
    assert load.users == {"jeex_user", "jeex_user_standin"}
    assert load.acting == {"jeex_user"}
    assert stopped.returncode == 130
    assert "the same command finishes what was begun" in stopped.stderr
    assert "jeex_user" in told["finished"]
    assert set(told["roles"]) == set(passwords)
    for direct in (True, False):
        assert refused(stead, "jeex_user", passwords["jeex_user"], direct=direct)
    assert not certificates & shown(stead)
    assert stead.json("plan")["operations"] == []


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_all_credentials_change_while_a_hundred_clients_work(
    stead: LiveStead, tmp_path: Path
) -> None:
    change_all(stead, tmp_path, clients=100)


@pytest.mark.soak
@pytest.mark.timeout(5400)
def test_twenty_changes_in_a_row_are_met_by_nobody(stead: LiveStead) -> None:
    """A pooler that knows the logins of earlier changes: one change alone says too little."""
    slowest = 0.0
    for number in range(CHANGES):
        with working(stead.manifest) as load:
            stead.run("rotate", "passwords", "--watch", "200ms")
            stead.run("rotate", "ca", "--window", "0s")
        slowest = max(slowest, load.slowest)
        print(f"{number + 1}: {load.total} transactions in {load.age:.0f} s, slowest {slowest:.1f}")
        assert load.errors == []
        assert load.users == {"jeex_user", "jeex_user_standin"}


def test_what_would_be_done_is_told_and_not_done(stead: LiveStead) -> None:
    before, ca = stead.password("jeex_user"), stead.ca.read_text()
    told = stead.json("rotate", "passwords", "--role", "jeex_user", "--dry-run")
    assert told == {"dry_run": True, "roles": ["jeex_user"], "finished": []}
    told = stead.json("rotate", "certificates", "--dry-run")
    assert set(told["certificates"]) == {"server", "pooler"}
    told = stead.json("rotate", "ca", "--window", "0s", "--dry-run")
    assert told["done"] == ["announced", "signing", "settled"]
    assert stead.password("jeex_user") == before
    assert stead.ca.read_text() == ca
    credentials = stead.json("rotate", "status")["credentials"]
    assert all(datetime.fromisoformat(c["ends"]) > datetime.now(UTC) for c in credentials)


def test_a_client_that_comes_with_the_old_password_holds_it_up(stead: LiveStead) -> None:
    before, ended = stead.password("jeex_readonly"), threading.Event()

    def stubborn() -> None:
        name = "old report"
        while not ended.wait(0.1):
            with (
                suppress(psycopg.Error),  # told by what the command says
                stead.connect("jeex_readonly", application_name=name, password=before),
            ):
                ended.wait(0.4)

    thread = threading.Thread(target=stubborn)
    thread.start()
    try:
        done = stead.run(
            "rotate", "passwords", "--role", "jeex_readonly", "--watch", "3s", status=3
        )
    finally:
        ended.set()
        thread.join(30)
    assert "old report from 127.0.0.1 by pooler as jeex_readonly" in done.stderr
    assert stead.password("jeex_readonly") == before
    stead.connect("jeex_readonly").close()
    with stead.superuser() as connection:
        query = "SELECT count(*) AS n FROM pg_roles WHERE rolname LIKE '%%standin'"
        assert connection.execute(query).fetchone()["n"] == 0


def test_what_is_not_there_is_named(stead: LiveStead) -> None:
    done = stead.run("rotate", "certificates", "--name", "nobody", status=2)
    assert "there is: pooler, server" in done.stderr
    done = stead.run("rotate", "passwords", "--role", "nobody", status=2)
    assert "there is: jeex_user" in done.stderr
