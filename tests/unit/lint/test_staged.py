"""What is written with `pgstead.app.staged` is what the lint asks for, so it finds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import indent

import pytest

from pgstead.host.revisions import AlembicRevisions
from pgstead.host.squawk import Squawk
from pgstead.lint.finding import Level
from pgstead.lint.scene import Surroundings
from pgstead.model.revision import RevisionScript
from pgstead.workflows.lint import lint
from tests.unit.lint.corpus.case import revision
from tests.unit.lint.corpus.written import ROLES, folder

TABLES = (
    "CREATE TABLE owner (id bigint PRIMARY KEY)",
    "CREATE TABLE item (id bigint PRIMARY KEY, name text, owner_id bigint, price numeric(10,2))",
    "CREATE TABLE part (id bigint PRIMARY KEY, tenant_id text, name text, at timestamptz NOT NULL)",
    "CREATE INDEX ix_part ON part (tenant_id, id)",
    "ALTER TABLE part ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE part FORCE ROW LEVEL SECURITY",
    "CREATE POLICY p ON part TO shop_app USING (tenant_id = current_setting('app.tenant'))",
)
CHANGE = (
    "change = staged.Replacement('item', 'price', 'cents', 'numeric(10,2)', 'bigint',"
    " forward='(price * 100)::bigint', backward='cents / 100.0', nullable=False,"
    " old_default='0', new_default='0')\n"
)
MOMENT = "import datetime as dt\n"
HELPERS: dict[str, tuple[str, str]] = {  # name: upgrade, downgrade
    "not_null": ("staged.add_not_null('item', 'name')", "staged.drop_not_null('item', 'name')"),
    "check": ("staged.add_check('c', 'item', 'price > 0')", "staged.drop_check('c', 'item')"),
    "key": (
        "staged.add_foreign_key('f', 'item', ['owner_id'], 'owner', index='ix_item_owner_id')",
        "staged.drop_foreign_key('f', 'item', index='ix_item_owner_id')",
    ),
    "unique": (
        "staged.add_unique('u', 'item', ['name'])",
        "staged.drop_unique('u', 'item')",
    ),
    "index": (
        "staged.create_index('i', 'item', [sa.text('lower(name)')], where='id > 5')",
        "staged.drop_index('i', 'item')",
    ),
    "backfill": ("staged.backfill('item', {'name': 'upper(name)'}, where='name IS NULL')", "pass"),
    "hidden": (
        "with staged.every_row('part'):\n    staged.backfill('part', {'name': 'upper(name)'})",
        "pass",
    ),
    "partition": (
        f"{MOMENT}staged.partition('part', 'at', dt.datetime(2090, 1, 1, tzinfo=dt.UTC))",
        "staged.undo_partition('part', 'at')",
    ),
    "expand": (f"{CHANGE}staged.expand(change)", f"{CHANGE}staged.undo_expand(change)"),
    "contract": (f"{CHANGE}staged.contract(change)", f"{CHANGE}staged.undo_contract(change)"),
}


def written(place: Path, revisions: Mapping[str, tuple[str, str]]) -> tuple[RevisionScript, ...]:
    """Return a history: the tables, then revisions in order."""
    texts = {"start": revision("start", None, TABLES)}
    parent = "start"
    for name, (up, down) in revisions.items():
        body = revision(name, parent, (), "pass").split("\n\ndef upgrade")[0]
        texts[name] = (
            f"{body}\nfrom pgstead.app import staged\n\n\n"
            f"def upgrade():\n{indent(up, '    ')}\n\n\n"
            f"def downgrade():\n{indent(down, '    ')}\n"
        )
        parent = name
    return AlembicRevisions(folder(place, texts)).written(".", ROLES)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[RevisionScript, ...]:
    """Give a history with a revision for each helper."""
    return written(tmp_path_factory.mktemp("staged"), HELPERS)


@pytest.mark.parametrize("mapped", [False, True], ids=["unmapped", "mapped"])
def test_nothing_is_found_in_revisions_of_helpers(
    history: tuple[RevisionScript, ...], mapped: bool
) -> None:
    models = {"item": frozenset({"id", "name", "owner_id", "cents"})} if mapped else {}
    around = Surroundings(roles=ROLES, mapped=models)
    report = lint(history, frozenset(HELPERS), around, Squawk())
    assert [f for f in report.findings if f.level is not Level.NOTE] == []


def test_a_column_that_is_contracted_while_models_map_it_is_told(
    history: tuple[RevisionScript, ...],
) -> None:
    around = Surroundings(roles=ROLES, mapped={"item": frozenset({"price"})})
    report = lint(history, frozenset({"contract"}), around, None)
    assert "drop-column-still-mapped" in {f.rule for f in report.findings}


def test_a_statement_beside_a_helper_is_told(tmp_path: Path) -> None:
    both = "op.execute('ALTER TABLE item ADD COLUMN x int')\nstaged.add_not_null('item', 'x')"
    history = written(tmp_path, {"both": (both, "op.execute('ALTER TABLE item DROP COLUMN x')")})
    report = lint(history, frozenset({"both"}), Surroundings(roles=ROLES), None)
    assert {f.rule for f in report.findings} >= {"autocommit-not-alone"}


def test_each_stage_is_a_transaction_of_its_own(history: tuple[RevisionScript, ...]) -> None:
    (script,) = (r for r in history if r.name == "not_null")
    statements = script.upgrade.statements
    words = [s.text.split("item ", 1)[1].split(" (")[0] for s in statements]
    assert [word.split()[0] for word in words] == ["ADD", "VALIDATE", "ALTER", "DROP"]
    assert len({s.transaction for s in statements}) == 3
    assert all(s.staged and s.transactional for s in statements)
