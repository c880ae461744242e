"""Encrypted columns on a real server: what is stored, and what is read back."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from pgstead.app.encryption import (
    Encrypted,
    EncryptionError,
    Keys,
    TamperedError,
    UnknownPlaceError,
    blind_match,
    place_of,
)
from pgstead.app.errors import UniqueError
from pgstead.app.target import Driver
from tests.live.encryption.vault import Account, Copy
from tests.live.encryption.work import both_drivers, made, store, stored, word, work
from tests.live.scratch import Scratch


def revealed(vault: Scratch, keys: Keys, key: uuid.UUID, model: Any = Account) -> str:
    """Read an account's secret."""

    async def read(session: AsyncSession) -> str:
        found = await session.get_one(model, key)
        return found.api_key.reveal()

    return work(vault, keys, read)


@both_drivers
def test_every_kind_of_value_comes_back_as_it_was(
    vault: Scratch, keys: Keys, driver: Driver
) -> None:
    async def add(session: AsyncSession) -> uuid.UUID:
        account = Account(
            tenant_id="acme",
            api_key=Encrypted("ключ 🔑"),
            other_key=Encrypted(""),
            pin=Encrypted(b"\x00\xff"),
            profile=Encrypted({"born": 1970, "name": "Ä"}),
        )
        session.add(account)
        await session.flush()
        assert account.api_key.sealed
        assert account.api_key.reveal() == "ключ 🔑"
        return account.id

    async def read(session: AsyncSession) -> tuple[Any, ...]:
        found = await session.get_one(Account, key)
        assert found.other_key
        assert found.pin
        assert found.profile
        assert found.email is None
        return (
            found.api_key.reveal(),
            found.other_key.reveal(),
            found.pin.reveal(),
            found.profile.reveal(),
        )

    key = work(vault, keys, add, driver)
    assert work(vault, keys, read, driver) == (
        "ключ 🔑",
        "",
        b"\x00\xff",
        {"born": 1970, "name": "Ä"},
    )


def test_what_is_stored_is_an_envelope_with_the_version_of_its_key(
    vault: Scratch, keys: Keys
) -> None:
    plain = word()
    key = made(vault, keys, plain, pin=Encrypted(plain.encode()))
    assert stored(vault, "accounts", "api_key", key).startswith("AQEAAAAB")
    raw = bytes(stored(vault, "accounts", "pin", key))
    assert raw[:6] == b"\x01\x01\x00\x00\x00\x01"
    assert len(raw) == len(plain) + 34


def test_the_same_text_is_never_stored_twice_alike(vault: Scratch, keys: Keys) -> None:
    plain = word()
    one, other = made(vault, keys, plain), made(vault, keys, plain)
    assert stored(vault, "accounts", "api_key", one) != stored(vault, "accounts", "api_key", other)


def test_a_ciphertext_moved_to_another_row_is_refused(vault: Scratch, keys: Keys) -> None:
    one, other = made(vault, keys, word()), made(vault, keys, word())
    store(vault, "accounts", "api_key", other, stored(vault, "accounts", "api_key", one))
    with pytest.raises(TamperedError, match=r"accounts\.api_key"):
        revealed(vault, keys, other)


def test_a_ciphertext_moved_to_another_column_is_refused(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word(), other_key=Encrypted(word()))
    store(vault, "accounts", "api_key", key, stored(vault, "accounts", "other_key", key))
    with pytest.raises(TamperedError):
        revealed(vault, keys, key)


def test_a_ciphertext_moved_to_another_table_is_refused(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word())
    with vault.admin("jeex_idea") as admin:
        admin.execute(
            "INSERT INTO copies (id, tenant_id, api_key)"
            " SELECT id, tenant_id, api_key FROM accounts WHERE id = %s",
            [key],
        )
    with pytest.raises(TamperedError, match=r"copies\.api_key"):
        revealed(vault, keys, key, Copy)


def test_a_row_moved_to_another_tenant_takes_no_secret_along(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word())
    store(vault, "accounts", "tenant_id", key, "globex")
    with pytest.raises(TamperedError):
        revealed(vault, keys, key)


def test_any_flipped_bit_is_refused(vault: Scratch, keys: Keys) -> None:
    plain = "four"
    key = made(vault, keys, plain, pin=Encrypted(plain.encode()))
    whole = bytes(stored(vault, "accounts", "pin", key))
    place = place_of(Account.pin, id=key, tenant_id="acme")
    assert keys.open(whole, place) == b"four"
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EncryptionError):
            keys.open(bytes(flipped), place)


def test_a_flipped_bit_in_the_table_is_refused(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word(), pin=Encrypted(b"1234"))
    raw = bytearray(stored(vault, "accounts", "pin", key))
    raw[-1] ^= 1
    store(vault, "accounts", "pin", key, bytes(raw))

    async def read(session: AsyncSession) -> None:
        found = await session.get_one(Account, key)
        assert found.pin
        with pytest.raises(TamperedError):
            found.pin.reveal()

    work(vault, keys, read)


