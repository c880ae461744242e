"""`up` makes the keys of encrypted columns, and no others in the place of lost ones."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead

DATABASE = "jeex_idea"
SEALED = "AQEAAAAB" + "A" * 40


@pytest.fixture
def ring(stead: LiveStead) -> Iterator[Path]:
    """Give the key file of the shared stead; it is there again afterwards."""
    path = stead.state / "keys" / f"{DATABASE}.json"
    before = path.read_text()
    yield path
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(before)


@pytest.fixture
def stored(stead: LiveStead) -> Iterator[None]:
    """Store an encrypted value where no declaration tells of it."""
    with stead.superuser(DATABASE) as connection:
        connection.execute("CREATE TABLE pgstead.kept AS SELECT %s::text AS secret", [SEALED])
        yield
        connection.execute("DROP TABLE pgstead.kept")


def test_keys_are_made_for_their_reader_alone_outside_of_the_data(
    stead: LiveStead, ring: Path
) -> None:
    assert stat.S_IMODE(ring.stat().st_mode) == 0o600
    assert ring.stat().st_uid == (stead.state / "passfiles" / "jeex_user").stat().st_uid
    assert stead.state / "server" not in ring.parents


def test_keys_that_others_can_read_are_closed_again_and_stay_the_same(
    stead: LiveStead, ring: Path
) -> None:
    before = ring.read_text()
    ring.chmod(0o644)
    assert "0644 -> 0600" in stead.run("plan", status=3).stdout
    stead.run("up")
    assert stat.S_IMODE(ring.stat().st_mode) == 0o600
    assert ring.read_text() == before


def test_keys_that_no_value_needs_are_made_anew(stead: LiveStead, ring: Path) -> None:
    ring.unlink()
    stead.run("up")
    assert stat.S_IMODE(ring.stat().st_mode) == 0o600


def test_keys_that_are_lost_are_an_error_and_not_replaced(
    stead: LiveStead, ring: Path, stored: None
) -> None:
    ring.unlink()
    (operation,) = stead.json("plan", status=3)["operations"]
    assert (operation["address"], operation["impact"]) == (f"key-ring:{DATABASE}", "destructive")
    refused = stead.run("up", "--allow", "destructive", status=1)
    assert "the keys of jeex_idea are lost" in refused.stderr
    assert "pgstead keys new jeex_idea" in refused.stderr
    assert not ring.exists()


def test_a_database_whose_keys_are_given_up_begins_anew(
    stead: LiveStead, ring: Path, stored: None
) -> None:
    ring.unlink()
    stead.run("keys", "new", DATABASE)
    assert stead.json("plan")["operations"] == []
