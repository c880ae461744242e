"""What an encrypted column refuses, and how bulk inserts get around it lawfully."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.encryption import (
    Encrypted,
    EncryptionError,
    KeyringError,
    Keys,
    NotSealedError,
    UnknownPlaceError,
    UnsealedError,
    place_of,
    seal_rows,
)
from pgstead.app.scope import Scope
from pgstead.app.target import Driver
from tests.live.encryption.vault import Account, Filled, Numbered, Person
from tests.live.encryption.work import both_drivers, made, store, word, work
from tests.live.scratch import Scratch


def test_a_plain_value_in_the_session_is_refused(vault: Scratch, keys: Keys) -> None:
    with pytest.raises(UnsealedError, match="plain str"):
        made(vault, keys, word(), api_key=word())


@both_drivers
@pytest.mark.parametrize("value", [Encrypted("clear"), "clear"], ids=["wrapped", "plain"])
def test_bulk_and_core_paths_refuse_what_is_not_sealed(
    vault: Scratch, keys: Keys, driver: Driver, value: Any
) -> None:
    row = {"id": uuid.uuid4(), "tenant_id": "acme", "api_key": value}
    statements: list[Any] = [
        (insert(Account), [row, {**row, "id": uuid.uuid4()}]),
        (insert(Account).values(row), None),
        (insert(Account.metadata.tables["accounts"]), [row]),
        (update(Account).where(Account.id == row["id"]).values(api_key=value), None),
        (update(Account), [{"id": row["id"], "api_key": value}]),
    ]
    for statement, rows in statements:

        async def run(session: AsyncSession, statement: Any = statement, rows: Any = rows) -> None:
            await session.execute(statement, rows)

        with pytest.raises(UnsealedError) as caught:
            work(vault, keys, run, driver)
        assert "clear" not in str(caught.value)

    async def legacy(session: AsyncSession) -> None:
        objects = [Account(**row)]
        await session.run_sync(lambda plain: plain.bulk_save_objects(objects))

    with pytest.raises(UnsealedError):
        work(vault, keys, legacy, driver)
    with vault.admin("jeex_idea") as admin:
        left = admin.execute("SELECT count(*) FROM accounts WHERE id = %s", [row["id"]]).fetchone()
        assert left == (0,)


@both_drivers
def test_a_bulk_insert_of_sealed_rows_works(vault: Scratch, keys: Keys, driver: Driver) -> None:
    plain = [word() for _ in range(50)]
    rows = seal_rows(
        Account,
        [
            {"tenant_id": "bulk", "api_key": Encrypted(p), "email": Encrypted(f"{p}@x.org")}
            for p in plain
        ],
        keys,
    )

    async def add(session: AsyncSession) -> None:
        await session.execute(insert(Account), rows)

    async def read(session: AsyncSession) -> list[str]:
        found = await session.scalars(select(Account).where(Account.id.in_(r["id"] for r in rows)))
        return sorted(f.api_key.reveal() for f in found)

    work(vault, keys, add, driver)
    assert work(vault, keys, read, driver) == sorted(plain)


def test_rows_of_a_bulk_insert_are_named_as_their_model_names_them(
    vault: Scratch, keys: Keys
) -> None:
    rows = seal_rows(Person, [{"hidden": Encrypted("x")}, {"hidden": None}], keys)

    async def add(session: AsyncSession) -> None:
        await session.execute(insert(Person), rows)

    async def read(session: AsyncSession) -> str:
        found = await session.get_one(Person, rows[0]["id"])
        assert found.hidden
        return found.hidden.reveal()

    work(vault, keys, add)
    assert work(vault, keys, read) == "x"


def test_a_tenant_that_the_server_fills_in_is_the_one_of_the_session(
    vault: Scratch, keys: Keys
) -> None:
    async def add(session: AsyncSession) -> uuid.UUID:
        row = Filled(secret=Encrypted("x"))
        session.add(row)
        await session.flush()
        return row.id

    async def scoped(session: AsyncSession) -> uuid.UUID:
        await session.connection(execution_options={"pgstead_scope": Scope(tenant="acme")})
        return await add(session)

    async def read(session: AsyncSession) -> tuple[str, str]:
        found = await session.get_one(Filled, key)
        return found.tenant_id, found.secret.reveal()

    with pytest.raises(UnknownPlaceError, match="tenant of the row"):
        work(vault, keys, add)
    key = work(vault, keys, scoped)
    assert work(vault, keys, read) == ("acme", "x")


def test_plaintext_in_raw_sql_is_refused_by_the_server(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word())
    for column, value in [("api_key", "clear"), ("pin", b"a secret that is long enough to fit")]:
        with pytest.raises(psycopg.errors.CheckViolation, match=f"accounts_{column}_sealed_check"):
            store(vault, "accounts", column, key, value)


def test_a_literal_in_a_statement_is_refused(keys: Keys) -> None:
    sealed = Encrypted("x").at(place_of(Account.pin, id=uuid.uuid4(), tenant_id="acme"), keys)
    for value in (sealed, "clear"):
        statement = insert(Account).values(pin=value)
        with pytest.raises(UnsealedError, match="literal") as caught:
            statement.compile(compile_kwargs={"literal_binds": True})
        assert "clear" not in str(caught.value)


def test_a_key_that_only_the_server_makes_is_refused(vault: Scratch, keys: Keys) -> None:
    async def add(session: AsyncSession) -> None:
        session.add(Numbered(secret=Encrypted("x")))

    with pytest.raises(UnknownPlaceError, match="not known yet"):
        work(vault, keys, add)


def test_a_session_without_keys_writes_nothing(vault: Scratch, keys: Keys) -> None:
    async def add(session: AsyncSession) -> None:
        session.add(Person(id=uuid.uuid4(), hidden=Encrypted("x")))

    with pytest.raises(KeyringError, match="no keys"):
        work(vault, None, add)


def test_a_session_without_keys_reads_the_other_columns(vault: Scratch, keys: Keys) -> None:
    key = made(vault, keys, word(), name="visible")

    async def read(session: AsyncSession) -> str:
        found = await session.get_one(Account, key)
        with pytest.raises(UnknownPlaceError):
            found.api_key.reveal()
        return found.name

    assert work(vault, None, read) == "visible"


def test_what_is_no_envelope_is_an_error_and_no_garbage(vault: Scratch, keys: Keys) -> None:
    key = uuid.uuid4()

    async def add(session: AsyncSession) -> None:
        session.add(Person(id=key, hidden=Encrypted("x")))

    async def read(session: AsyncSession) -> str:
        found = await session.get_one(Person, key)
        assert found.hidden
        return found.hidden.reveal()

    work(vault, keys, add)
    for foreign in ("plain text!", "c2hvcnQ=", "AgEAAAAB" + "A" * 40, "AQIAAAAB" + "A" * 40):
        store(vault, "people", "secret", key, foreign)
        with pytest.raises(NotSealedError) as caught:
            work(vault, keys, read)
        assert foreign not in str(caught.value)


def test_comparing_ciphertexts_is_refused() -> None:
    for compare in (
        lambda: Account.api_key == Encrypted("x"),
        lambda: Account.api_key.in_([Encrypted("x")]),
        lambda: Account.api_key.like("x%"),
        lambda: Account.api_key < Encrypted("x"),
    ):
        with pytest.raises(EncryptionError, match="None only"):
            compare()
    assert str(Account.pin.is_(None)) == "accounts.pin IS NULL"
