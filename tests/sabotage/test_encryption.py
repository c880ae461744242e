"""The promises of encryption, on a stead with an application that has encrypted columns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from pgstead.app.connection import Figures, read
from pgstead.app.encryption import Encrypted, FileSource, Keys, attach
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from pgstead.cli.wiring import access_to
from pgstead.prove.finding import Verdict
from tests.fix_stead import CHECKOUT, LiveStead, short_directory, stead_in
from tests.live.encryption.vault import Account, Base
from tests.sabotage.damage import Sabotage
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import brief, sabotaged

VAULT = """
[[databases]]
name = "vault"
models = "tests.live.encryption.vault:Base"
prefix = "VAULT_"
"""


def fill(stead: LiveStead) -> None:
    """Make the tables, the keys and some rows, the rows as the application does."""
    owner = stead.wired.design.database("vault")
    assert owner is not None
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: stead.connect("vault_migrator", direct=True, dbname="vault"),
    )
    Base.metadata.create_all(engine)
    engine.dispose()
    stead.run("keys", "new", "vault")
    file = read(stead.state / "connections" / "vault.json")
    target = Target.from_file(file, driver=Driver.ASYNCPG)
    known = Settings("vault", "test", target, Figures(1, 0, 10.0, 840), echo=False, file=file)

    async def write() -> None:
        database = Database(known, metadata=Base.metadata, program="vault")
        attach(database.sessions, Keys(FileSource(stead.state / "keys" / "vault.json")))
        async with database.transaction() as session:
            for number in range(10):
                secret = f"the vault holds number {number}"
                session.add(
                    Account(
                        tenant_id=f"t{number % 2}",
                        api_key=Encrypted(secret),
                        pin=Encrypted(secret.encode()),
                    )
                )
        await database.close()

    asyncio.run(write())


@pytest.fixture(scope="module")
def vault_scene() -> Iterator[Scene]:
    """Give a stead whose second application encrypts."""
    directory: Path = short_directory()
    (directory / "tests").symlink_to(CHECKOUT / "tests")
    with stead_in(directory, extra=VAULT) as stead:
        stead.run("up")
        fill(stead)
        wired = stead.wired
        made = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
        made.baseline = made.prove("encryption").verdicts()
        yield made


def test_an_application_that_encrypts_keeps_every_promise_of_it(vault_scene: Scene) -> None:
    report = vault_scene.prove("encryption")
    assert set(report.verdicts().values()) == {Verdict.KEPT}, brief(report)


@pytest.mark.parametrize(
    "sabotage", [s for s in sabotages() if s.where == "vault_scene"], ids=lambda s: s.name
)
def test_a_sabotage_of_encryption_breaks_its_promises_and_no_other(
    vault_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(vault_scene, sabotage, "encryption")


def test_no_report_of_a_proof_holds_a_plaintext_or_a_key(vault_scene: Scene) -> None:
    told = str(vault_scene.prove("encryption"))
    key = (vault_scene.state / "keys" / "vault.json").read_text()
    assert "the vault holds" not in told
    assert key.split('"key": "')[1][:44] not in told
