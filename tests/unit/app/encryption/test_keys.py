"""Keys: their document, their sources, and what happens when they are wrong or gone."""

from __future__ import annotations

import base64
import json
import os
import pickle
import stat
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.app.connection import read
from pgstead.app.encryption import (
    Encrypted,
    EnvironmentSource,
    FileSource,
    KeyringError,
    Keys,
    Place,
    TamperedError,
    UnknownKeyError,
    keyfile,
    keys_of,
)
from pgstead.app.encryption.keyfile import KeyKind
from pgstead.app.encryption.place import key_text
from pgstead.app.encryption.ring import parse
from pgstead.errors import UsageError

PLACE = Place("users.secret", (str(uuid.uuid4()),), "acme")


class Vault:
    """A KMS as people run one: the wrapping key stays with it."""

    def __init__(self) -> None:
        self.mask = os.urandom(32)
        self.calls = 0

    def wrap(self, key: bytes) -> bytes:
        """Return the key, masked."""
        return bytes(a ^ b for a, b in zip(key, self.mask, strict=True))

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return it again."""
        self.calls += 1
        return self.wrap(wrapped)


class Broken(Vault):
    """A KMS that says too much when it fails."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Fail."""
        raise RuntimeError(f"denied: {wrapped!r}")


kms = Vault()


def keys(text: str | None = None) -> Keys:
    return Keys(EnvironmentSource("KEYS", text or keyfile.new()))


def written(path: Path, text: str | None = None) -> Path:
    keyfile.write(path, text or keyfile.new(), owner=None)
    return path


@given(st.binary(max_size=2000), st.text(), st.lists(st.text(), min_size=1), st.none() | st.text())
def test_what_is_sealed_opens_in_its_place(
    plain: bytes, label: str, key: list[str], tenant: str | None
) -> None:
    place, ring = Place(label, tuple(key), tenant), parse(DOCUMENT, where="test")
    assert ring.open(ring.seal(plain, place), place) == plain


DOCUMENT = keyfile.new()
places = st.builds(
    Place,
    st.text(max_size=4),
    st.lists(st.text(max_size=4)).map(tuple),
    st.none() | st.text(max_size=4),
)


@given(places, places)
def test_two_places_are_never_bound_alike(one: Place, other: Place) -> None:
    header = b"\x01\x01\x00\x00\x00\x01"
    assert (one.associated_data(header) == other.associated_data(header)) == (one == other)


def test_nonces_do_not_repeat() -> None:
    ring = keys().ring
    seen = {ring.seal(b"", PLACE)[6:18] for _ in range(20_000)}
    assert len(seen) == 20_000


@pytest.mark.soak
def test_nonces_do_not_repeat_in_a_million() -> None:
    ring = keys().ring
    assert len({ring.seal(b"", PLACE)[6:18] for _ in range(1_000_000)}) == 1_000_000


def test_a_further_version_reads_and_does_not_write() -> None:
    first = keyfile.new()
    text, number = keyfile.with_version(first, KeyKind.VALUES)
    assert number == 2
    both = keys(text)
    assert both.seal(b"x", PLACE)[5] == 1
    writing = keys(keyfile.writing_with(text, KeyKind.VALUES, 2))
    new = writing.seal(b"x", PLACE)
    assert new[5] == 2
    assert both.open(new, PLACE) == b"x"
    with pytest.raises(UnknownKeyError, match="needs version 2 of the key, and the ring has 1"):
        keys(first).open(new, PLACE)


def test_the_version_that_writes_cannot_be_taken_out() -> None:
    with pytest.raises(UsageError, match="still writes"):
        keyfile.without_version(keyfile.new(), KeyKind.VALUES, 1)


def test_another_key_of_the_same_version_opens_nothing() -> None:
    with pytest.raises(TamperedError):
        keys().open(keys().seal(b"x", PLACE), PLACE)


def damaged(change: Any) -> str:
    document = json.loads(keyfile.new())
    change(document)
    return json.dumps(document)


def set_key(document: Any, key: Any) -> None:
    document["values"]["1"]["key"] = key


SHORT = base64.b64encode(b"a key of sixteen").decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json " + SHORT, "no JSON"),
        ("[]", "no key document"),
        (damaged(lambda d: d.update(form="other")), "no key document"),
        (damaged(lambda d: d.pop("values")), "no values"),
        (damaged(lambda d: d["values"].update(zero=d["values"]["1"])), "positive whole number"),
        (damaged(lambda d: d["values"].update({"2": d["values"]["1"]})), "the same key"),
        (damaged(lambda d: set_key(d, SHORT)), "16 bytes instead of 32"),
        (damaged(lambda d: set_key(d, "?" + SHORT)), "not base64"),
        (damaged(lambda d: set_key(d, 7)), "not base64"),
        (damaged(lambda d: d["writes"].update(values=3)), "does not name a version"),
        (damaged(lambda d: d.pop("writes")), "does not name a version"),
    ],
)
def test_a_wrong_document_is_named_and_never_shown(text: str, said: str) -> None:
    with pytest.raises(KeyringError, match=said) as caught:
        keys(text)
    told = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert "KEYS" in told
    assert SHORT not in told


# -- files --------------------------------------------------------------------------------------


