"""The gate before production: `pgstead up` and `pgstead migrate up|down` on a production stead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgstead.cli.wiring import access_to
from pgstead.host import histories, rehearsals
from pgstead.host.files import LocalFiles
from pgstead.model.layout import Layout
from pgstead.model.rehearsal import Rehearsed
from tests.fix_stead import LiveStead, workplace
from tests.free_ports import free_ports
from tests.live.migrate.project import write_history, write_revision
from tests.sabotage.damage import Sabotage
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import once_sabotaged, related

pytestmark = pytest.mark.live

_MANIFEST = """\
version = 1
name = "gate"
environment = "production"
[server]
port = {port}
memory = "2GB"
[pooler]
enabled = false
[backup]
enabled = false
[[databases]]
name = "shop"
migrations = "shop"
"""


class Production(LiveStead):
    """A production stead with one database and a history of its own."""

    last: str | None = None

    @property
    def history(self) -> Path:
        return self.directory / "shop"

    def revision(self, name: str, statement: str, down: str = "SELECT 1") -> Path:
        path = write_revision(
            self.history / "migrations" / "versions" / f"{name}.py",
            name,
            f"op.execute({statement!r})",
            f"op.execute({down!r})",
            self.last,
        )
        self.last = name
        return path

    def rehearsed(self, *names: str, age: timedelta = timedelta(0), **given: Any) -> None:
        """Leave behind what a rehearsal of these revisions leaves."""
        digests = {
            file.name: file.digest
            for file in histories.read(self.history, self.directory)
            if file.name in names
        }
        at = (datetime.now(UTC) - age).isoformat(timespec="milliseconds")
        told = {"start": (), "revisions": digests, "at": at, "problems": (), "report": "r.json"}
        layout = Layout(self.wired.design.layout.state, self.wired.design.layout.state.parent)
        rehearsals.keep(layout, LocalFiles(layout.state), Rehearsed("shop", **{**told, **given}))

    def at(self) -> str:
        with self.superuser("shop") as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        return ", ".join(row["version_num"] for row in rows)

    def ledger(self) -> list[dict[str, Any]]:
        with self.superuser("shop") as connection:
            return connection.execute(
                "SELECT * FROM pgstead_migrations.applied ORDER BY id"
            ).fetchall()

    def journal(self) -> list[dict[str, Any]]:
        lines = (self.state / "journal.jsonl").read_text().splitlines()
        return [told for told in map(json.loads, lines) if told["event"] == "migration-gate"]


@pytest.fixture(scope="module")
def production() -> Iterator[Production]:
    with workplace() as place:
        (port,) = free_ports(1)
        (place / "pgstead.toml").write_text(_MANIFEST.format(port=port))
        made = Production(place, port, port, port)
        write_history(place / "shop", "SHOP_", "shop")
        made.link_toolchain()
        made.revision("aa01", "CREATE TABLE item (id bigint PRIMARY KEY, name text)")
        made.run("up")
        yield made
        made.run("destroy", "--yes")


def test_an_empty_database_has_nothing_to_lose(production: Production) -> None:
    (line,) = production.ledger()
    assert line["reason"] == "[gate: empty database]"
    assert production.journal()[0]["revisions"] == ["aa01"]


def test_all_that_is_not_met_is_told_at_once_and_nothing_is_touched(
    production: Production,
) -> None:
    add, drop = "ALTER TABLE item ADD COLUMN size int", "ALTER TABLE item DROP COLUMN size"
    production.revision("aa02", add, drop)
    path = production.revision("aa03", "ALTER TABLE item ALTER COLUMN id TYPE text")
    told = production.json("migrate", "up", status=3)
    assert [u["condition"] for u in told["unmet"]] == ["lint", "rehearsal", "backup"]
    assert "shop: backup: unproven: the manifest asks for no backups" in told["message"]
    assert "way out: `pgstead migrate rehearse shop`" in told["message"]
    assert "--override REASON" in told["hint"]
    assert told["error"] == "gate"
    path.unlink()
    production.rehearsed("aa02")
    told = production.json("up", status=3)
    assert [u["condition"] for u in told["unmet"]] == ["backup"]
    assert production.at() == "aa01"
    assert len(production.ledger()) == 1


def test_an_override_says_who_went_on_and_what_was_skipped(production: Production) -> None:
    done = production.json("migrate", "up", "--override", "the site is down", "--reason", "t 812")
    (skipped,) = done["shop"]["skipped"]
    assert skipped["condition"] == "backup"
    point = done["shop"]["restore_point"]
    assert point.startswith("pgstead-shop-aa02-")
    line = production.ledger()[-1]
    assert (
        line["reason"] == "t 812 [gate: override 'the site is down', skipped backup (unproven);"
        f" restore point {point}]"
    )
    assert line["role"] == "shop_migrator"
    assert "the site is down" in production.run("migrate", "history").stdout
    kept = production.journal()[-1]
    assert kept["restore_point"] == point
    assert kept["override"] == "the site is down"
    assert kept["role"] == "shop_migrator"
    assert kept["person"] == line["person"]
    assert kept["skipped"][0]["condition"] == "backup"


def test_the_way_back_goes_through_the_same_gate(production: Production) -> None:
    done = production.json("migrate", "down", "shop", "-1", "--override", "it was wrong")
    assert [skipped["condition"] for skipped in done["shop"]["skipped"]] == ["backup"]
    assert done["shop"]["restore_point"].startswith("pgstead-shop-aa02-")
    assert production.at() == "aa01"


def test_bringing_up_goes_through_the_same_gate(production: Production) -> None:
    production.run("up", "--override", "first backup comes tomorrow")
    assert production.at() == "aa02"
    reason = production.ledger()[-1]["reason"]
    assert "override 'first backup comes tomorrow', skipped backup (unproven)" in reason
    assert "restore point pgstead-shop-aa02-" in reason


@pytest.mark.parametrize(
    "sabotage", [s for s in sabotages() if s.where == "production"], ids=lambda s: s.name
)
def test_a_promise_for_production_breaks_under_its_sabotage(
    production: Production, sabotage: Sabotage
) -> None:
    wired = production.wired
    scene = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
    once_sabotaged(scene, sabotage, *related(sabotage))


def test_plain_alembic_says_that_nobody_looked(production: Production) -> None:
    connection = production.state / "connections" / "shop.json"
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "downgrade", "-1"],
        cwd=production.history,
        env={**os.environ, "PGSTEAD_CONNECTION": str(connection)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "plain alembic asks for no rehearsal, backup or restore point" in done.stderr
    assert production.ledger()[-1]["reason"] is None
