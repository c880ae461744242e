"""Secrets of persons: one for each, the same for everybody who asks, and gone for good."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pgstead.app.encryption import (
    EncryptionError,
    EnvironmentSource,
    ErasedError,
    KeyringError,
    Keys,
    PersonFiles,
    PersonKeyError,
    Place,
    UnknownPlaceError,
    keyfile,
    keys_of,
    remembered,
)
from pgstead.app.encryption.envelope import owned, version_of
from pgstead.app.encryption.persons import Copied, name_of
from pgstead.app.encryption.place import Owner
from pgstead.app.encryption.remembered import LIVES, Remembered

ADA, BOB = Owner("public.users", "ada"), Owner("public.users", "bob")
MINE = Place("notes.text", ("1",), None, ADA)


@pytest.fixture
def store(tmp_path: Path) -> PersonFiles:
    """Give a store that nobody has used."""
    return PersonFiles(tmp_path / "persons" / "shop")


@pytest.fixture
def ring() -> EnvironmentSource:
    """Give a ring."""
    return EnvironmentSource("KEYS", keyfile.new())


def test_a_secret_is_made_once_and_is_one_person_s(store: PersonFiles) -> None:
    assert store.secret(ADA) is None
    made = store.make(ADA)
    assert len(made) == 32
    assert store.make(ADA) == store.secret(ADA) == made
    assert store.make(BOB) != made
    assert PersonFiles(store.directory).secret(ADA) == made
    modes = {p.stat().st_mode & 0o777 for p in store.directory.rglob("*") if p.is_file()}
    assert modes == {0o600}
    assert store.directory.stat().st_mode & 0o777 == 0o700
    # the name tells nobody's key, and nothing else was left
    names = sorted(p.name for p in store.directory.rglob("*") if p.is_file())
    assert names == sorted([name_of(ADA), name_of(BOB)])
    assert "ada" not in str(names)


def _made(store: PersonFiles, start: float) -> list[bytes]:
    time.sleep(max(0.0, start - time.time()))
    return [store.make(Owner("public.users", str(number))) for number in range(40)]


def test_processes_that_make_a_secret_at_once_have_the_same(store: PersonFiles) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        start = time.time() + 0.5
        told = pool.starmap(_made, [(store, start)] * 3)
    assert told[0] == told[1] == told[2]
    assert len(set(told[0])) == 40


def test_a_destroyed_secret_is_nowhere_in_its_file_and_none_comes_after_it(
    store: PersonFiles,
) -> None:
    store.make(ADA)
    before = store.path(ADA).read_bytes()
    inode = store.path(ADA).stat().st_ino
    assert store.destroy(ADA)
    after = store.path(ADA).read_bytes()
    assert store.path(ADA).stat().st_ino == inode  # written over, not put beside
    assert len(after) == len(before)
    assert before.split()[1] not in after
    for asked in (store.secret, store.make):
        with pytest.raises(ErasedError, match="destroyed"):
            asked(ADA)
    assert not store.destroy(ADA)
    assert store.path(ADA).read_bytes() == after


def test_a_secret_that_was_never_made_cannot_be_made_behind_its_destruction(
    store: PersonFiles,
) -> None:
    assert not store.destroy(ADA)
    with pytest.raises(ErasedError):
        store.make(ADA)


def test_what_a_crash_left_beside_a_secret_hinders_nobody(store: PersonFiles) -> None:
    path = store.path(ADA)
    path.parent.mkdir(parents=True)
    path.with_name(f".{path.name}.0123").write_text("pgstead-person-1 ha")
    assert store.make(ADA) == store.secret(ADA)


@pytest.mark.parametrize("text", ["", "pgstead-person-1 c2hvcnQ=\n", "something else\n", "é"])
def test_a_damaged_secret_is_an_error_and_can_be_destroyed(store: PersonFiles, text: str) -> None:
    store.make(ADA)
    store.path(ADA).write_text(text)
    with pytest.raises(KeyringError, match=r"damaged|cannot be used"):
        store.secret(ADA)
    store.destroy(ADA)
    with pytest.raises(ErasedError):
        store.secret(ADA)


def test_a_value_needs_its_person_s_secret_beside_the_ring(
    store: PersonFiles, ring: EnvironmentSource
) -> None:
    keys = Keys(ring, persons=store)
    sealed = keys.seal(b"mine", MINE)
    assert owned(sealed)
    assert version_of(sealed, MINE.label) == 1
    assert Keys(ring, persons=store).open(sealed, MINE) == b"mine"
    other = Place(MINE.label, MINE.key, None, BOB)
    store.make(BOB)
    with pytest.raises(EncryptionError):
        keys.open(sealed, other)
    with pytest.raises(UnknownPlaceError):  # the column does not say any more whose it is
        keys.open(sealed, Place(MINE.label, MINE.key))
    with pytest.raises(KeyringError, match="no place for their secrets"):
        Keys(ring).open(sealed, MINE)
    # another ring with the same secret opens nothing either
    with pytest.raises(EncryptionError):
        Keys(EnvironmentSource("KEYS", keyfile.new()), persons=store).open(sealed, MINE)
    # the header cannot be changed to say that no secret is needed
    bare = bytearray(sealed)
    bare[2] &= 0x7F
    with pytest.raises(EncryptionError):
        keys.open(bytes(bare), MINE)


def test_a_value_of_before_is_read_and_the_next_one_is_the_person_s(
    store: PersonFiles, ring: EnvironmentSource
) -> None:
    before = Keys(ring).seal(b"old", Place(MINE.label, MINE.key))
    keys = Keys(ring, persons=store)
    assert not owned(before)
    assert keys.open(before, MINE) == b"old"
    assert owned(keys.seal(b"old", MINE))


def test_an_erased_person_s_value_does_not_open_and_a_lost_one_is_told_apart(
    store: PersonFiles, ring: EnvironmentSource
) -> None:
    sealed = Keys(ring, persons=store).seal(b"mine", MINE)
    store.path(ADA).rename(store.directory / "kept")
    with pytest.raises(PersonKeyError, match="has none"):
        Keys(ring, persons=store).open(sealed, MINE)
    (store.directory / "kept").rename(store.path(ADA))
    store.destroy(ADA)
    with pytest.raises(ErasedError):
        Keys(ring, persons=store).open(sealed, MINE)


class Time:
    """A clock that goes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_process_forgets_a_destroyed_secret_in_time(store: PersonFiles) -> None:
    clock = Time()
    known = Remembered(store, clock=clock)
    made = known.make(ADA)
    store.destroy(ADA)
    clock.now += LIVES - 0.1
    assert known.secret(ADA) == made  # asked for again, it does not live longer for that
    clock.now += 0.2
    assert known.forget() == 0
    with pytest.raises(ErasedError):
        known.secret(ADA)


