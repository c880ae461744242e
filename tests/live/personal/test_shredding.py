"""An erased person's encrypted values open in no backup, with every key of the ring at hand."""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.orm import Session, sessionmaker

from pgstead.app.connection import read
from pgstead.app.encryption import (
    Encrypted,
    EncryptionError,
    ErasedError,
    Place,
    attach,
    keys_of,
)
from pgstead.app.encryption.envelope import from_text, to_text
from pgstead.app.encryption.flushing import place_of
from pgstead.app.encryption.sources import Keys
from pgstead.cli.keyring import engine_of
from pgstead.cli.pii import personal_ports
from pgstead.ports.personal import PersonSecrets
from pgstead.workflows import erasure
from systems.specgen.models import User
from tests.fix_stead import SPECGEN, LiveStead, stead_in
from tests.live.personal.conftest import pii

pytestmark = [pytest.mark.live, pytest.mark.soak]


@dataclass(frozen=True)
class Guest:
    """A person of specgen with a second factor."""

    id: uuid.UUID
    email: str
    secret: str


@dataclass(frozen=True)
class Club:
    """A stead whose specgen has persons with encrypted values, as the application writes them."""

    stead: LiveStead

    @property
    def keys(self) -> Keys:
        """The keys as an application finds them, with nothing remembered."""
        file = read(self.stead.state / "connections" / "specgen.json")
        return keys_of("SPECGEN_", os.environ, file)

    def add(self, name: str) -> Guest:
        """Let the application store a person."""
        guest = Guest(
            uuid.uuid4(), f"{name.lower()}.{secrets.token_hex(4)}@example.com", f"of {name}"
        )
        row = User(
            id=guest.id, email=guest.email, full_name=name, password_hash="$argon2id$none",
            two_factor_secret=Encrypted(guest.secret),
        )  # fmt: skip
        with self.session() as session, session.begin():
            session.add(row)
        return guest

    def session(self) -> Session:
        """Open a session of the administrator, who sees everybody."""
        file = read(self.stead.state / "connections" / "specgen.json")
        with engine_of(file, "admin") as engine:
            sessions = sessionmaker(engine)
        attach(sessions, self.keys)
        return sessions()

    def erase(self, guest: Guest) -> Any:
        """Erase a person as people do."""
        where = ("--database", "specgen", "--subject", guest.email)
        return json.loads(pii(self.stead, "erase", *where, "--yes", "--json").out)

    def restored(self, *arguments: str) -> dict[uuid.UUID, str]:
        """Restore the newest backup elsewhere, and read what is stored there."""
        place = self.stead.directory / "elsewhere"
        self.stead.run("restore", "--into", str(place), *arguments, timeout=600)
        try:
            return self._read(place)
        finally:
            shutil.rmtree(place)

    def _read(self, place: Path) -> dict[uuid.UUID, str]:
        backup = self.stead.wired.ports.backup
        assert backup is not None
        with (
            backup.restored.start(place, timeout=120) as server,
            server.sql.connect("specgen") as session,
        ):
            rows = session.execute("SELECT id, two_factor_secret AS sealed FROM users").fetchall()
        return {row["id"]: row["sealed"] for row in rows if row["sealed"]}

    def moment(self) -> str:
        """Return now, as a moment that WAL goes beyond."""
        with self.stead.superuser() as session:
            told = session.execute("SELECT now()::text AS t, pg_sleep(1)").fetchone()["t"]
            # only the end of a transaction tells recovery that a moment is over
            session.execute("CREATE TABLE later (); DROP TABLE later; SELECT pg_switch_wal()")
        return str(told).replace(" ", "T")

    def stored(self, guest: Guest) -> str:
        """Return what the table holds of a person."""
        with self.stead.superuser("specgen") as session:
            asked = "SELECT two_factor_secret AS s FROM users WHERE id = %s"
            return str(session.execute(asked, [guest.id]).fetchone()["s"])

    def seal_as_before(self, guest: Guest) -> None:
        """Store their value as an application did whose column had no owner."""
        place = Place("users.two_factor_secret", (str(guest.id),))
        value = to_text(self.keys.seal(guest.secret.encode(), place))
        with self.stead.superuser("specgen") as session:
            session.execute(
                "UPDATE users SET two_factor_secret = %s WHERE id = %s", [value, guest.id]
            )

    def standing(self, guest: Guest) -> bool:
        """Say whether a person has a row."""
        with self.stead.superuser("specgen") as session:
            return bool(session.execute("SELECT FROM users WHERE id = %s", [guest.id]).rowcount)

    @property
    def store(self) -> Path:
        """Where the secrets are."""
        return self.stead.state / "persons"

    def opened(self, key: uuid.UUID, stored: str) -> str:
        """Open a stored value with all that there is."""
        place = place_of(User.two_factor_secret, id=key)
        value = Encrypted.of_stored(from_text(stored, "users"), str)
        return str(value.bind(place, self.keys).reveal())

    def by_force(self, key: uuid.UUID, stored: str) -> list[str]:
        """Open a value past the library: with each key of the ring, and all that is in the store.

        Return what came out.
        """
        raw = base64.b64decode(stored)
        label = b"users.two_factor_secret"
        bound = b"pgstead-column-1" + raw[:6] + len(label).to_bytes(4, "big") + label
        bound += (1).to_bytes(4, "big") + (36).to_bytes(4, "big") + str(key).encode() + b"\0"
        found: list[str] = []
        for cipher in self._ciphers():
            try:
                found.append(cipher.decrypt(raw[6:18], raw[18:], bound).decode())
            except InvalidTag:
                continue
        return found

    def _ciphers(self) -> Iterator[AESGCM]:
        ring = json.loads((self.stead.state / "keys" / "specgen.json").read_text())
        store = self.stead.state / "persons" / "specgen"
        words = [p.read_text().split()[1] for p in store.rglob("*") if p.is_file()]
        for entry in ring["values"].values():
            key = base64.b64decode(entry["key"])
            yield AESGCM(key)
            for word in words:
                if word != "destroyed":
                    secret = base64.b64decode(word)
                    yield AESGCM(hmac.digest(key, b"pgstead-person-1" + secret, "sha256"))


