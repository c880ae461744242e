"""Rows that a migration cannot have are named by constraint, columns, number and key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from tests.live.migrate.project import Project
from tests.live.scratch import Scratch

# Ann, Bob and what they write are personal values, and never told
SCHEMA = """
CREATE EXTENSION btree_gist;
CREATE SCHEMA "od d";
CREATE TABLE team (id uuid PRIMARY KEY, name text);
CREATE TABLE item (id bigint PRIMARY KEY, name text, size int, team uuid, "by {it}" text);
CREATE TABLE booking (room int, day int, note text, PRIMARY KEY (room, day));
CREATE TABLE person (email text PRIMARY KEY, age int);
CREATE TABLE "od d"."we""ird" (name text);
CREATE TABLE secret (id bigint PRIMARY KEY, name text, team uuid);
CREATE TABLE part (id bigint, at int, name text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
INSERT INTO team VALUES ('00000000-0000-7000-8000-000000000001', 'Ann');
INSERT INTO item SELECT n, CASE WHEN n <= 8 THEN 'Ann' ELSE 'x' || n END, n - 2,
  CASE WHEN n = 9 THEN '00000000-0000-7000-8000-00000000000f'::uuid
       WHEN n = 8 THEN '00000000-0000-7000-8000-000000000001'::uuid END,
  CASE WHEN n > 18 THEN 'Bob' END
  FROM generate_series(1, 20) AS n;
INSERT INTO booking VALUES (1, 1, 'Ann'), (1, 2, 'Ann'), (2, 1, NULL);
INSERT INTO person VALUES ('ann@example.com', -1), ('bob@example.com', 40000);
INSERT INTO "od d"."we""ird" VALUES ('Ann'), (NULL);
INSERT INTO secret VALUES (1, 'Ann', '00000000-0000-7000-8000-00000000000f'), (2, 'Ann', NULL),
  (3, NULL, NULL);
INSERT INTO part VALUES (1, 1, 'Ann'), (2, 11, NULL);
ALTER TABLE item ADD CONSTRAINT small CHECK (size < 17) NOT VALID;
ALTER TABLE item ADD CONSTRAINT of_team FOREIGN KEY (team) REFERENCES team NOT VALID;
"""
HIDE = """
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON secret USING (name = current_setting('app.name', true));
"""
LIFT, PUT_BACK = (f"ALTER TABLE secret {no} FORCE ROW LEVEL SECURITY" for no in ("NO", ""))
A_NUMBER = 'CASE WHEN "by {it}" = \'9,)(\' THEN 1 ELSE "by {it}"::int END'


@dataclass(frozen=True)
class Case:
    """Statements of a revision, and what has to be told."""

    statements: tuple[str, ...]
    words: str


def case(words: str, *statements: str) -> Case:
    return Case(statements, words)


CASES = {
    "not null": case(
        "NOT NULL of item (by {it}): 18 row(s), id 1, 2, 3, 4, 5, ...",
        'ALTER TABLE item ALTER COLUMN "by {it}" SET NOT NULL',
    ),
    "a new column": case(
        "NOT NULL of item (extra): 20 row(s), id 1,",
        "ALTER TABLE item ADD COLUMN extra int NOT NULL",
    ),
    "a key without numbers": case(
        "check constraint grown of person (age): 1 row(s), ctid (0,1);",
        "ALTER TABLE person ADD CONSTRAINT grown CHECK (age > 0)",
    ),
    "no key, an odd name": case(
        'NOT NULL of od d.we"ird (name): 1 row(s), ctid (0,2);',
        'ALTER TABLE "od d"."we""ird" ALTER name SET NOT NULL',
    ),
    "check": case(
        "check constraint odd of item (name, size): 2 row(s), id 1, 2;",
        "ALTER TABLE item ADD COLUMN z int, ADD CONSTRAINT odd"
        " CHECK (item.size > 0 AND name NOT IN (')', $$;,($$)), ALTER COLUMN size SET DEFAULT 3",
    ),
    "unnamed check": case(
        "check constraint item_size_check of item (size): 1 row(s), id 1;",
        "ALTER TABLE item ADD CHECK (size >= 0)",
    ),
    "validate check": case(
        "check constraint small of item (size): 2 row(s), id 19, 20;",
        "ALTER TABLE item VALIDATE CONSTRAINT small",
    ),
    "validate at once": case(
        "check constraint tiny of item (size): 18 row(s), id 3, 4, 5, 6, 7, ...;",
        "ALTER TABLE item ADD CONSTRAINT tiny CHECK (size < 1) NOT VALID",
        "ALTER TABLE item VALIDATE CONSTRAINT tiny",
    ),
    "foreign key": case(
        "foreign key teams of item (team): 1 row(s), id 9;",
        "ALTER TABLE item ADD CONSTRAINT teams FOREIGN KEY (team) REFERENCES team (id)"
        " ON DELETE CASCADE",
    ),
    "foreign key to the key": case(
        "foreign key item_team_fkey of item (team): 1 row(s), id 9;",
        "ALTER TABLE item ADD FOREIGN KEY (team) REFERENCES team",
    ),
    "validate foreign key": case(
        "foreign key of_team of item (team): 1 row(s), id 9;",
        "ALTER TABLE item VALIDATE CONSTRAINT of_team",
    ),
    "unique": case(
        "unique constraint named of item (name): 8 row(s), id 1, 2, 3, 4, 5, ...;",
        "ALTER TABLE item ADD CONSTRAINT named UNIQUE (name)",
    ),
    "unique index": case(
        "unique constraint N of item (name, size): 4 row(s), id 1, 2, 3, 4;",
        'CREATE UNIQUE INDEX "N" ON item USING btree (lower(name) DESC, (size / 4)) WHERE size < 3',
    ),
    "unique with nulls": case(
        "unique constraint of_it of item (by {it}): 20 row(s), id",
        'CREATE UNIQUE INDEX of_it ON item ("by {it}") NULLS NOT DISTINCT',
    ),
    "several columns in the key": case(
        "unique constraint rooms of booking (room): 2 row(s), (room, day) (1, 1), (1, 2);",
        "CREATE UNIQUE INDEX rooms ON booking (room)",
    ),
    "exclusion": case(
        "exclusion constraint apart of booking (room, note): 2 row(s), (room, day) (1, 1), (1, 2);",
        "ALTER TABLE booking ADD CONSTRAINT apart EXCLUDE USING gist"
        " (room WITH =, (note) WITH =) WHERE (day < 9)",
    ),
    "type": case(
        "do not fit the type integer of item (by {it}): 2 row(s), id 19, 20;",
        f'ALTER TABLE item ALTER COLUMN "by {{it}}" TYPE integer USING {A_NUMBER}',
    ),
    "shorter text": case(
        "do not fit the type varchar(2) of item (name): 19 row(s), id",
        "ALTER TABLE item ALTER COLUMN name TYPE varchar(2)",
    ),
    "smaller number": case(
        "do not fit the type smallint of person (age): 1 row(s), ctid (0,2);",
        "ALTER TABLE person ALTER COLUMN age SET DATA TYPE smallint",
    ),
    "hidden nulls": case(
        "NOT NULL of secret (name): 1 row(s), id 3;",
        "ALTER TABLE secret ALTER name SET NOT NULL",
    ),
    "hidden duplicates": case(
        "unique constraint secrets of secret (name): 2 row(s), id 1, 2;",
        "CREATE UNIQUE INDEX secrets ON secret (name)",
    ),
    "hidden orphans": case(
        "foreign key orphans of secret (team): 1 row(s), id 1;",
        LIFT,
        "ALTER TABLE secret ADD CONSTRAINT orphans FOREIGN KEY (team) REFERENCES team",
        PUT_BACK,
    ),
    "partition": case(
        "NOT NULL of part_2 (name): 1 row(s), (id, at) (2, 11);",
        "ALTER TABLE part ALTER name SET NOT NULL",
    ),
    "in a block": case(
        "NOT NULL of item (by {it}): 18 row(s), id 1, 2, 3, 4, 5, ...",
        'DO $$ BEGIN ALTER TABLE item ALTER COLUMN "by {it}" SET NOT NULL; END $$',
    ),
    "what the statement writes": case(
        "NOT NULL of item (id): the statement itself would",
        "UPDATE item SET id = NULL WHERE name = 'Ann'",
    ),
    "what the statement writes twice": case(
        "unique constraint person_pkey of person (email): the statement itself would",
        "UPDATE person SET email = 'Ann'",
    ),
    "what the revision wrote": case(
        "check constraint old of person (age): none is left after the rollback",
        "UPDATE person SET age = 200000 WHERE email LIKE 'bob%'",
        "ALTER TABLE person ADD CONSTRAINT old CHECK (age < 200000)",
    ),
    "what is rolled back": case(
        "unique constraint twice of fresh (name): how many could not be told",
        "CREATE TABLE fresh AS SELECT 'Ann' AS name FROM generate_series(1, 2)",
        "CREATE UNIQUE INDEX twice ON fresh (name)",
    ),
}


@pytest.fixture(scope="module")
def filled(scratch: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a database with rows, at its first revision."""
    project = Project(scratch, tmp_path_factory.mktemp("violated") / "project", "violated")
    project.sql("aa01", "SELECT 1")
    project.pgstead("up")
    with scratch.admin(project.database) as admin:
        admin.execute("SET role = violated_owner")
        admin.execute(b"RESET ROLE; CREATE EXTENSION btree_gist; SET ROLE violated_owner")
        admin.execute(SCHEMA.replace("CREATE EXTENSION btree_gist;", "").encode())
        admin.execute(HIDE.encode())
    return project


@pytest.fixture
def revised(filled: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Give what tries a revision that has to fail, and returns what is said."""
    written: list[Path] = []
    monkeypatch.setenv("PGSTEAD_CONNECTION", str(filled.connection))
    monkeypatch.chdir(filled.folder)
    number = next(_NUMBERS)

    def attempt(*statements: str) -> str:
        filled.last = "aa01"
        written.append(filled.sql(f"bb{number:02}", *statements))
        with pytest.raises(CommandError) as refused:
            command.upgrade(Config("alembic.ini"), "head")
        assert refused.value.__cause__ is None or "Ann" not in str(
            refused.value.__cause__.__cause__
        )
        return str(refused.value)

    yield attempt
    for path in written:
        path.unlink()


_NUMBERS = count()


@pytest.mark.parametrize("name", CASES)
def test_rows_that_violate_are_counted_and_shown_by_their_keys(
    revised: Callable[..., str], filled: Project, name: str
) -> None:
    said = revised(*CASES[name].statements)
    assert CASES[name].words in said
    assert "\nhint: " in said
    assert not {"Ann", "Bob", "ann@example.com"} & set(said.replace("'", " ").split())
    # and nothing of the revision, or of looking, is left
    assert filled.rows("SELECT version_num FROM alembic_version") == [("aa01",)]
    assert filled.rows("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'secret'") == [
        (True,)
    ]