def test_a_process_that_does_nothing_forgets_too(
    store: PersonFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "LIVES", 0.05)
    known = Remembered(store)
    known.make(ADA)
    held: Callable[[], int] = lambda: len(known._found)  # noqa: E731 - nobody asks
    assert held() == 1
    end = time.monotonic() + 120
    while held() and time.monotonic() < end:
        time.sleep(0.02)
    assert held() == 0


def test_few_secrets_are_remembered(store: PersonFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST", 3)
    known = Remembered(store)
    for number in range(10):
        known.make(Owner("public.users", str(number)))
    assert known.forget() == 3


class Elsewhere:
    """A store of somebody's own."""

    name = "elsewhere"

    def __init__(self) -> None:
        self.held: dict[Owner, bytes] = {}

    def secret(self, owner: Owner) -> bytes | None:
        return self.held.get(owner)

    def make(self, owner: Owner) -> bytes:
        return self.held.setdefault(owner, b"s" * 32)

    def destroy(self, owner: Owner) -> bool:
        return self.held.pop(owner, None) is not None


elsewhere = Elsewhere()


def test_secrets_lie_where_the_environment_says(ring: EnvironmentSource, tmp_path: Path) -> None:
    environ = {"X_ENCRYPTION_KEYS": ring.read()}
    with pytest.raises(KeyringError, match="no place"):
        keys_of("X_", environ).seal(b"mine", MINE)
    environ["X_PERSON_KEYS"] = str(tmp_path / "there")
    sealed = keys_of("X_", environ).seal(b"mine", MINE)
    assert keys_of("X_", environ).open(sealed, MINE) == b"mine"
    environ["X_PERSON_KEYS"] = f"{__name__}:elsewhere"
    assert owned(keys_of("X_", environ).seal(b"mine", MINE))
    assert elsewhere.held
    for wrong in ("json:loads", "no.such:thing", "relative/path"):
        with pytest.raises(KeyringError, match="X_PERSON_KEYS"):
            keys_of("X_", {**environ, "X_PERSON_KEYS": wrong})


def test_no_secret_is_shown(store: PersonFiles, ring: EnvironmentSource) -> None:
    keys = Keys(ring, persons=store)
    keys.seal(b"mine", MINE)
    shown = f"{keys!r} {store!r} {MINE!r} {Remembered(store)!r}"
    assert store.path(ADA).read_text().split()[1] not in shown
    assert "ada" not in shown.replace(str(store.directory), "")


def test_a_copy_follows_what_is_destroyed_and_keeps_what_is_lost(
    store: PersonFiles, tmp_path: Path
) -> None:
    copy = PersonFiles(tmp_path / "copy")
    ada, bob = store.make(ADA), store.make(BOB)
    store.path(ADA).with_name(f".{name_of(ADA)}.0123").write_text("of a killed process")
    assert store.copy_to(copy) == Copied(held=2, made=2, ended=0)
    assert (copy.secret(ADA), copy.secret(BOB)) == (ada, bob)
    modes = {p.stat().st_mode & 0o777 for p in copy.directory.rglob("*") if p.is_file()}
    assert modes == {0o600}
    store.destroy(ADA)
    store.path(BOB).unlink()
    assert store.copy_to(copy) == Copied(held=1, made=0, ended=1)
    with pytest.raises(ErasedError):
        copy.secret(ADA)
    assert copy.secret(BOB) == bob
    # put back, a copy of before gives nobody back through the copy that is up to date
    store.path(ADA).unlink()
    store.make(ADA)
    assert store.copy_to(copy).ended == 0
    with pytest.raises(ErasedError):
        copy.secret(ADA)


def test_the_ring_rotates_without_touching_a_secret(store: PersonFiles) -> None:
    values = keyfile.KeyKind.VALUES
    first = keyfile.new()
    old = Keys(EnvironmentSource("KEYS", first), persons=store).seal(b"mine", MINE)
    before = store.path(ADA).read_bytes()
    both, number = keyfile.with_version(first, values)
    keys = Keys(EnvironmentSource("KEYS", keyfile.writing_with(both, values, number)), None, store)
    new = keys.seal(keys.open(old, MINE), MINE)
    assert (version_of(new, ""), owned(new)) == (2, True)
    alone = keyfile.without_version(keyfile.writing_with(both, values, number), values, 1)
    last = Keys(EnvironmentSource("KEYS", alone), persons=store)
    assert last.open(new, MINE) == b"mine"
    with pytest.raises(KeyringError, match="version 1"):
        last.open(old, MINE)
    assert store.path(ADA).read_bytes() == before
