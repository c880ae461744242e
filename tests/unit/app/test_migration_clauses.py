"""What statements demand of rows, read from their text."""

from __future__ import annotations

import pytest

from pgstead.app.migration_clauses import (
    Check,
    Clause,
    Exclusion,
    Reference,
    Retyped,
    Unique,
    clauses,
    plain,
    words,
)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER TABLE t ADD CHECK (a > 0)", Check("t", "", "a > 0")),
        (
            'alter table if exists only s."T ""(" add constraint "c,c" check ((a) <> \')\')',
            Check('s."T ""("', '"c,c"', "(a) <> ')'"),
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT c CHECK (b ~ $x$ ) $x$) NOT VALID",
            Check("t", "c", "b ~ $x$ ) $x$"),
        ),
        ("-- why;\n ALTER TABLE t /* ( */ ADD UNIQUE (a, b)", Unique("t", "", ("a", "b"))),
        ("ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)", Unique("t", "k", ("a",))),
        ("ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i", None),
        (
            """CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY s.t USING btree
            (lower(a) COLLATE "C" text_ops DESC NULLS LAST, (a || ',')) INCLUDE (b)
            NULLS NOT DISTINCT WITH (fillfactor = 70) WHERE a <> ''""",
            Unique("s.t", "i", ('lower(a) COLLATE "C"', "(a || ',')"), "a <> ''", nulls_equal=True),
        ),
        ("CREATE UNIQUE INDEX ON t (a)", Unique("t", "", ("a",))),
        ("CREATE INDEX i ON t (a)", None),
        (
            "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a, b) REFERENCES s.p (x, y)",
            Reference("t", "f", ("a", "b"), "s.p", ("x", "y")),
        ),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p", Reference("t", "", ("a",), "p")),
        (
            """ALTER TABLE t ADD CONSTRAINT e EXCLUDE USING gist
            (a WITH =, (tsrange(b, c)) WITH OPERATOR(pg_catalog.&&)) WHERE (a > 0) DEFERRABLE""",
            Exclusion(
                "t", "e", (("a", "="), ("(tsrange(b, c))", "OPERATOR(pg_catalog.&&)")), "a > 0"
            ),
        ),
        (
            "ALTER TABLE t ALTER COLUMN a SET DATA TYPE numeric(3, 1) USING a / ARRAY[1, 2][1]",
            Retyped("t", "a", "numeric(3, 1)", "a / ARRAY[1, 2][1]"),
        ),
        ("ALTER TABLE t ALTER a TYPE varchar(9)", Retyped("t", "a", "varchar(9)")),
        ("ALTER TABLE t ALTER a SET NOT NULL", None),
        ("SELECT 'ALTER TABLE t ADD CHECK (a > 0)'", None),
        ("", None),
        ("ALTER TABLE", None),
        ("ALTER TABLE t ADD CONSTRAINT", None),
        ("ALTER TABLE t ADD CHECK (a", None),
        ("CREATE UNIQUE INDEX", None),
    ],
)
def test_a_clause_is_read_as_it_is_written(statement: str, found: Clause | None) -> None:
    assert [*clauses(statement)] == ([found] if found else [])


def test_of_several_statements_and_actions_all_clauses_are_found() -> None:
    text = (
        "ALTER TABLE t ADD CHECK (a), ADD COLUMN b int CHECK (b > 0); ALTER TABLE u ADD UNIQUE (c)"
    )
    assert [*clauses(text)] == [Check("t", "", "a"), Unique("u", "", ("c",))]


def test_names_are_as_the_catalog_has_them() -> None:
    assert plain('"A ""b"') == 'A "b'
    assert plain("Ab") == "ab"
    assert words("lower(Name) = 'x' AND \"Odd\" > 3") == {"lower", "name", "and", "Odd"}
