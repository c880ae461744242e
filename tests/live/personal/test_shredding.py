"""An erased person's encrypted values open in no backup, with every key of the ring at hand."""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.orm import Session, sessionmaker

from pgstead.app.connection import read
from pgstead.app.encryption import Encrypted, EncryptionError, ErasedError, attach, keys_of
from pgstead.app.encryption.envelope import from_text
from pgstead.app.encryption.flushing import place_of
from pgstead.app.encryption.sources import Keys
from pgstead.cli.keyring import engine_of
from systems.specgen.models import User
from tests.fix_stead import LiveStead, stead_in
from tests.live.personal.conftest import pii

pytestmark = [pytest.mark.live, pytest.mark.soak]

SPECGEN = """
[[databases]]
name = "specgen"
owner = "specgen_owner"
app = "specgen"
migrations = "systems/specgen"
models = "systems.specgen.models:Base"
prefix = "SPECGEN_"
"""


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

    def restored(self, place: Path) -> dict[uuid.UUID, str]:
        """Restore the newest backup elsewhere, and read what is stored there."""
        self.stead.run("restore", "--into", str(place))
        backup = self.stead.wired.ports.backup
        assert backup is not None
        with (
            backup.restored.start(place, timeout=120) as server,
            server.sql.connect("specgen") as session,
        ):
            rows = session.execute("SELECT id, two_factor_secret AS sealed FROM users").fetchall()
        return {row["id"]: row["sealed"] for row in rows if row["sealed"]}

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
        made.run("up")
        made.wired.ports.supervisor.stop("agent")
        yield Club(made)


def test_an_erased_person_s_values_open_in_no_backup_and_everybody_else_s_do(
    club: Club, tmp_path: Path
) -> None:
    ada, bob = club.add("Ada"), club.add("Bob")
    club.stead.run("backup", "now")
    before = club.restored(tmp_path / "before")
    # so that it is the erasure that ends it, and nothing else
    assert club.opened(ada.id, before[ada.id]) == ada.secret
    assert club.by_force(ada.id, before[ada.id]) == [ada.secret]

    told = club.erase(ada)
    assert told["secrets"] == 1
    assert told["sealed"] == [{"column": "users.two_factor_secret", "theirs": 1, "shared": 0}]

    after = club.restored(tmp_path / "after")
    assert after == before
    with pytest.raises(ErasedError):
        club.opened(ada.id, after[ada.id])
    assert club.by_force(ada.id, after[ada.id]) == []
    assert club.opened(bob.id, after[bob.id]) == bob.secret
    assert club.by_force(bob.id, after[bob.id]) == [bob.secret]
    with pytest.raises(EncryptionError):  # nor under the name of somebody who is there
        club.opened(bob.id, after[ada.id])
