"""`pgstead migrate ...` on histories as they are, and as they should not be."""

from __future__ import annotations

import json

import pytest

from tests.live.migrate.project import Project

TABLE = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"


def test_an_empty_history_is_no_error(project: Project) -> None:
    assert project.pgstead("status").out == f"{project.database}: at nothing, nothing pending\n"
    assert project.pgstead("history").out == f"{project.database}:\n"
    assert "nothing to do" in project.pgstead("up").out


def test_what_is_pending_is_told_applied_and_then_history(project: Project) -> None:
    project.sql("aa01", TABLE)
    project.sql("aa02", "ALTER TABLE item ADD COLUMN size int")
    said = project.pgstead("status", status=3).out
    assert "2 pending" in said
    assert project.program("status", status=3).out == said
    assert "aa02  the revision aa02" in said
    assert "aa01 applied in" in project.pgstead("up", "--to", "aa01").out
    told = json.loads(project.pgstead("up", "--reason", "ticket 812", "--json").out)
    assert [step["revision"] for step in told[project.database]["steps"]] == ["aa02"]
    assert "nothing pending" in project.pgstead("status").out
    assert "applied" in project.pgstead("history").out
    assert "ticket 812" in project.pgstead("history", "--ledger").out


def test_the_statements_are_printed_and_none_is_run(project: Project) -> None:
    project.sql("aa01", TABLE, down="DROP TABLE item")
    assert TABLE in project.pgstead("sql", project.database).out
    assert "DROP TABLE item" in project.pgstead("sql", project.database, "aa01", "--down").out
    assert project.rows("SELECT to_regclass('item')") == [(None,)]


def test_a_new_revision_has_a_docstring_and_a_way_back(project: Project) -> None:
    project.sql("aa01", TABLE)
    project.pgstead("up")
    said = project.pgstead("new", project.database, "-m", "fill names", "--empty").out
    text = (project.folder / said.strip()).read_text()
    assert '"""fill names.' in text
    assert "def downgrade() -> None:" in text
    assert 'down_revision = "aa01"' in text


def test_what_is_generated_can_go_both_ways_and_leaves_nothing_to_generate(
    project: Project,
) -> None:
    project.sql("aa01", TABLE)  # and the models know of no table
    project.pgstead("up")
    path = project.folder / project.pgstead("new", project.database, "-m", "no item").out.strip()
    text = path.read_text()
    assert "op.drop_table(" in text
    assert "op.create_table(" in text
    project.pgstead("up")
    said = project.pgstead("new", project.database, "-m", "more").out
    assert said == f"{project.database}: models and database agree, no revision was written\n"
    project.alembic("downgrade", "-1")
    assert project.rows("SELECT to_regclass('item') IS NOT NULL") == [(True,)]


def broken_two_heads(project: Project) -> None:
    project.sql("aa02", "SELECT 1")
    project.revision("aa03", "pass", parent="aa01")


def broken_missing_parent(project: Project) -> None:
    project.revision("aa02", "pass", parent="aa0l")


def broken_duplicate(project: Project) -> None:
    path = project.sql("aa02", "SELECT 1")
    path.with_name("copy.py").write_text(path.read_text())


def broken_syntax(project: Project) -> None:
    path = project.sql("aa02", "SELECT 1")
    path.write_text(path.read_text() + "\ndef (:\n")


def broken_loop(project: Project) -> None:
    project.revision("aa02", "pass", parent="aa03")
    project.revision("aa03", "pass", parent="aa02")


@pytest.mark.parametrize(
    ("breaks", "kind", "words"),
    [
        (broken_two_heads, "two-heads", "--merge"),
        (broken_missing_parent, "missing-parent", "comes after aa0l, which no file has; aa01"),
        (broken_duplicate, "duplicate", "copy.py"),
        (broken_syntax, "unreadable", "line "),
        (broken_loop, "loop", "aa02, aa03"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_history_is_explained_and_nothing_of_it_is_run(
    project: Project, breaks: object, kind: str, words: str
) -> None:
    project.sql("aa01", TABLE)
    assert callable(breaks)
    breaks(project)
    said = project.pgstead("status", status=3).out
    assert f"{kind}: " in said
    assert words in said
    assert "hint: " in project.pgstead("up", status=1).err
    assert project.rows("SELECT to_regclass('item')") == [(None,)]


def test_two_heads_are_merged_by_the_command_that_is_named(project: Project) -> None:
    project.sql("aa01", TABLE)
    broken_two_heads(project)
    project.pgstead("new", project.database, "-m", "merge", "--merge")
    project.pgstead("up")
    said = project.pgstead("down", project.database, "-1", status=2).err
    assert "merges aa02 and aa03" in said or "merges aa03 and aa02" in said


def test_an_edited_a_deleted_and_a_foreign_revision_are_told_apart(project: Project) -> None:
    path = project.sql("aa01", TABLE)
    project.pgstead("up")
    text = path.read_text()
    path.write_text(text.replace("name text", "name varchar(9)"))
    said = project.pgstead("status", status=3).out
    assert "edited: " in said
    assert "varchar(9)" in said
    path.unlink()
    assert "deleted: " in project.pgstead("status", status=3).out
    assert project.pgstead("history", project.database, "--show", "aa01").out == text
    path.write_text(text)
    project.execute("UPDATE alembic_version SET version_num = 'ffff'")
    said = project.pgstead("status", status=3).out
    assert "foreign: " in said
    assert "moved: " in said
    assert "ffff" in project.pgstead("up", status=1).err


def test_a_statement_that_fails_is_told_with_the_servers_words(project: Project) -> None:
    project.sql("aa01", TABLE, "ALTER TABLE nothing ADD COLUMN x int")
    said = project.pgstead("up", status=1).err
    assert 'relation "nothing" does not exist' in said
    assert "Traceback" not in said
    assert project.rows("SELECT to_regclass('item')") == [(None,)]


def test_rows_that_violate_a_constraint_are_told_by_their_keys_alone(project: Project) -> None:
    project.sql("aa01", TABLE, "INSERT INTO item VALUES (1, 'Ann'), (2, 'Ann'), (3, 'Bob')")
    project.pgstead("up")
    project.sql("aa02", "CREATE UNIQUE INDEX item_name ON item (name)")
    for said in (project.program("up", status=1).err, project.up(fails=True)):
        assert "rows violate unique constraint item_name of item (name): 2 row(s), id 1, 2;" in said
        assert "says what was; decide which of the rows" in said
        assert "Ann" not in said
        assert "Traceback" not in said
    project.execute("UPDATE item SET name = 'Eve' WHERE id = 2")
    assert "aa02 applied" in project.pgstead("up").out


def test_a_downgrade_that_fails_half_way_leaves_everything(project: Project) -> None:
    down = "op.execute('DROP TABLE other')\nop.execute('DROP TABLE nothing')"
    project.revision("aa01", f"op.execute({TABLE!r})\nop.execute('CREATE TABLE other ()')", down)
    project.pgstead("up")
    assert 'table "nothing" does not exist' in project.alembic("downgrade", "-1", fails=True)
    assert project.rows("SELECT version_num FROM alembic_version") == [("aa01",)]
    assert project.rows("SELECT to_regclass('other') IS NOT NULL") == [(True,)]
    assert project.applied() == [("aa01", "up")]


def test_a_stamp_is_in_the_ledger_too(project: Project) -> None:
    project.sql("aa01", TABLE)
    project.sql("aa02", "SELECT 1")
    project.alembic("stamp", "head")
    assert project.applied() == [("aa02", "stamp")]
    assert "nothing pending" in project.pgstead("status").out
