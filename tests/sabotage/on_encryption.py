"""Sabotages of encryption at rest, on a stead with the vault (test_encryption.py)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pgstead.app.encryption import FileSource, Keys, Place
from pgstead.app.encryption.envelope import to_text
from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

VAULT = "vault"
NEWEST = "(SELECT id FROM accounts ORDER BY id DESC LIMIT 1)"


def one(scene: Scene, query: str) -> Any:
    """Return the first column of the first row."""
    return scene.rows(query, database=VAULT)[0][0]


@sabotage("ENC-001", also=("ENC-003",), where="vault_scene")
def a_value_is_stored_in_the_clear(scene: Scene) -> Iterator[Design | None]:
    """Someone dropped the check and set a value by hand."""
    before = one(scene, f"SELECT api_key FROM accounts WHERE id = {NEWEST}")
    key = one(scene, f"SELECT id FROM accounts WHERE id = {NEWEST}")
    with scene.done_and_undone(
        (
            "ALTER TABLE accounts DROP CONSTRAINT accounts_api_key_sealed_check",
            f"UPDATE accounts SET api_key = 'in the clear' WHERE id = '{key}'",
        ),
        (
            f"UPDATE accounts SET api_key = '{before}' WHERE id = '{key}'",
            (
                "ALTER TABLE accounts ADD CONSTRAINT accounts_api_key_sealed_check"
                " CHECK (length(api_key) >= 48 AND api_key ~ '^AQ[E-H][A-Za-z0-9+/]*={0,2}$')"
            ),
        ),
        database=VAULT,
    ):
        yield None


@sabotage("ENC-002", where="vault_scene")
def a_value_is_copied_to_another_row(scene: Scene) -> Iterator[Design | None]:
    """Someone gave a row the secret of another one."""
    keys = scene.rows("SELECT id, pin FROM accounts ORDER BY id DESC LIMIT 2", database=VAULT)
    (one_key, mine), (_other, theirs) = keys
    change = "UPDATE accounts SET pin = '\\x{}' WHERE id = '{}'"
    with scene.done_and_undone(
        change.format(bytes(theirs).hex(), one_key),
        change.format(bytes(mine).hex(), one_key),
        database=VAULT,
    ):
        yield None


@sabotage("ENC-003", where="vault_scene")
def the_check_is_gone(scene: Scene) -> Iterator[Design | None]:
    """Nothing in the server refuses plaintext any more."""
    with scene.done_and_undone(
        "ALTER TABLE accounts DROP CONSTRAINT accounts_pin_sealed_check",
        "ALTER TABLE accounts ADD CONSTRAINT accounts_pin_sealed_check"
        " CHECK (octet_length(pin) >= 34 AND get_byte(pin, 0) = 1 AND get_byte(pin, 1) = 1)",
        database=VAULT,
    ):
        yield None


@sabotage("ENC-004", where="vault_scene")
def a_plaintext_is_written_elsewhere(scene: Scene) -> Iterator[Design | None]:
    """The application keeps a copy of a secret in a note, in hex and so not seen at a glance."""
    path = Path(scene.design.layout.server_log) / "sabotage.log"
    path.write_text(f"noted: {b'the vault holds number 7'.hex()}\n")
    try:
        yield None
    finally:
        path.unlink()


@sabotage("ENC-005", where="vault_scene")
def the_keys_are_open(scene: Scene) -> Iterator[Design | None]:
    """Everyone on the machine may read the keys."""
    with scene.mode(scene.state / "keys" / f"{VAULT}.json", 0o644):
        yield None


@sabotage("ROT-005", where="vault_scene")
def the_key_is_old(scene: Scene) -> Iterator[Design | None]:
    """Nobody made a further version of the key since it was first made."""
    path = scene.state / "keys" / f"{VAULT}.json"

    def aged(text: str) -> str:
        return re.sub(r'"created": "20\d\d', '"created": "2001', text)

    with scene.edited(path, aged):
        yield None


@sabotage("PII-005", where="vault_scene")
def a_person_s_value_needs_no_secret_of_theirs(scene: Scene) -> Iterator[Design | None]:
    """A version of the application from before owners wrote a value, as it had always done."""
    key, label = uuid.uuid4(), "users.two_factor_secret"
    keys = Keys(FileSource(scene.state / "keys" / "specgen.json"))
    value = to_text(keys.seal(b"a secret of theirs", Place(label, (str(key),))))
    with scene.done_and_undone(
        "INSERT INTO users (id, email, password_hash, two_factor_secret)"
        f" VALUES ('{key}', 'old@example.com', '$argon2id$none', '{value}')",
        f"DELETE FROM users WHERE id = '{key}'",
        database="specgen",
    ):
        yield None


@sabotage("PII-007", where="vault_scene")
def everybody_may_list_the_secrets(scene: Scene) -> Iterator[Design | None]:
    """A backup script was given what it asked for."""
    with scene.mode(scene.state / "persons", 0o755):
        yield None


SABOTAGES = (
    a_value_is_stored_in_the_clear,
    a_value_is_copied_to_another_row,
    the_check_is_gone,
    a_plaintext_is_written_elsewhere,
    the_keys_are_open,
    the_key_is_old,
    a_person_s_value_needs_no_secret_of_theirs,
    everybody_may_list_the_secrets,
)
