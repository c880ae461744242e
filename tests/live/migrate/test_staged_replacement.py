"""Expand and contract: two releases of an application on one schema, and then one."""

from __future__ import annotations

import pytest

from tests.live.migrate.project import Project
from tests.live.migrate.staging import SCHEMA, Writers, helper, kill_at, spy

TABLES = (
    "CREATE TABLE owner (id bigint)",
    "CREATE TABLE item (id int PRIMARY KEY, price numeric(10,2) NOT NULL DEFAULT 0, note text)",
    "INSERT INTO item SELECT n, n / 100.0 FROM generate_series(1, 2000) AS n",
)
CHANGE = (
    'change = staged.Replacement("item", "price", "cents", "numeric(10,2)", "bigint",'
    ' forward="(price * 100)::bigint", backward="cents / 100.0", nullable=False,'
    ' old_default="0", new_default="0", pace=staged.Pace(largest=50, active=1000))\n'
)
OLD = (  # the release that knows price, and not cents
    "INSERT INTO item (id, price) VALUES (%(n)s, %(n)s / 100.0)",
    "UPDATE item SET price = price + 1 WHERE id = %(n)s",
    "UPDATE item SET price = 3 WHERE id = %(n)s %% 2000",
)
NEW = (
    "INSERT INTO item (id, cents) VALUES (-%(n)s, %(n)s)",
    "UPDATE item SET cents = cents + 100 WHERE id = -%(n)s",
    "UPDATE item SET cents = 400 WHERE id = %(n)s %% 2000",
)


def expand(project: Project, name: str = "aa02") -> None:
    helper(project, name, f"{CHANGE}staged.expand(change)", f"{CHANGE}staged.undo_expand(change)")


def contract(project: Project, name: str = "aa03") -> None:
    helper(
        *(project, name, f"{CHANGE}staged.contract(change)"),
        f"{CHANGE}staged.undo_contract(change)",
    )


def test_both_releases_run_while_a_column_is_replaced(project: Project) -> None:
    project.sql("aa01", *TABLES)
    project.up()
    before = project.rows(SCHEMA)
    spy(project)
    expand(project)
    with Writers(project, OLD).at_work():
        killed = kill_at(project, 4)  # behind the first stage
        project.up()
        with Writers(project, NEW).at_work():
            pass
    assert killed
    assert project.rows("SELECT count(*) FROM item WHERE cents <> price * 100") == [(0,)]
    assert "column cents bigint true" in {row for (row,) in project.rows(SCHEMA)}
    expanded = project.rows(SCHEMA)
    contract(project)
    with Writers(project, NEW, first=2_000_000).at_work():
        project.up()
    contracted = project.rows(SCHEMA)
    assert not [row for (row,) in contracted if "price" in row or "mirror" in row]
    assert project.rows("INSERT INTO item (id) VALUES (0) RETURNING cents") == [(0,)]
    cents = project.rows("SELECT id, cents FROM item ORDER BY 1")
    project.alembic("downgrade", "aa02")
    assert project.rows(SCHEMA) == expanded
    assert project.rows("SELECT id, round(price * 100)::bigint FROM item ORDER BY 1") == cents
    project.alembic("downgrade", "aa01")
    assert project.rows(SCHEMA) == before
    project.up()
    assert project.rows(SCHEMA) == contracted
    assert project.rows("SELECT id, cents FROM item ORDER BY 1") == cents


def test_what_hangs_on_the_old_column_is_named_and_has_to_be_carried_over(
    project: Project,
) -> None:
    project.sql(
        "aa01",
        *TABLES,
        "CREATE INDEX by_price ON item (price)",
        "ALTER TABLE item ADD CONSTRAINT positive CHECK (price >= 0)",
        "CREATE VIEW dear AS SELECT id FROM item WHERE price > 5",
    )
    expand(project)
    assert "before item.price can be dropped" in project.up()
    contract(project)
    said = project.up(fails=True)
    for words in ("index by_price", "constraint positive", "view dear", "cannot be dropped yet"):
        assert words in said
    assert "Traceback" not in said
    project.execute(
        "DROP VIEW dear; DROP INDEX by_price; ALTER TABLE item DROP CONSTRAINT positive"
    )
    project.up()


def test_a_column_is_renamed_with_its_nulls_and_neither_write_is_lost(project: Project) -> None:
    project.sql("aa01", *TABLES, "UPDATE item SET note = id WHERE id % 2 = 0")
    rename = 'change = staged.Replacement("item", "note", "remark", "text", "text")\n'
    helper(project, "aa02", f"{rename}staged.expand(change)", f"{rename}staged.undo_expand(change)")
    project.up()
    both = "SELECT id, note, remark FROM item WHERE id IN (1, 2, 4, 6, -1, -2, -3) ORDER BY id"
    for statement in (
        "UPDATE item SET note = NULL WHERE id = 2",
        "UPDATE item SET remark = NULL WHERE id = 4",
        "UPDATE item SET note = 'a', remark = 'b' WHERE id = 6",
        "INSERT INTO item (id, note) VALUES (-1, 'old')",
        "INSERT INTO item (id, remark) VALUES (-2, 'new')",
        "INSERT INTO item (id) VALUES (-3)",
    ):
        project.execute(statement)
    assert project.rows(both) == [
        (-3, None, None),
        (-2, "new", "new"),
        (-1, "old", "old"),
        (1, None, None),
        (2, None, None),
        (4, None, None),
        (6, "b", "b"),
    ]
    assert project.rows("SELECT count(*) FROM item WHERE note IS DISTINCT FROM remark") == [(0,)]


def test_a_type_that_does_not_fit_is_found_before_rows_are_touched(project: Project) -> None:
    project.sql("aa01", *TABLES)
    helper(
        project,
        "aa02",
        'staged.expand(staged.Replacement("item", "note", "number", "text", "int"))',
    )
    assert 'column "number" is of type integer but expression is of type text' in project.up(
        fails=True
    )


MODELS = """
    from sqlalchemy import Column, Integer, MetaData, Numeric, BigInteger, Table, Text, text

    metadata = MetaData()
    Table(
        "item", metadata, Column("id", Integer, primary_key=True), {column}, Column("note", Text)
    )
"""


@pytest.mark.parametrize(
    "column",
    [
        'Column("price", Numeric(10, 2), nullable=False, server_default=text("0"))',
        'Column("cents", BigInteger, nullable=False, server_default=text("0"))',
    ],
    ids=["old", "new"],
)
def test_models_of_either_release_agree_with_the_expanded_schema(
    project: Project, column: str
) -> None:
    project.sql("aa01", *TABLES[1:])
    expand(project)
    project.up()
    environment = project.folder / "migrations" / "env.py"
    lines = "\n".join(line.strip() for line in MODELS.format(column=column).splitlines())
    environment.write_text(environment.read_text().replace("MetaData()", "metadata", 1))
    environment.write_text(f"{lines}\n{environment.read_text()}")
    said = project.alembic("check")
    assert "No new upgrade operations detected" in said
    assert "is being replaced" in said