def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "keys.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for mode in (0o640, 0o604, 0o660, 0o644):
        path.chmod(mode)
        with pytest.raises(KeyringError, match=f"open to others \\(mode {mode:04o}\\)"):
            Keys(FileSource(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match=r"keys\.json cannot be read: No such file"):
        Keys(FileSource(tmp_path / "keys.json"))


def test_a_running_process_sees_a_new_version_by_itself(tmp_path: Path) -> None:
    now = [0.0]
    path = written(tmp_path / "keys.json")
    running = Keys(FileSource(path), clock=lambda: now[0])
    text, _ = keyfile.with_version(path.read_text(), KeyKind.VALUES)
    written(path, keyfile.writing_with(text, KeyKind.VALUES, 2))
    assert running.seal(b"x", PLACE)[5] == 1
    now[0] = 1.0
    assert running.seal(b"x", PLACE)[5] == 2


def test_an_unknown_version_is_looked_for_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "keys.json")
    running = Keys(FileSource(path), clock=lambda: 0.0)
    text, _ = keyfile.with_version(path.read_text(), KeyKind.VALUES)
    written(path, keyfile.writing_with(text, KeyKind.VALUES, 2))
    new = Keys(FileSource(path)).seal(b"x", PLACE)
    assert running.open(new, PLACE) == b"x"


@pytest.mark.parametrize("refuses", ["stat", "open"])
def test_a_process_that_may_no_longer_read_goes_on_with_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: str
) -> None:
    path = written(tmp_path / "keys.json")
    running = Keys(FileSource(path), clock=lambda: 0.0)

    def refused(*_arguments: Any, **_options: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    sealed = running.seal(b"x", PLACE)
    written(path)
    monkeypatch.setattr(Path, refuses, refused)
    running.refresh()
    assert running.open(sealed, PLACE) == b"x"


def test_a_file_that_became_wrong_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "keys.json")
    running = Keys(FileSource(path))
    path.write_text("{}")
    with pytest.raises(KeyringError, match="no key document"):
        running.refresh()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = written(tmp_path / "keys.json")
    before = path.read_text()
    with pytest.raises(KeyringError):
        keyfile.write(path, "{}", owner=None)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["keys.json"]


def test_two_commands_at_once_add_two_versions(tmp_path: Path) -> None:
    path = written(tmp_path / "keys.json")

    def add() -> None:
        with keyfile.held(path):
            written(path, keyfile.with_version(path.read_text(), KeyKind.VALUES)[0])

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Keys(FileSource(path)).ring.versions == tuple(range(1, 10))


# -- where they come from -----------------------------------------------------------------------


def test_the_environment_names_a_document_or_a_file(tmp_path: Path) -> None:
    text = keyfile.new()
    path = written(tmp_path / "keys.json", text)
    sealed = keys(text).seal(b"x", PLACE)
    for environ in ({"X_ENCRYPTION_KEYS": text}, {"X_ENCRYPTION_KEYS_FILE": str(path)}):
        assert keys_of("X_", environ).open(sealed, PLACE) == b"x"
    with pytest.raises(KeyringError, match="are both set"):
        keys_of("X_", {"X_ENCRYPTION_KEYS": text, "X_ENCRYPTION_KEYS_FILE": str(path)})
    with pytest.raises(KeyringError, match="there are no keys"):
        keys_of("X_", {})


def test_a_kms_unwraps_what_lies_wrapped() -> None:
    text = keyfile.new(kms)
    assert '"key"' not in text
    with pytest.raises(KeyringError, match="no KMS was given"):
        keys(text)
    environ = {"X_ENCRYPTION_KEYS": text, "X_ENCRYPTION_KMS": f"{__name__}:kms"}
    direct = Keys(EnvironmentSource("KEYS", text), kms)
    assert direct.open(direct.seal(b"x", PLACE), PLACE) == b"x"
    with pytest.raises(KeyringError, match="cannot be imported"):
        keys_of("X_", {**environ, "X_ENCRYPTION_KMS": "nowhere:at_all"})
    with pytest.raises(KeyringError, match="is no KMS"):
        keys_of("X_", {**environ, "X_ENCRYPTION_KMS": "json:loads"})


def test_a_kms_that_fails_is_not_quoted() -> None:
    text = keyfile.new(kms)
    with pytest.raises(KeyringError, match="did not unwrap") as caught:
        Keys(EnvironmentSource("KEYS", text), Broken())
    assert "denied" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_kms_that_wraps_nothing_is_refused() -> None:
    class Nothing(Vault):
        def wrap(self, key: bytes) -> bytes:
            return key

    with pytest.raises(KeyringError, match="as it was"):
        keyfile.new(Nothing())


def test_keys_and_values_do_not_travel() -> None:
    for travelling in (keys(), Encrypted("clear")):
        with pytest.raises(TypeError):
            pickle.dumps(travelling)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (uuid.UUID(int=10), str(uuid.UUID(int=10)), True),
        (1, "1", True),
        (b"\x01", "01", True),
    ],
)
def test_a_key_has_one_form_whichever_type_the_driver_gives(
    one: object, other: object, alike: bool
) -> None:
    assert (key_text(one, "") == key_text(other, "")) is alike


def test_the_connection_file_leads_to_the_keys_beside_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "connections").mkdir(parents=True)
    (state / "keys").mkdir()
    path = state / "connections" / "shop.json"
    path.write_text(
        json.dumps(
            {
                "version": 1,
                "stead": "s",
                "environment": "test",
                "database": "shop",
                "prefix": "SHOP_",
                "server": {"major": 18},
                "doors": {},
                "ca": "",
                "sslmode": "verify-full",
                "roles": {},
                "pool": {"size": 1, "max_overflow": 0, "timeout": 1.0, "recycle": 1},
            }
        )
    )
    written(state / "keys" / "shop.json")
    assert keys_of("SHOP_", {}, read(path)).ring.versions == (1,)
