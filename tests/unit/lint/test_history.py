"""What earlier revisions made is known (types, constraints); the way back is followed."""

from __future__ import annotations

import pytest

from pgstead.errors import UsageError
from pgstead.lint import chain
from pgstead.lint.finding import Level
from pgstead.lint.judge import judge
from pgstead.lint.scene import Surroundings
from tests.unit.lint.scripts import TABLE, judged, rules, script


@pytest.mark.parametrize(
    ("before", "after", "free"),
    [
        ("varchar(20)", "varchar(80)", True),
        ("varchar(20)", "varchar", True),
        ("varchar(20)", "text", True),
        ("text", "varchar", True),
        ("numeric(10,2)", "numeric(12,2)", True),
        ("numeric(10,2)", "numeric", True),
        ("timestamptz(3)", "timestamptz(6)", True),
        ("cidr", "inet", True),
        ("varchar(80)", "varchar(20)", False),
        ("text", "varchar(20)", False),
        ("numeric(10,2)", "numeric(12,3)", False),
        ("timestamp", "timestamptz", False),
        ("int", "bigint", False),
        ("char(10)", "char(20)", False),
        ("text[]", "text", False),
    ],
)
def test_a_wider_type_is_free_and_any_other_is_not(before: str, after: str, free: bool) -> None:
    table = f"CREATE TABLE t (id int PRIMARY KEY, c {before})"
    change = f"ALTER TABLE t ALTER COLUMN c TYPE {after}"
    report = judge((script("a", table), script("b", change)), frozenset({"b"}), Surroundings())
    assert (rules(report.findings) == set()) is free


def test_a_type_that_no_revision_tells_is_taken_for_a_rewrite() -> None:
    report = judged("ALTER TABLE elsewhere ALTER COLUMN c TYPE text")
    assert "type-change" in rules(report.findings)


def test_a_table_of_the_same_revision_is_nobodys_yet() -> None:
    assert (
        rules(
            judged(
                "CREATE TABLE fresh (id bigint PRIMARY KEY, n text)",
                "CREATE INDEX ix ON fresh (n)",
                "ALTER TABLE fresh ADD CONSTRAINT ck CHECK (n <> '')",
                "UPDATE fresh SET n = 'x'",
                "ALTER TABLE fresh RENAME COLUMN n TO m",
            ).findings
        )
        == set()
    )


def test_a_table_that_was_dropped_and_made_again_is_new() -> None:
    found = judged("DROP TABLE account", TABLE, "CREATE INDEX ix ON account (bar)").findings
    assert rules(found) == {"drop-table"}


def test_a_way_back_that_leaves_something_names_it() -> None:
    revisions = (
        script("a", TABLE),
        script(
            "b",
            "ALTER TABLE account ADD COLUMN z text",
            "CREATE TYPE mood AS ENUM ('sad')",
            "CREATE TABLE other (id bigint PRIMARY KEY)",
            down=("DROP TABLE other",),
        ),
    )
    (found,) = judge(revisions, frozenset({"b"}), Surroundings()).findings
    assert found.rule == "downgrade-leaves"
    assert "column account.z, type mood" in found.message


def test_a_way_back_that_makes_again_what_no_revision_told_of_leaves_nothing() -> None:
    revisions = (
        script("a", TABLE),
        script(
            "b",
            "DROP INDEX CONCURRENTLY IF EXISTS made_elsewhere",
            down=("CREATE INDEX made_elsewhere ON account (bar)",),
        ),
    )
    found = judge(revisions, frozenset({"b"}), Surroundings()).findings
    assert "downgrade-leaves" not in {f.rule for f in found}


def test_an_index_that_goes_with_its_table_is_not_told_beside_it() -> None:
    revisions = (
        script("a", TABLE, "CREATE INDEX ix ON account (bar)"),
        script("b", "DROP INDEX ix", "DROP TABLE account"),
    )
    assert rules(judge(revisions, frozenset({"b"}), Surroundings()).findings) == {"drop-table"}


def test_a_unique_index_needs_all_of_its_columns() -> None:
    many = "CREATE TABLE wide (a int, b int, c int, d int)"
    assert rules(judged(many, "CREATE UNIQUE INDEX ix ON wide (a, b, c, d)").findings) == set()
    assert rules(judged(many, "CREATE INDEX ix ON wide (a, b, c, d)").findings) == {"wide-index"}


def test_a_broken_statement_is_one_finding_and_the_rest_is_judged() -> None:
    found = judged("ALTER TABEL account", "TRUNCATE account").findings
    assert rules(found) == {"syntax-error", "truncate"}
    assert {f.level for f in found if f.rule == "syntax-error"} == {Level.ERROR}


def test_what_a_do_block_holds_is_judged_too() -> None:
    block = """DO $m$
    BEGIN
      IF current_setting('server_version_num')::int > 150000 THEN
        EXECUTE $ddl$ ALTER TABLE account DROP COLUMN note $ddl$;
      END IF;
      UPDATE account SET bar = 1;
      EXECUTE format('DROP TABLE %I', 'account');
      PERFORM set_config('app.x', 'y', true);
    END $m$"""
    found = judged(block).findings
    assert rules(found) == {"drop-column", "update-not-in-batches"}
    assert {f.line for f in found if f.rule == "drop-column"} == {2}


def test_what_is_applied_and_what_came_before_it_is_not_pending() -> None:
    names = (("a", ()), ("b", ("a",)), ("c", ("b",)), ("d", ("b",)), ("e", ("c", "d")))
    revisions = [
        script(name).__class__(name, parents, "", "", script("x").upgrade, script("x").downgrade)
        for name, parents in names
    ]
    assert chain.after(revisions, ()) == {"a", "b", "c", "d", "e"}
    assert chain.after(revisions, ("c",)) == {"d", "e"}
    assert chain.after(revisions, ("e",)) == frozenset()


def test_a_revision_may_be_named_by_its_beginning_if_that_is_one() -> None:
    revisions = [script("5d1c7a"), script("5d9999"), script("8f2e60")]
    assert chain.named(revisions, "8f") == "8f2e60"
    with pytest.raises(UsageError, match="'5d' means 2 revisions"):
        chain.named(revisions, "5d")
    with pytest.raises(UsageError, match="there is no revision 'xx'"):
        chain.named(revisions, "xx")
