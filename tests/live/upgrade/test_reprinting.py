"""What only reads otherwise after an upgrade is equal; what means something else is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.rows import tuple_row

from pgstead.host.reprinting import reprinted
from pgstead.model.definition import Definition
from pgstead.observe.definition import definition
from tests.fix_stead import LiveStead

pytestmark = [pytest.mark.live]

MADE = """
CREATE SCHEMA words;
CREATE TABLE words."A.t" (
    s varchar(9) CONSTRAINT c CHECK (s IN ('a', 'b')), n int,
    is_small boolean DEFAULT ('a'::varchar IN ('a', 'b')),
    is_known boolean GENERATED ALWAYS AS (s IN ('a', 'b')) STORED
);
CREATE INDEX i ON words."A.t" (n) WHERE s IN ('a', 'b');
CREATE VIEW words.v AS SELECT s, n FROM words."A.t" WHERE s IN ('a', 'b');
CREATE DOMAIN words.d AS varchar CONSTRAINT few CHECK (VALUE IN ('a', 'b'));
CREATE POLICY p ON words."A.t" USING (s IN ('a', 'b')) WITH CHECK (s IN ('a', 'b'));
CREATE FUNCTION words.f(x varchar) RETURNS boolean LANGUAGE sql RETURN x IN ('a', 'b');
CREATE FUNCTION words.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER g BEFORE UPDATE ON words."A.t" FOR EACH ROW
    WHEN (OLD.s IN ('a', 'b') AND NEW.n > 0) EXECUTE FUNCTION words.t();
"""
# `s IN ('a', 'b')` as a server writes it that read that, and one that read the first's words.
FIRST = "(ARRAY['a'::character varying, 'b'::character varying])::text[]"
AGAIN = "ARRAY[('a'::character varying)::text, ('b'::character varying)::text]"
FACETS = {
    ("constraint", 'words."A.t".c', "definition"),
    ("column", 'words."A.t".is_small', "default"),
    ("column", 'words."A.t".is_known', "expression"),
    ("index", "words.i", "definition"),
    ("view", "words.v", "text"),
    ("domain", "words.d", "checks"),
    ("policy", 'words."A.t".p', "using"),
    ("policy", 'words."A.t".p', "check"),
    ("function", "words.f(x character varying)", "definition"),
    ("trigger", 'words."A.t".g', "definition"),
}


@pytest.fixture
def before(stead: LiveStead) -> Iterator[Definition]:
    with stead.superuser("jeex_idea") as connection:
        connection.execute(MADE)
        connection.row_factory = tuple_row
        try:
            yield definition(connection, stead.major)
        finally:
            connection.execute("DROP SCHEMA words CASCADE")


def changed(before: Definition, old: str, new: str) -> Definition:
    return Definition(
        {
            name: {f: v.replace(old, new) if isinstance(v, str) else v for f, v in facets.items()}
            for name, facets in before.objects.items()
            if name.name.startswith("words.")
        }
    )


def differing(before: Definition, after: Definition) -> set[tuple[str, ...]]:
    return {
        (*name, facet)
        for name, facets in after.objects.items()
        for facet, value in facets.items()
        if before.objects[name].get(facet) != value
    }


def test_what_only_reads_otherwise_is_equal(stead: LiveStead, before: Definition) -> None:
    after = changed(before, FIRST, AGAIN)
    assert differing(before, after) == FACETS
    told = reprinted(stead.wired.ports.sql, "jeex_idea", before, after)
    assert differing(told, after) == set()


def test_what_means_something_else_stays_another(stead: LiveStead, before: Definition) -> None:
    after = changed(before, "'b'::character varying", "'c'::character varying")
    told = reprinted(stead.wired.ports.sql, "jeex_idea", before, after)
    assert differing(told, after) == FACETS


def test_nothing_of_the_question_is_left(stead: LiveStead, before: Definition) -> None:
    reprinted(stead.wired.ports.sql, "jeex_idea", before, changed(before, FIRST, AGAIN))
    with stead.superuser("jeex_idea") as connection:
        connection.row_factory = tuple_row
        assert definition(connection, stead.major) == before