@pytest.fixture(scope="module")
def club() -> Iterator[Club]:
    """Give a stead with backups, and specgen in it."""
    with stead_in(backup="true", extra=SPECGEN) as made:
        made.run("up", timeout=600)
        made.wired.ports.supervisor.stop("agent")
        yield Club(made)


def test_an_erased_person_s_values_open_in_no_backup_and_everybody_else_s_do(
    club: Club,
) -> None:
    ada, bob = club.add("Ada"), club.add("Bob")
    club.stead.run("backup", "now")
    moment = club.moment()
    before = club.restored("--to-time", moment)
    # so that it is the erasure that ends it, and nothing else
    assert club.opened(ada.id, before[ada.id]) == ada.secret
    assert club.by_force(ada.id, before[ada.id]) == [ada.secret]

    told = club.erase(ada)
    assert told["secrets"] == 1
    assert told["sealed"] == [{"column": "users.two_factor_secret", "theirs": 1, "shared": 0}]

    after = club.restored("--to-time", moment)
    assert after == before
    with pytest.raises(ErasedError):
        club.opened(ada.id, after[ada.id])
    assert club.by_force(ada.id, after[ada.id]) == []
    assert club.opened(bob.id, after[bob.id]) == bob.secret
    assert club.by_force(bob.id, after[bob.id]) == [bob.secret]
    with pytest.raises(EncryptionError):  # nor under the name of somebody who is there
        club.opened(bob.id, after[ada.id])


def test_a_restore_in_place_and_a_copy_of_the_secrets_bring_nobody_back(
    club: Club, tmp_path: Path
) -> None:
    cyd, dan = club.add("Cyd"), club.add("Dan")
    club.stead.run("backup", "now")
    moment = club.moment()
    shutil.copytree(club.store, tmp_path / "copy")
    safe = ("keys", "copy", "specgen", str(tmp_path / "safe"))
    club.stead.run(*safe)
    stored = club.stored(cyd)
    club.erase(cyd)
    assert club.stead.json(*safe)["ended"] == 1  # the copy that is ours follows
    shutil.copytree(tmp_path / "copy", club.store, dirs_exist_ok=True)
    assert club.opened(cyd.id, stored) == cyd.secret  # such a copy is what an erasure cannot reach
    club.stead.run("prove", "PII-006", status=1)

    club.stead.run("restore", "--in-place", "--yes", "--to-time", moment)

    assert not club.standing(cyd)
    with pytest.raises(ErasedError):
        club.opened(cyd.id, stored)
    assert club.opened(dan.id, club.stored(dan)) == dan.secret
    club.stead.run("prove", "PII-003", "PII-006", "PII-007")


def test_values_of_before_end_with_the_person_once_they_are_sealed_anew(club: Club) -> None:
    eve, fay = club.add("Eve"), club.add("Fay")
    for guest in (eve, fay):
        club.seal_as_before(guest)
    assert club.opened(fay.id, club.stored(fay)) == fay.secret
    club.stead.run("prove", "PII-005", status=1)
    assert club.erase(eve)["sealed"][0]["shared"] == 1  # it says so, rather than promising
    club.stead.run("keys", "rotate", "specgen")
    club.stead.run("prove", "PII-005", "ENC-001", "ENC-002")
    assert club.opened(fay.id, club.stored(fay)) == fay.secret
    stored = club.stored(fay)
    assert club.erase(fay)["sealed"][0] == {
        "column": "users.two_factor_secret", "theirs": 1, "shared": 0,
    }  # fmt: skip
    assert club.by_force(fay.id, stored) == []


def test_an_erasure_killed_before_the_secret_is_destroyed_is_ended_by_the_next_run(
    club: Club,
) -> None:
    gil = club.add("Gil")
    stored = club.stored(gil)

    class Killed(BaseException):
        """As a signal would end it."""

    def killed(_database: str) -> PersonSecrets:
        raise Killed

    wired = club.stead.wired
    ports = replace(personal_ports(wired), secrets=killed)
    with pytest.raises(Killed):
        erasure.erase(wired.design, wired.ports, ports, "specgen", gil.email)
    assert not club.standing(gil)
    assert club.opened(gil.id, stored) == gil.secret
    (told,) = json.loads(pii(club.stead, "replay", "--json").out)
    assert told["secrets"] == 1
    assert club.by_force(gil.id, stored) == []
