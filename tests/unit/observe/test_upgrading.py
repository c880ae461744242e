"""What two versions write differently and mean the same."""

from __future__ import annotations

import pytest

from pgstead.model.definition import Definition, Name
from pgstead.observe.upgrading import _comparable

CHECK, GRANTS = Name("constraint", "t.c"), Name("grants", "table t")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (
            CHECK,
            {"definition": "CHECK (((s)::text = ANY ((ARRAY['a'::character varying])::text[])))"},
            {"definition": "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text])))"},
        ),
        (GRANTS, {"owner": "SELECT, UPDATE"}, {"owner": "MAINTAIN, SELECT, UPDATE"}),
        (Name("policy", "t.p"), {"roles": "b, a"}, {"roles": "a, b"}),
    ],
)
def test_what_is_only_written_differently_is_equal(
    name: Name, old: dict[str, str], new: dict[str, str]
) -> None:
    found = [dict(_comparable(Definition({name: facets}), 15)) for facets in (old, new)]
    assert found[0] == found[1]


def test_what_means_something_else_is_another() -> None:
    two = ({"definition": "CHECK ((n > 0))"}, {"definition": "CHECK ((n > 1))"})
    found = [dict(_comparable(Definition({CHECK: facets}), 15)) for facets in two]
    assert found[0] != found[1]


def test_not_null_is_a_facet_of_the_column_before_18() -> None:
    assert dict(_comparable(Definition({CHECK: {"definition": "NOT NULL id"}}), 15)) == {}