def test_a_change_of_the_tenant_through_the_session_seals_anew(vault: Scratch, keys: Keys) -> None:
    plain = word()
    key = made(vault, keys, plain)

    async def move(session: AsyncSession) -> None:
        found = await session.get_one(Account, key)
        found.tenant_id = "globex"

    work(vault, keys, move)
    assert revealed(vault, keys, key) == plain


def test_a_change_of_the_key_through_the_session_seals_anew(vault: Scratch, keys: Keys) -> None:
    plain, new = word(), uuid.uuid4()
    key = made(vault, keys, plain)

    async def move(session: AsyncSession) -> None:
        (await session.get_one(Account, key)).id = new

    work(vault, keys, move)
    assert revealed(vault, keys, new) == plain


def test_a_row_does_not_move_while_its_secret_is_not_loaded(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word())

    async def move(session: AsyncSession) -> None:
        query = select(Account).where(Account.id == key)
        found = (
            await session.scalars(query.options(load_only(Account.name, Account.tenant_id)))
        ).one()
        found.tenant_id = "globex"
        await session.flush()

    with pytest.raises(UnknownPlaceError, match="not loaded"):
        work(vault, keys, move)


def test_a_value_handed_from_row_to_row_is_sealed_for_the_new_one(
    vault: Scratch, keys: Keys
) -> None:
    plain = word()
    one, other = made(vault, keys, plain), made(vault, keys, word())

    async def copy(session: AsyncSession) -> None:
        source = await session.get_one(Account, one)
        (await session.get_one(Account, other)).api_key = source.api_key

    work(vault, keys, copy)
    assert revealed(vault, keys, other) == plain
    assert revealed(vault, keys, one) == plain


def test_other_columns_change_without_touching_the_secret(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word())
    before = stored(vault, "accounts", "api_key", key)

    async def rename(session: AsyncSession) -> None:
        (await session.get_one(Account, key)).name = "renamed"

    work(vault, keys, rename)
    assert stored(vault, "accounts", "name", key) == "renamed"
    assert stored(vault, "accounts", "api_key", key) == before


# -- single columns, refreshes, blind index -----------------------------------------------------


@both_drivers
def test_a_column_read_alone_opens_where_its_place_is_named(
    vault: Scratch, keys: Keys, driver: Driver
) -> None:
    plain = word()
    key = made(vault, keys, plain)

    async def read(session: AsyncSession) -> str:
        value = (await session.scalars(select(Account.api_key).where(Account.id == key))).one()
        with pytest.raises(UnknownPlaceError):
            value.reveal()
        return value.at(place_of(Account.api_key, id=key, tenant_id="acme"), keys).reveal()

    assert work(vault, keys, read, driver) == plain


def test_a_refreshed_and_a_deferred_value_open(vault: Scratch, keys: Keys) -> None:
    plain = word()
    key = made(vault, keys, plain)

    async def read(session: AsyncSession) -> None:
        query = select(Account).where(Account.id == key)
        found = (
            await session.scalars(query.options(load_only(Account.name, Account.tenant_id)))
        ).one()
        await session.refresh(found, ["api_key"])
        assert found.api_key.reveal() == plain
        session.expunge(found)
        found = await session.get_one(Account, key)
        session.expire(found)
        await session.refresh(found)
        assert found.api_key.reveal() == plain

    work(vault, keys, read)


def test_a_person_is_found_by_address_in_any_spelling(vault: Scratch, keys: Keys) -> None:
    address = f"Anna.{secrets.token_hex(4)}@Example.ORG"
    key = made(vault, keys, word(), email=Encrypted(address))

    async def find(session: AsyncSession, tenant: str, text: str) -> uuid.UUID | None:
        condition = blind_match(Account.email, text, keys, tenant=tenant)
        return (await session.scalars(select(Account.id).where(condition))).one_or_none()

    for spelling in (address, address.lower(), f"  {address.upper()} "):
        assert work(vault, keys, lambda s, text=spelling: find(s, "acme", text)) == key
    assert work(vault, keys, lambda s: find(s, "globex", address)) is None
    assert work(vault, keys, lambda s: find(s, "acme", "x" + address)) is None


def test_an_address_is_unique_in_its_tenant_and_free_in_another(vault: Scratch, keys: Keys) -> None:
    address = f"{secrets.token_hex(6)}@example.org"
    made(vault, keys, word(), email=Encrypted(address))
    made(vault, keys, word(), email=Encrypted(address), tenant_id="globex")
    with pytest.raises(UniqueError) as caught:
        made(vault, keys, word(), email=Encrypted(address.upper()))
    assert address not in f"{caught.value} {caught.value.hint}"


def test_a_removed_value_takes_its_blind_index_along(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word(), email=Encrypted("a@b.org"), tenant_id=word())

    async def remove(session: AsyncSession) -> None:
        (await session.get_one(Account, key)).email = None

    assert stored(vault, "accounts", "email_index", key) is not None
    work(vault, keys, remove)
    assert stored(vault, "accounts", "email_index", key) is None
