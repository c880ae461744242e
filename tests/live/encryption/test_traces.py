"""No plaintext and no key lies anywhere, also where the operator logs all that can be logged."""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.encryption import Encrypted, Keys, UnsealedError, attach, blind_match
from pgstead.app.engine import Database
from pgstead.app.errors import UniqueError, ValueRefusedError
from pgstead.app.target import Driver
from pgstead.prove import traces
from tests.live.app.ways import settings_to, way_to
from tests.live.encryption.searching import everywhere, needles
from tests.live.encryption.vault import Account, Base, Person
from tests.live.encryption.work import work
from tests.live.scratch import Scratch


class Told(logging.Handler):
    """Keeps every record of every logger, whatever its level."""

    def __init__(self) -> None:
        super().__init__(0)
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it as it would be written."""
        self.text.append(logging.Formatter().format(record))


@pytest.fixture
def told() -> Iterator[Told]:
    """Give all that is logged while a test runs, SQLAlchemy's statements included."""
    handler, root = Told(), logging.getLogger()
    noisy = [root, logging.getLogger("sqlalchemy.engine"), logging.getLogger("asyncio")]
    before = [logger.level for logger in noisy]
    root.addHandler(handler)
    for logger in noisy:
        logger.setLevel(0 if logger is root else logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    for logger, level in zip(noisy, before, strict=True):
        logger.setLevel(level)


@dataclass(frozen=True)
class Birds:
    """Canaries, and what an application does with them: three ways that work, three that fail."""

    keys: Keys
    row: uuid.UUID = field(default_factory=uuid.uuid4)
    first: str = field(default_factory=lambda: f"canary-{secrets.token_hex(16)}")
    second: str = field(default_factory=lambda: f"canary-{secrets.token_hex(16)}")
    third: str = field(default_factory=lambda: f"canary-{secrets.token_hex(16)}")
    address: str = field(default_factory=lambda: f"{secrets.token_hex(12)}@canary.example.org")

    def account(self, secret: str, **given: Any) -> Account:
        """Return an account with a secret."""
        return Account(tenant_id="acme", api_key=Encrypted(secret), **given)

    async def write(self, session: AsyncSession) -> None:
        """Store them."""
        session.add(self.account(self.first, id=self.row, email=Encrypted(self.address)))
        session.add(Person(id=self.row, hidden=Encrypted(self.second)))

    async def change(self, session: AsyncSession) -> None:
        """Read, look up and change them."""
        found = await session.get_one(Account, self.row)
        assert found.api_key.reveal() == self.first
        found.api_key = Encrypted(self.second)
        found.pin = Encrypted(self.third.encode())
        found.profile = Encrypted({"note": self.third})
        condition = blind_match(Account.email, self.address, self.keys, tenant="acme")
        assert (await session.scalars(select(Account).where(condition))).one() is found

    async def collide(self, session: AsyncSession) -> None:
        """Store an address that is there."""
        session.add(self.account(self.third, email=Encrypted(self.address)))

    async def too_long(self, session: AsyncSession) -> None:
        """Store what does not fit."""
        session.add(self.account(self.first, other_key=Encrypted(self.second * 20)))

    async def past_the_model(self, session: AsyncSession) -> None:
        """Store a plain text by Core."""
        row = {"id": uuid.uuid4(), "tenant_id": "acme", "api_key": self.first}
        await session.execute(insert(Account), [row])


def complaint(vault: Scratch, birds: Birds, what: Any, kind: type[Exception]) -> list[str]:
    """Return all that an error says."""
    with pytest.raises(kind) as caught:
        work(vault, birds.keys, what)
    error = caught.value
    return [str(error), repr(error), "".join(traceback.format_exception(error))]


@pytest.mark.parametrize("driver", list(Driver), indirect=True)
def test_a_canary_is_found_nowhere(
    vault: Scratch, keys: Keys, driver: Driver, told: Told, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither where it was stored, changed, looked up and read, nor where that failed."""
    birds = Birds(keys)
    work(vault, keys, birds.write, driver)
    work(vault, keys, birds.change, driver)
    said = [
        *complaint(vault, birds, birds.collide, UniqueError),
        *complaint(vault, birds, birds.too_long, ValueRefusedError),
        *complaint(vault, birds, birds.past_the_model, UnsealedError),
    ]
    plain = needles(birds.first, birds.second, birds.third, birds.address)
    assert everywhere(vault, plain) == []
    out, err = capfd.readouterr()
    shown = "\n".join([*told.text, *said, out, err]).encode()
    assert any("INSERT INTO accounts" in line for line in told.text)
    assert traces.in_bytes(shown, {n: traces.forms(p) for n, p in plain.items()}) == []


def test_the_pooler_s_log_holds_nothing_either(vault: Scratch, keys: Keys) -> None:
    """With all that it can be told to say, and with an error that names the row."""
    birds = Birds(keys)
    with way_to(vault, "at hand"):
        ini = vault.folder / "pooler" / "pgbouncer.ini"
        ini.write_text(f"{ini.read_text()}\nverbose = 2\nlog_stats = 1\nstats_period = 1\n")
        vault.restart_pooler()

        async def whole() -> None:
            database = Database(settings_to(vault, Driver.ASYNCPG), metadata=Base.metadata)
            attach(database.sessions, keys)
            for step, kind in (
                (birds.write, None),
                (birds.change, None),
                (birds.collide, UniqueError),
                (birds.too_long, ValueRefusedError),
            ):
                with nullcontext() if kind is None else pytest.raises(kind):
                    async with database.transaction() as session:
                        await step(session)
            await database.close()

        asyncio.run(whole())
        log = (vault.folder / "pooler.log").read_text()
        assert "login attempt" in log
        plain = needles(birds.first, birds.second, birds.third, birds.address)
        assert everywhere(vault, plain) == []


def test_no_key_is_shown_by_anything_that_holds_one(
    keys: Keys, keyfile_path: Path, told: Told
) -> None:
    document = keyfile_path.read_text()
    shown = [f"{keys!r} {keys} {keys.ring!r} {keys.ring}", str(vars(type(keys)))]
    for value in (
        Encrypted("clear text"),
        Encrypted(b"clear text"),
        Encrypted({"a": "clear text"}),
    ):
        shown += [repr(value), str(value), f"{value}", f"{value:>40}", "%s" % value]  # noqa: UP031
        logging.getLogger("application").error("failed with %r", value)
    for line in document.splitlines():
        if '"key"' in line:
            assert line.split('"')[3] not in " ".join([*shown, *told.text])
    assert "clear text" not in " ".join([*shown, *told.text])


def test_the_search_finds_what_is_there(vault: Scratch) -> None:
    """Otherwise an empty answer would mean nothing."""
    plain = f"control-{secrets.token_hex(16)}"
    with vault.admin("jeex_idea") as admin:
        admin.execute("CREATE TABLE control (t text, b bytea)")
        admin.execute("INSERT INTO control VALUES (%s, %s)", [f"xy{plain}", plain.encode()])
    where = {Path(t.where).parent.name or t.where for t in everywhere(vault, needles(plain))}
    with vault.admin("jeex_idea") as admin:
        admin.execute("DROP TABLE control")
    assert {"pg_wal", "dump", "dump as inserts"} <= {*where, *("dump",)}
    assert any(name.isdecimal() for name in where), where  # the table's own file


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("length", [12, 13, 14])
def test_every_form_of_a_plaintext_is_recognised(before: str, length: int) -> None:
    import base64

    plain: Any = secrets.token_hex(8).encode()[:length]
    whole = before.encode() + plain + b"after"
    for data in (
        whole,
        base64.b64encode(whole),
        whole.hex().encode(),
        whole.hex().upper().encode(),
    ):
        assert traces.in_bytes(data, {"it": traces.forms(plain)}) == ["it"], data
