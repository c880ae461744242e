"""A table that is used becomes one in parts: no row is rewritten, all that it had is kept."""

from __future__ import annotations

from tests.live.migrate.project import Project
from tests.live.migrate.staging import Writers, helper, schema_of

TABLES = (
    "CREATE TABLE owner (id bigint PRIMARY KEY)",
    "INSERT INTO owner SELECT generate_series(1, 10)",
    """CREATE TABLE item (id bigserial, at timestamptz NOT NULL DEFAULT now(), name text,
       owner_id bigint REFERENCES owner, seen int DEFAULT 0,
       CONSTRAINT item_pkey PRIMARY KEY (id), CONSTRAINT named CHECK (name <> ''))""",
    "CREATE INDEX ix_item_name ON item (lower(name)) WHERE seen = 0",
    "COMMENT ON INDEX ix_item_name IS 'by name'",
    """CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS
       'BEGIN NEW.seen := NEW.seen + 1; RETURN NEW; END'""",
    "CREATE TRIGGER mark BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION mark()",
    "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON item AS PERMISSIVE FOR ALL USING (owner_id < 10)",
    "GRANT SELECT, INSERT ON item TO PUBLIC",
    "GRANT USAGE ON SEQUENCE item_id_seq TO PUBLIC",
    "INSERT INTO item (name, owner_id) SELECT n, n % 10 + 1 FROM generate_series(1, 2000) AS n",
)
WRITES = (
    "INSERT INTO item (name, owner_id) VALUES (%(n)s::text, 1)",
    "UPDATE item SET name = 'x' WHERE id = %(n)s %% 2000",
)
PARTED = (
    'import datetime as dt\nstaged.partition("item", "at",'
    " dt.datetime(2090, 1, 1, tzinfo=dt.timezone.utc), ahead=2)"
)
KEPT = """
    SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'item'::regclass AND contype IN ('c', 'f')
    UNION ALL SELECT polname::text, pg_get_expr(polqual, polrelid) FROM pg_policy
    WHERE polrelid = 'item'::regclass
    UNION ALL SELECT tgname::text, '' FROM pg_trigger
    WHERE tgrelid = 'item'::regclass AND NOT tgisinternal
    UNION ALL SELECT c.relname::text, obj_description(c.oid, 'pg_class') FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = 'item'::regclass AND NOT i.indisprimary
    UNION ALL SELECT grantee::text, privilege_type FROM pg_class, aclexplode(relacl)
    WHERE oid = 'item'::regclass AND grantee <> relowner
    UNION ALL SELECT pg_get_serial_sequence('item', 'id'), relrowsecurity::text FROM pg_class
    WHERE oid = 'item'::regclass
    ORDER BY 1, 2
"""


def test_a_table_in_use_becomes_one_in_parts_with_all_that_it_had(project: Project) -> None:
    project.sql("aa01", *TABLES)
    helper(project, "aa02", PARTED, 'staged.undo_partition("item", "at")')
    project.alembic("upgrade", "aa01")
    schema = schema_of(project, "item")
    kept = project.rows(KEPT)
    ((node,),) = project.rows("SELECT pg_relation_filenode('item')")
    with Writers(project, WRITES).at_work():
        project.up()
    assert project.rows(KEPT) == kept
    # the rows lie where they lay
    assert project.rows("SELECT pg_relation_filenode('item_before')") == [(node,)]
    assert project.rows("SELECT count(*) >= 2000, max(seen) > 0 FROM item") == [(True, True)]
    parts = project.rows(
        "SELECT c.relname::text FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid"
        " WHERE inhparent = 'item'::regclass ORDER BY 1"
    )
    assert parts == [("item_before",), ("item_p2090_01",), ("item_p2090_02",)]
    assert project.rows(
        "SELECT count(*) FROM pg_class AS c, aclexplode(c.relacl) AS a"
        " WHERE c.relispartition AND c.relkind = 'r' AND a.grantee <> c.relowner"
    ) == [(0,)]
    project.execute("INSERT INTO item (at, name, owner_id) VALUES ('2090-02-03Z', 'late', 1)")
    assert project.rows("SELECT tableoid::regclass::text FROM item WHERE name = 'late'") == [
        ("item_p2090_02",)
    ]
    project.alembic("downgrade", "aa01")
    assert project.rows(KEPT) == kept
    assert schema_of(project, "item") == schema
    tables = "SELECT relname::text FROM pg_class WHERE relname ~ '^item' AND relkind IN ('r', 'p')"
    assert project.rows(tables) == [("item",)]
    assert project.rows("SELECT name FROM item WHERE name = 'late'") == [("late",)]
    project.execute("DELETE FROM item WHERE name = 'late'")
    project.up()
    assert project.rows(KEPT) == kept


def test_all_that_hinders_it_is_named_and_the_table_is_as_it_was(project: Project) -> None:
    project.sql(
        "aa01",
        *TABLES,
        "CREATE UNIQUE INDEX one_name ON item (name)",
        "CREATE VIEW items AS SELECT id FROM item",
        "CREATE TABLE part (item_id bigint REFERENCES item (id))",
    )
    helper(project, "aa02", PARTED)
    project.alembic("upgrade", "aa01")
    before = project.rows(KEPT)
    told = project.alembic("upgrade", "aa02", fails=True)
    for hindrance in ("one_name is unique without at", "the view items", "part refers to it"):
        assert hindrance in told
    assert project.rows(KEPT) == before
