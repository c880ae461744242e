"""Promises of encryption, memberships and withheld privileges, where applications have them.

The vault encrypts values of every kind, and has rows; specgen has workspaces with members, an
encrypted column and no row: what is tried there, the prover makes up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pgstead.app.connection import Figures, read
from pgstead.app.encryption import Encrypted, FileSource, Keys, attach
from pgstead.app.encryption.column import encrypted_columns, sealed_condition
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from pgstead.cli.wiring import access_to
from pgstead.prove.finding import Verdict
from tests.fix_stead import CHECKOUT, SPECGEN, LiveStead, short_directory, stead_in
from tests.live.encryption.vault import Account, Base
from tests.sabotage.damage import Sabotage
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import brief, related, sabotaged

VAULT = """
[[databases]]
name = "vault"
models = "tests.live.encryption.vault:Base"
prefix = "VAULT_"
"""
CAPABILITIES = ("schema", "tenancy", "encryption")
AT_REST = ("ENC-006", "ENC-007")  # the machine's own: test_at_rest.py


def missing_checks() -> Iterator[str]:
    """Yield what gives a CHECK to the columns that other tests write plaintext into."""
    for table in Base.metadata.sorted_tables:
        checked = " ".join(str(c.name) for c in table.constraints)
        for column, kind in encrypted_columns(table):
            if f"{column}_sealed" not in checked:
                condition = sealed_condition(column, textual=kind.textual)
                yield f"ALTER TABLE {table.name} ADD CHECK ({condition})"


def fill(stead: LiveStead) -> None:
    """Make the tables and some rows, these as the application does."""
    owner = stead.wired.design.database("vault")
    assert owner is not None
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: stead.connect("vault_migrator", direct=True, dbname="vault"),
    )
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for statement in missing_checks():
            connection.execute(text(statement))
    engine.dispose()
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
    """Give a stead whose further applications encrypt, and share by membership."""
    directory: Path = short_directory()
    (directory / "tests").symlink_to(CHECKOUT / "tests")
    with stead_in(directory, extra=VAULT + SPECGEN) as stead:
        stead.run("up")
        fill(stead)
        wired = stead.wired
        made = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
        made.baseline = made.prove(*CAPABILITIES).verdicts()
        yield made


def test_applications_that_encrypt_keep_every_promise(vault_scene: Scene) -> None:
    report = vault_scene.prove(*CAPABILITIES)
    # this disk need not be encrypted, and nobody was erased
    other = {*AT_REST, "PII-003", "PII-004", "PII-006"}
    kept = {verdict for code, verdict in report.verdicts().items() if code not in other}
    assert kept == {Verdict.KEPT}, brief(report)


@pytest.mark.parametrize(
    "sabotage", [s for s in sabotages() if s.where == "vault_scene"], ids=lambda s: s.name
)
def test_a_sabotage_of_them_breaks_its_promises_and_no_other(
    vault_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(vault_scene, sabotage, *related(sabotage, every=1))


def test_no_report_of_a_proof_holds_a_plaintext_or_a_key(vault_scene: Scene) -> None:
    told = str(vault_scene.prove("encryption"))
    key = (vault_scene.state / "keys" / "vault.json").read_text()
    assert "the vault holds" not in told
    assert key.split('"key": "')[1][:44] not in told
