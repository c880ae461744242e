"""What is read from a statement's text before it is sent."""

from __future__ import annotations

import pytest

from pgstead.app.guard import read


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("SELECT notes FROM documents", {"documents"}),
        ("SELECT a, notes FROM documents WHERE b IN (1, 2)", {"documents"}),
        ("SELECT * FROM a, b AS x, public.c WHERE d = e", {"a", "b", "c"}),
        ('SELECT * FROM "Notes" JOIN "public"."lines" ON true', {"notes", "lines"}),
        ("SELECT (SELECT count(*) FROM a), x FROM b", {"a", "b"}),
        (
            "WITH w AS (SELECT * FROM a) SELECT * FROM w LEFT JOIN LATERAL (TABLE c) t ON true",
            {"a", "w", "c"},
        ),
        ("INSERT INTO notes (id, body) VALUES (1, 'from lines')", {"notes"}),
        ("UPDATE ONLY notes SET body = 'x' FROM lines WHERE true", {"notes", "lines"}),
        ("DELETE FROM notes USING lines, more WHERE true", {"notes", "lines", "more"}),
        ("SELECT 'FROM notes' -- FROM lines\n, $$FROM more$$ /* FROM other */", set()),
        ("SELECT * FROM a JOIN b USING (id), c", {"a", "b"}),
        ("MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE", {"a", "b"}),
    ],
)
def test_the_tables_are_those_where_tables_stand(statement: str, tables: set[str]) -> None:
    found = set(read(statement).tables)
    assert tables <= found
    assert "notes" not in found - tables


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL app.current_tenant_id = 'b'",
        "set app.current_user_id to 'b'",
        "SET SESSION app.correlation_id = 'b'",
        "RESET app.current_tenant_id",
        "SELECT set_config('app.current_tenant_id', 'b', true)",
        "SELECT 1; SET LOCAL app.current_tenant_id = 'b'",
        "SELECT pg_catalog.set_config ( 'APP.current_tenant_id', $1, false)",
    ],
)
def test_a_change_of_the_scope_is_seen(statement: str) -> None:
    assert read(statement).sets_scope


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT current_setting('app.current_tenant_id', true)",
        "SET LOCAL statement_timeout = '1s'",
        "SELECT set_config('work_mem', '8MB', true)",
        "UPDATE notes SET body = 'SET LOCAL app.current_tenant_id'",
    ],
)
def test_what_only_reads_the_scope_is_let_through(statement: str) -> None:
    assert not read(statement).sets_scope


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("COMMIT", "commit"),
        ("  commit and chain", "commit"),
        ("ROLLBACK", "rollback"),
        ("END;", "end"),
        ("BEGIN", "begin"),
        ("START TRANSACTION", "start"),
        ("PREPARE TRANSACTION 'x'", "prepare"),
        ("SELECT 1; COMMIT; SELECT 2", "commit"),
        ("ROLLBACK TO SAVEPOINT a", ""),
        ("ROLLBACK TO a", ""),
        ("PREPARE x AS SELECT 1", ""),
        ("SELECT 'x; COMMIT'", ""),
        ("DO $$ BEGIN PERFORM 1; END $$", ""),
        ("SELECT CASE WHEN true THEN 1 END", ""),
    ],
)
def test_a_statement_that_ends_the_transaction_is_seen(statement: str, word: str) -> None:
    assert read(statement).ends_transaction == word
